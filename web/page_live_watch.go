// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"lastro/monitor"
)

// watch is what the monitor found: is it still good, what moved, alerts.
type watch struct {
	Performance performance
	Drift       drift
	Alerts      []alertRow
	newest      string
}

// performance is the metric by window, realised and estimated.
type performance struct {
	Metric  string
	Title   string
	Rule    string // of the alert, "" without one
	Chart   template.HTML
	Rows    []performanceRow
	Watched bool
	Window  string
	Delay   string
}

type performanceRow struct {
	Window, Version, Value, CI, Rows, Estimated, EstimatedCI, Limit string
	State                                                           monitor.State
	Said                                                            string
}

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

// alertRow is one alert in words.
type alertRow struct {
	monitor.Alert
	Class, Symbol, Word, Kind string
	Window                    string
	Short                     string // the title in the reader's language; "" = only the record's words
}

// timeframe is one window of one version: a column of the pictures.
type timeframe struct {
	Start, End time.Time
	Version    string
	Label      string
}

const (
	mostWindows = 12 // columns of a picture
	mostColumns = 15 // rows of the heat map
)

func (p *Pages) watchOf(ctx context.Context, l Lang, env string, alerts []monitor.Alert) (watch, error) {
	var w watch
	spec, _ := p.watchSpec(env)
	if d := spec.Drift; d != nil {
		w.Drift.Watched, w.Drift.Window = true, l.Days(d.Window)
		w.Drift.Limits = l.T("drift.limits", l.Num(d.Warn, 2), l.Num(d.Alert, 2))
	}
	if s := spec.Performance; s != nil {
		w.Performance.Watched, w.Performance.Window, w.Performance.Delay, w.Performance.Rule = true, l.Days(s.Window), l.Days(s.Delay), s.Alert
	}
	series := map[monitor.Kind][]monitor.Series{}
	var newest time.Time
	for _, kind := range []monitor.Kind{monitor.Drift, monitor.Estimated, monitor.Performance} {
		s, err := p.Monitors.Series(ctx, env, kind)
		if err != nil {
			return w, err
		}
		series[kind] = s
		for _, one := range s {
			for _, m := range one.Points {
				if m.End.After(newest) {
					newest = m.End
				}
			}
		}
	}
	if !newest.IsZero() {
		w.newest = l.Day(newest.Add(-time.Second))
	}
	for _, a := range alerts {
		w.Alerts = append(w.Alerts, alertOf(l, a))
	}
	w.Drift.fill(l, series[monitor.Drift])
	w.Performance.fill(l, series[monitor.Performance], series[monitor.Estimated])
	return w, nil
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

// timeframes are the newest windows of all series, oldest first, each named by its month.
func timeframes(l Lang, all ...[]monitor.Series) []timeframe {
	var out []timeframe
	for _, series := range all {
		for _, s := range series {
			for _, m := range s.Points {
				f := timeframe{Start: m.Start, End: m.End, Version: version(m)}
				if !slices.Contains(out, f) {
					out = append(out, f)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b timeframe) int { return a.Start.Compare(b.Start) })
	if len(out) > mostWindows {
		out = out[len(out)-mostWindows:]
	}
	seen := map[string]int{}
	for i := range out {
		out[i].Label = l.Month(out[i].Start.Add(out[i].End.Sub(out[i].Start) / 2))
		seen[out[i].Label]++
	}
	for i := range out {
		if seen[out[i].Label] > 1 {
			out[i].Label = l.DayMonth(out[i].Start)
		}
	}
	return out
}

// version is the model's version of a measurement: "@3".
func version(m monitor.Measurement) string {
	_, _, v := m.Model.Parts()
	return "@" + v
}

// in finds the measurement of a window in a series.
func (f timeframe) in(s monitor.Series) (monitor.Measurement, bool) {
	for _, m := range s.Points {
		if m.Start.Equal(f.Start) && m.End.Equal(f.End) && version(m) == f.Version {
			return m, true
		}
	}
	return monitor.Measurement{}, false
}

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

func (p *performance) fill(l Lang, realised, estimated []monitor.Series) {
	p.Title = l.T("perf.ask")
	frames := timeframes(l, realised, estimated)
	if len(frames) == 0 {
		return
	}
	var real, guess monitor.Series
	if len(realised) > 0 {
		real = realised[0]
	}
	if len(estimated) > 0 {
		guess = estimated[0]
	}
	p.Metric = metricName(cmp.Or(real.Name, guess.Name))
	limit := alertLine(p.Rule)
	var points []point
	for _, f := range frames {
		pt := point{label: f.Label, version: f.Version, value: math.NaN(), low: math.NaN(), high: math.NaN(), guess: math.NaN(), limit: math.NaN()}
		row := performanceRow{Window: l.Day(f.Start) + " – " + l.Day(f.End.Add(-time.Second)), Version: f.Version, Value: "–", Rows: "–", Estimated: "–", Limit: "–", State: monitor.Unknown}
		if m, ok := f.in(real); ok {
			row.State, row.Rows, row.Said = m.State, l.Int(int64(m.Rows)), m.Note
			if m.State != monitor.Unknown {
				pt.value, row.Value = m.Value, l.Num(m.Value, 3)
				pt.low, pt.high, row.CI = interval(l, m)
				if v, ok := limit(m); ok {
					pt.limit, row.Limit = v, l.Num(v, 3)
				}
			}
		}
		if m, ok := f.in(guess); ok && m.State != monitor.Unknown {
			pt.guess, row.Estimated = m.Value, l.Num(m.Value, 3)
			_, _, row.EstimatedCI = interval(l, m)
		}
		points, p.Rows = append(points, pt), append(p.Rows, row)
	}
	p.Title = performanceTitle(l, p.Metric, p.Rows)
	p.Chart = byMonth(l, p.Metric, points)
}

func interval(l Lang, m monitor.Measurement) (low, high float64, text string) {
	if m.CILow == nil || m.CIHigh == nil {
		return math.NaN(), math.NaN(), ""
	}
	return *m.CILow, *m.CIHigh, l.Interval(*m.CILow, *m.CIHigh, 3)
}

// performanceTitle answers the question with the newest window that has labels.
func performanceTitle(l Lang, metric string, rows []performanceRow) string {
	for _, row := range slices.Backward(rows) {
		switch {
		case row.Value == "–":
		case row.State == monitor.Alarm:
			return l.T("perf.fell", metric, row.Value)
		default:
			return l.T("perf.holds", metric, row.Value)
		}
	}
	return l.T("perf.no_labels")
}

// metricName is how people write a metric.
func metricName(name string) string {
	if name == "auc" || name == "rmse" || name == "mae" {
		return strings.ToUpper(name)
	}
	return strings.ReplaceAll(name, "_", " ")
}

// unless returns text when there is no better one.
func unless(better, text string) string {
	if better != "" {
		return ""
	}
	return text
}

// loopItem is something that happened, in order.
type loopItem struct {
	at                   time.Time
	Class, Symbol, Title string
	Text, Said, Link     string
	When                 string
}

// loopOf tells rollouts, alerts and retrains, newest first.
func (p *Pages) loopOf(ctx context.Context, l Lang, env string, alerts []monitor.Alert) ([]loopItem, error) {
	rollouts, err := p.Deploys.Store.Rollouts(ctx, env, 10)
	if err != nil {
		return nil, err
	}
	var out []loopItem
	for _, r := range rollouts {
		rel, err := p.Deploys.Store.Release(ctx, env, r.Release)
		if err != nil {
			return nil, err
		}
		at := r.At
		if !r.EndedAt.IsZero() {
			at = r.EndedAt
		}
		item := loopItem{at: at, Class: stateClass(string(r.State)), Symbol: stateSymbol(string(r.State)), Title: rel.Name(), Text: l.T("rollout." + string(r.State)),
			Link: fmt.Sprintf("/models/%s/%d", rel.Model, rel.Version)}
		if rel.EqualTo != 0 {
			item.Text += " (" + l.T("rollout.equal_to", rel.EqualTo) + ")"
		}
		if item.Said = rel.Why; !r.State.Open() && r.Reason != "" {
			item.Said = r.Reason
		}
		out = append(out, item)
	}
	for _, a := range alerts {
		row := alertOf(l, a)
		out = append(out, loopItem{at: a.OpenedAt, Class: row.Class, Symbol: row.Symbol, Title: l.T("loop.alert", row.Kind), Text: row.Short, Said: unless(row.Short, a.Title)})
	}
	retrains, err := p.Monitors.Retrains(ctx, env, 10)
	if err != nil {
		return nil, err
	}
	for _, r := range retrains {
		item := loopItem{at: r.At, Class: "running", Symbol: "↻", Title: l.T("loop.retrain"), Text: l.Count("count.labels", r.NewLabels), Said: r.Reason}
		if _, number, _ := r.Run.Parts(); number != "" {
			item.Title, item.Link = l.T("loop.retrain_run", number), "/runs/"+number
		}
		out = append(out, item)
	}
	slices.SortStableFunc(out, func(a, b loopItem) int { return b.at.Compare(a.at) })
	for i := range out {
		out[i].When = l.Time(out[i].at)
	}
	return out[:min(len(out), 14)], nil
}
