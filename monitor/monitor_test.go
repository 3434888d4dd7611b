// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/monitor"
	"lastro/stats"
	"lastro/store"
	"lastro/store/storetest"
)

const day = 24 * time.Hour

// start is the first answer; its day is where windows of whole days begin.
var start = time.Date(2013, 4, 1, 10, 0, 0, 0, time.UTC)

func date(month time.Month, d int) time.Time { return time.Date(2013, month, d, 0, 0, 0, 0, time.UTC) }

// answer is one row of the request log with its label.
type answer struct {
	rev   string
	at    time.Time
	x     float64
	score float64
	late  float64
}

// world is a Source of fixed rows.
type world struct {
	answers     []answer
	releases    []monitor.Release
	labelsUntil time.Time // labels of earlier answers are there
	newLabels   int
	reference   []stats.Column
	truth, held []float64
	broken      map[lastro.Ref]error // releases whose training data cannot be read
}

// per is the number of answers in a window; ROC AUC then has a standard error near 0.03.
const per = 400

// pass lets a window's worth of answers through: classes alternate, scores of
// each class are evenly spread over a stretch of 1/2, those of the positives d
// higher. AUC is then 1 - (1-2d)²/2 in closed form (area between two shifted
// uniform distributions). x runs evenly from shift to shift+99.
func (w *world) pass(rev string, from time.Time, d, shift float64) {
	for i := range per {
		u := (float64(i/2) + 0.5) / (per / 2)
		late := float64(i % 2)
		w.answers = append(w.answers, answer{rev, from.Add(time.Duration(i) * 29 * day / per), float64(i%100) + shift, 0.1 + u/2 + late*d, late})
	}
}

func auc(d float64) float64 { return 1 - (1-2*d)*(1-2*d)/2 }

func (w *world) in(q monitor.WindowQuery) []answer {
	var out []answer
	rev := strings.TrimPrefix(string(q.Release.Model), "model:")
	for _, a := range w.answers {
		if a.rev == rev && !a.at.Before(q.Start) && a.at.Before(q.End) {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) Releases(context.Context, string) ([]monitor.Release, error) { return w.releases, nil }

func (w *world) Newest(context.Context, string) (time.Time, error) {
	var last time.Time
	for _, a := range w.answers {
		if a.at.After(last) {
			last = a.at
		}
	}
	return last, nil
}

func (w *world) Reference(_ context.Context, r monitor.Release, _ monitor.DriftSpec) ([]stats.Column, error) {
	return w.reference, w.broken[r.Ref]
}

func (w *world) ReferenceScores(context.Context, monitor.Release) (truth, score []float64, err error) {
	return w.truth, w.held, nil
}

func (w *world) Window(_ context.Context, q monitor.WindowQuery, _ []stats.Column) (monitor.Window, error) {
	var x []float64
	for _, a := range w.in(q) {
		x = append(x, a.x)
	}
	return monitor.Window{Rows: len(x), Columns: []stats.Column{stats.NewNumeric("x", x)}}, nil
}

func (w *world) Scores(_ context.Context, q monitor.WindowQuery) ([]float64, error) {
	var out []float64
	for _, a := range w.in(q) {
		out = append(out, a.score)
	}
	return out, nil
}

func (w *world) Scored(_ context.Context, q monitor.LabelQuery) (monitor.Scored, error) {
	rows := w.in(q.WindowQuery)
	out := monitor.Scored{Answers: len(rows), Observed: len(rows), LabelsUntil: w.labelsUntil}
	for _, a := range rows {
		if a.at.Before(w.labelsUntil) {
			out.Score, out.Truth = append(out.Score, a.score), append(out.Truth, a.late)
		}
	}
	return out, nil
}

func (w *world) NewLabels(context.Context, string, monitor.Release) (int, error) {
	return w.newLabels, nil
}

// phone keeps what people were told.
type phone struct{ said []string }

func (p *phone) Notify(_ context.Context, _ []string, a monitor.Alert) error {
	p.said = append(p.said, string(a.Kind)+" "+string(a.State))
	return nil
}

// trainer is a Trigger that can fail.
type trainer struct {
	err   error
	asked []string
	runs  map[string]lastro.Ref // by request: a second call starts nothing
}

func (t *trainer) Retrain(_ context.Context, r monitor.Retrain) (lastro.Ref, error) {
	t.asked = append(t.asked, r.ID)
	if t.err != nil {
		return "", t.err
	}
	if t.runs == nil {
		t.runs = map[string]lastro.Ref{}
	}
	if _, ok := t.runs[r.ID]; !ok {
		t.runs[r.ID] = lastro.NewRef("run", string(rune('1'+len(t.runs))), "")
	}
	return t.runs[r.ID], nil
}

// bench is a service over real SQLite.
type bench struct {
	*testing.T
	*world
	spec    monitor.Spec
	db      *store.DB
	service *monitor.Service
	trainer *trainer
	phone   *phone
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := storetest.Open(t)
	b := &bench{T: t, db: db, trainer: &trainer{}, phone: &phone{}, world: &world{broken: map[lastro.Ref]error{}}}
	x := make([]float64, 1000)
	for i := range x {
		x[i] = float64(i % 100)
	}
	b.reference = []stats.Column{stats.NewNumeric("x", x)}
	b.releases = []monitor.Release{{Ref: "release:local@1", Model: "model:m@1", From: start, Baseline: map[string]float64{"auc": 0.7}}}
	b.spec = monitor.Spec{Environment: "local", Notify: []string{"log"},
		Drift:       &monitor.DriftSpec{Test: "auto", Window: 30 * day, MinRows: 100, Warn: 0.10, Alert: 0.25},
		Performance: &monitor.PerformanceSpec{Labels: "flights", Join: "id", Delay: 30 * day, Window: 30 * day, Metric: "auc", Alert: "value.ci_high < best - 0.02"},
		Retrain:     &monitor.RetrainSpec{When: []string{"performance"}, NewLabels: 5000, Cooldown: 7 * day, Max: 2, Per: 30 * day}}
	b.open()
	return b
}

// open makes the service anew, as a restarted server does.
func (b *bench) open() {
	b.service = monitor.New(monitor.Options{Source: b.world, Store: store.NewMonitor(b.db), Trigger: b.trainer, Notifier: b.phone,
		Eval: func(expr string, facts map[string]float64) (bool, error) {
			all := gate.Facts{}
			for k, v := range facts {
				all[k] = v
			}
			return gate.EvalBool(expr, all)
		}})
}

func (b *bench) evaluate() monitor.Report {
	b.Helper()
	r, err := b.service.Evaluate(b.Context(), b.spec, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// verbs counts the events on record.
func (b *bench) verbs() map[string]int {
	b.Helper()
	events, err := b.db.Events(b.Context(), store.EventFilter{})
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]int{}
	for _, e := range events {
		out[e.Verb]++
	}
	return out
}

func (b *bench) alerts(open bool) []monitor.Alert {
	b.Helper()
	out, err := b.service.Alerts(b.Context(), monitor.AlertFilter{Environment: "local", Open: open})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *bench) points(kind monitor.Kind) []monitor.Measurement {
	b.Helper()
	series, err := b.service.Series(b.Context(), "local", kind)
	if err != nil {
		b.Fatal(err)
	}
	if len(series) == 0 {
		return nil
	}
	return series[0].Points
}

// months lets windows pass whose positives score d higher than the negatives,
// with labels of all answers of before the last window.
func (b *bench) months(ds ...float64) {
	for _, d := range ds {
		n := len(b.answers) / per
		from := start.Truncate(day).Add(time.Duration(n) * 30 * day)
		b.pass("m@1", from.Add(start.Sub(start.Truncate(day))), d, 0)
		b.labelsUntil = from
	}
}

func TestWindows(t *testing.T) {
	b := newBench(t)
	b.months(0.2, 0.2)
	r := b.evaluate()
	drift := b.points(monitor.Drift)
	if len(drift) != 1 || !drift[0].Start.Equal(date(4, 1)) || !drift[0].End.Equal(date(5, 1)) || drift[0].Month != "2013-04" {
		t.Fatalf("windows of drift = %+v; want April, from the day of the first answer", drift)
	}
	if len(b.points(monitor.Performance)) != 0 || !slices.ContainsFunc(r.Waiting, func(s string) bool { return strings.Contains(s, "labels are due at event time 2013-05-31") }) {
		t.Errorf("waiting for %q; want the labels of April, due 30 days after it", r.Waiting)
	}
	b.pass("m@1", date(5, 31), 0.2, 0)
	b.evaluate()
	if got := b.points(monitor.Performance); len(got) != 1 || !got[0].End.Equal(date(5, 1)) || got[0].Rows == 0 {
		t.Errorf("performance = %+v; want April now", got)
	}
	if d := b.points(monitor.Drift); len(d) != 2 || !d[1].End.Equal(date(5, 31)) {
		t.Errorf("drift = %+v; want April and May", d)
	}
}

func TestIdempotence(t *testing.T) {
	b := newBench(t)
	b.months(0.2, 0.2, 0.05, 0.05, 0.05)
	first := b.evaluate()
	if len(first.Measurements) == 0 || len(first.Alerts) == 0 {
		t.Fatalf("the first call measured %d figures and %d alerts", len(first.Measurements), len(first.Alerts))
	}
	events, said := b.verbs(), len(b.phone.said)
	for _, again := range []string{"the same service", "another process"} {
		r := b.evaluate()
		if len(r.Measurements)+len(r.Alerts)+len(r.Retrains) != 0 || !maps.Equal(events, b.verbs()) || len(b.phone.said) != said {
			t.Errorf("%s, nothing new: %+v, events %v; want none beside %v", again, r, b.verbs(), events)
		}
		b.open()
	}
}

// A column moved by 8 of 100 leaves 2% in the lowest tenth and 18% in the
// highest. With half a row more in every tenth, PSI = (100.5/1005 - 8.5/405) ·
// ln((100.5/1005)/(8.5/405)) + ... = 0.1694 by its definition. 40 rows
// that miss one tenth and fill another twice come to about 0.25, which 5% of
// such samples exceed by chance: their noise is 0.44.
func TestDrift(t *testing.T) {
	for _, tc := range []struct {
		name  string
		shift float64
		rows  int
		state monitor.State
		alert monitor.AlertState
	}{
		{"still", 0, per, monitor.OK, ""},
		{"within noise", 8, 40, monitor.OK, ""},
		{"warn", 8, per, monitor.Warn, monitor.Pending},
		{"alert", 30, per, monitor.Alarm, monitor.Firing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.spec.Drift.MinRows = 30
			b.pass("m@1", start, 0.2, tc.shift)
			if tc.rows < per { // one row of each tenth
				var few []answer
				for k := range tc.rows {
					few = append(few, b.answers[10*k+k%10])
				}
				b.answers = few
			}
			b.pass("m@1", date(5, 1).Add(time.Hour), 0.2, 0)
			b.evaluate()
			m := b.points(monitor.Drift)[0]
			if m.State != tc.state || m.Rows == 0 || m.Noise == nil || m.Test != "psi" {
				t.Errorf("drift = %+v, noise %v; want %s", m, *m.Noise, tc.state)
			}
			if tc.state == monitor.Warn && math.Abs(m.Value-0.16936) > 1e-5 {
				t.Errorf("PSI = %.4f; want 0.16936", m.Value)
			}
			if tc.state == monitor.OK && tc.shift > 0 && (m.Value < b.spec.Drift.Warn || m.Value > *m.Noise) {
				t.Errorf("PSI %.3f should be over warn and under the noise %.3f", m.Value, *m.Noise)
			}
			open := b.alerts(true)
			if tc.alert == "" {
				if len(open) != 0 {
					t.Errorf("alerts = %+v; want none", open)
				}
				return
			}
			if len(open) != 1 || open[0].State != tc.alert || open[0].Kind != monitor.Drift || len(open[0].Moved) != 1 || open[0].Moved[0].Column != "x" {
				t.Errorf("alerts = %+v; want one, %s, about x", open, tc.alert)
			}
			if len(b.trainer.asked) != 0 {
				t.Error("drift alone started a retrain")
			}
		})
	}
}

// calibrated are held-out rows whose scores are what they say: of rows with
// score s, a share s is positive.
func calibrated(n int) (truth, score []float64) {
	for i := range n {
		s := 0.05 + 0.9*float64(i%10)/9
		score = append(score, s)
		late := 0.0
		if float64(i/10%20) < math.Round(20*s) {
			late = 1
		}
		truth = append(truth, late)
	}
	return truth, score
}

func TestEstimatedHarm(t *testing.T) {
	b := newBench(t)
	b.truth, b.held = calibrated(2000)
	b.pass("m@1", start, 0, 30)
	for i := range b.answers { // April: as in training. May: nobody is sure any more
		b.answers[i].score = b.held[i]
	}
	b.pass("m@1", date(5, 1).Add(time.Hour), 0, 30)
	for i := per; i < 2*per; i++ {
		b.answers[i].score = 0.45 + 0.1*float64(i%10)/9
	}
	b.pass("m@1", date(6, 1), 0, 0)
	b.evaluate()
	points := b.points(monitor.Estimated)
	if len(points) != 2 || points[0].State != monitor.OK || math.Abs(*points[0].Harm) > 0.02 || points[1].State != monitor.Warn || *points[1].Harm < 0.2 {
		t.Fatalf("estimated = %+v; want no harm in April, much in May", points)
	}
	for _, a := range b.alerts(true) {
		if !strings.HasPrefix(a.Harm, "harm is to be expected: auc about 0.5") {
			t.Errorf("%s alert: harm %q", a.Kind, a.Harm)
		}
		if a.Kind == monitor.Estimated && a.State != monitor.Pending {
			t.Errorf("an estimate is %s; only labels confirm it", a.State)
		}
	}
	b.truth = nil
	b.releases[0].Ref = "release:local@2"
	for _, m := range b.evaluate().Measurements {
		if m.Kind == monitor.Estimated && (m.State != monitor.Unknown || m.Note == "") {
			t.Errorf("without held-out scores: %+v; want unknown, with its reason", m)
		}
	}
}

// The rule fires at the falling window and not before: 0.18 lies 0.02 below
// the best window, which is within the interval.
func TestPerformanceRule(t *testing.T) {
	b := newBench(t)
	b.spec.Drift, b.spec.Retrain = nil, nil
	b.months(0.2)
	var states []monitor.State
	for _, d := range []float64{0.2, 0.18, 0.05, 0.05, 0.2, 0.2} {
		b.months(d)
		b.evaluate()
		states = nil
		for _, m := range b.points(monitor.Performance) {
			states = append(states, m.State)
		}
	}
	want := []monitor.State{monitor.OK, monitor.OK, monitor.OK, monitor.Alarm, monitor.Alarm}
	if !slices.Equal(states, want) {
		t.Fatalf("windows = %v; want %v", states, want)
	}
	points := b.points(monitor.Performance)
	for i, d := range []float64{0.2, 0.2, 0.18, 0.05, 0.05} {
		if m := points[i]; math.Abs(m.Value-auc(d)) > 0.002 || *m.CILow >= m.Value || *m.CIHigh <= m.Value || m.Baseline == nil || *m.Baseline != 0.7 {
			t.Errorf("window %d: auc %.4f [%.4f, %.4f]; want %.4f", i, m.Value, *m.CILow, *m.CIHigh, auc(d))
		}
	}
	if points[0].Best != nil || !strings.Contains(points[0].Note, "nothing to compare with yet") {
		t.Errorf("the first window has a best (%v) or does not say why it has none: %q", points[0].Best, points[0].Note)
	}
	if best := points[3].Best; best == nil || math.Abs(*best-auc(0.2)) > 0.01 {
		t.Errorf("best = %v; want %.3f", best, auc(0.2))
	}
	a := b.alerts(true)
	if len(a) != 1 || a[0].State != monitor.Firing || a[0].Facts["best"] == 0 || !strings.Contains(a[0].Harm, "below the best earlier window") {
		t.Fatalf("alerts = %+v", a)
	}
	b.months(0.2)
	b.evaluate()
	if a := b.alerts(true); len(a) != 0 {
		t.Errorf("open after a good window: %+v", a)
	}
	if v := b.verbs(); v["alert.fired"] != 1 || v["alert.resolved"] != 1 || v["alert.opened"] != 0 {
		t.Errorf("events = %v; want one fired, one resolved", v)
	}
	if want := []string{"performance firing", "performance resolved"}; !slices.Equal(b.phone.said, want) {
		t.Errorf("told %q; want %q", b.phone.said, want)
	}
}

func TestAlertStates(t *testing.T) {
	b := newBench(t)
	b.spec.Performance, b.spec.Retrain = nil, nil
	for i, shift := range []float64{8, 8, 30, 30, 8, 0, 0} {
		b.pass("m@1", start.Add(time.Duration(i)*30*day), 0.2, shift)
		b.evaluate()
	}
	want := []string{"drift pending", "drift firing", "drift pending", "drift resolved"}
	if !slices.Equal(b.phone.said, want) {
		t.Errorf("told %q; want %q: one message for each change, none in between", b.phone.said, want)
	}
	if v := b.verbs(); v["alert.opened"] != 1 || v["alert.fired"] != 1 || v["alert.eased"] != 1 || v["alert.resolved"] != 1 {
		t.Errorf("events = %v", v)
	}
	if a := b.alerts(false); len(a) != 1 || a[0].State != monitor.Resolved || len(a[0].Moved) != 1 || a[0].FiredAt.IsZero() {
		t.Errorf("alerts = %+v; want one that keeps what it was about", a)
	}
}

func TestLateLabels(t *testing.T) {
	b := newBench(t)
	b.spec.Drift, b.spec.Retrain = nil, nil
	b.months(0.2, 0.2, 0.2)
	b.labelsUntil = time.Time{}
	if r := b.evaluate(); len(r.Measurements) != 0 || !slices.ContainsFunc(r.Waiting, func(s string) bool { return strings.Contains(s, "0 of 400") }) {
		t.Errorf("without labels: %+v", r)
	}
	b.labelsUntil = date(4, 20) // 60%, and no later label
	if r := b.evaluate(); len(r.Measurements) != 0 {
		t.Errorf("with labels of 19 days: %+v; the rest may still come", r.Measurements)
	}
	b.labelsUntil = date(5, 1)
	b.evaluate()
	if p := b.points(monitor.Performance); len(p) != 1 || p[0].Rows != p[0].Answers || p[0].State != monitor.OK {
		t.Errorf("with the labels: %+v", p)
	}
	b.answers = slices.DeleteFunc(b.answers, func(a answer) bool { return !a.at.Before(date(5, 31)) })
	b.pass("m@1", date(9, 29), 0.2, 0) // three windows after those of May were due
	b.evaluate()
	if p := b.points(monitor.Performance); p[1].State != monitor.Unknown || p[1].Note == "" {
		t.Errorf("labels that never came: %+v; want unknown, with its reason", p)
	}
}

func TestReplacedRelease(t *testing.T) {
	b := newBench(t)
	b.months(0.2, 0.2, 0.05, 0.05, 0.05)
	b.evaluate()
	if len(b.alerts(true)) != 1 {
		t.Fatalf("alerts = %+v", b.alerts(true))
	}
	// m@2 takes over on 20 August; m@1's window ends there.
	took := date(8, 20)
	b.answers = slices.DeleteFunc(b.answers, func(a answer) bool { return !a.at.Before(took) })
	b.pass("m@2", took.Add(9*time.Hour), 0.2, 0)
	b.releases[0].To = took.Add(9 * time.Hour)
	b.releases = append(b.releases, monitor.Release{Ref: "release:local@2", Model: "model:m@2", From: took.Add(9 * time.Hour)})
	b.evaluate()
	if a := b.alerts(true); len(a) != 0 {
		t.Errorf("open about what serves no more: %+v", a)
	}
	if a := b.alerts(false); !strings.Contains(a[0].Action, "m@2 took its place") {
		t.Errorf("resolved with %q", a[0].Action)
	}
	b.pass("m@2", date(10, 20), 0.2, 0)
	b.labelsUntil = date(11, 1)
	b.evaluate()
	var ends []time.Time
	for _, m := range b.points(monitor.Performance) {
		if m.Release == "release:local@2" {
			if m.Best != nil && len(ends) == 0 {
				t.Errorf("best of a new release comes from the old one: %+v", m)
			}
			ends = append(ends, m.End)
		}
		if m.Release == "release:local@1" && m.End.After(b.releases[0].To) {
			t.Errorf("a window of the old release goes on: %+v", m)
		}
	}
	if len(ends) == 0 || !ends[0].Equal(took.Add(30*day)) {
		t.Errorf("windows of the new release end %v; want the first at %v", ends, took.Add(30*day))
	}
}

// A release of the past without training data, and drift that cannot be
// measured at all, leave performance as it is.
func TestFailuresAreApart(t *testing.T) {
	b := newBench(t)
	b.months(0.2, 0.2, 0.05, 0.05, 0.05)
	b.newLabels = 5000
	b.broken["release:local@1"] = errors.New("the training data is gone")
	_, err := b.service.Evaluate(b.Context(), b.spec, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err == nil || !strings.Contains(err.Error(), "the training data is gone") {
		t.Errorf("err = %v", err)
	}
	if len(b.points(monitor.Performance)) != 3 || len(b.trainer.runs) != 1 {
		t.Errorf("performance was not measured, or its alert not heard: %+v", b.trainer)
	}
}

func TestRetrain(t *testing.T) {
	b := newBench(t)
	b.spec.Drift = nil
	b.months(0.2, 0.2, 0.05, 0.05)
	b.newLabels = 4999
	b.evaluate()
	if len(b.alerts(true)) != 0 {
		t.Fatal("fired before the window's labels were due")
	}
	b.months(0.05)
	if r := b.evaluate(); len(b.trainer.asked) != 0 || !slices.Contains(r.Waiting, "retrain: 4999 of 5000 new label rows") {
		t.Errorf("asked with nothing new to learn: %+v", r.Waiting)
	}
	b.newLabels = 5000
	b.trainer.err = errors.New("no disk")
	for range 2 { // fails, is tried again: one request
		if _, err := b.service.Evaluate(b.Context(), b.spec, time.Now()); err == nil || !strings.Contains(err.Error(), "no disk") {
			t.Errorf("err = %v; want the trigger's", err)
		}
	}
	requests := func() []monitor.Retrain {
		t.Helper()
		out, err := b.service.Retrains(t.Context(), "local", 0)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := requests(); len(got) != 1 || got[0].Run != "" || b.verbs()["retrain.requested"] != 1 {
		t.Fatalf("requests = %+v", got)
	}
	b.trainer.err = nil
	b.open() // killed between the request and the start: the next process starts it
	b.evaluate()
	b.months(0.05) // fires on: the same alert asks no more
	b.evaluate()
	if got := requests(); len(got) != 1 || got[0].Run != "run:1" || got[0].NewLabels != 5000 || len(b.trainer.runs) != 1 {
		t.Fatalf("requests = %+v, runs %v", got, b.trainer.runs)
	}
	if v := b.verbs(); v["retrain.requested"] != 1 || v["retrain.started"] != 1 || v["alert.fired"] != 1 {
		t.Errorf("events = %v", v)
	}
}

// A second alert within the cooldown, or over max, waits. Both go by event time.
func TestRetrainLimits(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec monitor.RetrainSpec
		wait string
	}{
		{"cooldown", monitor.RetrainSpec{Cooldown: 61 * day}, "the cooldown ends at event time"},
		{"max", monitor.RetrainSpec{Max: 1, Per: 61 * day}, "1 already in this span"},
		{"neither", monitor.RetrainSpec{Cooldown: 7 * day, Max: 2, Per: 60 * day}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.spec.Drift = nil
			tc.spec.When = []string{"performance"}
			b.spec.Retrain = &tc.spec
			b.months(0.2, 0.2, 0.05, 0.2, 0.05) // falls twice; measured up to the first fall
			b.evaluate()
			if len(b.trainer.runs) != 1 {
				t.Fatalf("runs = %v", b.trainer.runs)
			}
			b.months(0.05)
			b.evaluate() // resolved
			b.months(0.05)
			r := b.evaluate() // the second alert, 60 days after the first
			waits := slices.ContainsFunc(r.Waiting, func(s string) bool { return strings.Contains(s, tc.wait) })
			if tc.wait != "" && (len(b.trainer.runs) != 1 || !waits) {
				t.Errorf("runs = %v, waiting %q; want it to wait: %s", b.trainer.runs, r.Waiting, tc.wait)
			}
			if tc.wait == "" && len(b.trainer.runs) != 2 {
				t.Errorf("runs = %v, waiting %q; want a second one", b.trainer.runs, r.Waiting)
			}
			b.pass("m@1", start.Add(7*30*day), 0.05, 0) // later in event time
			b.evaluate()
			if len(b.trainer.runs) != 2 {
				t.Errorf("runs = %v; want two once the limit is past", b.trainer.runs)
			}
		})
	}
}

// Both kinds of alert at once are one retrain when a cooldown says so.
func TestRetrainOnce(t *testing.T) {
	b := newBench(t)
	b.spec.Retrain = &monitor.RetrainSpec{When: []string{"performance", "drift"}, Cooldown: 7 * day}
	b.months(0.2, 0.2, 0.05)
	b.spec.Drift.MinRows = 10_000 // not yet
	b.evaluate()
	b.spec.Drift.MinRows = 100
	b.months(0.05, 0.05)
	for i := per; i < len(b.answers); i++ {
		b.answers[i].x += 50
	}
	b.evaluate()
	if open := b.alerts(true); len(open) != 2 || len(b.trainer.runs) != 1 {
		t.Errorf("%d alerts, runs %v; want two alerts and one retrain", len(open), b.trainer.runs)
	}
}

func TestOddInput(t *testing.T) {
	b := newBench(t)
	b.releases = nil
	if r := b.evaluate(); len(r.Waiting) != 1 {
		t.Errorf("nothing live: %+v", r)
	}
	b = newBench(t)
	if r := b.evaluate(); len(r.Waiting) != 1 || !strings.Contains(r.Waiting[0], "no answer") {
		t.Errorf("no answers: %+v", r)
	}
	// A first event time of 1970 and one far in the future end no endless list of windows.
	b.releases[0].From = time.Unix(0, 0)
	b.spec.Performance.Window, b.spec.Drift.Window = time.Hour, time.Hour
	b.months(0.2)
	b.answers[0].at = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := b.service.Evaluate(t.Context(), b.spec, date(5, 2))
	if err != nil || len(r.Measurements) > 2000 || !r.Newest.Equal(date(5, 3)) {
		t.Errorf("%d figures, newest %s, %v", len(r.Measurements), r.Newest, err)
	}
	if !slices.ContainsFunc(r.Waiting, func(s string) bool { return strings.Contains(s, "in the future") }) {
		t.Errorf("waiting = %q", r.Waiting)
	}
	b.spec.Drift.Window = 0
	if _, err := b.service.Evaluate(t.Context(), b.spec, date(5, 2)); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a window of no length: %v", err)
	}
}
