// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Pictures are SVG drawn here, coloured by class only, with a title and a
// description; every page shows the same content as a table or list too.

// svg collects the elements of one picture.
type svg struct {
	b    strings.Builder
	w, h float64
}

func newSVG(w, h float64) *svg { return &svg{w: w, h: h} }

func (s *svg) addf(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

func (s *svg) text(x, y float64, class, text string) {
	s.addf(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x, y, template.HTMLEscapeString(text))
}

func (s *svg) path(class, d string) { s.addf(`<path class="%s" d="%s"/>`, class, d) }

// figure closes a picture that says something; id must be unique on the page.
func (s *svg) figure(id, title, desc string) template.HTML { return s.close("img", id, title, desc) }

// links closes a picture whose parts lead somewhere: an img would hide them
// from people who do not see it.
func (s *svg) links(id, title, desc string) template.HTML { return s.close("group", id, title, desc) }

func (s *svg) close(role, id, title, desc string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %g %g" role="%s" aria-labelledby="%st %sd"><title id="%st">%s</title><desc id="%sd">%s</desc>%s</svg>`,
		s.w, s.h, role, id, id, id, template.HTMLEscapeString(title), id, template.HTMLEscapeString(desc), s.b.String()))
}

// decoration closes a picture whose content stands beside it as text.
func (s *svg) decoration(class string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="%s" viewBox="0 0 %g %g" preserveAspectRatio="none" aria-hidden="true">%s</svg>`, class, s.w, s.h, s.b.String()))
}

// line is the path through points; NaN breaks it.
func line(xs, ys []float64) string {
	var b strings.Builder
	pen := "M"
	for i := range xs {
		if math.IsNaN(ys[i]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, xs[i], ys[i])
		pen = "L"
	}
	return b.String()
}

// band is the closed area between an upper and a lower line.
func band(xs, low, high []float64) string {
	if len(xs) == 0 {
		return ""
	}
	var b strings.Builder
	for i := range xs {
		pen := "L"
		if i == 0 {
			pen = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, xs[i], high[i])
	}
	for i := len(xs) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "L%.1f %.1f", xs[i], low[i])
	}
	return b.String() + "Z"
}

// scale maps [from, to] to [a, b].
type scale struct{ from, to, a, b float64 }

func (s scale) at(v float64) float64 {
	if s.to == s.from {
		return (s.a + s.b) / 2
	}
	return s.a + (v-s.from)/(s.to-s.from)*(s.b-s.a)
}

// span returns the least and greatest finite value with a margin (a share of
// the range on both sides).
func span(margin float64, values ...float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	if low > high {
		return 0, 1
	}
	pad := (high - low) * margin
	if pad == 0 {
		pad = math.Max(math.Abs(high)*margin, 1e-6)
	}
	return low - pad, high + pad
}

// ticks returns about n round numbers within [low, high].
func ticks(low, high float64, n int) []float64 {
	if high <= low || n < 1 {
		return nil
	}
	raw := (high - low) / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := unit
	for _, m := range []float64{1, 2, 5, 10} {
		if step = unit * m; step >= raw {
			break
		}
	}
	var out []float64
	for v := math.Ceil(low/step) * step; v <= high+step/1e6; v += step {
		out = append(out, v)
	}
	return out
}

// dotRow is a value with its interval in a table row. All rows of a table
// share Low and High; NaN is what does not exist.
type dotRow struct {
	Value, CILow, CIHigh float64
	Limit                float64 // of a rule
	Mark                 float64 // a point to compare with, such as 0
	Low, High            float64 // ends of the axis
	Class                string
}

func (d dotRow) draw() template.HTML {
	s := newSVG(200, 22)
	x := scale{d.Low, d.High, 8, 192}
	s.path("ax", "M8 11H192")
	if !math.IsNaN(d.Mark) && d.Mark >= d.Low && d.Mark <= d.High {
		s.path("mark", fmt.Sprintf("M%.1f 0V22", x.at(d.Mark)))
	}
	if !math.IsNaN(d.Limit) && d.Limit >= d.Low && d.Limit <= d.High {
		s.path("lim", fmt.Sprintf("M%.1f 0V22", x.at(d.Limit)))
	}
	if !math.IsNaN(d.CILow) && !math.IsNaN(d.CIHigh) {
		a, b := x.at(math.Max(d.CILow, d.Low)), x.at(math.Min(d.CIHigh, d.High))
		s.path("ci", fmt.Sprintf("M%.1f 11H%.1fM%.1f 7.5V14.5M%.1f 7.5V14.5", a, b, a, b))
	}
	if !math.IsNaN(d.Value) {
		s.addf(`<circle class="dot" cx="%.1f" cy="11" r="4"/>`, x.at(d.Value))
	}
	return template.HTML(fmt.Sprintf(`<svg class="row ink %s" viewBox="0 0 200 22" aria-hidden="true">%s</svg>`, template.HTMLEscapeString(d.Class), s.b.String()))
}
