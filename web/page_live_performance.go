// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"lastro/monitor"
)

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
	p.Title = performanceTitle(l, *p)
	p.Chart = byMonth(l, p.Metric, points)
}

func interval(l Lang, m monitor.Measurement) (low, high float64, text string) {
	if m.CILow == nil || m.CIHigh == nil {
		return math.NaN(), math.NaN(), ""
	}
	return *m.CILow, *m.CIHigh, l.Interval(*m.CILow, *m.CIHigh, 3)
}

// performanceTitle answers the question with the newest window that has labels.
func performanceTitle(l Lang, p performance) string {
	for _, row := range slices.Backward(p.Rows) {
		switch {
		case row.Value == "–":
		case row.State == monitor.Alarm:
			return l.T("perf.fell", p.Metric, row.Value)
		case row.Limit != "–":
			return l.T("perf.holds", p.Metric, row.Value)
		default:
			return l.T("perf.newest", p.Metric, row.Value)
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
