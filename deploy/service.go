// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"lastro"
)

// Request asks for a version to go live.
type Request struct {
	Environment string
	Model       string
	Version     int
	Digest      lastro.Digest
	Settings    Settings
	By          lastro.Actor
	Why         string
}

// Service deploys to environments. Safe for concurrent use within a process;
// one process holds a project's environments (SEMANTICS 2).
type Service struct {
	Store   Store
	Driver  Driver
	Aliases Aliases
	Eval    Evaluator
	// Spec returns what lastro.yaml declares for an environment, false when it
	// does not; an undeclared environment named local is all-at-once.
	Spec  func(environment string) (Spec, bool)
	Clock lastro.Clock
	Log   *slog.Logger

	mu   sync.Mutex // one change at a time
	seen sync.Map   // environment -> Status of the last tick
}

// DefaultAlias is what an environment follows when lastro.yaml does not say.
const DefaultAlias = "champion"

// challenger is the alias of a candidate while its rollout lasts.
const challenger = "challenger"

// Deploy makes a release of the version and starts its rollout: the first one
// all-at-once, later ones by the environment's strategy. The same version as
// the open rollout's or as the champion's is returned as it is. An open
// rollout of another version is superseded.
func (s *Service) Deploy(ctx context.Context, req Request) (Release, Rollout, error) {
	spec, err := s.spec(req)
	if err != nil {
		return Release{}, Rollout{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.history(ctx, req.Environment)
	if err != nil {
		return Release{}, Rollout{}, err
	}
	if rel, r, ok := h.already(req); ok {
		return rel, r, nil
	}
	rel := Release{Environment: req.Environment, Model: req.Model, Version: req.Version, Digest: req.Digest, Settings: req.Settings, Why: req.Why, By: req.By, At: s.Clock.Now()}
	return s.begin(ctx, h, rel, spec.Strategy, spec.RollbackIf, spec.Alias)
}

func (s *Service) spec(req Request) (Spec, error) {
	if _, err := lastro.ParseDigest(string(req.Digest)); err != nil {
		return Spec{}, err
	}
	spec, ok := s.Spec(req.Environment)
	switch {
	case !ok && req.Environment != "local":
		return Spec{}, &lastro.Error{Code: lastro.ENotFound, ID: "L0640", Msg: fmt.Sprintf("lastro.yaml declares no environment %q", req.Environment),
			Hint: "add it under deploy:, or deploy to local, which needs no declaration"}
	case ok && spec.Model != "" && spec.Model != req.Model:
		return Spec{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0641", Pos: spec.Pos,
			Msg: fmt.Sprintf("environment %s serves model %s, not %s", req.Environment, spec.Model, req.Model), Hint: "name another environment, or change its model: in lastro.yaml"}
	}
	if spec.Alias == "" {
		spec.Alias = DefaultAlias
	}
	return spec, nil
}

// begin writes the release and its rollout, and closes the open one.
func (s *Service) begin(ctx context.Context, h history, rel Release, strategy Strategy, rules []string, alias string) (Release, Rollout, error) {
	now := s.Clock.Now()
	var closed []Rollout
	if h.open != nil {
		if h.open.State == Promoting {
			return Release{}, Rollout{}, &lastro.Error{Code: lastro.EConflict, ID: "L0642", Msg: fmt.Sprintf("%s is being promoted in %s at this moment", h.releases[h.open.Release].Name(), rel.Environment), Hint: "try again in a few seconds"}
		}
		old := *h.open
		old.State, old.EndedAt, old.Reason = Superseded, now, fmt.Sprintf("%s came before it was done", rel.Name())
		closed = append(closed, old)
	}
	if strategy.Kind != "canary" {
		strategy.Steps = nil
	}
	r := &Rollout{Environment: rel.Environment, From: h.live.Release, Strategy: strategy, RollbackIf: rules, State: Starting, StepAt: now,
		Generation: h.generation() + 1, Alias: alias, By: rel.By, At: now}
	created, started, err := s.Store.CreateRelease(ctx, rel, r, closed, func(rel Release, r *Rollout) []lastro.Event {
		events := []lastro.Event{
			lastro.NewEvent(now, rel.By, "release.created", rel.Ref(), map[string]any{"model": rel.Name(), "digest": rel.Digest, "equal_to": rel.EqualTo, "why": rel.Why}),
			lastro.NewEvent(now, rel.By, "rollout.started", r.Ref(), map[string]any{"release": rel.Ref(), "model": rel.Name(), "strategy": strategy.Kind, "steps": strategy.Steps}),
		}
		for _, c := range closed {
			events = append(events, lastro.NewEvent(now, rel.By, "rollout.finished", c.Ref(), map[string]any{"state": c.State, "reason": c.Reason}))
		}
		return events
	})
	if err != nil {
		return Release{}, Rollout{}, err
	}
	return created, *started, nil
}

// Rollback ends the open rollout with all requests on the champion or, when
// none is open, makes a release equal to the one before and serves it at once.
// It returns the release that serves afterwards.
func (s *Service) Rollback(ctx context.Context, environment, reason string, by lastro.Actor) (Release, error) {
	rel, err := s.startRollback(ctx, environment, reason, by)
	if err != nil {
		return Release{}, err
	}
	// Not waiting for the next second; if it does not work now, that will.
	if err := s.tickOne(ctx, environment); err != nil {
		s.Log.WarnContext(ctx, "rollback goes on with the next tick", "environment", environment, "err", err)
	}
	return rel, nil
}

func (s *Service) startRollback(ctx context.Context, environment, reason string, by lastro.Actor) (Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.history(ctx, environment)
	if err != nil {
		return Release{}, err
	}
	if len(h.releases) == 0 {
		return Release{}, lastro.Errorf(lastro.ENotFound, "nothing was ever deployed to %s", environment)
	}
	if h.open != nil && h.open.From != 0 && h.open.State != Promoting {
		r := *h.open
		if r.State == RollingBack {
			return *h.releases[r.From], nil
		}
		r = abort(r, reason, s.Clock.Now())
		r.By = by
		err := s.do(ctx, r, []Action{{Unchallenge}})
		if err == nil {
			err = s.Store.UpdateRollout(ctx, r, s.event(by, "rollout.advanced", r))
		}
		return *h.releases[r.From], err
	}
	before, ok := h.before()
	if !ok {
		return Release{}, &lastro.Error{Code: lastro.EConflict, ID: "L0643", Msg: fmt.Sprintf("%s has no earlier release to go back to", environment), Hint: "deploy another version: lastro deploy " + environment}
	}
	now := s.Clock.Now()
	rel := before
	rel.Number, rel.EqualTo, rel.Why, rel.By, rel.At = 0, before.Number, reason, by, now
	if before.EqualTo != 0 {
		rel.EqualTo = before.EqualTo
	}
	alias := DefaultAlias
	if spec, ok := s.Spec(environment); ok && spec.Alias != "" {
		alias = spec.Alias
	}
	rel, _, err = s.begin(ctx, h, rel, Strategy{Kind: "all-at-once"}, nil, alias)
	return rel, err
}

// View is what is live in an environment.
type View struct {
	Environment string   `json:"environment"`
	Champion    *Release `json:"champion,omitempty"`
	Rollout     *Rollout `json:"rollout,omitempty"` // the open one, else the newest
	Candidate   *Release `json:"candidate,omitempty"`
	Status      Status   `json:"status"` // as the last Tick saw it
}

// Current says what an environment serves; ENotFound for one without releases.
func (s *Service) Current(ctx context.Context, environment string) (View, error) {
	h, err := s.history(ctx, environment)
	if err != nil {
		return View{}, err
	}
	if len(h.releases) == 0 {
		return View{}, &lastro.Error{Code: lastro.ENotFound, Msg: fmt.Sprintf("nothing was deployed to %s yet", environment), Hint: "lastro deploy " + environment}
	}
	v := View{Environment: environment, Champion: h.releases[h.live.Release], Rollout: h.newest}
	if h.open != nil {
		v.Candidate = h.releases[h.open.Release]
	}
	if status, ok := s.seen.Load(environment); ok {
		v.Status = status.(Status)
	}
	return v, nil
}

// history is what the store knows of one environment.
type history struct {
	live     Live
	releases map[int]*Release
	rollouts []Rollout // newest first
	newest   *Rollout
	open     *Rollout
}

func (s *Service) history(ctx context.Context, environment string) (history, error) {
	h := history{releases: map[int]*Release{}}
	releases, err := s.Store.Releases(ctx, environment, 200)
	if err != nil {
		return h, err
	}
	for i := range releases {
		h.releases[releases[i].Number] = &releases[i]
	}
	if h.rollouts, err = s.Store.Rollouts(ctx, environment, 200); err != nil {
		return h, err
	}
	if len(h.rollouts) > 0 {
		h.newest = &h.rollouts[0]
		if h.newest.State.Open() {
			h.open = h.newest
		}
	}
	h.live, err = s.Store.Current(ctx, environment)
	if lastro.Is(err, lastro.ENotFound) {
		err = nil
	}
	return h, err
}

// generation is the highest one that was given out.
func (h history) generation() int64 {
	g := h.live.Generation
	for _, r := range h.rollouts {
		g = max(g, r.Generation)
	}
	return g
}

// already finds the request done or under way.
func (h history) already(req Request) (Release, Rollout, bool) {
	number := h.live.Release
	if h.open != nil {
		number = h.open.Release
	}
	rel := h.releases[number]
	if rel == nil || h.newest == nil || rel.Digest != req.Digest || rel.Version != req.Version || rel.Model != req.Model || !sameSettings(rel.Settings, req.Settings) {
		return Release{}, Rollout{}, false
	}
	if h.open != nil && h.open.State == RollingBack {
		return Release{}, Rollout{}, false
	}
	return *rel, *h.newest, true
}

func sameSettings(a, b Settings) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// before is the newest release that was live before the present one and is
// something else. Going back twice goes back two.
func (h history) before() (Release, bool) {
	live := h.releases[h.live.Release]
	if live == nil {
		return Release{}, false
	}
	base := live.Number
	if live.EqualTo != 0 {
		base = live.EqualTo
	}
	for _, r := range h.rollouts {
		if rel := h.releases[r.Release]; r.State == Succeeded && rel != nil && rel.Number < base && rel.EqualTo == 0 && (rel.Digest != live.Digest || !sameSettings(rel.Settings, live.Settings)) {
			return *rel, true
		}
	}
	return Release{}, false
}

func (s *Service) event(by lastro.Actor, verb string, r Rollout) lastro.Event {
	return lastro.NewEvent(s.Clock.Now(), by, verb, r.Ref(), map[string]any{"state": r.State, "step": r.Step, "share": r.Share(), "reason": r.Reason,
		"release": lastro.NewRef("release", r.Environment, fmt.Sprint(r.Release))})
}

// do carries out a state's actions. All of them may be done again.
func (s *Service) do(ctx context.Context, r Rollout, actions []Action) error {
	if len(actions) == 0 {
		return nil
	}
	rel, err := s.Store.Release(ctx, r.Environment, r.Release)
	if err != nil {
		return err
	}
	why := string(r.Ref())
	for _, a := range actions {
		switch a.Kind {
		case Challenge:
			err = s.Aliases.Point(ctx, rel.Model, challenger, rel.Version, lastro.System("deploy"), why)
		case Unchallenge:
			err = s.Aliases.Point(ctx, rel.Model, challenger, 0, lastro.System("deploy"), why)
		case Promote:
			err = s.Aliases.Point(ctx, rel.Model, r.Alias, rel.Version, r.By, why)
		case PutBack:
			err = s.putBack(ctx, r, rel, why)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.Kind, err)
		}
	}
	return nil
}

func (s *Service) putBack(ctx context.Context, r Rollout, rel Release, why string) error {
	version := 0
	if r.From != 0 {
		from, err := s.Store.Release(ctx, r.Environment, r.From)
		if err != nil {
			return err
		}
		version = from.Version
	}
	return s.Aliases.Point(ctx, rel.Model, r.Alias, version, lastro.System("deploy"), why)
}

// Tick drives every environment by one step: it applies what should be served,
// reads the figures and advances open rollouts. Call it each second.
func (s *Service) Tick(ctx context.Context) error {
	names, err := s.Store.Environments(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := s.tickOne(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
