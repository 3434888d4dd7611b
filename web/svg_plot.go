// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"lastro/pipeline"
)

// plotPoints is how many points of a series are drawn; more lie on each other.
const plotPoints = 600

// drawPlot draws what a step measured; id must be unique on the page.
func drawPlot(l Lang, id, title string, p pipeline.Plot) template.HTML {
	switch p.Kind {
	case pipeline.PlotMatrix:
		return drawMatrix(l, id, title, p)
	case pipeline.PlotBar:
		return drawBars(l, id, title, p)
	}
	return drawXY(l, id, title, p)
}

// frame is the area in which a plot's values lie.
type frame struct {
	s    *svg
	x, y scale
}

const (
	plotW, plotH                         = 480.0, 260.0
	plotLeft, plotRight, plotTop, plotBt = 58.0, 12.0, 12.0, 40.0
)

func newFrame(l Lang, p pipeline.Plot, xLow, xHigh, yLow, yHigh float64) frame {
	f := frame{newSVG(plotW, plotH), scale{xLow, xHigh, plotLeft, plotW - plotRight}, scale{yLow, yHigh, plotH - plotBt, plotTop}}
	f.s.path("ax", fmt.Sprintf("M%.0f %.0fV%.0fH%.0f", plotLeft, plotTop, plotH-plotBt, plotW-plotRight))
	for _, v := range ticks(yLow, yHigh, 4) {
		f.s.path("ax", fmt.Sprintf("M%.0f %.1fH%.0f", plotLeft, f.y.at(v), plotW-plotRight))
		f.s.text(plotLeft-6, f.y.at(v)+4, "e", plotNumber(l, v))
	}
	f.s.text(plotLeft+(plotW-plotRight-plotLeft)/2, plotH-6, "m", shorten(p.XLabel, 60))
	if p.YLabel != "" {
		f.s.text(plotLeft+6, plotTop+10, "halo", shorten(p.YLabel, 40))
	}
	return f
}

// plotNumber writes a value at an axis: short, whatever its size.
func plotNumber(l Lang, v float64) string {
	a := math.Abs(v)
	switch {
	case a != 0 && (a < 0.001 || a >= 1e7):
		return strings.Replace(fmt.Sprintf("%.1e", v), "e+0", "e", 1)
	case v == math.Trunc(v):
		return l.Int(int64(v))
	case a < 0.1:
		return l.Num(v, 3)
	}
	return l.Num(v, 2)
}

func drawXY(l Lang, id, title string, p pipeline.Plot) template.HTML {
	xLow, xHigh := span(0, p.X...)
	if xLow == xHigh {
		xLow, xHigh = xLow-1, xHigh+1
	}
	var all []float64
	for _, s := range p.Series {
		all = append(all, s.Y...)
	}
	yLow, yHigh := span(0.05, all...)
	if p.Kind == pipeline.PlotCalibration {
		xLow, xHigh, yLow, yHigh = 0, 1, 0, 1
	}
	f := newFrame(l, p, xLow, xHigh, yLow, yHigh)
	for _, v := range ticks(xLow, xHigh, 6) {
		f.s.text(f.x.at(v), plotH-plotBt+15, "m", plotNumber(l, v))
	}
	if p.Kind == pipeline.PlotCalibration {
		f.s.path("l0", fmt.Sprintf("M%.1f %.1fL%.1f %.1f", f.x.at(0), f.y.at(0), f.x.at(1), f.y.at(1)))
	}
	for i, s := range p.Series {
		f.series(p, i, s)
	}
	return f.s.figure(id, title, plotWords(l, p))
}

// series draws one series as a line or points, thinned to what can be seen.
func (f frame) series(p pipeline.Plot, i int, s pipeline.PlotSeries) {
	order := make([]int, len(p.X))
	for k := range order {
		order[k] = k
	}
	dots := p.Kind == pipeline.PlotScatter || len(p.X) <= 20
	if p.Kind != pipeline.PlotScatter {
		slices.SortStableFunc(order, func(a, b int) int { return compareFloat(p.X[a], p.X[b]) })
	}
	order = thin(order, s.Y, plotPoints)
	var xs, ys []float64
	for _, k := range order {
		xs, ys = append(xs, f.x.at(p.X[k])), append(ys, f.y.at(s.Y[k]))
	}
	if p.Kind != pipeline.PlotScatter {
		f.s.path(fmt.Sprintf("l%d%s", 1+i%3, dashes(i)), line(xs, ys))
	}
	for k := range xs {
		if dots && !math.IsNaN(ys[k]) {
			f.s.addf(`<circle class="p%d" cx="%.1f" cy="%.1f" r="2.5"/>`, 1+i%3, xs[k], ys[k])
		}
	}
}

// dashes tells the fourth series and on from the first three.
func dashes(i int) string {
	return []string{"", " dash", " dots3"}[min(i/3, 2)]
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// thin keeps at most n points: of each stretch the least and the greatest, so
// that no peak is lost.
func thin(order []int, y []float64, n int) []int {
	if len(order) <= n {
		return order
	}
	var out []int
	stretches := n / 2
	for b := range stretches {
		part := order[b*len(order)/stretches : (b+1)*len(order)/stretches]
		low, high := part[0], part[0]
		for _, k := range part {
			if y[k] < y[low] || math.IsNaN(y[low]) {
				low = k
			}
			if y[k] > y[high] || math.IsNaN(y[high]) {
				high = k
			}
		}
		if slices.Index(part, low) <= slices.Index(part, high) {
			out = append(out, low, high)
		} else {
			out = append(out, high, low)
		}
	}
	return out
}

// drawBars draws series over words; of more than 40 words the first.
func drawBars(l Lang, id, title string, p pipeline.Plot) template.HTML {
	n := min(len(p.Words), 40)
	all := []float64{0}
	for _, s := range p.Series {
		all = append(all, s.Y[:n]...)
	}
	low, high := span(0, all...)
	f := newFrame(l, p, 0, float64(n), low, high+(high-low)*0.05)
	slot := (plotW - plotRight - plotLeft) / float64(n)
	w := slot * 0.8 / float64(len(p.Series))
	zero := f.y.at(0)
	for k := range n {
		x := plotLeft + slot*(float64(k)+0.1)
		for i, s := range p.Series {
			if v := s.Y[k]; !math.IsNaN(v) && !math.IsInf(v, 0) {
				y := f.y.at(v)
				f.s.addf(`<rect class="p%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, 1+i%3, x+w*float64(i), min(y, zero), max(w-1, 1), math.Abs(y-zero))
			}
		}
		if n <= 12 || k%(n/6) == 0 {
			f.s.text(x+slot*0.4, plotH-plotBt+15, "m", shorten(p.Words[k], max(2, int(slot/6.5))))
		}
	}
	return f.s.figure(id, title, plotWords(l, p))
}

// drawMatrix draws a confusion matrix: a row for what was true, a column for
// what was said; the shade is the share of its row, the number stands in it.
func drawMatrix(l Lang, id, title string, p pipeline.Plot) template.HTML {
	const left, top = 110.0, 34.0
	n := len(p.Matrix)
	cell := min(64, max(14, 520/float64(n)))
	s := newSVG(max(360, left+cell*float64(n)+8), top+cell*float64(n)+8)
	s.text(left+cell*float64(n)/2, 11, "m", l.T("plot.said"))
	s.text(left-8, 11, "e", l.T("plot.true"))
	letters := max(3, int(cell/6.5))
	for i, row := range p.Matrix {
		y := top + cell*float64(i)
		s.text(left-8, y+cell/2+4, "e t", shorten(p.Words[i], 15))
		s.text(left+cell*(float64(i)+0.5), top-6, "m t", shorten(p.Words[i], letters))
		sum := 0.0
		for _, v := range row {
			sum += math.Abs(v)
		}
		for j, v := range row {
			share := 0.0
			if sum > 0 {
				share = math.Abs(v) / sum
			}
			x := left + cell*float64(j)
			s.addf(`<rect class="p1" fill-opacity="%.2f" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`, 0.06+0.5*share, x, y, cell-2, cell-2)
			if cell >= 28 {
				s.text(x+cell/2-1, y+cell/2+3, "m t", plotNumber(l, v))
			}
		}
	}
	return s.figure(id, title, plotWords(l, p))
}

// plotWords describes a plot for people who do not see it.
func plotWords(l Lang, p pipeline.Plot) string {
	if p.Kind == pipeline.PlotMatrix {
		var rows []string
		for i, row := range p.Matrix[:min(len(p.Matrix), 10)] {
			var cells []string
			for _, v := range row {
				cells = append(cells, plotNumber(l, v))
			}
			rows = append(rows, p.Words[i]+": "+strings.Join(cells, " "))
		}
		return strings.Join(rows, "; ")
	}
	var words []string
	for _, s := range p.Series {
		low, high := math.Inf(1), math.Inf(-1)
		last := math.NaN()
		for _, v := range s.Y {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				low, high, last = min(low, v), max(high, v), v
			}
		}
		if !math.IsNaN(last) {
			words = append(words, l.T("plot.range", s.Name, plotNumber(l, low), plotNumber(l, high), plotNumber(l, last)))
		}
	}
	return strings.Join(words, "; ")
}
