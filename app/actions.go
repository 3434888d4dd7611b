// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	queue chan queued

	mu      sync.Mutex
	cancels map[int64]context.CancelCauseFunc
	news    map[string]string // what each environment's monitor saw last
	// troubles are what the loops fail with now, by loop.
	troubles map[string]string
}

// queued is a run that waits for its turn; number gets its number once it has one.
type queued struct {
	ctx    context.Context // of who asked: a run that nobody waits for any more does not begin
	req    RunRequest
	number chan numbered
}

type numbered struct {
	run int64
	err error
}

func newServer(h *House, url string) *server {
	return &server{house: h, url: url, queue: make(chan queued, 100), cancels: map[int64]context.CancelCauseFunc{}, news: map[string]string{}, troubles: map[string]string{}}
}

// submit queues a run and waits until it has a number, cannot start, or ctx
// ends. A run that has begun by then goes on.
func (s *server) submit(ctx context.Context, req RunRequest) (int64, error) {
	q := queued{ctx: ctx, req: req, number: make(chan numbered, 1)}
	select {
	case s.queue <- q:
	default:
		return 0, lastro.Errorf(lastro.EConflict, "a hundred runs wait already")
	}
	select {
	case n := <-q.number:
		return n.run, n.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// StartRun implements api.Actions.
func (s *server) StartRun(ctx context.Context, r api.RunRequest, by lastro.Actor) (int64, error) {
	if err := s.loadNow(ctx); err != nil {
		return 0, err
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
	return RunRequest{Only: r.Only, From: r.From, NoCache: r.NoCache, Params: r.Params, Actor: by, Event: map[string]any{"kind": "person"}}
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

// runLoop carries out queued runs, one after the other.
func (s *server) runLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-s.queue:
			s.carryOut(ctx, q)
		}
	}
}

// carryOut runs one request. When the server stops, the steps go on under
// their supervisor and the next server takes over.
func (s *server) carryOut(ctx context.Context, q queued) {
	if err := q.ctx.Err(); err != nil {
		q.number <- numbered{0, err}
		return
	}
	if run, ok, err := s.house.retrainRun(ctx, q.req.once); ok || err != nil {
		q.number <- numbered{run, err} // asked for twice while the first waited
		return
	}
	ctx, stop := detached(ctx)
	defer stop(nil)
	watch := &numberer{server: s, q: q, stop: stop}
	q.req.Observer = watch
	q.req.Notes = func(line string) { s.house.Log.Info("preparing", "line", line) }
	out, err := s.house.Run(ctx, q.req)
	watch.tell(numbered{out.Run.Number, err})
	s.forget(watch)
	if err != nil && !errors.Is(err, pipeline.ErrDetach) {
		s.house.Log.Error("run stopped", "run", out.Run.Number, "err", err)
		return
	}
	s.follow(ctx, out, time.Time{})
}

// follow offers what a run made to the environments, except those that got a
// release after since (zero = whenever).
func (s *server) follow(ctx context.Context, out RunResult, since time.Time) {
	if out.Decision == nil || out.Decision.Verdict != gate.Passed {
		return
	}
	if err := s.house.offer(ctx, *out.Version, out.Decision.ID, out.Reused, since); err != nil {
		s.house.Log.Error("the version was not offered", "version", out.Version.Ref(), "err", err)
	}
}

// detached is a context whose end tells engines that only this process goes.
func detached(parent context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { cancel(pipeline.ErrDetach) })
	return ctx, func(cause error) { stop(); cancel(cause) }
}

// numberer hears the number of a run that has just begun.
type numberer struct {
	server *server
	q      queued
	stop   context.CancelCauseFunc
	once   sync.Once
	run    int64 // guarded by server.mu
}

func (n *numberer) tell(v numbered) { n.once.Do(func() { n.q.number <- v }) }

// RunChanged implements pipeline.Observer.
func (n *numberer) RunChanged(r pipeline.Run) {
	if r.Number == 0 {
		return
	}
	n.server.mu.Lock()
	n.server.cancels[r.Number] = n.stop
	n.run = r.Number
	n.server.mu.Unlock()
	n.tell(numbered{r.Number, nil})
}

// StepChanged implements pipeline.Observer.
func (n *numberer) StepChanged(pipeline.StepRun) {}

// LogLine implements pipeline.Observer.
func (n *numberer) LogLine(int64, string, int, string) {}

func (s *server) forget(n *numberer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, n.run)
}

// Deciding implements api.Actions.
func (s *server) Deciding(run int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, busy := s.cancels[run]
	return busy
}

// CancelRun implements api.Actions.
func (s *server) CancelRun(_ context.Context, number int64, by lastro.Actor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	stop, ok := s.cancels[number]
	if !ok {
		return lastro.Errorf(lastro.EConflict, "run #%d is not running here", number)
	}
	stop(fmt.Errorf("cancelled by %s", by))
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
