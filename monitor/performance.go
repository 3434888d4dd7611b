// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"lastro"
	"lastro/stats"
)

// minLabels is the least number of labelled rows that a figure is made of.
const minLabels = 100

// enoughLabels is the share of a window's observable rows that must have their
// label unless labels of later events are there already: then the rest will
// not come (cancelled flights never arrive).
const enoughLabels = 0.8

// performance measures each window whose labels are due and there.
func (e *evaluation) performance(ctx context.Context) error {
	spec := e.spec.Performance
	if spec == nil {
		return nil
	}
	metric, ok := stats.LookupMetric(spec.Metric)
	if !ok {
		return &lastro.Error{Code: lastro.EInvalid, Pos: e.spec.Pos, Msg: fmt.Sprintf("the monitor of %s measures %q, which is no known metric", e.spec.Environment, spec.Metric),
			Hint: "auc, brier, log_loss, accuracy, rmse, mae and r2 are known"}
	}
	var errs []error
	for _, r := range e.releases {
		errs = append(errs, e.performanceOf(ctx, r, metric))
	}
	return errors.Join(errs...)
}

func (e *evaluation) performanceOf(ctx context.Context, r Release, metric stats.Metric) error {
	spec := e.spec.Performance
	for _, w := range windows(r, spec.Window, e.newest) {
		if e.has(Performance, r, w) {
			continue
		}
		if due := w.end.Add(spec.Delay); e.newest.Before(due) {
			e.wait("%s %s: labels are due at event time %s, the newest answer is of %s", metric.Name, w, due.Format(time.DateOnly), e.newest.Format(time.DateOnly))
			continue
		}
		if err := e.performanceWindow(ctx, r, w, metric); err != nil {
			return fmt.Errorf("measure %s of %s in %s: %w", metric.Name, r.Ref, w, err)
		}
	}
	return nil
}

func (e *evaluation) performanceWindow(ctx context.Context, r Release, w span, metric stats.Metric) error {
	spec := e.spec.Performance
	s, err := e.Source.Scored(ctx, LabelQuery{
		WindowQuery: WindowQuery{Environment: e.spec.Environment, Release: r, Start: w.start, End: w.end},
		Labels:      spec.Labels, Join: spec.Join, ObservedFor: spec.ObservedFor})
	if err != nil {
		return err
	}
	m := e.new(Performance, metric.Name, r, w)
	m.Rows, m.Answers, m.Observed = len(s.Truth), s.Answers, s.Observed
	if wait := labelsMissing(s, w); wait != "" {
		return e.labelsLate(ctx, r, w, m, wait)
	}
	v, err := metric.Estimate(s.Truth, s.Score)
	if errors.Is(err, stats.ErrTooFew) {
		return e.labelsLate(ctx, r, w, m, err.Error())
	}
	if err != nil {
		return err
	}
	m.Value, m.CILow, m.CIHigh = v.Value, &v.CILow, &v.CIHigh
	if b, ok := r.Baseline[spec.Metric]; ok {
		m.Baseline = &b
	}
	m.Best = e.best(r, w, metric)
	facts, fired, err := e.rule(&m)
	if err != nil {
		return err
	}
	m.Note = labelNote(m, m.Note)
	changes := Changes{Measurements: []Measurement{m}}
	var tell []Alert
	if e.isLive(r) && e.newestOf(Performance, r, w) {
		tell = e.performanceAlert(&changes, r, w, m, facts, fired)
	}
	return e.save(ctx, changes, tell...)
}

// labelsMissing says what a window still waits for; "" when it can be measured.
func labelsMissing(s Scored, w span) string {
	switch {
	case len(s.Truth) < min(minLabels, max(1, s.Observed)):
		return fmt.Sprintf("%d of %d answers have labels", len(s.Truth), s.Observed)
	case !s.LabelsUntil.Before(w.end):
		return ""
	case float64(len(s.Truth)) < enoughLabels*float64(s.Observed):
		return fmt.Sprintf("%d of %d answers have labels, and no later label has come", len(s.Truth), s.Observed)
	}
	return ""
}

// labelsLate waits for labels, in the end for no longer than three windows.
func (e *evaluation) labelsLate(ctx context.Context, r Release, w span, m Measurement, why string) error {
	spec := e.spec.Performance
	if e.newest.Before(w.end.Add(spec.Delay + 3*spec.Window)) {
		e.wait("%s %s: %s", m.Name, w, why)
		return nil
	}
	m.State, m.Note = Unknown, why
	return e.save(ctx, Changes{Measurements: []Measurement{m}})
}

func labelNote(m Measurement, note string) string {
	text := fmt.Sprintf("%d of %d answers have labels", m.Rows, m.Answers)
	if m.Observed != m.Answers {
		text += fmt.Sprintf(" (%d are observed at all)", m.Observed)
	}
	if note != "" {
		text += "; " + note
	}
	return text
}

// best is the best earlier window since the release; nil for the first one.
func (e *evaluation) best(r Release, w span, metric stats.Metric) *float64 {
	var best *float64
	for i := range e.measured {
		m := &e.measured[i]
		if m.Kind != Performance || m.Release != r.Ref || m.Name != metric.Name || m.State == Unknown || !m.Start.Before(w.start) {
			continue
		}
		if best == nil || (m.Value > *best) == metric.Higher && m.Value != *best {
			v := m.Value
			best = &v
		}
	}
	return best
}

// rule evaluates the alert rule. A fact that does not exist for this window
// (best in the first one) leaves the rule undecided, which is no alert.
func (e *evaluation) rule(m *Measurement) (facts map[string]float64, fired bool, err error) {
	facts = map[string]float64{"value": m.Value, "value.ci_low": *m.CILow, "value.ci_high": *m.CIHigh}
	if m.Baseline != nil {
		facts["baseline"] = *m.Baseline
	}
	if m.Best != nil {
		facts["best"] = *m.Best
	}
	rule := e.spec.Performance.Alert
	if rule == "" {
		return facts, false, nil
	}
	for _, name := range []string{"baseline", "best"} {
		if _, ok := facts[name]; !ok && regexp.MustCompile(`\b`+name+`\b`).MatchString(rule) {
			m.Note = map[string]string{"best": "the first window since the release: nothing to compare with yet",
				"baseline": "the version's decision has no such metric"}[name]
			return facts, false, nil
		}
	}
	if fired, err = e.Eval(rule, facts); err != nil {
		return nil, false, &lastro.Error{Code: lastro.EInvalid, Pos: e.spec.Pos, Msg: fmt.Sprintf("the alert rule %q cannot be evaluated", rule),
			Hint: "it reads value, value.ci_low, value.ci_high, baseline and best", Err: err}
	}
	if fired {
		m.State = Alarm
	}
	return facts, fired, nil
}
