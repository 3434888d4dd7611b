// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"lastro/track"
)

// axesShown is how many axes a person can follow a line through.
const axesShown = 8

// drawParallel draws each run as a line through the params that differ and the
// metrics; note says what is left out. "" when there are not two axes.
func drawParallel(l Lang, id string, c track.Comparison) (picture template.HTML, note string) {
	var names []string
	params, metrics := len(c.Params), len(c.Metrics)
	if params+metrics > axesShown { // both are wanted: at least three metrics
		params = min(params, max(axesShown-metrics, axesShown-3))
		metrics = min(metrics, axesShown-params)
		note = l.T("side.axes", axesShown, len(c.Params)+len(c.Metrics))
	}
	for _, r := range c.Params[:params] {
		names = append(names, "params."+r.Name)
	}
	for _, m := range c.Metrics[:metrics] {
		names = append(names, "metrics."+m.Name)
	}
	if len(names) < 2 || len(c.Runs) < 2 {
		return "", ""
	}
	axes := make([]axis, len(names))
	for i, name := range names {
		axes[i] = axisOf(l, c.Runs, name)
	}
	return parallelLines(l, id, c.Runs, axes), note
}

func parallelLines(l Lang, id string, runs []track.Run, axes []axis) template.HTML {
	const w, h, top, bottom, side = 960.0, 310.0, 46.0, 26.0, 70.0
	s := newSVG(w, h)
	x := scale{0, float64(len(axes) - 1), side, w - side}
	scales := make([]scale, len(axes))
	for i, a := range axes {
		low, high := a.bounds()
		scales[i] = scale{low, high, h - bottom, top}
		s.path("ax", fmt.Sprintf("M%.1f %.0fV%.0f", x.at(float64(i)), top, h-bottom))
	}
	for k, r := range runs[:min(len(runs), track.MaxCompare)] {
		xs, ys := make([]float64, len(axes)), make([]float64, len(axes))
		for i, a := range axes {
			xs[i], ys[i] = x.at(float64(i)), math.NaN()
			if !math.IsNaN(a.values[k]) {
				ys[i] = scales[i].at(a.values[k])
				s.addf(`<circle class="p%d" cx="%.1f" cy="%.1f" r="3"/>`, 1+k%4, xs[i], ys[i])
			}
		}
		s.addf(`<path class="%s" d="%s"><title>%s</title></path>`, lineClass(k), line(xs, ys), template.HTMLEscapeString(r.Name))
	}
	for i, a := range axes {
		at := x.at(float64(i))
		s.text(at, 14, "m b", shorten(a.name, 900/(7*len(axes))))
		a.ends(l, scales[i], func(y float64, text string) {
			switch y {
			case top:
				s.text(at, top-9, "m", text)
			case h - bottom:
				s.text(at, h-bottom+17, "m", text)
			default:
				s.text(at+6, y+4, "halo", text)
			}
		})
	}
	var words []string
	for k, r := range runs {
		var values []string
		for _, a := range axes {
			values = append(values, a.name+" "+a.text(l, k))
		}
		words = append(words, r.Name+": "+strings.Join(values, ", "))
	}
	return s.figure(id, l.T("side.parallel"), strings.Join(words, "; "))
}

// ends are the labels of an upright axis: every word of a few, else the least
// and the greatest.
func (a axis) ends(l Lang, s scale, put func(y float64, text string)) {
	if a.words != nil && len(a.words) <= 6 {
		for i, word := range a.words {
			put(s.at(float64(i)), shorten(word, 12))
		}
		return
	}
	low, high := a.bounds()
	name := func(v float64) string {
		if a.words != nil {
			return shorten(a.words[int(v)], 12)
		}
		return l.Measured(v)
	}
	put(s.at(low), name(low))
	if name(high) != name(low) {
		put(s.at(high), name(high))
	}
}

// bounds are the least and the greatest value; 0 without any.
func (a axis) bounds() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range a.values {
		if !math.IsNaN(v) {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	if low > high {
		return 0, 0
	}
	return low, high
}
