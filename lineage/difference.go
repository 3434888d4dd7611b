// SPDX-License-Identifier: Apache-2.0

package lineage

import (
	"fmt"
	"maps"
	"slices"
)

// Difference says what differs between two runs, in the order in which it can
// matter: what went in first, the effect last.
type Difference struct {
	From     int64              `json:"from"` // number of a run
	To       int64              `json:"to"`
	Code     []FileDifference   `json:"code"`
	Data     []DataDifference   `json:"data"`
	Params   []Change           `json:"params"`
	Packages []Change           `json:"packages"`
	Machine  []Change           `json:"machine"`
	Metrics  []MetricDifference `json:"metrics"` // those that differ, or that only one run has
	Equal    int                `json:"equal_metrics"`
	Notes    []string           `json:"notes,omitempty"` // what could not be compared, and why
	First    string             `json:"first,omitempty"` // code, data, params, packages, machine, metrics; "" = nothing differs
}

// FileDifference is a file of the code that is not the same.
type FileDifference struct {
	Path    string `json:"path"`
	State   string `json:"state"` // changed, new, gone
	Added   int    `json:"added"` // lines
	Removed int    `json:"removed"`
	Binary  bool   `json:"binary,omitempty"`
	Unknown bool   `json:"unknown,omitempty"` // the lines could not be compared
	Unified string `json:"unified,omitempty"` // when asked for
}

// DataDifference is a dataset of which the runs read different versions.
type DataDifference struct {
	Dataset string  `json:"dataset"`
	From    string  `json:"from,omitempty"` // digest; "" = it was not read
	To      string  `json:"to,omitempty"`
	Rows    *int64  `json:"rows,omitempty"`  // how many more; nil when not counted
	Share   float64 `json:"share,omitempty"` // of the rows before, when Rows is known
}

// Change is a value that is not the same; "" = there is none.
type Change struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String writes "lgbm.num_leaves 31 → 63".
func (c Change) String() string {
	switch {
	case c.From == "":
		return c.Name + " " + c.To + " (new)"
	case c.To == "":
		return c.Name + " " + c.From + " (gone)"
	}
	return fmt.Sprintf("%s %s → %s", c.Name, c.From, c.To)
}

// Changes compares two sets of values by name, sorted.
func Changes(from, to map[string]string) []Change {
	names := map[string]bool{}
	for n := range from {
		names[n] = true
	}
	for n := range to {
		names[n] = true
	}
	out := []Change{}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if from[n] != to[n] {
			out = append(out, Change{Name: n, From: from[n], To: to[n]})
		}
	}
	return out
}

// Figure is a metric with its 95 % interval, where one was reported.
type Figure struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"ci_low,omitempty"`
	High  *float64 `json:"ci_high,omitempty"`
}

// MetricDifference is a metric that is not the same.
type MetricDifference struct {
	Name   string   `json:"name"`
	From   *Figure  `json:"from,omitempty"` // nil = this run did not write it
	To     *Figure  `json:"to,omitempty"`
	Change *float64 `json:"change,omitempty"`
	// Apart is whether the intervals have nothing in common; nil without intervals.
	Apart *bool `json:"apart,omitempty"`
}

// MetricDifferences compares facts by name; NAME.ci_low and NAME.ci_high are
// the interval of NAME. equal counts those that are the same.
func MetricDifferences(from, to map[string]float64) (out []MetricDifference, equal int) {
	out = []MetricDifference{}
	names := map[string]bool{}
	for _, facts := range []map[string]float64{from, to} {
		for n := range facts {
			if !isBound(n, facts) {
				names[n] = true
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		m := MetricDifference{Name: n, From: figure(n, from), To: figure(n, to)}
		if m.From != nil && m.To != nil {
			if m.From.Value == m.To.Value {
				equal++
				continue
			}
			d := m.To.Value - m.From.Value
			m.Change, m.Apart = &d, apart(*m.From, *m.To)
		}
		out = append(out, m)
	}
	return out, equal
}

// isBound reports whether a fact is an end of another's interval.
func isBound(name string, facts map[string]float64) bool {
	for _, end := range []string{".ci_low", ".ci_high"} {
		if len(name) > len(end) && name[len(name)-len(end):] == end {
			_, ok := facts[name[:len(name)-len(end)]]
			return ok
		}
	}
	return false
}

func figure(name string, facts map[string]float64) *Figure {
	v, ok := facts[name]
	if !ok {
		return nil
	}
	f := &Figure{Value: v}
	low, hasLow := facts[name+".ci_low"]
	high, hasHigh := facts[name+".ci_high"]
	if hasLow && hasHigh {
		f.Low, f.High = &low, &high
	}
	return f
}

func apart(a, b Figure) *bool {
	if a.Low == nil || b.Low == nil {
		return nil
	}
	is := *a.High < *b.Low || *b.High < *a.Low
	return &is
}

// Settle names the first thing that differs.
func (d *Difference) Settle() {
	d.First = ""
	for _, part := range []struct {
		name string
		n    int
	}{{"code", len(d.Code)}, {"data", len(d.Data)}, {"params", len(d.Params)}, {"packages", len(d.Packages)}, {"machine", len(d.Machine)}, {"metrics", len(d.Metrics)}} {
		if part.n > 0 {
			d.First = part.name
			return
		}
	}
}
