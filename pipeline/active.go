// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"sync"
)

// active is a run of which this engine carries out cells, or may.
type active struct {
	e    *Engine
	run  Run
	plan *Plan
	work *workspaces
	obs  Observer
	seen sync.Mutex // one call of the observer at a time
	mine bool       // submitted or resumed here, not opened for another engine

	ctx  context.Context // ends when the run is cancelled
	stop context.CancelCauseFunc

	mu     sync.Mutex
	cells  int                 // that this engine is carrying out
	over   bool                // the run has ended
	chosen map[string]*StepRun // rows whose outputs go on, by step
}

// newActive makes a run known; nil obs is the engine's own observer.
func newActive(e *Engine, r Run, p *Plan, obs Observer) *active {
	if obs == nil {
		obs = e.o.Observer
	}
	a := &active{e: e, run: r, plan: p, obs: obs, chosen: map[string]*StepRun{}}
	a.work = newWorkspaces(e.o.StateDir, r.Number, e.ended)
	a.ctx, a.stop = context.WithCancelCause(context.Background())
	return a
}

// activate returns the run of a claimed cell, opened when it is another
// engine's or of before a restart.
func (e *Engine) activate(ctx context.Context, number int64) (*active, error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	known := e.at(number)
	if known != nil && known.ctx.Err() == nil {
		return known, nil
	}
	r, err := e.o.Store.Run(ctx, number)
	if err != nil {
		return nil, err
	}
	if known != nil && r.Stop != "" {
		return known, nil
	} // else another engine ended it after it was cancelled, and it is tried again
	shop, err := e.open(ctx, r)
	if err != nil {
		return nil, err
	}
	p, err := e.replan(ctx, shop, r)
	if err != nil {
		return nil, err
	}
	a := newActive(e, r, p, nil)
	e.add(a)
	// Asked last: who cancels it from here on finds it above.
	stopping, err := e.o.Store.Stopping(ctx)
	if err != nil {
		return nil, err
	}
	if why, ok := stopping[number]; ok {
		a.stop(errors.New(why))
	}
	return a, nil
}

// enter notes that a cell is being carried out, until leave is called. The last
// one to leave a run that is over removes what it does not need any more.
func (a *active) enter() (leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cells++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.cells--; a.over && a.cells == 0 {
			a.work.finish()
		}
	}
}

// ended notes that the run is over.
func (a *active) ended() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over = true; a.cells == 0 {
		a.work.finish()
	}
}

// outputsOf returns the row of a step whose outputs go on; nil when it has
// none, as a matrix without select.
func (a *active) outputsOf(ctx context.Context, step string) (*StepRun, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.chosen[step]; s != nil {
		return s, nil
	}
	s, ok, err := a.e.o.Store.Chosen(ctx, a.run.Number, step)
	if err != nil || !ok {
		return nil, err
	}
	a.chosen[step] = &s
	return &s, nil
}

// choose remembers a committed row whose outputs go on, so that nobody who
// needs them has to ask.
func (a *active) choose(s StepRun) {
	if !s.Selected || !s.State.OK() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.chosen[s.Step] = &s
}

// tidyEnded does what an engine may have died before: between committing the
// end of a step and tidying up after it.
func (a *active) tidyEnded(ctx context.Context, s StepRun) {
	if s.State != Succeeded {
		return
	}
	a.work.remove(a.work.path(s))
	kind, err := a.plan.shop.kind(StepSpec{Kind: s.Kind})
	if k, ok := kind.(Resumable); err == nil && ok {
		id := taskID(s.Run, s.Step, s.Cell, s.Attempt)
		if err := k.Forget(ctx, id); err != nil {
			a.e.o.Log.WarnContext(ctx, "task was not forgotten", "task", id, "err", err)
		}
	}
}

func (a *active) observe(s StepRun) {
	if a.obs != nil {
		a.seen.Lock()
		defer a.seen.Unlock()
		a.obs.StepChanged(s)
	}
}

func (a *active) observeRun(r Run) {
	if a.obs != nil {
		a.seen.Lock()
		defer a.seen.Unlock()
		a.obs.RunChanged(r)
	}
}

// tell reports a run that was submitted.
func (a *active) tell(r Run, c Changed) {
	a.observeRun(r)
	for _, s := range c.Steps {
		a.choose(s)
		a.observe(s)
	}
}
