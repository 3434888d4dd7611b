// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"slices"
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

// timeframe is one window of one version: a column of the pictures.
type timeframe struct {
	Start, End time.Time
	Version    string
	Label      string
}

const mostWindows = 12 // columns of a picture

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
