// SPDX-License-Identifier: Apache-2.0

package web

import (
	"html/template"
	"math"
	"slices"
	"strings"

	"lastro/monitor"
)

// drift is how far each input column is from the training data.
type drift struct {
	Title   string
	Test    string
	Heat    template.HTML
	Windows []string
	Rows    []driftRow
	Hidden  int // columns of the table that the picture leaves out
	Watched bool
	Window  string
	Limits  string
}

type driftRow struct {
	Column string
	Cells  []string
}

const mostColumns = 15 // rows of the heat map

func (d *drift) fill(l Lang, series []monitor.Series) {
	series = slices.DeleteFunc(slices.Clone(series), func(s monitor.Series) bool { return s.Name == "" })
	frames := timeframes(l, series)
	if len(frames) == 0 {
		d.Title = l.T("drift.ask")
		return
	}
	slices.SortStableFunc(series, func(a, b monitor.Series) int {
		x, y := largest(a, frames), largest(b, frames)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, f := range frames {
		d.Windows = append(d.Windows, f.Label)
	}
	tests := map[string]bool{}
	moved := 0
	for _, s := range series {
		row := driftRow{Column: s.Name}
		out := false
		for _, f := range frames {
			m, ok := f.in(s)
			tests[m.Test] = tests[m.Test] || ok
			row.Cells = append(row.Cells, cellText(l, m, ok))
			out = out || m.State == monitor.Warn || m.State == monitor.Alarm
		}
		if out {
			moved++
		}
		d.Rows = append(d.Rows, row)
	}
	delete(tests, "")
	d.Test = strings.ToUpper(strings.Join(slices.Sorted(mapKeys(tests)), ", "))
	d.Title = l.T("drift.none_moved")
	if moved > 0 {
		d.Title = l.Count("drift.moved", moved)
	}
	d.Hidden = max(0, len(series)-mostColumns)
	d.Heat = heat(l, series[:min(mostColumns, len(series))], frames)
}

// cellText is a value with a sign when it is over a limit.
func cellText(l Lang, m monitor.Measurement, ok bool) string {
	switch {
	case !ok || m.State == monitor.Unknown:
		return "–"
	case m.State == monitor.Warn:
		return l.Num(m.Value, 2) + " !"
	case m.State == monitor.Alarm:
		return l.Num(m.Value, 2) + " ✗"
	}
	return l.Num(m.Value, 3)
}

func largest(s monitor.Series, frames []timeframe) float64 {
	most := math.Inf(-1)
	for _, f := range frames {
		if m, ok := f.in(s); ok && m.State != monitor.Unknown {
			most = math.Max(most, m.Value)
		}
	}
	return most
}
