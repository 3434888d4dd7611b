// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// point is one window of a metric; NaN is what does not exist.
type point struct {
	label, version   string
	value, low, high float64
	guess            float64 // estimated from the scores
	limit            float64 // the alert's
}

// byMonth draws a metric over windows: per version a band and a line, the
// estimate dashed, the alert's limit where it has one.
func byMonth(l Lang, metric string, points []point) template.HTML {
	const width, height, left, right, top, bottom = 650, 218, 52, 640, 28, 190
	low, high := rangeOf(points)
	y := scale{low, high, bottom, top}
	x := scale{-0.5, float64(len(points)) - 0.5, left, right}
	s := newSVG(width, height)
	decimals := 2
	if high-low < 0.05 {
		decimals = 3
	}
	for _, v := range ticks(low, high, 4) {
		s.path("ax", fmt.Sprintf("M%d %.1fH%d", left, y.at(v), right))
		s.text(left-5, y.at(v)+4, "e", l.Num(v, decimals))
	}
	for i, p := range points {
		s.text(x.at(float64(i)), 212, "m", p.label)
	}
	limits(s, points, x, y)
	var gx, gy []float64
	for i, p := range points {
		gx, gy = append(gx, x.at(float64(i))), append(gy, y.at(p.guess))
	}
	if d := line(gx, gy); d != "" {
		s.path("l0", d)
	}
	versions := versionsOf(points)
	for k, v := range versions {
		drawVersion(l, s, points, v, k, x, y)
	}
	for i := range points {
		if !math.IsNaN(points[i].guess) {
			s.addf(`<circle class="p0" cx="%.1f" cy="%.1f" r="3"/>`, gx[i], gy[i])
		}
	}
	legend(l, s, points, versions)
	return s.figure("perf", l.T("perf.picture", metric), describe(l, points))
}

func rangeOf(points []point) (low, high float64) {
	var all []float64
	for _, p := range points {
		all = append(all, p.value, p.low, p.high, p.guess, p.limit)
	}
	return span(0.12, all...)
}

// versionsOf lists versions in the order in which they served.
func versionsOf(points []point) []string {
	var out []string
	for _, p := range points {
		if !slices.Contains(out, p.version) {
			out = append(out, p.version)
		}
	}
	return out
}

// limits draws the alert line under each window that has one.
func limits(s *svg, points []point, x, y scale) {
	var d strings.Builder
	for i, p := range points {
		if !math.IsNaN(p.limit) {
			fmt.Fprintf(&d, "M%.1f %.1fH%.1f", x.at(float64(i)-0.45), y.at(p.limit), x.at(float64(i)+0.45))
		}
	}
	if d.Len() > 0 {
		s.path("lim", d.String())
	}
}

// drawVersion draws the windows in which one version served. Shape and colour
// both tell it from the next.
func drawVersion(l Lang, s *svg, points []point, version string, k int, x, y scale) {
	series := k%3 + 1
	var xs, ys, lows, highs []float64
	for i, p := range points {
		if p.version != version || math.IsNaN(p.value) {
			continue
		}
		xs, ys = append(xs, x.at(float64(i))), append(ys, y.at(p.value))
		if !math.IsNaN(p.low) && !math.IsNaN(p.high) {
			lows, highs = append(lows, y.at(p.low)), append(highs, y.at(p.high))
		}
	}
	if len(lows) == len(xs) && len(xs) > 1 {
		s.path(fmt.Sprintf("a%d", series), band(xs, lows, highs))
	} else if len(lows) == len(xs) && len(xs) == 1 {
		s.addf(`<rect class="a%d" x="%.1f" y="%.1f" width="12" height="%.1f"/>`, series, xs[0]-6, highs[0], lows[0]-highs[0])
	}
	if len(xs) > 1 {
		s.path(fmt.Sprintf("l%d", series), line(xs, ys))
	}
	n := 0
	for _, p := range points {
		if p.version != version || math.IsNaN(p.value) {
			continue
		}
		if k%2 == 0 {
			s.addf(`<circle class="p%d" cx="%.1f" cy="%.1f" r="3.5"/>`, series, xs[n], ys[n])
		} else {
			s.addf(`<rect class="p%d" x="%.1f" y="%.1f" width="7" height="7"/>`, series, xs[n]-3.5, ys[n]-3.5)
		}
		s.text(xs[n], ys[n]-9, "m t halo", l.Num(p.value, 3))
		n++
	}
}

// legend names what is drawn, and only that.
func legend(l Lang, s *svg, points []point, versions []string) {
	at := 52.0
	put := func(class, text string) {
		s.text(at, 12, class, text)
		at += float64(len([]rune(text)))*10.5 + 16
	}
	for k, v := range versions {
		put(fmt.Sprintf("p%d", k%3+1), []string{"●", "■"}[k%2]+" "+v)
	}
	guessed, limited := false, false
	for _, p := range points {
		guessed, limited = guessed || !math.IsNaN(p.guess), limited || !math.IsNaN(p.limit)
	}
	if guessed {
		put("", "○ "+l.T("perf.guess"))
	}
	if limited {
		put("limt", "– – "+l.T("perf.limit"))
	}
}

func describe(l Lang, points []point) string {
	var words []string
	for _, p := range points {
		if !math.IsNaN(p.value) {
			words = append(words, fmt.Sprintf("%s %s %s", p.label, p.version, l.Num(p.value, 3)))
		}
	}
	return strings.Join(words, "; ")
}
