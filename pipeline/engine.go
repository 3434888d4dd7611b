// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"

	"lastro"
)

// Options are what an engine works with. Store, Blobs, Kinds, StateDir and
// Project are needed; the rest may be nil.
type Options struct {
	Store       Store
	Blobs       Blobs
	Kinds       []Kind
	Datasets    Datasets
	Runtimes    Runtimes
	Tracking    Tracking
	Observer    Observer
	Expressions Evaluator // nil = dotted names only
	Clock       lastro.Clock
	Log         *slog.Logger
	StateDir    string // absolute; holds work/ and logs/
	Project     string // absolute path of the project's root
	Parallel    int    // cells at once; 0 = as many as there are processors
}

// Engine plans and carries out runs. One process at a time may own a state
// directory's engine. It is safe for concurrent use.
type Engine struct {
	o     Options
	kinds map[string]Kind

	mu      sync.Mutex
	live    map[int64]bool // runs that this engine carries out
	prepare sync.Mutex     // one environment is built at a time
	hiding  sync.Mutex     // one copy without sensitive columns is made at a time
}

// NewEngine returns an engine.
func NewEngine(o Options) *Engine {
	if o.Clock == nil {
		o.Clock = lastro.SystemClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.NumCPU()
	}
	e := &Engine{o: o, kinds: map[string]Kind{}, live: map[int64]bool{}}
	for _, k := range o.Kinds {
		e.kinds[k.Name()] = k
	}
	return e
}

// Run carries out a plan to its end and returns the run. A run of an engine
// that died with the same plan goes on instead of a new one; those of the
// project with another plan end errored (lost). The error is about the
// engine's own trouble; a run whose work failed is no error: see Run.Err. When
// ctx ends, steps are stopped and the run ends cancelled, unless the cause is
// ErrDetach.
func (e *Engine) Run(ctx context.Context, p *Plan) (Run, error) {
	r, err := e.begin(ctx, p)
	if err != nil {
		return Run{}, err
	}
	defer e.release(r.run.Number)
	return r.carryOut(ctx)
}

// Started is Run that returns once the run has its number; wait returns how
// it ended and must be called.
func (e *Engine) Started(ctx context.Context, p *Plan) (run Run, wait func() (Run, error), err error) {
	r, err := e.begin(ctx, p)
	if err != nil {
		return Run{}, nil, err
	}
	var end Run
	var endErr error
	done := make(chan struct{})
	run = r.run
	go func() {
		defer close(done)
		defer e.release(run.Number)
		end, endErr = r.carryOut(ctx)
	}()
	return run, func() (Run, error) { <-done; return end, endErr }, nil
}

// begin finds the run that goes on or makes a new one.
func (e *Engine) begin(ctx context.Context, p *Plan) (*runner, error) {
	old, err := e.resumable(ctx, p)
	if err != nil {
		return nil, err
	}
	r := newRunner(e, p)
	if old != nil {
		err = r.takeOver(ctx, *old)
	} else {
		err = r.create(ctx)
	}
	if err != nil {
		e.release(r.run.Number)
		return nil, err
	}
	return r, nil
}

func (e *Engine) claim(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live[number] = true
}

func (e *Engine) release(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, number)
}

func (e *Engine) isLive(number int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live[number]
}

// Unfinished returns the runs that an engine left behind when it died, newest first.
func (e *Engine) Unfinished(ctx context.Context) ([]Run, error) {
	runs, err := e.o.Store.Runs(ctx, RunFilter{Unfinished: true, Limit: 1000})
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Run
	for _, r := range runs {
		if !e.live[r.Number] {
			out = append(out, r)
		}
	}
	return out, nil
}

// resumable claims the newest run of a dead engine with this plan, and ends
// the others of the project.
func (e *Engine) resumable(ctx context.Context, p *Plan) (*Run, error) {
	left, err := e.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	var found *Run
	for _, r := range left {
		if r.Project != p.Spec.Project {
			continue
		}
		if found == nil && r.PlanDigest == p.Digest {
			found = &r
			e.claim(r.Number)
			continue
		}
		if err := e.lose(ctx, r); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Abandon ends the runs that a dead engine left behind as errored (lost),
// except those with the plan digest keep ("" = none).
func (e *Engine) Abandon(ctx context.Context, keep lastro.Digest) error {
	left, err := e.Unfinished(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range left {
		if keep == "" || r.PlanDigest != keep {
			errs = append(errs, e.lose(ctx, r))
		}
	}
	return errors.Join(errs...)
}

// lose ends a run that nobody will resume: its processes are stopped, what ran
// ends errored, what waited is skipped.
func (e *Engine) lose(ctx context.Context, r Run) error {
	const why = "lost: lastro ended in mid-run, and what came next had another plan"
	steps, err := e.o.Store.StepRuns(ctx, r.Number)
	if err != nil {
		return err
	}
	now := e.o.Clock.Now()
	var changed []StepRun
	var events []lastro.Event
	for _, s := range steps {
		switch s.State {
		case Running, Waiting:
			s.State = Errored
			s.Error = &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: why}
			e.stop(ctx, s, why)
		case Pending:
			s.State, s.StartedAt = Skipped, now
		default:
			continue
		}
		s.Reason, s.EndedAt = why, now
		changed = append(changed, s)
		events = append(events, stepEvent(s, now))
	}
	r.State, r.Reason, r.EndedAt = Errored, why, now
	events = append(events, runEvent(r, "run.finished", now))
	return e.o.Store.Record(ctx, &r, changed, events...)
}

// stop ends the work of a step run that an executor may still carry out. A
// built-in may have had a task made by another kind, so all are asked.
func (e *Engine) stop(ctx context.Context, s StepRun, why string) {
	id := taskID(s.Run, s.Step, s.Cell, s.Attempt)
	for _, kind := range e.o.Kinds {
		k, ok := kind.(Resumable)
		if !ok {
			continue
		}
		if err := k.Stop(ctx, id, why); err != nil {
			e.o.Log.WarnContext(ctx, "lost step was not stopped", "task", id, "err", err)
		}
		if err := k.Forget(ctx, id); err != nil {
			e.o.Log.DebugContext(ctx, "lost step was not forgotten", "task", id, "err", err)
		}
	}
}

func taskID(run int64, step string, cell, attempt int) string {
	return fmt.Sprintf("%d-%s-%d", run, cellName(step, cell), attempt)
}

// LogPath returns the absolute path of a step run's log; "" when there is none.
func (e *Engine) LogPath(s StepRun) string {
	if s.Log == "" {
		return ""
	}
	return filepath.Join(e.o.StateDir, filepath.FromSlash(s.Log))
}
