// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/track"
)

// A curve is drawn twice: as SVG here, for everybody, and by uPlot in its place
// where a script may run, with a cursor and more points. Neither ever sees the
// whole history: it is thinned while it is read.

const (
	svgStretches   = 150  // of a curve that is drawn here
	plotStretches  = 1000 // of a curve that the browser asks for
	seriesShown    = 8    // curves in one picture
	curvesShown    = 6    // pictures of curves on one page
	curveBudget    = 400 * time.Millisecond
	curveScript    = "/static/curves.js"
	linkScript     = "/static/link.js" // takes MLflow's links to the pages here
	plotLibrary    = "/static/vendor/uplot-1.6.32.min.js"
	plotStylesheet = "/static/vendor/uplot-1.6.32.min.css"
)

// curveView is a picture of one metric of some runs.
type curveView struct {
	ID      string
	Metric  string
	Draw    template.HTML // "" when it took too long; the script still may
	Source  string        // where the script finds the points
	Classes string        // of its lines, separated by commas
	CSV     string        // every point
	Rows    []curveRow
	Note    string
}

// curveRow is one series in the table below the picture.
type curveRow struct {
	Series                       seriesMark
	Points                       string
	First, Least, Greatest, Last string
}

// seriesMark says which line of a picture is whose.
type seriesMark struct {
	Class string // of the line
	Name  string
	Link  string
}

// lineClass tells eight series apart: four colours, the second round dashed.
func lineClass(i int) string {
	return fmt.Sprintf("l%d%s", 1+i%4, []string{"", " dash"}[min(i/4, 1)])
}

// classesOf are the classes of the lines that are drawn.
func classesOf(marks []seriesMark) string {
	var out []string
	for _, m := range marks[:min(len(marks), seriesShown)] {
		out = append(out, m.Class)
	}
	return strings.Join(out, ",")
}

// marksOf gives each run its line.
func marksOf(runs []track.Run) []seriesMark {
	out := make([]seriesMark, len(runs))
	for i, r := range runs {
		out[i] = seriesMark{Name: r.Name, Link: trackedLink(r)}
		if i < seriesShown {
			out[i].Class = lineClass(i)
		}
	}
	return out
}

// curvesOf draws metrics that were measured at several steps; of others there
// is nothing to draw. What takes longer than the budget is left to the script.
func (p *Pages) curvesOf(ctx context.Context, l Lang, runs []track.Run, metrics []string) ([]curveView, error) {
	budget, cancel := context.WithTimeout(ctx, curveBudget)
	defer cancel()
	var out []curveView
	marks := marksOf(runs)
	for _, key := range metrics {
		if len(out) == curvesShown {
			break
		}
		v, ok, err := p.curveOf(budget, l, fmt.Sprintf("curve%d", len(out)), runs, marks, key)
		if err != nil && budget.Err() == nil {
			return nil, err
		}
		if ok || err != nil {
			out = append(out, v)
		}
	}
	return out, ctx.Err()
}

// curveOf draws one metric; ok is false when it is no curve.
func (p *Pages) curveOf(ctx context.Context, l Lang, id string, runs []track.Run, marks []seriesMark, key string) (v curveView, ok bool, err error) {
	asked := url.Values{"metric": {key}}
	for _, r := range runs[:min(len(runs), seriesShown)] {
		asked.Add("run", r.ID)
	}
	v = curveView{ID: id, Metric: key, Source: "/compare/curve?" + asked.Encode(), CSV: "/compare/curve.csv?" + asked.Encode()}
	v.Classes = classesOf(marks)
	var curves []track.Curve
	single := true
	for _, r := range runs[:min(len(runs), seriesShown)] {
		var c track.Curve
		if _, measured := r.Metric(key); measured {
			if c, err = p.Track.Curve(ctx, r.ID, key, svgStretches); err != nil {
				v.Note = l.T("curve.late")
				return v, false, err
			}
		}
		curves, single = append(curves, c), single && c.Single()
	}
	if single {
		return v, false, nil
	}
	v.Draw = drawCurves(l, id, key, curves, marks)
	for i, c := range curves {
		if c.Count > 0 {
			v.Rows = append(v.Rows, rowOf(l, marks[i], c))
		}
	}
	if len(runs) > seriesShown {
		v.Note = l.T("curve.first", seriesShown)
	}
	return v, true, nil
}

func rowOf(l Lang, m seriesMark, c track.Curve) curveRow {
	row := curveRow{Series: m, Points: l.Int(c.Count)}
	if c.Count > c.Odd {
		at := func(m track.Metric) string { return l.T("curve.at", l.Measured(m.Value), l.Int(m.Step)) }
		row.First, row.Least, row.Greatest, row.Last = at(c.First), at(c.Min), at(c.Max), at(c.Last)
	}
	return row
}

// drawCurves draws one metric over its steps.
func drawCurves(l Lang, id, key string, curves []track.Curve, marks []seriesMark) template.HTML {
	var xs, ys []float64
	for _, c := range curves {
		for _, m := range c.Points {
			xs, ys = append(xs, float64(m.Step)), append(ys, m.Value)
		}
	}
	xLow, xHigh := span(0, xs...)
	if xLow == xHigh {
		xLow, xHigh = xLow-1, xHigh+1
	}
	yLow, yHigh := span(0.05, ys...)
	f := newAxes(l, l.T("curve.step"), "", xLow, xHigh, yLow, yHigh)
	words := ""
	for i, c := range curves {
		if c.Count == c.Odd {
			continue
		}
		px, py := make([]float64, len(c.Points)), make([]float64, len(c.Points))
		for k, m := range c.Points {
			px[k], py[k] = f.x.at(float64(m.Step)), f.y.at(m.Value)
		}
		f.s.path(lineClass(i), line(px, py))
		words += l.T("plot.range", marks[i].Name, l.Measured(c.Min.Value), l.Measured(c.Max.Value), l.Measured(c.Last.Value)) + "; "
	}
	return f.s.figure(id, key, words)
}

// newAxes is newFrame with round numbers at the x axis too.
func newAxes(l Lang, xLabel, yLabel string, xLow, xHigh, yLow, yHigh float64) frame {
	f := newFrame(l, pipeline.Plot{XLabel: xLabel, YLabel: yLabel}, xLow, xHigh, yLow, yHigh)
	for _, v := range ticks(xLow, xHigh, 6) {
		f.s.text(f.x.at(v), plotH-plotBt+15, "m", plotNumber(l, v))
	}
	return f
}

// curveDocument is what the script reads.
type curveDocument struct {
	Series []curveSeries `json:"series"`
}

type curveSeries struct {
	Run    string    `json:"run"`
	Name   string    `json:"name"`
	Points int64     `json:"points"` // of the whole history
	X      []int64   `json:"x"`
	Y      []float64 `json:"y"`
}

// askedRuns are the runs of a question about curves, and the metric.
func (p *Pages) askedRuns(r *http.Request) (runs []track.Run, metric string, err error) {
	ids := r.URL.Query()["run"]
	if metric = r.URL.Query().Get("metric"); metric == "" || len(ids) == 0 || len(ids) > track.MaxCompare {
		return nil, "", lastro.Errorf(lastro.EInvalid, "a curve is of one metric of 1 to %d tracked runs", track.MaxCompare)
	}
	for _, id := range ids {
		run, err := p.Track.Run(r.Context(), id)
		if err != nil {
			return nil, "", err
		}
		runs = append(runs, run)
	}
	return runs, metric, nil
}

// curveData answers the script.
func (p *Pages) curveData(w http.ResponseWriter, r *http.Request) {
	runs, metric, err := p.askedRuns(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	doc := curveDocument{Series: []curveSeries{}}
	for _, run := range runs[:min(len(runs), seriesShown)] {
		c, err := p.Track.Curve(r.Context(), run.ID, metric, plotStretches)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		s := curveSeries{Run: run.ID, Name: run.Name, Points: c.Count, X: []int64{}, Y: []float64{}}
		for i, m := range c.Points {
			if i > 0 && m.Step == c.Points[i-1].Step { // a line has one value at each place: the later one
				s.Y[len(s.Y)-1] = m.Value
				continue
			}
			s.X, s.Y = append(s.X, m.Step), append(s.Y, m.Value)
		}
		doc.Series = append(doc.Series, s)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	p.sent(r, json.NewEncoder(w).Encode(doc))
}

// curveCSV answers with every point.
func (p *Pages) curveCSV(w http.ResponseWriter, r *http.Request) {
	runs, metric, err := p.askedRuns(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/csv; charset=utf-8")
	head.Set("Content-Disposition", attachment(metric+".csv"))
	out := csv.NewWriter(w)
	_ = out.Write([]string{"run_id", "run_name", "step", "time", "value"}) // the error comes with Flush
	for _, run := range runs {
		for m, err := range p.Track.Points(r.Context(), track.HistoryQuery{Run: run.ID, Key: metric}) {
			if err == nil {
				err = out.Write([]string{run.ID, track.GuardFormula(run.Name), strconv.FormatInt(m.Step, 10), m.At.UTC().Format("2006-01-02T15:04:05.000Z"), strconv.FormatFloat(m.Value, 'g', -1, 64)})
			}
			if err != nil {
				p.sent(r, err)
			}
		}
	}
	out.Flush()
	p.sent(r, out.Error())
}
