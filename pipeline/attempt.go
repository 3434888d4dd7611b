// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"lastro"
)

// defaultTimeout ends steps that say nothing about it.
const defaultTimeout = 24 * time.Hour

// attempt is one try at one cell, in its own goroutine.
type attempt struct {
	r    *runner
	plan *PlanStep
	cell *PlanCell
	kind Kind
	row  StepRun
	job  *Job
	log  *os.File

	free func() // gives the place among the parallel cells to the next
}

// cell carries a cell to its end and reports it.
func (r *runner) cell(ctx context.Context, ps *PlanStep, c *PlanCell) {
	row, trouble := r.try(ctx, ps, c)
	r.ended <- outcome{row, trouble}
}

// try looks for the cell in the cache and else works at it: what a dead engine
// had begun goes on where that is possible, and lost work is tried once more.
func (r *runner) try(ctx context.Context, ps *PlanStep, c *PlanCell) (StepRun, error) {
	row := r.first(ps, c, r.e.o.Clock.Now())
	row.State = Pending
	kind, err := r.e.kind(ps.Spec)
	if err == nil {
		err = r.resolve(ctx, c)
	}
	if err != nil {
		return r.refuse(ctx, row, err)
	}
	row.Key, row.Ingredients, row.Inputs, row.Reason = c.Key, c.ingredients, jobInputs(c), c.Why
	prior, begun := r.prior[cellName(row.Step, row.Cell)]
	if !begun && c.hit != nil {
		return r.hit(row, c)
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return row, nil
	}
	free := sync.OnceFunc(func() { <-r.slots })
	defer free()
	if begun {
		a := &attempt{r: r, plan: ps, cell: c, kind: kind, row: prior, free: free}
		again, over, err := a.reattach(ctx, row)
		if err != nil || over {
			return again, err
		}
		row = again
	}
	for retried := false; ; retried = true {
		a := &attempt{r: r, plan: ps, cell: c, kind: kind, row: row, free: free}
		lost, err := a.work(ctx)
		if err != nil || !lost || retried {
			return a.row, err
		}
		row.Attempt = a.row.Attempt + 1
		row.Reason = "lost, tried again"
	}
}

// hit records that another run did the work.
func (r *runner) hit(row StepRun, c *PlanCell) (StepRun, error) {
	now := r.e.o.Clock.Now()
	row = fromCache(row, c, c.hit, now)
	row.Selected = len(c.Values) == 0
	err := <-r.rec.save(nil, []StepRun{row}, stepEvent(row, now))
	r.observe(row)
	return row, err
}

// refuse ends a cell that could not begin.
func (r *runner) refuse(ctx context.Context, row StepRun, err error) (StepRun, error) {
	if ctx.Err() != nil {
		return row, nil // still pending: conclude cancels it
	}
	now := r.e.o.Clock.Now()
	row.StartedAt, row.EndedAt = now, now
	row.State, row.Error = stateOf(err), asError(err)
	row.Reason = row.Error.Msg
	serr := <-r.rec.save(nil, []StepRun{row}, stepEvent(row, now))
	r.observe(row)
	return row, serr
}

// stateOf keeps failed and errored apart: what a person wrote, and what broke.
func stateOf(err error) State {
	if lastro.Is(err, lastro.EFailed) || lastro.Is(err, lastro.EInvalid) {
		return Failed
	}
	return Errored
}

// resolve completes the cell now that all it needs has ended: input digests,
// runtime, key, cache.
func (r *runner) resolve(ctx context.Context, c *PlanCell) error {
	for i := range c.inputs {
		f := &c.inputs[i]
		if f.dataset != nil {
			continue
		}
		if !f.take(r.steps[f.Step].chosen) {
			return lastro.Errorf(lastro.EErrored, "step %q ended without its output %q", f.Step, f.Output)
		}
		c.ingredients["input "+f.Name] = f.identity()
	}
	known := c.Key != "" // then the plan asked the cache already
	if err := r.runtime(ctx, c); err != nil {
		return err
	}
	var err error
	if c.Key, err = cacheKey(c.ingredients); err != nil || known {
		return err
	}
	if c.forced != "" {
		c.Why = c.forced
		return nil
	}
	project := r.plan.Spec.Project
	if c.hit, c.Why, err = r.e.cached(ctx, project, c); err != nil || c.hit != nil || c.Why != "" {
		return err
	}
	last, ok, err := r.e.o.Store.LastKeyed(ctx, project, c.spec.Name, c.Values)
	if err == nil {
		c.Why, err = r.e.reason(ctx, last, ok, c, r.plan.Code, map[int64]Run{})
	}
	return err
}

// runtime makes sure that the environment is ready, one at a time.
func (r *runner) runtime(ctx context.Context, c *PlanCell) error {
	wanted := r.e.python(r.plan.Spec, c)
	if wanted == nil || c.runtime.Digest != "" {
		return nil
	}
	r.e.prepare.Lock()
	defer r.e.prepare.Unlock()
	rt, err := r.e.o.Runtimes.Find(ctx, *wanted)
	if err == nil && rt.Digest == "" {
		rt, err = r.e.o.Runtimes.Prepare(ctx, *wanted)
	}
	if err != nil {
		return err
	}
	c.runtime = rt
	c.ingredients["python"] = string(rt.Digest)
	return nil
}

// work makes one attempt and records how it went; lost asks for another.
func (a *attempt) work(ctx context.Context) (lost bool, err error) {
	r := a.r
	a.row.State, a.row.StartedAt = Running, r.e.o.Clock.Now()
	if err := a.open(); err != nil {
		return false, err
	}
	defer a.log.Close()
	saved := r.rec.save(nil, []StepRun{a.row}, stepEvent(a.row, a.row.StartedAt))
	r.observe(a.row)
	werr := a.prepare(ctx)
	if err := <-saved; err != nil {
		return false, err
	}
	var res Result
	if werr == nil {
		defer a.follow()()
		res, werr = a.run(ctx, func(ctx context.Context) (Result, error) { return a.kind.Run(ctx, a.job) })
	}
	return a.end(ctx, res, werr)
}

// reattach goes on with what a dead engine had begun. Without that the old
// attempt ends as lost, and the row for the next one is returned.
func (a *attempt) reattach(ctx context.Context, row StepRun) (StepRun, bool, error) {
	r, prior := a.r, a.row
	if k, ok := a.kind.(Resumable); ok {
		if err := a.open(); err != nil {
			return row, false, err
		}
		defer a.log.Close()
		if err := a.describe(ctx); err == nil {
			found := false
			stop := a.follow()
			res, err := a.run(ctx, func(ctx context.Context) (res Result, err error) {
				res, found, err = k.Resume(ctx, a.job)
				return res, err
			})
			stop()
			if !found && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if found || ctx.Err() != nil {
				lost, err := a.end(ctx, res, err)
				if err != nil || !lost {
					return a.row, true, err
				}
				row.Attempt, row.Reason = a.row.Attempt+1, "lost, tried again"
				return row, false, nil
			}
			a.row.State = Errored
			if terr := a.untrack(ctx); terr != nil {
				r.e.o.Log.WarnContext(ctx, "tracking of a lost step was not ended", "step", prior.Ref(), "err", terr)
			}
		}
	}
	r.e.stop(ctx, prior, "lost: lastro ended while it ran")
	now := r.e.o.Clock.Now()
	prior.State, prior.EndedAt, prior.Reason = Errored, now, "lost: lastro ended while it ran"
	prior.Error = &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: prior.Reason}
	if err := <-r.rec.save(nil, []StepRun{prior}, stepEvent(prior, now)); err != nil {
		return row, false, err
	}
	row.Attempt, row.Reason = prior.Attempt+1, "lost, tried again"
	return row, false, nil
}

// open makes the log.
func (a *attempt) open() error {
	s := &a.row
	s.Log = fmt.Sprintf("logs/%d/%s-%d.log", s.Run, cellName(s.Step, s.Cell), s.Attempt)
	p := filepath.Join(a.r.e.o.StateDir, filepath.FromSlash(s.Log))
	err := os.MkdirAll(filepath.Dir(p), 0o700)
	if err == nil {
		a.log, err = os.OpenFile(p, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	}
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.Ref(), diskFull(err))
	}
	return nil
}

// describe fills in the job without touching the workspace.
func (a *attempt) describe(ctx context.Context) error {
	r, c, s := a.r, a.cell, &a.row
	spec := c.spec
	names := newScope(r.plan.Spec.Params, r.plan.Git, r.plan.Event, c.Values).withRun(s.Run)
	var err error
	if spec.With, _, err = expand(spec.With, names); err != nil {
		return err
	}
	x := expander{scope: names, used: map[string]bool{}}
	spec.Argv = slices.Clone(spec.Argv)
	for i, arg := range spec.Argv {
		v, err := x.text(arg)
		if err != nil {
			return err
		}
		spec.Argv[i] = text(v)
	}
	vars := map[string]string{}
	for _, v := range spec.Vars {
		value, err := names.lookup(v.Expr)
		if err != nil {
			return err
		}
		vars[v.Name] = text(value)
	}
	name := fmt.Sprintf("%s-%d", cellName(s.Step, s.Cell), s.Attempt)
	a.job = &Job{Run: s.Run, Step: spec, Cell: s.Cell, Values: c.Values, Attempt: s.Attempt, TaskID: taskID(s.Run, s.Step, s.Cell, s.Attempt),
		Dir: filepath.Join(r.work.dir, name), Scratch: filepath.Join(r.work.dir, ".tmp", name), Project: r.e.o.Project,
		Inputs: jobInputs(c), Outputs: spec.Outputs, Params: deepCopy(r.plan.Spec.Params), Vars: vars, Runtime: c.runtime,
		Log: a.log, LogPath: a.log.Name()}
	if t := r.e.o.Tracking; t != nil {
		if a.job.Env, err = t.Begin(ctx, a.job); err != nil {
			return fmt.Errorf("open tracking: %w", err)
		}
	}
	return nil
}

// prepare makes the workspace: code, inputs, and folders for what is written.
func (a *attempt) prepare(ctx context.Context) error {
	r, c := a.r, a.cell
	for i := range c.inputs {
		f := &c.inputs[i]
		if f.back != nil {
			d, err := r.e.o.Datasets.With(ctx, *f.back, f.Digest, f.Path, c.spec.Sees)
			if err != nil {
				return fmt.Errorf("join %v back to %s: %w", c.spec.Sees, f.Name, err)
			}
			f.Digest, f.back = d, nil // the next attempt finds it joined
			continue
		}
		if len(f.hidden) == 0 || f.Digest != "" {
			continue
		}
		r.e.hiding.Lock() // two steps most often want the same copy: the second finds it made
		d, err := r.e.o.Datasets.Without(ctx, *f.dataset, f.hidden)
		r.e.hiding.Unlock()
		if err != nil {
			return fmt.Errorf("leave out %v of %s: %w", f.hidden, f.Name, err)
		}
		f.Digest = d
	}
	a.row.Inputs = jobInputs(c)
	if err := a.describe(ctx); err != nil {
		return err
	}
	if err := r.work.fresh(ctx, a.job, r.plan, c); err != nil {
		return diskFull(err)
	}
	for _, in := range a.job.Inputs {
		dest := a.job.Path(in.Path)
		if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
			return diskFull(err)
		}
		// A tracked file where the input goes is an older copy of it.
		if err := os.RemoveAll(dest); err != nil {
			return err
		}
		if err := r.e.o.Blobs.Materialise(ctx, in.Digest, dest); err != nil {
			return fmt.Errorf("bring input %s: %w", in.Name, err)
		}
	}
	return nil
}

// run calls the kind with the limit of the step; a panic is our own fault and
// must not take other steps along.
func (a *attempt) run(ctx context.Context, call func(context.Context) (Result, error)) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.r.e.o.Log.ErrorContext(ctx, "step kind panicked", "step", a.row.Ref(), "panic", p, "stack", string(debug.Stack()))
			err = lastro.Errorf(lastro.EErrored, "step kind %s broke: %v", a.kind.Name(), p)
		}
	}()
	if _, outlives := a.kind.(Resumable); outlives {
		return call(ctx) // the executor counts the time, also while no engine is there
	}
	limit := a.cell.spec.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	timeout := &lastro.Error{Code: lastro.EFailed, ID: "L0303", Msg: fmt.Sprintf("it took longer than its timeout of %s", limit), Hint: "raise `timeout:`, or make it faster"}
	limited, cancel := context.WithTimeoutCause(ctx, limit, timeout)
	defer cancel()
	res, err = call(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = timeout
	}
	return res, err
}

// end collects what the step left, records how it ended and tidies up.
func (a *attempt) end(ctx context.Context, res Result, err error) (lost bool, trouble error) {
	if errors.Is(context.Cause(ctx), ErrDetach) {
		return false, nil // the row stays running
	}
	s := &a.row
	cancelled, cause := ctx.Err() != nil && err != nil, why(ctx)
	ctx = context.WithoutCancel(ctx)
	s.Facts, s.Report = maps.Clone(res.Facts), res.Report
	if s.Facts == nil {
		s.Facts = map[string]float64{}
	}
	s.CPUSeconds, s.MaxRSSBytes = res.CPUSeconds, res.MaxRSSBytes
	if a.job != nil {
		err = a.collect(ctx, err)
	}
	switch {
	case err == nil:
		s.State, s.Selected = Succeeded, len(a.cell.Values) == 0
	case cancelled:
		s.State, s.Reason = Cancelled, cause
	default:
		s.State, s.Error = stateOf(err), asError(err)
		if errors.Is(err, ErrLost) {
			s.Error.ID = "L0309"
		}
		s.Reason = s.Error.Msg
	}
	if terr := a.untrack(ctx); terr != nil && err == nil {
		err = terr
		s.State, s.Error, s.Reason = Errored, asError(terr), terr.Error()
	}
	// Some metric is NaN at times: no rule can compare it, so it is missing.
	maps.DeleteFunc(s.Facts, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	s.EndedAt = a.r.e.o.Clock.Now()
	if !errors.Is(err, ErrLost) {
		a.free() // what is left is waiting for the disk
	}
	if trouble := <-a.r.rec.save(nil, []StepRun{*s}, stepEvent(*s, s.EndedAt)); trouble != nil {
		return false, trouble
	}
	a.r.observe(*s)
	a.tidy(ctx)
	return errors.Is(err, ErrLost), nil
}

// untrack ends tracking and adds what was tracked; files that the step
// declared go before it.
func (a *attempt) untrack(ctx context.Context) error {
	if a.r.e.o.Tracking == nil || a.job == nil {
		return nil
	}
	tracked, err := a.r.e.o.Tracking.End(ctx, a.job, a.row.State)
	if err != nil {
		return fmt.Errorf("close tracking: %w", err)
	}
	if a.row.Facts == nil {
		a.row.Facts = map[string]float64{}
	}
	for name, v := range tracked {
		if _, declared := a.row.Facts[name]; !declared {
			a.row.Facts[name] = v
		}
	}
	return nil
}

// tidy removes what is not needed once the end is committed.
func (a *attempt) tidy(ctx context.Context) {
	if a.job == nil {
		return
	}
	if a.row.State == Succeeded {
		a.r.work.remove(a.job.Dir)
	}
	a.r.work.remove(a.job.Scratch)
	if k, ok := a.kind.(Resumable); ok {
		if err := k.Forget(ctx, a.job.TaskID); err != nil {
			a.r.e.o.Log.WarnContext(ctx, "task was not forgotten", "task", a.job.TaskID, "err", err)
		}
	}
}
