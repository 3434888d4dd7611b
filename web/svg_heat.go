// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"strings"

	"lastro/monitor"
)

// heatLimits are where the colour classes q1 to q5 change.
var heatLimits = []float64{0.02, 0.05, 0.10, 0.25}

// heatClass is the class of a value: q1, the palest, to q5.
func heatClass(v float64) string {
	for i, limit := range heatLimits {
		if v < limit {
			return fmt.Sprintf("q%d", i+1)
		}
	}
	return "q5"
}

// heat draws columns of data against windows, the value in every cell.
func heat(l Lang, series []monitor.Series, frames []timeframe) template.HTML {
	const left, cellW, cellH, stepX, stepY, top = 160, 64, 23, 66, 25, 16
	bottom := top + len(series)*stepY
	s := newSVG(max(640, float64(left+len(frames)*stepX)), float64(bottom+22))
	for i, f := range frames {
		s.text(float64(left+i*stepX)+cellW/2, 10, "m", f.Label)
	}
	var words []string
	for k, row := range series {
		y := float64(top + k*stepY)
		s.text(left-10, y+16, "e t", shorten(row.Name, 14))
		for i, f := range frames {
			x := float64(left + i*stepX)
			m, ok := f.in(row)
			if ok && m.State != monitor.Unknown {
				s.addf(`<rect class="%s" x="%.0f" y="%.0f" width="%d" height="%d" rx="2"/>`, heatClass(m.Value), x, y, cellW, cellH)
			}
			s.text(x+cellW/2, y+15.5, "m t", cellText(l, m, ok))
		}
		words = append(words, row.Name+" "+l.Num(largest(row, frames), 3))
	}
	for i := range len(heatLimits) + 1 {
		x := float64(left + i*96)
		text := "≥ " + l.Num(heatLimits[len(heatLimits)-1], 2)
		if i < len(heatLimits) {
			text = "< " + l.Num(heatLimits[i], 2)
		}
		s.addf(`<rect class="q%d" x="%.0f" y="%d" width="12" height="12" rx="2"/>`, i+1, x, bottom+7)
		s.text(x+17, float64(bottom+17), "", text)
	}
	return s.figure("heat", l.T("drift.picture"), l.T("drift.largest", strings.Join(words[:min(5, len(words))], "; ")))
}
