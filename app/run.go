// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/project"
	"lastro/registry"
	"lastro/source"
	"lastro/step"
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

	once string // ID of a retrain request, which starts one run only

	Observer pipeline.Observer `json:"-"`
	Notes    func(string)      `json:"-"` // environments being built, warnings
	Working  func(string)      `json:"-"` // what tools print meanwhile, line by line; nil drops it
}

// choice is the part of an event that says which steps were asked for.
const choice = "choice"

// recorded is the event with the choice of steps, so that who takes the run
// over after a crash carries out the same.
func (r RunRequest) recorded() map[string]any {
	if len(r.Only) == 0 && len(r.From) == 0 && !r.NoCache {
		return r.Event
	}
	out := map[string]any{choice: map[string]any{"only": r.Only, "from": r.From, "no_cache": r.NoCache}}
	for k, v := range r.Event {
		out[k] = v
	}
	return out
}

// takeOver is the request that a run was made of.
func takeOver(run pipeline.Run) RunRequest {
	r := RunRequest{Params: run.Params, Event: run.Event, Actor: run.Actor, Commit: takeOverCommit(run)}
	c, _ := run.Event[choice].(map[string]any)
	r.Only, r.From = texts(c["only"]), texts(c["from"])
	r.NoCache, _ = c["no_cache"].(bool)
	return r
}

// texts reads a list of strings that went through JSON.
func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// RunResult is a run with what followed from it.
type RunResult struct {
	Run      pipeline.Run       `json:"run"`
	Steps    []pipeline.StepRun `json:"steps"`
	Version  *registry.Version  `json:"version,omitempty"`
	Decision *gate.Decision     `json:"decision,omitempty"`
	Reused   bool               `json:"reused,omitempty"` // the version and decision were there already
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

// workshop is an engine with the project and tree of files it works on.
type workshop struct {
	project *project.Project
	engine  *pipeline.Engine
	tree    *source.Tree
	git     pipeline.Git
}

// open prepares an engine for a request.
func (h *House) open(ctx context.Context, req RunRequest) (*workshop, error) {
	p, dir := h.Project(), h.Paths.Project
	if p == nil {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0005", Msg: "this server has no project to run", Hint: "start it in the folder that holds lastro.yaml"}
	}
	w := &workshop{project: p, git: h.git(ctx)}
	var err error
	if req.Commit != "" && (req.Commit != w.git.Commit || len(w.git.Changed) > 0) {
		if dir, err = h.checkout(ctx, req.Commit); err != nil {
			return nil, err
		}
		if w.project, err = project.Load(dir); err != nil {
			return nil, err
		}
		w.git = pipeline.Git{Commit: req.Commit, Branch: w.git.Branch, Author: w.git.Author}
	}
	if w.tree, err = source.Open(ctx, dir, h.known); err != nil {
		return nil, err
	}
	w.engine = pipeline.NewEngine(pipeline.Options{
		Store: h.Runs, Blobs: h.Blobs, Datasets: datasets{h: h, project: p, notes: req.Notes}, Runtimes: h.runtimes(dir, req.Notes, req.Working),
		Tracking: h.tracking(), Observer: req.Observer, Expressions: gate.Expressions{}, Clock: h.Clock, Log: h.Log, StateDir: h.Paths.State, Project: dir,
		Kinds: step.Kinds(step.Deps{Exec: h.executor(), Data: h.Data, Champions: championOf{h}, Datasets: w.project}),
	})
	return w, nil
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
	dir := filepath.Join(h.cacheDir(), "commit-"+commit)
	whole := dir + ".whole" // says that the checkout was not cut short by a crash
	_, err := os.Stat(whole)
	_, dirErr := os.Stat(dir)
	if err != nil && dirErr == nil {
		if err := source.RemoveCheckout(ctx, h.Paths.Project, dir); err != nil {
			return "", err
		}
	}
	if err != nil || dirErr != nil {
		if err := source.Checkout(ctx, h.Paths.Project, commit, dir); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(whole, nil, 0o600); err != nil {
		return "", diskError(err)
	}
	return source.ProjectDir(ctx, h.Paths.Project, dir)
}

// Plan says what a run would do, and changes nothing but the store of content.
func (h *House) Plan(ctx context.Context, req RunRequest) (*pipeline.Plan, error) {
	w, err := h.open(ctx, req)
	if err != nil {
		return nil, err
	}
	return h.plan(ctx, w, req)
}

func (h *House) plan(ctx context.Context, w *workshop, req RunRequest) (*pipeline.Plan, error) {
	return w.engine.Plan(ctx, w.project.Pipeline, pipeline.PlanOptions{Only: req.Only, From: req.From, NoCache: req.NoCache,
		Params: req.Params, Git: w.git, Event: req.Event, Actor: req.Actor, Code: w.tree})
}

// Run carries out the pipeline, then decides and registers. One run at a time
// works on a state directory; a second call waits.
func (h *House) Run(ctx context.Context, req RunRequest) (RunResult, error) {
	h.running.Lock()
	defer h.running.Unlock()
	req.Event = req.recorded()
	w, err := h.open(ctx, req)
	if err != nil {
		return RunResult{}, err
	}
	p, err := h.plan(ctx, w, req)
	if err != nil {
		return h.refused(ctx, w, req, err)
	}
	run, err := w.engine.Run(ctx, p)
	if err != nil {
		return RunResult{Run: run}, err
	}
	if saveErr := h.known.Save(); saveErr != nil {
		h.Log.Warn("digests of unchanged files were not kept", "err", saveErr)
	}
	out := RunResult{Run: run}
	if run.State == pipeline.Succeeded {
		if err := h.promote(ctx, &out, w.project, req.Actor); err != nil {
			return out, err
		}
	}
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
	var err error
	run.Number, err = h.Runs.CreateRun(ctx, run, nil, func(n int64) []lastro.Event {
		return []lastro.Event{lastro.NewEvent(now, req.Actor, "run.refused", pipeline.RunRef(n), map[string]string{"reason": reason})}
	})
	return RunResult{Run: run}, errors.Join(cause, err)
}
