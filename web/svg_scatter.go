// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lastro/pipeline"
	"lastro/track"
)

// scatterView is one thing of tracked runs against another.
type scatterView struct {
	X, Y  []scatterChoice
	Runs  []string // ids, for the form
	All   bool
	Draw  template.HTML
	Heads [2]string
	Rows  []scatterRow
}

type scatterChoice struct {
	Value, Name string
	Chosen      bool
}

type scatterRow struct {
	Mark seriesMark
	X, Y string
}

// scatterOf draws the first param that differs against the first metric, or
// what was asked for; nil when there is nothing to choose from.
func scatterOf(l Lang, c track.Comparison, asked url.Values) *scatterView {
	v := &scatterView{All: asked.Get("all") == "1"}
	for _, r := range c.Params {
		v.X = append(v.X, scatterChoice{Value: "params." + r.Name, Name: r.Name})
	}
	for _, m := range c.Metrics {
		v.X = append(v.X, scatterChoice{Value: "metrics." + m.Name, Name: m.Name})
		v.Y = append(v.Y, scatterChoice{Value: "metrics." + m.Name, Name: m.Name})
	}
	if len(v.Y) == 0 || len(v.X) < 2 {
		return nil
	}
	x, y := choose(v.X, asked.Get("x")), choose(v.Y, asked.Get("y"))
	for _, r := range c.Runs {
		v.Runs = append(v.Runs, r.ID)
	}
	v.Heads = [2]string{x.Name, y.Name}
	v.draw(l, axisOf(l, c.Runs, x.Value), axisOf(l, c.Runs, y.Value), marksOf(c.Runs))
	return v
}

// choose marks what was asked for, or the first.
func choose(list []scatterChoice, asked string) scatterChoice {
	i := max(0, slices.IndexFunc(list, func(c scatterChoice) bool { return c.Value == asked }))
	list[i].Chosen = true
	return list[i]
}

func (v *scatterView) draw(l Lang, x, y axis, marks []seriesMark) {
	xLow, xHigh := span(0.06, x.values...)
	yLow, yHigh := span(0.06, y.values...)
	f := newFrame(l, pipeline.Plot{XLabel: v.Heads[0], YLabel: v.Heads[1]}, xLow, xHigh, yLow, yHigh)
	x.labels(l, xLow, xHigh, func(at float64, text string) { f.s.text(f.x.at(at), plotH-plotBt+15, "m", text) })
	var words []string
	var named [][2]float64 // places that have a name
	for i, m := range marks {
		v.Rows = append(v.Rows, scatterRow{m, x.text(l, i), y.text(l, i)})
		if math.IsNaN(x.values[i]) || math.IsNaN(y.values[i]) {
			continue
		}
		px, py := f.x.at(x.values[i]), f.y.at(y.values[i])
		words = append(words, fmt.Sprintf("%s: %s, %s", m.Name, x.text(l, i), y.text(l, i)))
		f.s.addf(`<circle class="p%d" cx="%.1f" cy="%.1f" r="4.5"><title>%s</title></circle>`, 1+i%4, px, py, template.HTMLEscapeString(m.Name))
		if slices.ContainsFunc(named, func(at [2]float64) bool { return math.Abs(at[0]-px) < 110 && math.Abs(at[1]-py) < 11 }) {
			continue // two names on each other say less than one; the table has both
		}
		named = append(named, [2]float64{px, py})
		if px > plotW*0.7 {
			f.s.text(px-7, py+4, "halo e", shorten(m.Name, 16))
		} else {
			f.s.text(px+7, py+4, "halo", shorten(m.Name, 16))
		}
	}
	v.Draw = f.s.figure("scatter", l.T("side.scatter", v.Heads[0], v.Heads[1]), strings.Join(words, "; "))
}

// axis is one param or metric of some runs: a number of each, which for words
// is their place in order.
type axis struct {
	name   string
	values []float64 // NaN where a run has none
	words  []string  // nil for numbers
	texts  []string  // as they are
}

// axisOf reads params.NAME or metrics.NAME.
func axisOf(l Lang, runs []track.Run, value string) axis {
	kind, key, _ := strings.Cut(value, ".")
	a := axis{name: key}
	numbers := true
	for _, r := range runs {
		v, text := math.NaN(), ""
		if kind == "metrics" {
			if m, ok := r.Metric(key); ok && !math.IsInf(m.Value, 0) {
				v, text = m.Value, l.Measured(m.Value)
			}
		} else if p, ok := r.Param(key); ok {
			n, err := strconv.ParseFloat(p, 64)
			if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
				numbers = false
			}
			v, text = n, p
		}
		a.values, a.texts = append(a.values, v), append(a.texts, text)
	}
	if !numbers {
		a.rank()
	}
	return a
}

// rank gives words their place in order.
func (a *axis) rank() {
	for _, t := range a.texts {
		if t != "" && !slices.Contains(a.words, t) {
			a.words = append(a.words, t)
		}
	}
	slices.Sort(a.words)
	for i, t := range a.texts {
		a.values[i] = math.NaN()
		if t != "" {
			a.values[i] = float64(slices.Index(a.words, t))
		}
	}
}

// labels calls put with the places of an axis that have a name.
func (a axis) labels(l Lang, low, high float64, put func(at float64, text string)) {
	if a.words != nil {
		for i, w := range a.words {
			put(float64(i), shorten(w, max(4, 60/len(a.words))))
		}
		return
	}
	for _, v := range ticks(low, high, 5) {
		put(v, plotNumber(l, v))
	}
}

func (a axis) text(_ Lang, i int) string {
	if a.texts[i] == "" {
		return "–"
	}
	return shorten(a.texts[i], 40)
}
