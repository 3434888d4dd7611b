// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// Bounds of a plot.
const (
	maxPlotBytes   = 16 << 20
	maxPlotPoints  = 100_000 // of one series
	maxPlotSeries  = 8
	maxMatrixLabel = 50
)

// PlotKind says how a plot is drawn.
type PlotKind string

// The kinds.
const (
	PlotLine        PlotKind = "line"        // series over numbers
	PlotScatter     PlotKind = "scatter"     // points
	PlotBar         PlotKind = "bar"         // series over words
	PlotMatrix      PlotKind = "matrix"      // a confusion matrix: rows are what was true, columns what was said
	PlotCalibration PlotKind = "calibration" // what happened (Series[0].Y) over what was predicted (X)
	PlotImage       PlotKind = "image"       // SVG or PNG, shown as it is
)

// Plot is what a file under `plots:` holds.
type Plot struct {
	Kind           PlotKind
	Title          string
	XLabel, YLabel string
	X              []float64
	Words          []string // in the place of X: bars, and the labels of a matrix
	Series         []PlotSeries
	Matrix         [][]float64 // square, one row and column for each of Words
	Counts         []float64   // of a calibration: how many answers each point stands for; may be nil
}

// PlotSeries is one line, set of points or set of bars; NaN is a gap.
type PlotSeries struct {
	Name string
	Y    []float64 // as many as X or Words
}

// ParsePlot reads a plot; its form is told by the name's ending: .json, .csv,
// .svg or .png.
func ParsePlot(file string, raw []byte) (Plot, error) {
	switch strings.ToLower(path.Ext(file)) {
	case ".json":
		return jsonPlot(raw)
	case ".csv":
		return csvPlot(raw)
	case ".png":
		if bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")) {
			return Plot{Kind: PlotImage}, nil
		}
		return Plot{}, lastro.Errorf(lastro.EFailed, "it is not a PNG picture")
	case ".svg":
		if bytes.Contains(raw[:min(len(raw), 4096)], []byte("<svg")) {
			return Plot{Kind: PlotImage}, nil
		}
		return Plot{}, lastro.Errorf(lastro.EFailed, "it is not an SVG picture")
	}
	return Plot{}, lastro.Errorf(lastro.EFailed, "plots are .json, .csv, .svg or .png files")
}

// plotFile is a JSON plot as people write it.
type plotFile struct {
	Title     string            `json:"title"`
	Kind      PlotKind          `json:"kind"`
	XLabel    string            `json:"x_label"`
	YLabel    string            `json:"y_label"`
	X         []any             `json:"x"`
	Y         []gap             `json:"y"`
	Series    map[string][]gap  `json:"series"`
	Labels    []any             `json:"labels"`
	Matrix    [][]float64       `json:"matrix"`
	Predicted []float64         `json:"predicted"`
	Observed  []float64         `json:"observed"`
	N         []float64         `json:"n"`
	Points    []json.RawMessage `json:"points"`
}

// gap is a number or null.
type gap = *float64

// jsonPlot reads one of
//
//	{"x": [1, 2], "y": [0.3, 0.2]}                            one series
//	{"x": [1, 2], "series": {"train": [..], "valid": [..]}}   several
//	[{"x": 1, "y": 0.3}, ..] or [[1, 0.3], ..]                points
//	{"labels": ["no", "yes"], "matrix": [[50, 3], [7, 40]]}   confusion matrix
//	{"predicted": [..], "observed": [..], "n": [..]}          calibration
//
// with title, x_label and y_label, and kind line, scatter or bar, if wanted.
func jsonPlot(raw []byte) (Plot, error) {
	var f plotFile
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		err = decodeReport(raw, &f.Points)
	} else {
		err = decodeReport(raw, &f)
	}
	if err != nil {
		var e *lastro.Error
		if errors.As(err, &e) && (bytes.Contains(raw, []byte("NaN")) || bytes.Contains(raw, []byte("Infinity"))) {
			e.Hint = "JSON has no NaN and no Infinity: write null for a gap"
		}
		return Plot{}, err
	}
	p := Plot{Title: clip(f.Title, 200), Kind: f.Kind, XLabel: clip(f.XLabel, 100), YLabel: clip(f.YLabel, 100)}
	switch {
	case f.Matrix != nil:
		err = p.matrix(f)
	case f.Predicted != nil:
		err = p.calibration(f)
	case f.Points != nil:
		err = p.points(f.Points)
	case f.X != nil:
		err = p.lines(f)
	default:
		err = &lastro.Error{Code: lastro.EFailed, Msg: "it holds no plot: neither x and y, nor points, nor matrix, nor predicted and observed", Hint: `write {"x": [1, 2], "y": [0.3, 0.2]}`}
	}
	if err != nil {
		return Plot{}, err
	}
	return p, p.check()
}

func (p *Plot) lines(f plotFile) error {
	if err := p.axis(f.X); err != nil {
		return err
	}
	if f.Y != nil {
		p.Series = append(p.Series, PlotSeries{Name: "y", Y: numbers(f.Y)})
	}
	names := make([]string, 0, len(f.Series))
	for name := range f.Series {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.Series = append(p.Series, PlotSeries{Name: clip(name, 100), Y: numbers(f.Series[name])})
	}
	return nil
}

// axis takes x: all numbers, or words.
func (p *Plot) axis(x []any) error {
	for _, v := range x {
		switch v := v.(type) {
		case float64:
			p.X = append(p.X, v)
		case string:
			p.Words = append(p.Words, clip(v, 100))
		default:
			return lastro.Errorf(lastro.EFailed, "x holds %v, and takes numbers or words", v)
		}
	}
	if len(p.X) > 0 && len(p.Words) > 0 {
		return lastro.Errorf(lastro.EFailed, "x holds numbers and words")
	}
	return nil
}

func numbers(in []gap) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		if out[i] = math.NaN(); v != nil {
			out[i] = *v
		}
	}
	return out
}

func (p *Plot) points(in []json.RawMessage) error {
	s := PlotSeries{Name: "y"}
	for i, raw := range in {
		var pair [2]*float64
		var named struct{ X, Y *float64 }
		err := json.Unmarshal(raw, &named)
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
			err = json.Unmarshal(raw, &pair)
			named.X, named.Y = pair[0], pair[1]
		}
		if err != nil || named.X == nil || named.Y == nil {
			return &lastro.Error{Code: lastro.EFailed, Msg: fmt.Sprintf("point %d is %.60s", i+1, raw), Hint: `write {"x": 1, "y": 2} or [1, 2]`}
		}
		p.X, s.Y = append(p.X, *named.X), append(s.Y, *named.Y)
	}
	p.Series = []PlotSeries{s}
	if p.Kind == "" {
		p.Kind = PlotScatter
	}
	return nil
}

func (p *Plot) matrix(f plotFile) error {
	p.Kind, p.Matrix = PlotMatrix, f.Matrix
	for _, l := range f.Labels {
		p.Words = append(p.Words, clip(text(l), 60))
	}
	n := len(f.Matrix)
	for i := len(p.Words); f.Labels == nil && i < n; i++ {
		p.Words = append(p.Words, strconv.Itoa(i))
	}
	if n == 0 || n > maxMatrixLabel || len(p.Words) != n {
		return lastro.Errorf(lastro.EFailed, "its matrix has %d rows and %d labels: one label a row, at most %d", n, len(p.Words), maxMatrixLabel)
	}
	for i, row := range f.Matrix {
		if len(row) != n {
			return lastro.Errorf(lastro.EFailed, "row %d of its matrix has %d values, and there are %d rows", i+1, len(row), n)
		}
	}
	return nil
}

func (p *Plot) calibration(f plotFile) error {
	p.Kind, p.X, p.Counts = PlotCalibration, f.Predicted, f.N
	p.Series = []PlotSeries{{Name: "observed", Y: f.Observed}}
	if f.N != nil && len(f.N) != len(f.Predicted) {
		return lastro.Errorf(lastro.EFailed, "predicted has %d values and n has %d", len(f.Predicted), len(f.N))
	}
	for _, v := range append(slices.Clone(f.Predicted), f.Observed...) {
		if !(v >= 0 && v <= 1) {
			return lastro.Errorf(lastro.EFailed, "a calibration holds shares of 0 to 1, and %v is none", v)
		}
	}
	return nil
}

// check holds what every plot has to keep to, and chooses a kind.
func (p *Plot) check() error {
	n := max(len(p.X), len(p.Words))
	if p.Kind == "" {
		p.Kind = PlotLine
		if len(p.Words) > 0 {
			p.Kind = PlotBar
		}
	}
	if v, ok := p.tooLarge(); ok {
		return lastro.Errorf(lastro.EFailed, "it holds %g, which is too large to be drawn", v)
	}
	switch p.Kind {
	case PlotMatrix:
		return nil
	case PlotLine, PlotScatter, PlotBar, PlotCalibration:
	default:
		return lastro.Errorf(lastro.EFailed, "its kind is %.40q; known are line, scatter and bar", p.Kind)
	}
	if len(p.Words) > 0 {
		p.Kind = PlotBar
	}
	if len(p.Series) == 0 || n == 0 {
		return lastro.Errorf(lastro.EFailed, "it holds no point")
	}
	if len(p.Series) > maxPlotSeries || n > maxPlotPoints {
		return lastro.Errorf(lastro.EFailed, "it has %d series of %d points; at most %d of %d are drawn", len(p.Series), n, maxPlotSeries, maxPlotPoints)
	}
	for _, s := range p.Series {
		if len(s.Y) != n {
			return lastro.Errorf(lastro.EFailed, "x has %d values, and %q has %d", n, s.Name, len(s.Y))
		}
	}
	return nil
}

// tooLarge finds a number that a scale cannot hold.
func (p *Plot) tooLarge() (float64, bool) {
	lists := append(slices.Clone(p.Matrix), p.X)
	for _, s := range p.Series {
		lists = append(lists, s.Y)
	}
	for _, list := range lists {
		for _, v := range list {
			if math.Abs(v) > 1e300 {
				return v, true
			}
		}
	}
	return 0, false
}

// csvPlot reads a table with a header: the first column is x, each other one a
// series. An empty cell is a gap.
func csvPlot(raw []byte) (Plot, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	r.ReuseRecord = true
	var p Plot
	var words []string
	numeric := true
	for row := 0; ; row++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Plot{}, csvMalformed(err)
		}
		if row == 0 {
			for i, name := range rec {
				if i == 0 {
					p.XLabel = clip(name, 100)
					continue
				}
				p.Series = append(p.Series, PlotSeries{Name: clip(strings.Clone(name), 100)})
			}
			continue
		}
		if row > maxPlotPoints {
			return Plot{}, csvTrouble(r, 0, fmt.Sprintf("it has more than %d rows", maxPlotPoints))
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(rec[0]), 64)
		numeric = numeric && err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
		p.X, words = append(p.X, x), append(words, clip(strings.Clone(rec[0]), 100))
		for i, cell := range rec[1:] {
			y := math.NaN()
			if cell = strings.TrimSpace(cell); cell != "" {
				if y, err = strconv.ParseFloat(cell, 64); err != nil {
					return Plot{}, csvTrouble(r, i+1, fmt.Sprintf("%.40q is no number", cell))
				}
				if math.IsInf(y, 0) {
					y = math.NaN()
				}
			}
			p.Series[i].Y = append(p.Series[i].Y, y)
		}
	}
	if !numeric {
		p.X, p.Words = nil, words
	}
	return p, p.check()
}

const csvHint = "the first line names the columns, the first column is x"

func csvTrouble(r *csv.Reader, field int, what string) error {
	e := &lastro.Error{Code: lastro.EFailed, Msg: what, Hint: csvHint}
	e.Pos.Line, e.Pos.Col = r.FieldPos(field)
	return e
}

func csvMalformed(err error) error {
	e := &lastro.Error{Code: lastro.EFailed, Msg: "it is not CSV: " + err.Error(), Hint: csvHint}
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		e.Msg, e.Pos = "it is not CSV: "+bad.Err.Error(), lastro.Pos{Line: bad.Line, Col: bad.Column}
	}
	return e
}
