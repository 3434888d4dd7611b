// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/stats"
)

// Interval is a 95% interval.
type Interval = stats.Interval

// MaxCompare is how many tracked runs are compared at once.
const MaxCompare = 10

// Comparison says what differs between tracked runs. The first of them is the
// base that differences are from.
type Comparison struct {
	Runs []Run
	// What went in, each sorted by name.
	Params, Tags, Data, Code []Row
	Metrics                  []MetricRow
	// Settings are the runs that differ in their seeds only, put together; nil
	// when there are none. BySetting compares them, the first being the base.
	Settings  []Setting
	BySetting []MetricRow
	Same      int // rows of what went in, and metrics, that were left out because all runs agree
}

// Row is one thing that went in: a value of each run, nil where it has none.
type Row struct {
	Name   string    `json:"name"`
	Values []*string `json:"values"`
}

// MetricRow is one metric of each run, or of each setting.
type MetricRow struct {
	Name   string
	Values []MetricValue
}

// MetricValue is a metric of one run or setting.
type MetricValue struct {
	Known bool
	Value float64   // the newest, or the mean of N repeats
	N     int       // repeats that Value is the mean of
	CI    *Interval // of Value, 95%; nil without repeats
	Diff  *float64  // from the base; nil for the base itself and where one of the two is unknown
	// DiffCI is the 95% interval of Diff; nil unless both sides have repeats.
	DiffCI *Interval

	values []float64
}

// Setting is runs whose params are the same but for their seeds.
type Setting struct {
	Runs   []int   // places in Comparison.Runs
	Params []Param // those that differ between settings
}

// CompareOptions say how much a comparison looks at.
type CompareOptions struct {
	All bool // also what is the same, and the tags that clients write for themselves
	// Commit returns the commit that a step's tracked run was made from, "" when
	// it is not known; nil knows none.
	Commit func(ctx context.Context, o Origin) (string, error)
}

// Compare compares two to MaxCompare tracked runs. Several points of a metric
// at its last step are repeats, such as folds (of a curve, those of its last
// minute); points at several steps are a curve, of which the last counts.
func (s *Service) Compare(ctx context.Context, ids []string, o CompareOptions) (Comparison, error) {
	var c Comparison
	if len(ids) < 2 || len(ids) > MaxCompare {
		return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0788", Msg: fmt.Sprintf("%d tracked runs cannot be compared", len(ids)),
			Hint: fmt.Sprintf("name 2 to %d of them", MaxCompare)}
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0789", Msg: fmt.Sprintf("tracked run %s is named twice", id), Hint: "name each of them once"}
		}
		r, err := s.store.Run(ctx, id)
		if err != nil {
			return c, err
		}
		c.Runs = append(c.Runs, r)
	}
	if err := c.wentIn(ctx, o); err != nil {
		return c, err
	}
	if err := c.measured(ctx, s, o.All); err != nil {
		return c, err
	}
	c.settings()
	return c, nil
}

// wentIn fills in params, tags, data and code.
func (c *Comparison) wentIn(ctx context.Context, o CompareOptions) error {
	c.Params = c.rows(o.All, func(r Run) map[string]string {
		out := map[string]string{}
		for _, p := range r.Params {
			out[p.Key] = p.Value
		}
		return out
	})
	c.Tags = c.rows(o.All, func(r Run) map[string]string {
		out := map[string]string{}
		for k, v := range r.Tags {
			if o.All || !written(k) {
				out[k] = v
			}
		}
		return out
	})
	c.Data = c.rows(o.All, func(r Run) map[string]string {
		out := map[string]string{}
		for _, in := range r.Inputs {
			name := in.Name
			if use := in.Tags[TagContext]; use != "" {
				name += " (" + use + ")"
			}
			out[name] = in.Digest
		}
		return out
	})
	var err error
	c.Code = c.rows(o.All, func(r Run) map[string]string {
		out := map[string]string{}
		set := func(name, value string) {
			if value != "" {
				out[name] = value
			}
		}
		set("commit", r.Tags["mlflow.source.git.commit"])
		set("entry", r.Tags["mlflow.source.name"])
		set("step", r.Origin.Step)
		if o.Commit != nil && r.Origin.Run != "" {
			commit, cause := o.Commit(ctx, r.Origin)
			if cause != nil {
				err = cause
			}
			set("commit", commit)
		}
		return out
	})
	return err
}

// written reports whether a tag is written by clients and by lastro, not by people.
func written(key string) bool {
	return strings.HasPrefix(key, "mlflow.") || strings.HasPrefix(key, reservedTags)
}

// rows compares one kind of thing; those that all runs agree on are left out
// unless all is set.
func (c *Comparison) rows(all bool, of func(Run) map[string]string) []Row {
	byName := map[string]*Row{}
	for i, r := range c.Runs {
		for name, value := range of(r) {
			row := byName[name]
			if row == nil {
				row = &Row{Name: name, Values: make([]*string, len(c.Runs))}
				byName[name] = row
			}
			row.Values[i] = &value
		}
	}
	out := []Row{}
	for _, row := range byName {
		if all || row.Differs() {
			out = append(out, *row)
		} else {
			c.Same++
		}
	}
	slices.SortFunc(out, func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Differs reports whether the runs disagree.
func (r Row) Differs() bool {
	first := r.Values[0]
	return slices.ContainsFunc(r.Values, func(v *string) bool { return (v == nil) != (first == nil) || v != nil && *v != *first })
}

// repeatsRead bounds the points of one metric that are taken as repeats, and
// repeatsSpan how long before the newest point those of a curve are looked for:
// a history of millions of points is not read for them.
const (
	repeatsRead = 10_000
	repeatsSpan = time.Minute
)

// repeats are the values of a metric at its last step.
func (s *Service) repeats(ctx context.Context, run string, m Metric) ([]float64, error) {
	q := HistoryQuery{Run: run, Key: m.Key, Limit: repeatsRead}
	if m.Step != 0 {
		q.After = &Metric{Key: m.Key, At: m.At.Add(-repeatsSpan)}
	}
	var values []float64
	for p, err := range s.store.Points(ctx, q) {
		if err != nil {
			return nil, err
		}
		if p.Step == m.Step {
			values = append(values, p.Value)
		}
	}
	if len(values) == 0 {
		values = append(values, m.Value)
	}
	return values, nil
}

// measured fills in the metrics.
func (c *Comparison) measured(ctx context.Context, s *Service, all bool) error {
	byName := map[string][]MetricValue{}
	for i, r := range c.Runs {
		for _, m := range r.Metrics {
			if byName[m.Key] == nil {
				byName[m.Key] = make([]MetricValue, len(c.Runs))
			}
			values, err := s.repeats(ctx, r.ID, m)
			if err != nil {
				return err
			}
			byName[m.Key][i] = newMetricValue(values)
		}
	}
	c.Metrics = c.metricRows(byName, all)
	return nil
}

// newMetricValue summarises repeats; one is a value without an interval.
func newMetricValue(values []float64) MetricValue {
	v := MetricValue{Known: len(values) > 0, N: len(values), values: values}
	if mean, ci, ok := stats.MeanOf(values); ok {
		v.Value, v.CI = mean, &ci
	} else if v.Known {
		v.Value = values[len(values)-1]
	}
	return v
}

// metricRows adds the differences from the first value of each row.
func (c *Comparison) metricRows(byName map[string][]MetricValue, all bool) []MetricRow {
	out := []MetricRow{}
	for name, values := range byName {
		row := MetricRow{Name: name, Values: values}
		for i := 1; i < len(values); i++ {
			values[i].from(values[0])
		}
		if all || row.Differs() {
			out = append(out, row)
		} else {
			c.Same++
		}
	}
	slices.SortFunc(out, func(a, b MetricRow) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (v *MetricValue) from(base MetricValue) {
	if !v.Known || !base.Known {
		return
	}
	diff := v.Value - base.Value
	if math.IsNaN(diff) || math.IsInf(diff, 0) {
		return
	}
	v.Diff = &diff
	if _, ci, ok := stats.DifferenceOfMeans(base.values, v.values); ok {
		v.DiffCI = &ci
	}
}

// Differs reports whether the runs disagree. Repeats count one by one: the
// same mean of other measurements is another result.
func (r MetricRow) Differs() bool {
	first := r.Values[0]
	return slices.ContainsFunc(r.Values, func(v MetricValue) bool {
		return v.Known != first.Known || !slices.EqualFunc(v.values, first.values, sameNumber)
	})
}

func sameNumber(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// settings puts runs together that differ in their seeds only: the same other
// params, data and commit.
func (c *Comparison) settings() {
	if !c.seeded() {
		return
	}
	var settings []Setting
	at := map[string]int{}
	for i, r := range c.Runs {
		var rest []Param
		for _, p := range r.Params {
			if !isSeed(p.Key) {
				rest = append(rest, p)
			}
		}
		key := fmt.Sprintf("%q", rest)
		for _, row := range slices.Concat(c.Data, c.Code) {
			if v := row.Values[i]; v != nil {
				key += fmt.Sprintf(" %q %q", row.Name, *v)
			}
		}
		n, ok := at[key]
		if !ok {
			n = len(settings)
			at[key], settings = n, append(settings, Setting{Params: rest})
		}
		settings[n].Runs = append(settings[n].Runs, i)
	}
	if len(settings) == len(c.Runs) {
		return
	}
	for i := range settings {
		settings[i].Params = slices.DeleteFunc(settings[i].Params, func(p Param) bool {
			return !slices.ContainsFunc(c.Params, func(r Row) bool { return r.Name == p.Key && r.Differs() })
		})
	}
	byName := map[string][]MetricValue{}
	for _, row := range c.Metrics {
		values := make([]MetricValue, len(settings))
		for i, s := range settings {
			values[i] = pooled(row, s.Runs)
		}
		byName[row.Name] = values
	}
	c.Settings, c.BySetting = settings, c.metricRows(byName, true)
}

// pooled is a metric over the runs of a setting: each run counts once, by its
// value, so that a run with many folds does not outweigh the others.
func pooled(row MetricRow, runs []int) MetricValue {
	var values []float64
	for _, i := range runs {
		if v := row.Values[i]; v.Known {
			values = append(values, v.Value)
		}
	}
	return newMetricValue(values)
}

// seeded reports whether the runs differ in a seed.
func (c *Comparison) seeded() bool {
	return slices.ContainsFunc(c.Params, func(r Row) bool { return isSeed(r.Name) && r.Differs() })
}

// isSeed reports whether a param only makes a run random in another way.
func isSeed(key string) bool {
	key = strings.ToLower(key)
	return strings.HasSuffix(key, "seed") || strings.HasSuffix(key, "random_state")
}
