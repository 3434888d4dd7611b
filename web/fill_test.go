// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/blob"
	"lastro/deploy"
	"lastro/gate"
	"lastro/lineage"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/stats"
	"lastro/store"
	"lastro/track"
)

// house is a project's state in a database of its own, filled through the
// services that fill it in production.
type house struct {
	t     *testing.T
	pages *Pages
	clock *ticking
	plane *plane
	store store.Monitor
	logs  map[string]string // text by "run/step"
	who   auth.Identity     // the reader
	files memory
	kept  store.Track
}

// memory holds files in memory.
type memory map[lastro.Digest][]byte

func (m memory) keep(path, text string) pipeline.Artifact {
	d := digest(text)
	m[d] = []byte(text)
	return pipeline.Artifact{Name: filepath.Base(path), Path: path, Digest: d, Size: int64(len(text))}
}

func (m memory) Open(_ context.Context, d lastro.Digest) (io.ReadCloser, error) {
	text, ok := m[d]
	if !ok {
		return nil, lastro.Errorf(lastro.ENotFound, "%s is not stored", d.Short())
	}
	return io.NopCloser(strings.NewReader(string(text))), nil
}

func (m memory) Stat(_ context.Context, d lastro.Digest) (blob.Info, error) {
	text, ok := m[d]
	if !ok {
		return blob.Info{}, lastro.Errorf(lastro.ENotFound, "%s is not stored", d.Short())
	}
	return blob.Info{Digest: d, Size: int64(len(text)), Files: 1, Tree: strings.HasPrefix(string(text), blob.TreeMagic)}, nil
}

func (m memory) Tree(_ context.Context, d lastro.Digest) ([]blob.Entry, error) {
	return blob.DecodeTree(m[d])
}

// logFile is a log in memory.
type logFile struct{ *strings.Reader }

func (logFile) Close() error { return nil }

// ticking is a clock that the test moves.
type ticking struct{ at time.Time }

func (c *ticking) Now() time.Time { return c.at }

// plane stands for the data plane: everything it is asked to serve is ready
// at once, with the figures that the test sets.
type plane struct {
	candidate, champion deploy.Counts
}

func (p *plane) Apply(_ context.Context, t deploy.Target) (deploy.Status, error) {
	s := deploy.Status{Generation: t.Generation, Address: "http://127.0.0.1:7071", Pid: 1}
	if t.Champion != nil {
		s.Serving = t.Champion.Number
		s.Champion = deploy.RevisionState{Release: t.Champion.Number, State: "ready", Step: p.champion, Rollout: p.champion, Total: p.champion}
	}
	if t.Candidate != nil {
		s.Candidate = deploy.RevisionState{Release: t.Candidate.Number, State: "ready", Step: p.candidate, Rollout: p.candidate, Total: p.candidate}
	}
	return s, nil
}

// freely lets every alias move: gates have their own tests.
type freely struct{}

func (freely) MayMove(context.Context, registry.Move) error { return nil }

type pointer struct{ r *registry.Service }

func (p pointer) Point(ctx context.Context, model, alias string, version int, by lastro.Actor, why string) error {
	if version == 0 {
		err := p.r.DeleteAlias(ctx, by, model, alias, why)
		if lastro.Is(err, lastro.ENotFound) {
			return nil
		}
		return err
	}
	return p.r.SetAlias(ctx, by, model, alias, version, why)
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var flightsSpec = deploy.Spec{Name: "local", Model: "flight-delay", Alias: "champion",
	Strategy:   deploy.Strategy{Kind: "canary", Steps: []float64{0.1, 0.5, 1}, MinRequests: 200},
	RollbackIf: []string{"errors.rate > 2%", "shift(score.mean) > 60%", "score.sd < 0.02"}}

var flightsMonitor = monitor.Spec{Environment: "local",
	Drift:       &monitor.DriftSpec{Test: "auto", Window: 30 * 24 * time.Hour, Warn: 0.1, Alert: 0.25},
	Performance: &monitor.PerformanceSpec{Labels: "flights", Delay: 30 * 24 * time.Hour, Window: 30 * 24 * time.Hour, Metric: "auc", Alert: "value.ci_high < best - 0.02"}}

func newHouse(t *testing.T) *house {
	t.Helper()
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := &house{t: t, clock: &ticking{noon}, plane: &plane{}, store: store.NewMonitor(db), logs: map[string]string{}, files: memory{}, kept: store.NewTrack(db)}
	models := registry.NewService(store.NewRegistry(db), freely{}, h.clock)
	log := slog.New(slog.DiscardHandler)
	h.pages = New(Deps{Version: "test", Project: "flights", Runs: store.NewPipeline(db), Registry: models, Gates: gate.NewService(store.NewGate(db), h.clock), Log: log,
		Deploys: &deploy.Service{Store: store.NewDeploy(db), Driver: h.plane, Aliases: pointer{models}, Clock: h.clock, Log: log,
			Eval: func(rule string, facts map[string]any) (bool, error) { return gate.EvalBool(rule, gate.Facts(facts)) },
			Spec: func(string) (deploy.Spec, bool) { return flightsSpec, true }},
		Monitors: monitor.New(monitor.Options{Store: h.store}), Watched: func() []monitor.Spec { return []monitor.Spec{flightsMonitor} },
		Why: func(_ context.Context, ref string) (lineage.Why, error) {
			ok := true
			return lineage.Why{Subject: ref, Lines: []lineage.Reason{{Kind: "bytes", OK: &ok}}}, nil
		},
		OpenLog: func(_ context.Context, s pipeline.StepRun) (io.ReadSeekCloser, error) {
			text, ok := h.logs[fmt.Sprintf("%d/%s", s.Run, s.Step)]
			if !ok {
				return nil, lastro.Errorf(lastro.ENotFound, "it printed nothing")
			}
			return logFile{strings.NewReader(text)}, nil
		}})
	h.pages.now, h.pages.Files, h.pages.nonce = h.clock.Now, h.files, func() string { return "test" }
	h.pages.Track, h.pages.RunQuery = track.NewService(h.kept, h.clock), mlflow.RunQuery
	h.pages.CommitOf = func(context.Context, track.Origin) (string, error) { return "3f9d1c2aa0", nil }
	h.pages.ExportRuns = func(_ context.Context, _ track.Query, w io.Writer) error {
		_, err := io.WriteString(w, "run_id\n")
		return err
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func digest(s string) lastro.Digest { return lastro.DigestOf([]byte(s)) }

// run stores a run with its steps, times in seconds from its start.
func (h *house) run(state pipeline.State, reason string, event map[string]any, steps ...pipeline.StepRun) int64 {
	h.t.Helper()
	run := pipeline.Run{Project: "flights", State: state, Reason: reason, PlanDigest: digest("plan"), Actor: "user:ana", StartedAt: h.clock.at, Event: event,
		Git: pipeline.Git{Commit: "3f9d1c2aa0", Branch: "main"}, Datasets: []pipeline.Dataset{{Name: "flights", Digest: digest("flights")}},
		Spec: pipeline.Spec{Project: "flights", Steps: []pipeline.StepSpec{{Name: "tests", Kind: "run"}, {Name: "split", Kind: "lastro/split"},
			{Name: "train", Kind: "run", Needs: []string{"tests"}, Inputs: []pipeline.Input{{Step: "split", Output: "train"}}},
			{Name: "compare", Kind: "lastro/compare", Inputs: []pipeline.Input{{Step: "train", Output: "model"}}},
			{Name: "fairness", Kind: "lastro/fairness", Inputs: []pipeline.Input{{Step: "train", Output: "model"}}}}}}
	if state.Ended() {
		run.EndedAt = h.clock.at.Add(21 * time.Second)
	}
	for i := range steps {
		steps[i].Attempt = max(1, steps[i].Attempt)
	}
	var n int64
	h.must(h.pages.Runs.Change(h.t.Context(), func(tx pipeline.Tx) (err error) {
		n, err = tx.CreateRun(h.t.Context(), run, nil, steps)
		return err
	}))
	return n
}

func (h *house) step(name string, cell int, state pipeline.State, from, to float64) pipeline.StepRun {
	s := pipeline.StepRun{Step: name, Cell: cell, Kind: "run", State: state, Selected: true}
	if cell > 0 {
		s.Values = map[string]any{"depth": []int{4, 8}[(cell-1)%2], "rate": 0.1}
		s.Selected = cell == 1
	}
	if to > 0 {
		s.StartedAt = h.clock.at.Add(time.Duration(from * float64(time.Second)))
		s.EndedAt = h.clock.at.Add(time.Duration(to * float64(time.Second)))
	}
	return s
}

// succeeded stores a green run with the reports of compare and fairness.
func (h *house) succeeded() int64 {
	train := h.step("train", 1, pipeline.Succeeded, 2, 8.2)
	train.Outputs = []pipeline.Artifact{{Name: "model", Path: "work/model", Digest: digest("model"), Size: 414000}}
	train.Facts, train.MaxRSSBytes, train.Reason = map[string]float64{"metrics.valid_auc": 0.6612}, 604<<20, "the code changed: src/train.py"
	compare := h.step("compare", 0, pipeline.Succeeded, 9, 20)
	compare.Kind, compare.Report = "lastro/compare", h.json(map[string]any{"against": "model:flight-delay@1", "comparisons": []stats.Comparison{
		{Metric: "auc", Candidate: 0.6712, Champion: 0.6521, Diff: stats.Estimate{Value: 0.0191, CILow: 0.0102, CIHigh: 0.0283}, Higher: true, Rows: 15582, Resamples: 500},
		{Metric: "brier", Candidate: 0.151, Champion: 0.1502, Diff: stats.Estimate{Value: 0.0008, CILow: -0.0011, CIHigh: 0.0024}, Rows: 15582, Resamples: 500}}})
	cached := h.step("tests", 0, pipeline.Cached, 0, 0)
	cached.Reason = "nothing that it reads has changed since #1"
	return h.run(pipeline.Succeeded, "", nil, cached, h.step("split", 0, pipeline.Succeeded, 0, 1.9), train, h.step("train", 2, pipeline.Succeeded, 2, 8.9), compare, h.fairness())
}

// fairness uses counts of the census demo; rates are computed by stats.
func (h *house) fairness() pipeline.StepRun {
	in := stats.FairnessInput{MinRows: 200}
	add := func(group string, n int, favourable, good bool) {
		for range n {
			in.Group, in.Favourable, in.GoodTruth = append(in.Group, group), append(in.Favourable, favourable), append(in.GoodTruth, good)
		}
	}
	for group, c := range map[string][4]int{"Female": {179, 378, 138, 9305}, "Male": {828, 746, 315, 6556}, "unknown": {1, 2, 3, 50}} {
		add(group, c[0], true, true)
		add(group, c[1], true, false)
		add(group, c[2], false, true)
		add(group, c[3], false, false)
	}
	f, err := stats.FairnessByGroup(in)
	h.must(err)
	s := h.step("fairness", 0, pipeline.Succeeded, 20, 21)
	s.Kind, s.Report = "lastro/fairness", h.json(map[string]any{"favourable": "offer", "min_group_size": 200, "groups": []any{
		struct {
			Name string `json:"name"`
			stats.Fairness
		}{"sex", f}}})
	return s
}

func (h *house) json(v any) json.RawMessage {
	h.t.Helper()
	raw, err := json.Marshal(v)
	h.must(err)
	return raw
}

// version registers a version of flight-delay made by a run.
func (h *house) version(run int64, content string) registry.Version {
	h.t.Helper()
	v, _, err := h.pages.Registry.Register(h.t.Context(), registry.Registration{Version: registry.Version{Model: "flight-delay", Digest: digest(content), Run: fmt.Sprint(run),
		Step: "train", By: "user:ana", Commit: "3f9d1c2aa0", Lock: digest("lock"), DataVersions: []registry.DataVersion{{Dataset: "flights", Digest: digest("flights")}},
		Tags: map[string]string{"metrics.valid_auc": "0.6612"}}})
	h.must(err)
	return v
}

var rules = []gate.Rule{{Name: "tests-green", Check: "tests.failed == 0"}, {Name: "auc-floor", Check: "metrics.auc >= 0.62"},
	{Name: "equal-opportunity", Check: "fairness.sex.equal_opportunity.max_gap <= 0.10", OnFail: gate.Approve, Why: "both must be found alike"}}

// decide asks the gate about a version; gap decides the last rule.
func (h *house) decide(v registry.Version, auc, gap float64) gate.Decision {
	h.t.Helper()
	d, err := h.pages.Gates.Decide(h.t.Context(), gate.Subject{Ref: v.Ref(), Digest: v.Digest, Run: v.Run, Author: "user:ana"}, rules, gate.Facts{
		"tests.failed": 0, "metrics.auc": auc, "metrics.auc.ci_low": auc - 0.007, "metrics.auc.ci_high": auc + 0.007,
		"fairness.sex.equal_opportunity.max_gap": gap, "fairness.sex.equal_opportunity.max_gap.ci_low": max(0, gap-0.06), "fairness.sex.equal_opportunity.max_gap.ci_high": gap + 0.06}, lastro.System("gate"))
	h.must(err)
	return d
}

// deploy asks for a version and drives the rollout by one tick.
func (h *house) deploy(env string, v registry.Version) {
	h.t.Helper()
	_, _, err := h.pages.Deploys.Deploy(h.t.Context(), deploy.Request{Environment: env, Model: v.Model, Version: v.Number, Digest: v.Digest, By: "user:ana", Why: "",
		Settings: deploy.Settings{Run: v.Run}})
	h.must(err)
	h.tick()
}

func (h *house) tick() {
	h.t.Helper()
	h.must(h.pages.Deploys.Tick(h.t.Context()))
}

// months measures two releases over windows of 30 days. AUC figures are the
// demo's (shared golden numbers), drift is made up.
func (h *house) months() {
	h.t.Helper()
	start := time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC)
	auc := []float64{0.668, 0.673, 0.655, 0.639, 0.627, 0.664, 0.662, 0.637}
	psi := map[string][]float64{"dest": {.031, .060, .068, .087, .112, .090, .091, .074}, "distance": {.007, .018, .022, .022, .024, .029, .024, .27},
		"carrier": {.004, .005, .007, .006, .006, .007, .008, .006}, "scheduled_departure_hour": {.004, .005, .006, .006, .006, .007, .007, .004}}
	var c monitor.Changes
	best := 0.0
	for i, v := range auc {
		release := 1 + i/5
		if i == 5 {
			best = 0
		}
		base := monitor.Measurement{Environment: "local", Release: lastro.NewRef("release", "local", fmt.Sprint(release)), Model: lastro.NewRef("model", "flight-delay", fmt.Sprint(release)),
			Start: start.AddDate(0, 0, 30*i), End: start.AddDate(0, 0, 30*(i+1)), Rows: 27564, Answers: 27700, Observed: 27600, State: monitor.OK, At: noon}
		base.Month = base.Start.AddDate(0, 0, 15).Format("2006-01")
		m := base
		m.ID, m.Kind, m.Name, m.Value, m.CILow, m.CIHigh = fmt.Sprint("p", i), monitor.Performance, "auc", v, ptr(v-0.007), ptr(v+0.007)
		if best > 0 {
			m.Best = ptr(best)
			if v+0.007 < best-0.02 {
				m.State = monitor.Alarm
			}
		}
		best = max(best, v)
		e := base
		e.ID, e.Kind, e.Name, e.Test, e.Value, e.CILow, e.CIHigh = fmt.Sprint("e", i), monitor.Estimated, "auc", "cbpe", 0.66, ptr(0.655), ptr(0.665)
		c.Measurements = append(c.Measurements, m, e)
		for _, column := range []string{"dest", "distance", "carrier", "scheduled_departure_hour"} {
			d := base
			d.ID, d.Kind, d.Name, d.Test, d.Value = fmt.Sprint(column, i), monitor.Drift, column, "psi", psi[column][i]
			if d.Value >= 0.25 {
				d.State = monitor.Alarm
			} else if d.Value >= 0.1 {
				d.State = monitor.Warn
			}
			c.Measurements = append(c.Measurements, d)
		}
	}
	c.Alerts = []monitor.Alert{
		{ID: "performance-1", Environment: "local", Release: "release:local@1", Model: "model:flight-delay@1", Kind: monitor.Performance, Name: "auc", State: monitor.Resolved,
			Title: "auc of model:flight-delay@1 fell: auc 0.639 [0.632, 0.646]", Harm: "measured: 0.034 below the best earlier window (0.673)", Action: "a retrain follows",
			Start: start.AddDate(0, 0, 90), End: start.AddDate(0, 0, 120), OpenedAt: noon.Add(time.Hour)},
		{ID: "drift-1", Environment: "local", Release: "release:local@2", Model: "model:flight-delay@2", Kind: monitor.Drift, State: monitor.Firing,
			Title: "distance (0.27) moved", Moved: []monitor.Moved{{Column: "distance", Value: 0.27, State: monitor.Alarm}}, Harm: "the expected harm is small", Action: "people are told", Start: start.AddDate(0, 0, 210), End: start.AddDate(0, 0, 240), OpenedAt: noon.Add(3 * time.Hour)}}
	c.Retrains = []monitor.Retrain{{ID: "r1", Environment: "local", Alert: "alert:performance-1", Release: "release:local@1", Model: "model:flight-delay@1",
		Reason: "auc fell", NewLabels: 111060, EventTime: start.AddDate(0, 0, 150), At: noon.Add(2 * time.Hour), Run: "run:2"}}
	h.must(h.store.Save(h.t.Context(), c))
}

func ptr(v float64) *float64 { return &v }

var good = deploy.Counts{Requests: 412, P50: 0.004, P95: 0.012, P99: 0.031, Scored: 412, ScoreMean: 0.231, ScoreSD: 0.108}
