// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/stats"
)

// reports are what lastro/fairness and lastro/compare found in the run that
// the decision is about.
type reports struct {
	Fairness []attribute
	Compare  comparison
}

// attribute is one column by which people are grouped.
type attribute struct {
	Title    string
	Caption  string
	Axis     string
	Gap      string
	Ceiling  string
	Excluded string
	Rows     []groupRow
}

type groupRow struct {
	Group, Value, CI, N, Offered, Base string
	Dot                                template.HTML
}

// comparison is candidate against champion on the same rows.
type comparison struct {
	Asked   bool // the step ran
	First   bool // there was nothing to compare with
	Against string
	N       string // rows compared
	Rows    []compareRow
}

type compareRow struct {
	Metric, Candidate, Champion, Diff, CI string
	Better                                string // key of the word
	Class                                 string
	Dot                                   template.HTML
}

// fairnessReport and compareReport are the parts of the steps' reports that
// the page shows; the steps own the formats.
type fairnessReport struct {
	Favourable string `json:"favourable"`
	MinRows    int    `json:"min_group_size"`
	Groups     []struct {
		Name string `json:"name"`
		stats.Fairness
	} `json:"groups"`
}

type compareReport struct {
	Against     lastro.Ref         `json:"against"`
	First       bool               `json:"first"`
	Comparisons []stats.Comparison `json:"comparisons"`
}

func (p *Pages) reportsOf(ctx context.Context, l Lang, v registry.Version, d *gate.Decision) (reports, error) {
	var out reports
	text := v.Run
	if d != nil {
		text = cmp.Or(d.Subject.Run, text)
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return out, nil // registered by a client: no run of ours
	}
	steps, err := p.Runs.StepRuns(ctx, number)
	if err != nil {
		return out, err
	}
	for _, s := range latest(steps) {
		if !s.State.OK() || len(s.Report) == 0 {
			continue
		}
		if err := out.add(l, s); err != nil {
			return out, fmt.Errorf("read the report of %s: %w", s.Ref(), err)
		}
	}
	return out, nil
}

func (r *reports) add(l Lang, s pipeline.StepRun) error {
	switch s.Kind {
	case "lastro/fairness":
		var f fairnessReport
		if err := json.Unmarshal(s.Report, &f); err != nil {
			return err
		}
		for _, g := range f.Groups {
			r.Fairness = append(r.Fairness, attributeOf(l, g.Name, g.Fairness, f))
		}
	case "lastro/compare":
		var c compareReport
		if err := json.Unmarshal(s.Report, &c); err != nil {
			return err
		}
		r.Compare = comparisonOf(l, c)
	}
	return nil
}

// attributeOf shows who is found: of those for whom the good answer is right,
// the share that gets it. Without truths it is the share that gets it at all.
func attributeOf(l Lang, name string, f stats.Fairness, report fairnessReport) attribute {
	truths := slices.ContainsFunc(f.Groups, func(g stats.GroupRates) bool { return g.TPR.Of > 0 })
	of := func(g stats.GroupRates) stats.Rate {
		if truths {
			return g.TPR
		}
		return g.Selection
	}
	a := attribute{Title: name, Caption: l.T("fair.found_caption", report.Favourable)}
	measure := "equal_opportunity"
	if !truths {
		a.Caption, measure = l.T("fair.offered_caption", report.Favourable), "demographic_parity"
	}
	var ends []float64
	for _, g := range f.Groups {
		if !g.Excluded {
			ends = append(ends, of(g).CILow, of(g).CIHigh)
		}
	}
	low, high := span(0.05, ends...)
	low, high = math.Max(0, math.Floor(low*10)/10), math.Min(1, math.Ceil(high*10)/10)
	a.Axis = l.Num(low, 1) + " · · · · " + l.Num(high, 1)
	for _, g := range f.Groups {
		if g.Excluded {
			continue
		}
		r := of(g)
		a.Rows = append(a.Rows, groupRow{Group: g.Group, Value: l.Num(r.Value, 3), CI: l.Interval(r.CILow, r.CIHigh, 2), N: l.Int(int64(r.Of)),
			Offered: l.Percent(g.Selection.Value, 1), Base: l.Percent(g.BaseRate.Value, 1),
			Dot: dotRow{Value: r.Value, CILow: r.CILow, CIHigh: r.CIHigh, Limit: math.NaN(), Mark: math.NaN(), Low: low, High: high, Class: "i1"}.draw()})
	}
	if g, ok := f.Gaps[measure]; ok {
		a.Gap = l.T("fair.gap", l.Num(g.MaxGap.Value, 3), l.Interval(g.MaxGap.CILow, g.MaxGap.CIHigh, 3), g.Highest, g.Lowest)
	}
	if f.RatioCeiling > 0 {
		a.Ceiling = l.T("fair.ceiling", l.Num(f.RatioCeiling, 2))
	}
	if len(f.Excluded) > 0 {
		a.Excluded = l.T("fair.excluded", l.Int(int64(report.MinRows)), strings.Join(f.Excluded, ", "))
	}
	return a
}

func comparisonOf(l Lang, c compareReport) comparison {
	out := comparison{Asked: true, First: c.First, Against: nameOf(c.Against)}
	for _, x := range c.Comparisons {
		out.N = l.Int(int64(x.Rows))
		low, high := span(0.25, x.Diff.CILow, x.Diff.CIHigh, 0)
		row := compareRow{Metric: metricName(x.Metric), Candidate: l.Num(x.Candidate, 4), Champion: l.Num(x.Champion, 4), Diff: signed(l, x.Diff.Value),
			CI: l.Interval(x.Diff.CILow, x.Diff.CIHigh, 4), Class: "skipped", Better: "compare.same"}
		better, worse := x.Diff.CILow > 0, x.Diff.CIHigh < 0
		if !x.Higher {
			better, worse = worse, better
		}
		switch {
		case better:
			row.Class, row.Better = "passed", "compare.better"
		case worse:
			row.Class, row.Better = "failed", "compare.worse"
		}
		row.Dot = dotRow{Value: x.Diff.Value, CILow: x.Diff.CILow, CIHigh: x.Diff.CIHigh, Limit: math.NaN(), Mark: 0, Low: low, High: high, Class: row.Class}.draw()
		out.Rows = append(out.Rows, row)
	}
	return out
}

func signed(l Lang, v float64) string {
	text := l.Num(math.Abs(v), 4)
	if v < 0 {
		return "−" + text
	}
	return "+" + text
}
