// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"lastro"
	"lastro/api"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/project"
	"lastro/store"
)

var runFilterOne = pipeline.RunFilter{Limit: 1}

// server is a living `lastro up`: the actions behind its doors and its loops.
type server struct {
	house *House
	url   string
	queue chan followed

	keepAll bool // nothing is removed by itself

	// The run of one cause is started at a time, and of one of git.
	starting, startingGit sync.Mutex

	mu   sync.Mutex
	busy map[int64]bool    // runs that are under way, or being decided on
	news map[string]string // what each environment's monitor saw last
	// troubles are what the loops fail with now, by loop.
	troubles map[string]string
}

// followed is a run whose end has consequences: its model is decided on and
// offered to the environments.
type followed struct {
	run     int64
	project *project.Project
	actor   lastro.Actor
	tidy    func() // to be called once the run has ended; nil = nothing is to be done
}

func newServer(h *House, url string) *server {
	return &server{house: h, url: url, queue: make(chan followed, 100), busy: map[int64]bool{}, news: map[string]string{}, troubles: map[string]string{}}
}

// submit plans and queues a run and returns its number; it is carried out
// whether or not anybody waits for it.
func (s *server) submit(ctx context.Context, req RunRequest) (int64, error) {
	h := s.house
	h.running.Lock()
	defer h.running.Unlock()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if req.Notes == nil {
		req.Notes = func(line string) { h.Log.Info("preparing", "line", line) }
	}
	w, err := h.workshop(ctx, req)
	if err != nil {
		return 0, err
	}
	p, err := h.plan(ctx, w, req)
	if err != nil {
		out, err := h.refused(ctx, w, req, err)
		return out.Run.Number, err
	}
	run, err := h.engine().Submit(ctx, p, nil)
	if err != nil {
		return 0, err
	}
	s.setBusy(run.Number, true)
	s.queue <- followed{run: run.Number, project: w.project, actor: req.Actor}
	return run.Number, nil
}

func (s *server) setBusy(run int64, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[run] = is; !is {
		delete(s.busy, run)
	}
}

// StartRun implements api.Actions.
func (s *server) StartRun(ctx context.Context, r api.RunRequest, by lastro.Actor) (int64, error) {
	if err := s.loadNow(ctx); err != nil {
		return 0, err
	}
	if p := s.house.Project(); p != nil && !p.Trigger.Manual {
		return 0, errNotManual
	} else if p != nil && r.Key != "" {
		return s.startKeyed(ctx, p, r.Key, r, by)
	}
	return s.submit(ctx, requestOf(r, by))
}

// Plan implements api.Actions.
func (s *server) Plan(ctx context.Context, r api.RunRequest, by lastro.Actor) (*pipeline.Plan, error) {
	if err := s.loadNow(ctx); err != nil {
		return nil, err
	}
	return s.house.Plan(ctx, requestOf(r, by))
}

func requestOf(r api.RunRequest, by lastro.Actor) RunRequest {
	return RunRequest{Only: r.Only, From: r.From, NoCache: r.NoCache, Params: r.Params, Strict: r.Strict, Actor: by, Event: map[string]any{"kind": "person"}}
}

// loadNow makes lastro.yaml as it is on disk the one in force: who asks for a
// run means the file that they have just saved.
func (s *server) loadNow(ctx context.Context) error {
	h := s.house
	if h.Project() == nil {
		return nil
	}
	p, err := project.Load(h.Paths.Project)
	if err != nil {
		return err
	}
	return h.use(ctx, p)
}

// runLoop lets the engine work and follows the runs that were submitted. When
// the server stops, steps go on under their supervisor and the next server
// takes over.
func (s *server) runLoop(ctx context.Context) error {
	var runs sync.WaitGroup
	defer runs.Wait()
	runs.Go(func() {
		_ = s.every(ctx, time.Second, 30*time.Second, "the engine", s.house.engine().Work)
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.queue:
			runs.Go(func() { s.conclude(ctx, f) })
		}
	}
}

// conclude waits for the end of a run and does what follows from it.
func (s *server) conclude(ctx context.Context, f followed) {
	defer s.setBusy(f.run, false)
	if f.tidy != nil {
		defer f.tidy()
	}
	h := s.house
	run, err := h.engine().Wait(ctx, f.run)
	for err != nil {
		select { // the engine had trouble, which it says itself, and begins again
		case <-ctx.Done():
			return // the next server goes on
		case <-time.After(time.Second):
		}
		run, err = h.engine().Wait(ctx, f.run)
	}
	h.running.Lock()
	out, err := h.conclude(ctx, run, f.project, f.actor)
	h.running.Unlock()
	if err != nil {
		h.Log.Error("the run was not decided", "run", run.Ref(), "err", err)
		return
	}
	s.follow(ctx, out, time.Time{})
}

// follow offers what a run made to the environments, except those that got a
// release after since (zero = whenever).
func (s *server) follow(ctx context.Context, out RunResult, since time.Time) {
	if out.Decision == nil || out.Decision.Verdict != gate.Passed || out.elsewhere {
		return
	}
	if err := s.house.offer(ctx, *out.Version, out.Decision.ID, out.Reused, since); err != nil {
		s.house.Log.Error("the version was not offered", "version", out.Version.Ref(), "err", err)
	}
}

// Deciding implements api.Actions.
func (s *server) Deciding(run int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[run]
}

// CancelRun ends a run for somebody who gives no reason.
func (s *server) CancelRun(ctx context.Context, number int64, by lastro.Actor) error {
	return s.CancelBecause(ctx, number, by, "")
}

// CancelBecause implements api.Actions.
func (s *server) CancelBecause(ctx context.Context, number int64, by lastro.Actor, why string) error {
	text := fmt.Sprintf("cancelled by %s", by)
	if why = strings.TrimSpace(why); why != "" {
		text += ": " + why
	}
	return s.house.engine().Cancel(ctx, number, text)
}

// RetryRun implements api.Actions.
func (s *server) RetryRun(ctx context.Context, number int64, by lastro.Actor) error {
	h := s.house
	if err := h.mayRetry(ctx, number); err != nil {
		return err
	}
	run, err := h.Runs.Run(ctx, number)
	if err != nil {
		return err
	}
	w, err := h.recorded(ctx, run)
	if err != nil {
		return err
	}
	if err := h.engine().Retry(ctx, number, by); err != nil {
		return err
	}
	s.setBusy(number, true)
	s.queue <- followed{run: number, project: w.project, actor: run.Actor}
	return nil
}

// Release implements api.Actions.
func (s *server) Release(ctx context.Context, environment, model string, version int, by lastro.Actor, why string) (deploy.Release, deploy.Rollout, error) {
	if s.house.Project() != nil {
		if _, ok := s.house.Project().Environment(environment); !ok {
			return deploy.Release{}, deploy.Rollout{}, lastro.Errorf(lastro.ENotFound, "lastro.yaml declares no environment %q", environment)
		}
	}
	return s.house.Release(ctx, environment, model, version, by, why)
}

// Rollback implements api.Actions.
func (s *server) Rollback(ctx context.Context, environment, reason string, by lastro.Actor) (deploy.Release, error) {
	return s.house.Deploys.Rollback(ctx, environment, reason, by)
}

// Waive implements api.Actions.
func (s *server) Waive(ctx context.Context, r gate.WaiveRequest) (gate.Waiver, error) {
	return s.house.Waive(ctx, r)
}

// Waive grants a waiver by a person with a name. When nothing else stands in
// the way the version becomes candidate and is offered to the environments.
func (h *House) Waive(ctx context.Context, r gate.WaiveRequest) (gate.Waiver, error) {
	if r.Actor == lastro.Actor("user:"+localUser) {
		return gate.Waiver{}, &lastro.Error{Code: lastro.EDenied, ID: "L0556", Msg: "a waiver carries a person's name, and the local user is nobody in particular",
			Hint: "lastro user add ana --role approver\nlastro token create --user ana\nthen LASTRO_TOKEN=... lastro approve"}
	}
	w, err := h.Gates.Waive(ctx, r)
	if err != nil {
		return w, err
	}
	d, err := h.Gates.Get(ctx, r.Decision)
	if err != nil {
		return w, err
	}
	_, model, _ := d.Subject.Ref.Parts()
	if ok, _, err := h.Gates.Allows(ctx, model, d.Subject.Digest, h.Clock.Now()); err != nil || !ok {
		return w, err
	}
	v, err := h.versionOf(ctx, d.Subject.Ref)
	if err != nil {
		return w, err
	}
	if err := h.Registry.SetAlias(ctx, lastro.System("gate"), v.Model, "candidate", v.Number, d.ID); err != nil {
		return w, err
	}
	// The waiver stands whatever becomes of the offer, which can be made again: lastro deploy.
	if err := h.offer(ctx, v, d.ID, true, d.At); err != nil {
		h.Log.Error("the version was not offered", "version", v.Ref(), "err", err)
	}
	return w, nil
}

// Evaluate implements api.Actions.
func (s *server) Evaluate(ctx context.Context, environment string) (monitor.Report, error) {
	for _, spec := range s.house.monitors() {
		if spec.Environment == environment {
			return s.house.Monitors.Evaluate(ctx, spec, s.house.Clock.Now())
		}
	}
	return monitor.Report{}, lastro.Errorf(lastro.ENotFound, "lastro.yaml has no monitor for %q", environment)
}

func (h *House) monitors() []monitor.Spec {
	if h.Project() == nil {
		return nil
	}
	return h.Project().Monitors
}

func didYouMean(name string, names []string) string {
	if near := lastro.Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// Events implements api.Actions.
func (s *server) Events(ctx context.Context, after int64, subject lastro.Ref, limit int) ([]lastro.Event, error) {
	return s.house.DB.Events(ctx, store.EventFilter{After: after, Subject: subject, Limit: limit})
}

// Status implements api.Actions.
func (s *server) Status() api.Status {
	st := api.Status{Version: Version, Project: s.projectName(), URL: s.url}
	s.mu.Lock()
	st.Troubles = maps.Clone(s.troubles)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if names, err := s.house.Deploys.Store.Environments(ctx); err == nil && len(names) > 0 {
		if v, err := s.house.Deploys.Current(ctx, names[0]); err == nil {
			st.Inference = v.Status.Address
		}
	}
	return st
}
