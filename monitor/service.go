// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"lastro"
)

// locks serialises the evaluations of one environment.
type locks struct {
	mu sync.Mutex
	by map[string]*sync.Mutex
}

func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	if l.by == nil {
		l.by = map[string]*sync.Mutex{}
	}
	m, ok := l.by[name]
	if !ok {
		m = &sync.Mutex{}
		l.by[name] = m
	}
	l.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Evaluate measures every window that is complete and not measured yet, moves
// alerts, and asks for a retrain where the spec says so. now is the wall
// clock, for the record only: windows, cooldown and max go by event time. It
// is idempotent: a window is measured once, an alert asks for one retrain.
// With nothing new it reads a few rows and writes none. When it fails, what
// was recorded before the failure stays, and the next call goes on from there.
func (s *Service) Evaluate(ctx context.Context, spec Spec, now time.Time) (Report, error) {
	if err := spec.check(); err != nil {
		return Report{}, err
	}
	defer s.busy.lock(spec.Environment)()
	e := evaluation{Service: s, spec: spec, now: now.UTC()}
	ok, err := e.load(ctx)
	if err != nil || !ok {
		return e.report, err
	}
	var errs []error
	for _, stage := range []func(context.Context) error{e.closeReplaced, e.drift, e.performance, e.retrain} {
		if ctx.Err() == nil {
			errs = append(errs, stage(ctx)) // labels are read even when the training data cannot be
		}
	}
	return e.report, errors.Join(append(errs, ctx.Err())...)
}

// check refuses what no window can be cut from.
func (s Spec) check() error {
	bad := func(what string) error {
		return &lastro.Error{Code: lastro.EInvalid, Pos: s.Pos, Msg: fmt.Sprintf("the monitor of %s has no %s", s.Environment, what), Hint: "add it, for example window: 30d"}
	}
	switch {
	case s.Drift != nil && s.Drift.Window <= 0:
		return bad("drift.window")
	case s.Performance != nil && s.Performance.Window <= 0:
		return bad("performance.window")
	}
	return nil
}

// farFuture is how far an event time may lie after the wall clock. One answer
// dated by a broken clock must not end every window.
const farFuture = 24 * time.Hour

// evaluation is one call of Evaluate.
type evaluation struct {
	*Service
	spec     Spec
	now      time.Time
	newest   time.Time // event time
	releases []Release // live one last
	measured []Measurement
	open     map[Kind]Alert // of the environment
	report   Report
}

func (e *evaluation) live() Release { return e.releases[len(e.releases)-1] }

func (e *evaluation) isLive(r Release) bool { return r.Ref == e.live().Ref }

// load reads where things stand; false when there is nothing to watch yet.
func (e *evaluation) load(ctx context.Context) (bool, error) {
	var err error
	if e.releases, err = e.Source.Releases(ctx, e.spec.Environment); err != nil {
		return false, fmt.Errorf("read the releases of %s: %w", e.spec.Environment, err)
	}
	if len(e.releases) == 0 {
		e.wait("nothing is live in %s", e.spec.Environment)
		return false, nil
	}
	if e.newest, err = e.Source.Newest(ctx, e.spec.Environment); err != nil {
		return false, fmt.Errorf("read the newest event time of %s: %w", e.spec.Environment, err)
	}
	if limit := e.now.Add(farFuture); e.newest.After(limit) {
		e.wait("an answer in %s has an event time in the future: %s", e.spec.Environment, e.newest.Format(time.RFC3339))
		e.newest = limit
	}
	e.report.Newest = e.newest
	if e.newest.IsZero() {
		e.wait("no answer in %s has an event time yet", e.spec.Environment)
		return false, nil
	}
	for _, r := range e.releases {
		ms, err := e.Store.Measurements(ctx, Filter{Environment: e.spec.Environment, Release: r.Ref, Limit: math.MaxInt32})
		if err != nil {
			return false, err
		}
		e.measured = append(e.measured, ms...)
	}
	alerts, err := e.Store.Alerts(ctx, AlertFilter{Environment: e.spec.Environment, Open: true})
	if err != nil {
		return false, err
	}
	e.open = map[Kind]Alert{}
	for _, a := range alerts {
		e.open[a.Kind] = a
	}
	return true, nil
}

func (e *evaluation) wait(format string, args ...any) {
	e.report.Waiting = append(e.report.Waiting, fmt.Sprintf(format, args...))
}

// has reports whether a window was measured already.
func (e *evaluation) has(kind Kind, r Release, w span) bool {
	for _, m := range e.measured {
		if m.Kind == kind && m.Release == r.Ref && m.Start.Equal(w.start) && m.End.Equal(w.end) {
			return true
		}
	}
	return false
}

// newestOf reports that no later window of the release has a figure: labels
// that come out of order must not turn an alert back.
func (e *evaluation) newestOf(kind Kind, r Release, w span) bool {
	for _, m := range e.measured {
		if m.Kind == kind && m.Release == r.Ref && m.State != Unknown && m.Start.After(w.start) {
			return false
		}
	}
	return true
}

// new starts a measurement of a window.
func (e *evaluation) new(kind Kind, name string, r Release, w span) Measurement {
	return Measurement{
		ID:          measurementID(e.spec.Environment, r.Ref, kind, name, w),
		Environment: e.spec.Environment, Release: r.Ref, Model: r.Model, Kind: kind, Name: name,
		Start: w.start.UTC(), End: w.end.UTC(), Month: w.month(), State: OK, At: e.now,
	}
}

// save commits changes, then counts them as known and tells people about
// alerts that moved.
func (e *evaluation) save(ctx context.Context, c Changes, tell ...Alert) error {
	c.Events = append(measuredEvents(c.Measurements, e.now), c.Events...)
	if err := e.Store.Save(ctx, c); err != nil {
		return err
	}
	e.measured = append(e.measured, c.Measurements...)
	e.report.Measurements = append(e.report.Measurements, c.Measurements...)
	e.report.Alerts = append(e.report.Alerts, c.Alerts...)
	e.report.Retrains = append(e.report.Retrains, c.Retrains...)
	for _, a := range c.Alerts {
		if a.State == Resolved {
			delete(e.open, a.Kind)
		} else {
			e.open[a.Kind] = a
		}
	}
	for _, a := range tell {
		e.tell(ctx, a)
	}
	return nil
}

// tell logs an alert and passes it on. A message that does not arrive must not
// stop the loop: the alert is on record.
func (e *evaluation) tell(ctx context.Context, a Alert) {
	if e.Log != nil {
		e.Log.WarnContext(ctx, "alert", "alert", a.Ref(), "state", a.State, "title", a.Title, "harm", a.Harm, "action", a.Action)
	}
	if e.Notifier == nil || len(e.spec.Notify) == 0 {
		return
	}
	if err := e.Notifier.Notify(ctx, e.spec.Notify, a); err != nil && e.Log != nil {
		e.Log.ErrorContext(ctx, "alert was not delivered", "alert", a.Ref(), "err", err)
	}
}
