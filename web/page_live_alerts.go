// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strings"
	"time"

	"lastro/monitor"
)

// alertRow is one alert in words.
type alertRow struct {
	monitor.Alert
	Class, Symbol, Word, Kind string
	Window                    string
	Short                     string // the title in the reader's language; "" = only the record's words
}

func alertOf(l Lang, a monitor.Alert) alertRow {
	row := alertRow{Alert: a, Class: stateClass(string(a.State)), Symbol: stateSymbol(string(a.State)), Word: l.T("alert." + string(a.State)), Kind: l.T("kind." + string(a.Kind)),
		Window: l.Day(a.Start) + " – " + l.Day(a.End.Add(-time.Second))}
	if a.State == monitor.Pending {
		row.Class, row.Symbol = "warn", "!"
	}
	row.Short = alertTitle(l, a)
	return row
}

// alertTitle says what happened from the alert's figures; "" when it has none.
func alertTitle(l Lang, a monitor.Alert) string {
	low, okLow := a.Facts["value.ci_low"]
	high, okHigh := a.Facts["value.ci_high"]
	value, ok := a.Facts["value"]
	switch {
	case len(a.Moved) > 0:
		var names []string
		for _, m := range a.Moved[:min(3, len(a.Moved))] {
			names = append(names, m.Column+" ("+l.Num(m.Value, 2)+")")
		}
		if n := len(a.Moved) - len(names); n > 0 {
			names = append(names, l.Count("count.more", n))
		}
		return l.Plural("alert.moved", len(a.Moved), strings.Join(names, ", "))
	case a.Kind == monitor.Performance && a.State != monitor.Resolved && ok && okLow && okHigh:
		return l.T("alert.fell", metricName(a.Name), l.Num(value, 3), l.Interval(low, high, 3))
	}
	return ""
}
