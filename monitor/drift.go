// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"lastro/stats"
)

// drift measures the input columns of each window that has ended, with what
// the scores let one expect of the metric.
func (e *evaluation) drift(ctx context.Context) error {
	if e.spec.Drift == nil {
		return nil
	}
	var errs []error
	for _, r := range e.releases {
		errs = append(errs, e.driftOf(ctx, r)) // an old one without a reference must not blind the live one
	}
	return errors.Join(errs...)
}

func (e *evaluation) driftOf(ctx context.Context, r Release) error {
	var reference reference
	for _, w := range windows(r, e.spec.Drift.Window, e.newest) {
		if e.has(Drift, r, w) {
			continue
		}
		if err := e.driftWindow(ctx, r, w, &reference); err != nil {
			return fmt.Errorf("measure drift of %s in %s: %w", r.Ref, w, err)
		}
	}
	return nil
}

// reference is what windows of one release are compared with, read when the
// first window needs it.
type reference struct {
	loaded  bool
	columns []stats.Column
	cbpe    *stats.CBPE
	noCBPE  string // why there is none
}

func (e *evaluation) loadReference(ctx context.Context, r Release, ref *reference) error {
	if ref.loaded {
		return nil
	}
	var err error
	if ref.columns, err = e.Source.Reference(ctx, r, *e.spec.Drift); err != nil {
		return fmt.Errorf("read the training data: %w", err)
	}
	truth, score, err := e.Source.ReferenceScores(ctx, r)
	if err != nil {
		return fmt.Errorf("read the scores of the evaluation: %w", err)
	}
	if len(truth) == 0 {
		ref.noCBPE = "the version's evaluation kept no scores with truth"
	} else if ref.cbpe, err = stats.FitCBPE(truth, score); err != nil {
		ref.noCBPE = err.Error()
	}
	ref.loaded = true
	return nil
}

func (e *evaluation) driftWindow(ctx context.Context, r Release, w span, ref *reference) error {
	spec := e.spec.Drift
	if err := e.loadReference(ctx, r, ref); err != nil {
		return err
	}
	q := WindowQuery{Environment: e.spec.Environment, Release: r, Start: w.start, End: w.end, Columns: spec.Columns}
	window, err := e.Source.Window(ctx, q, ref.columns)
	if err != nil {
		return err
	}
	if window.Rows < spec.MinRows || window.Rows == 0 {
		return e.tooFewRows(ctx, r, w, window.Rows)
	}
	if len(ref.columns) == 0 {
		m := e.new(Drift, "", r, w)
		m.State, m.Answers, m.Note = Unknown, window.Rows, "the training data has none of the columns to compare"
		return e.save(ctx, Changes{Measurements: []Measurement{m}})
	}
	var ms []Measurement
	for _, c := range ref.columns {
		ms = append(ms, e.column(c, find(window.Columns, c.Name), r, w, window.Rows))
	}
	sort.SliceStable(ms, func(i, j int) bool { return ms[i].Value > ms[j].Value })
	estimated, err := e.estimated(ctx, q, w, ref, window.Rows)
	if err != nil {
		return err
	}
	changes := Changes{Measurements: append(ms, estimated...)}
	var tell []Alert
	if e.isLive(r) && e.newestOf(Drift, r, w) {
		tell = e.driftAlert(&changes, r, w, ms, estimated)
		tell = append(tell, e.estimateAlert(&changes, r, w, estimated)...)
	}
	return e.save(ctx, changes, tell...)
}

// tooFewRows waits for stragglers until a whole further window has passed, and
// then writes down that this one could not be measured, so that it is not read
// again and again.
func (e *evaluation) tooFewRows(ctx context.Context, r Release, w span, rows int) error {
	if e.newest.Before(w.end.Add(e.spec.Drift.Window)) && r.To.IsZero() {
		e.wait("drift %s: %d of %d rows", w, rows, e.spec.Drift.MinRows)
		return nil
	}
	m := e.new(Drift, "", r, w)
	m.State, m.Rows, m.Answers = Unknown, rows, rows
	m.Note = fmt.Sprintf("%d rows, fewer than min_rows %d", rows, e.spec.Drift.MinRows)
	return e.save(ctx, Changes{Measurements: []Measurement{m}})
}

func find(columns []stats.Column, name string) stats.Column {
	for _, c := range columns {
		if c.Name == name {
			return c
		}
	}
	return stats.Column{Name: name}
}

// column compares one column. A test that cannot compare its kind gives way to
// psi, which compares any: numbers over the deciles of the training data (value
// by value when there are 20 or fewer), categories by their shares.
func (e *evaluation) column(ref, cur stats.Column, r Release, w span, answers int) Measurement {
	m := e.new(Drift, ref.Name, r, w)
	m.Answers = answers
	test, ok := stats.LookupDrift(e.spec.Drift.Test)
	if !ok || !test.Supports(ref.Kind) {
		test, _ = stats.LookupDrift("psi")
	}
	m.Test = test.Name
	d, err := test.Run(ref, cur)
	if err != nil {
		m.State, m.Note = Unknown, err.Error()
		if errors.Is(err, stats.ErrTooFew) && cur.Rows() == 0 {
			m.Note = "no answer of this window had a value in this column"
		}
		return m
	}
	m.Value, m.Rows, m.P, m.Noise = d.Value, d.Rows, finite(d.P), finite(d.Noise)
	m.State = e.spec.Drift.state(d)
	m.Note = nullNote(ref, cur)
	return m
}

// state holds a distance against the limits. What sampling alone may cause is
// no drift, whatever the limits say.
func (s DriftSpec) state(d stats.Drift) State {
	switch {
	case d.Value <= d.Noise: // false when the noise is unknown (NaN)
		return OK
	case s.Alert > 0 && d.Value >= s.Alert:
		return Alarm
	case s.Warn > 0 && d.Value >= s.Warn:
		return Warn
	}
	return OK
}

// nullNote says when values are missing more or less often than in training:
// no test on values sees that.
func nullNote(ref, cur stats.Column) string {
	was, is := nullShare(ref), nullShare(cur)
	if math.Abs(is-was) < 0.01 {
		return ""
	}
	return fmt.Sprintf("without a value: %.1f%% of rows, %.1f%% in the training data", 100*is, 100*was)
}

func nullShare(c stats.Column) float64 {
	all := c.Rows() + c.Nulls
	if all == 0 {
		return 0
	}
	return float64(c.Nulls) / float64(all)
}

func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
