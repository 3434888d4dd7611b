// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/project"
	"lastro/registry"
	"lastro/source"
)

// RunRequest is what a person or trigger asks for.
type RunRequest struct {
	Only    []string       `json:"only,omitempty"`
	From    []string       `json:"from,omitempty"`
	NoCache bool           `json:"no_cache,omitempty"`
	Params  map[string]any `json:"params,omitempty"`
	Event   map[string]any `json:"event,omitempty"`
	Actor   lastro.Actor   `json:"-"`
	// Commit runs the code of an older commit; "" = the folder as it is.
	Commit string `json:"commit,omitempty"`
	Strict bool   `json:"strict,omitempty"` // steps write to their workspace only and reach no network but tracking

	Scope     pipeline.Scope `json:"-"` // part of the cache that it writes to
	Untrusted bool           `json:"-"` // a stranger's code: no secrets, nothing registered
	Base      string         `json:"-"` // of a fork: the commit that its pipeline file and gates come from

	Observer pipeline.Observer `json:"-"`
	Notes    func(string)      `json:"-"` // environments being built, warnings
	Working  func(string)      `json:"-"` // what tools print meanwhile, line by line; nil drops it
}

// RunResult is a run with what followed from it.
type RunResult struct {
	Run      pipeline.Run       `json:"run"`
	Steps    []pipeline.StepRun `json:"steps"`
	Version  *registry.Version  `json:"version,omitempty"`
	Decision *gate.Decision     `json:"decision,omitempty"`
	Reused   bool               `json:"reused,omitempty"` // the version and decision were there already

	elsewhere bool // another server decided, and offers the version
}

// Err is nil when all went well; otherwise it has the code that decides the
// exit status: the failed step, the gate that said no, the person waited for.
func (r RunResult) Err() error {
	if err := r.Run.Err(); err != nil {
		return err
	}
	if r.Decision == nil {
		return nil
	}
	switch r.Decision.Verdict {
	case gate.Failed:
		return &lastro.Error{Code: lastro.EGate, ID: "L0553", Msg: fmt.Sprintf("the gate refused %s@%d (%s)", r.Version.Model, r.Version.Number, r.Decision.ID),
			Hint: fmt.Sprintf("lastro why %s@%d", r.Version.Model, r.Version.Number)}
	case gate.Waiting:
		return &lastro.Error{Code: lastro.EWaiting, ID: "L0554", Msg: fmt.Sprintf("%s@%d waits for a person (%s)", r.Version.Model, r.Version.Number, r.Decision.ID),
			Hint: "lastro approve " + r.Decision.ID}
	}
	return nil
}

// options are what a request asks of the run itself.
func (r RunRequest) options() pipeline.RunOptions {
	return pipeline.RunOptions{Only: r.Only, From: r.From, NoCache: r.NoCache, Strict: r.Strict, Scope: r.Scope, Untrusted: r.Untrusted}
}

// git reads the facts of the project's commit; zero without git.
func (h *House) git(ctx context.Context) pipeline.Git {
	if h.Paths.Project == "" {
		return pipeline.Git{}
	}
	tree, err := source.Open(ctx, h.Paths.Project, h.known)
	if err != nil {
		return pipeline.Git{}
	}
	g, err := tree.Facts(ctx)
	if err != nil {
		return pipeline.Git{}
	}
	return pipeline.Git{Commit: g.Commit, Branch: g.Branch, Author: g.Author, Changed: g.Changed}
}

// checkout unpacks an older commit, once, and returns the project's folder in it.
func (h *House) checkout(ctx context.Context, commit string) (string, error) {
	return h.unpack(ctx, commit, "commit-"+commit, func(string) error { return nil })
}

// Plan says what a run would do, and changes nothing but the store of content.
func (h *House) Plan(ctx context.Context, req RunRequest) (*pipeline.Plan, error) {
	w, err := h.workshop(ctx, req)
	if err != nil {
		return nil, err
	}
	return h.plan(ctx, w, req)
}

func (h *House) plan(ctx context.Context, w *workshop, req RunRequest) (*pipeline.Plan, error) {
	if err := enforceable(w.project.Pipeline, req.Strict); err != nil {
		return nil, err
	}
	return h.engine().Plan(ctx, w.shop, w.project.Pipeline, pipeline.PlanOptions{RunOptions: req.options(), Params: req.Params, Git: w.git,
		Event: req.Event, Actor: req.Actor, Keep: keep(w.project)})
}

// Run carries out the pipeline, then decides and registers. One run of a
// command works on a state directory; a second call waits.
func (h *House) Run(ctx context.Context, req RunRequest) (RunResult, error) {
	h.running.Lock()
	defer h.running.Unlock()
	// A command lives for one run: memory that is looked through less often costs it less than time.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	w, err := h.workshop(ctx, req)
	if err != nil {
		return RunResult{}, err
	}
	p, err := h.plan(ctx, w, req)
	if err != nil {
		return h.refused(ctx, w, req, err)
	}
	run, err := h.engine().Run(ctx, p, req.Observer)
	if err != nil {
		return RunResult{Run: run}, err
	}
	return h.conclude(ctx, run, w.project, req.Actor)
}

// conclude does what follows from a run that has ended: its model is registered
// and decided on.
func (h *House) conclude(ctx context.Context, run pipeline.Run, p *project.Project, actor lastro.Actor) (RunResult, error) {
	if err := h.known.Save(); err != nil {
		h.Log.Warn("digests of unchanged files were not kept", "err", err)
	}
	out := RunResult{Run: run}
	if run.State == pipeline.Succeeded && registers(run) {
		if err := h.decideOnce(ctx, &out, p, actor); err != nil {
			return out, err
		}
	}
	var err error
	out.Steps, err = h.Runs.StepRuns(ctx, run.Number)
	return out, err
}

// refused records a run that a contract stopped before its first step, so that
// it can be seen later; other errors of planning leave nothing behind.
func (h *House) refused(ctx context.Context, w *workshop, req RunRequest, cause error) (RunResult, error) {
	if !lastro.Is(cause, lastro.EFailed) {
		return RunResult{}, cause
	}
	now := h.Clock.Now()
	reason := cause.Error()
	var e *lastro.Error
	if errors.As(cause, &e) {
		reason = e.Msg
	}
	run := pipeline.Run{Project: w.project.Name, State: pipeline.Failed, Reason: reason, Spec: w.project.Pipeline, Git: w.git,
		Event: req.Event, Actor: req.Actor, StartedAt: now, EndedAt: now}
	err := h.Runs.Change(ctx, func(tx pipeline.Tx) (err error) {
		if run.Number, err = tx.CreateRun(ctx, run, nil, nil); err == nil {
			tx.Emit(lastro.NewEvent(now, req.Actor, "run.refused", run.Ref(), map[string]string{"reason": reason}))
		}
		return err
	})
	return RunResult{Run: run}, errors.Join(cause, err)
}
