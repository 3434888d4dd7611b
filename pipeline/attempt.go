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
	"time"

	"lastro"
)

// defaultTimeout ends steps that say nothing about it.
const defaultTimeout = 24 * time.Hour

// attempt is one try at one cell, in its own goroutine.
type attempt struct {
	w    *worker
	r    *active
	room *room
	plan *PlanStep
	cell *PlanCell
	kind Kind
	row  StepRun
	job  *Job
	log  *stepLog

	inherited bool // begun by an engine before
}

// carry brings a claimed attempt to its end: its condition is asked, the cache
// is looked up, and else the work is done. What an engine before had begun goes
// on where that is possible.
func (a *attempt) carry(ctx context.Context, inherited bool) {
	a.inherited = inherited
	err := a.find(ctx)
	if err == nil && !inherited {
		var skip string
		if skip, err = a.condition(ctx); err == nil && skip != "" {
			a.close(Skipped, skip, nil)
			return
		}
	}
	if err == nil {
		err = a.resolve(ctx)
	}
	if err != nil && inherited && a.plan != nil && a.w.ctx.Err() == nil { // it still runs, and nobody would stop it
		a.r.plan.shop.end(context.WithoutCancel(ctx), a.row, why(ctx), a.r.e.o.Log)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		a.interrupted(ctx)
	case err != nil:
		a.close(stateOf(err), "", asError(err))
	case inherited:
		a.reattach(ctx)
	case a.cell.hit != nil:
		a.row = fromCache(a.row, a.cell, a.r.e.o.Clock.Now())
		a.row.Selected = len(a.cell.Values) == 0
		a.w.complete(a.row, a.room)
	default:
		a.work(ctx)
	}
}

// find looks the cell up in the plan.
func (a *attempt) find(ctx context.Context) (err error) {
	if a.plan, a.cell = a.r.plan.cell(a.row.Step, a.row.Cell); a.cell == nil {
		return lastro.Errorf(lastro.EErrored, "the plan of run #%d has no %s any more", a.row.Run, a.row.Ref())
	}
	a.kind, err = a.r.plan.shop.kind(a.plan.Spec)
	return err
}

// close ends an attempt that did no work.
func (a *attempt) close(s State, reason string, err *lastro.Error) {
	a.row.State, a.row.Reason, a.row.Error, a.row.EndedAt = s, reason, err, a.r.e.o.Clock.Now()
	if err != nil {
		a.row.Reason = err.Msg
	}
	a.w.complete(a.row, a.room)
}

// interrupted ends an attempt before its work because its context has ended;
// the next engine begins it again when only this one goes away.
func (a *attempt) interrupted(ctx context.Context) {
	if a.w.ctx.Err() == nil {
		a.close(Cancelled, why(ctx), nil)
	}
}

// condition evaluates `if:`; skip says why the step is not wanted.
func (a *attempt) condition(ctx context.Context) (skip string, err error) {
	if a.plan.Spec.If == "" {
		return "", nil
	}
	names, err := a.names(ctx)
	if err != nil {
		return "", err
	}
	ok, why, err := condition(a.plan.Spec, names)
	if err != nil || ok {
		return "", err
	}
	return why, nil
}

// names is what expressions of this cell can name, with what the steps before
// it found out when any of its expressions reads that.
func (a *attempt) names(ctx context.Context) (scope, error) {
	p := a.r.plan
	s := newScope(p.Spec.Params, p.Git, p.Event, a.cell.Values).withRun(a.row.Run).using(p.shop.Eval)
	if a.plan.Spec.If == "" && len(a.cell.reads) == 0 {
		return s, nil
	}
	var rows []StepRun
	for step := range Upstream(p.Spec.Steps, a.row.Step) {
		row, err := a.r.outputsOf(ctx, step)
		if err != nil {
			return s, err
		}
		if row != nil {
			rows = append(rows, *row)
		}
	}
	return s.withSteps(rows), nil
}

// fromCache is the row of a cell whose work another run did.
func fromCache(s StepRun, c *PlanCell, now time.Time) StepRun {
	hit := c.hit
	s.State, s.Reason, s.CachedFrom = Cached, fmt.Sprintf("from #%d", hit.Run), hit.Run
	s.Key, s.Ingredients = c.Key, c.ingredients
	s.Inputs = jobInputs(c)
	s.Outputs, s.Facts, s.Report = hit.Outputs, hit.Facts, hit.Report
	s.Reports, s.Plots, s.Summary, s.OutValues = hit.Reports, hit.Plots, hit.Summary, hit.OutValues
	s.StartedAt, s.EndedAt = now, now
	return s
}

func jobInputs(c *PlanCell) []JobInput {
	out := make([]JobInput, len(c.inputs))
	for i, in := range c.inputs {
		out[i] = in.JobInput
	}
	return out
}

// why says in words what ended a context.
func why(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause.Error()
	}
	return "cancelled"
}

// asError gives any error the form that is stored and shown.
func asError(err error) *lastro.Error {
	var e *lastro.Error
	if errors.As(err, &e) {
		flat := *e
		flat.Pos = lastro.Pos{}
		flat.Msg = flat.Error() // what it wraps is not stored
		flat.Pos, flat.Err = e.Pos, nil
		return &flat
	}
	return &lastro.Error{Code: lastro.EErrored, Msg: err.Error()}
}

// stateOf keeps failed and errored apart: what a person wrote, and what broke.
func stateOf(err error) State {
	if lastro.Is(err, lastro.EFailed) || lastro.Is(err, lastro.EInvalid) {
		return Failed
	}
	return Errored
}

// resolve completes the cell now that all it needs has ended: input digests,
// runtime, secrets, key, cache.
func (a *attempt) resolve(ctx context.Context) error {
	e, c := a.r.e, a.cell
	for i := range c.inputs {
		f := &c.inputs[i]
		if f.dataset != nil {
			continue
		}
		from, err := a.r.outputsOf(ctx, f.Step)
		if err != nil {
			return err
		}
		if from == nil || !f.take(from) {
			return lastro.Errorf(lastro.EErrored, "step %q ended without its output %q", f.Step, f.Output)
		}
		c.ingredients["input "+f.Name] = f.identity()
	}
	if err := a.runtime(ctx); err != nil {
		return err
	}
	if len(c.reads) > 0 {
		names, err := a.names(ctx)
		if err == nil {
			err = c.learn(names)
		}
		if err != nil {
			return atStep(c.spec, err)
		}
	}
	asked := c.Key != "" // then the plan looked into the cache already
	var err error
	if c.Key, err = cacheKey(c.ingredients); err != nil {
		return err
	}
	if c.forced != "" {
		c.Why = c.forced
	} else if !asked {
		err = e.lookUp(ctx, a.r.plan, c)
	}
	a.row.Key, a.row.Ingredients, a.row.Inputs = c.Key, c.ingredients, jobInputs(c)
	if a.row.Reason == "" {
		a.row.Reason = c.Why
	}
	return err
}

// runtime makes sure that the environment is ready, one at a time.
func (a *attempt) runtime(ctx context.Context) error {
	e, c, shop := a.r.e, a.cell, a.r.plan.shop
	wanted := shop.python(a.r.plan.Spec, c)
	if wanted == nil || c.runtime.Digest != "" {
		return nil
	}
	e.prepare.Lock()
	defer e.prepare.Unlock()
	rt, err := shop.Runtimes.Find(ctx, *wanted)
	if err == nil && rt.Digest == "" {
		rt, err = shop.Runtimes.Prepare(ctx, *wanted)
	}
	if err != nil {
		return err
	}
	c.runtime = rt
	c.ingredients["python"] = string(rt.Digest)
	return nil
}

// work does what is to be done and commits how it went.
func (a *attempt) work(ctx context.Context) {
	if err := a.open(); err != nil {
		a.close(stateOf(err), "", asError(err))
		return
	}
	defer a.log.Close()
	err := a.prepare(ctx)
	known := a.noteSoon()
	a.r.observe(a.row)
	var res Result
	if err == nil {
		defer a.follow()()
		res, err = a.run(ctx, func(ctx context.Context) (Result, error) { return a.kind.Run(ctx, a.job) })
	}
	known()
	a.end(ctx, res, err)
}

// noteAfter is how long a step may run before more is stored of it than that it
// does: one that is over by then says all at its end.
const noteAfter = 100 * time.Millisecond

// noteSoon stores what is known of the attempt for those who look, if it is
// still running then. The function that it returns ends that.
func (a *attempt) noteSoon() (stop func()) {
	row, noted := a.row, make(chan struct{})
	timer := time.AfterFunc(noteAfter, func() {
		defer close(noted)
		a.w.commit.note(row)
	})
	return func() {
		if !timer.Stop() {
			<-noted
		}
	}
}

// reattach goes on with what a dead engine had begun; without that the attempt
// ends as lost.
func (a *attempt) reattach(ctx context.Context) {
	if k, ok := a.kind.(Resumable); ok {
		if err := a.open(); err != nil {
			a.close(stateOf(err), "", asError(err))
			return
		}
		defer a.log.Close()
		a.r.observe(a.row)
		if err := a.describe(context.WithoutCancel(ctx)); err == nil { // a cancelled run's step is found first, then stopped
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
				a.end(ctx, res, err)
				return
			}
			if err := a.untrack(ctx, false); err != nil {
				a.r.e.o.Log.WarnContext(ctx, "tracking of a lost step was not ended", "step", a.row.Ref(), "err", err)
			}
		}
	}
	const why = "lastro ended while it ran"
	a.r.plan.shop.end(context.WithoutCancel(ctx), a.row, "lost: "+why, a.r.e.o.Log)
	a.w.complete(a.row.lost(why, a.r.e.o.Clock.Now()), a.room)
}

// open makes the log, unless an executor does.
func (a *attempt) open() error {
	s := &a.row
	s.Log = fmt.Sprintf("logs/%d/%s-%d.log", s.Run, cellName(s.Step, s.Cell), s.Attempt)
	a.log = &stepLog{path: a.r.e.LogPath(*s)}
	if _, outlives := a.kind.(Resumable); outlives {
		return nil
	}
	if err := a.log.open(); err != nil {
		return fmt.Errorf("open the log of %s: %w", s.Ref(), err)
	}
	return nil
}

// describe fills in the job without touching the workspace.
func (a *attempt) describe(ctx context.Context) error {
	r, c, s := a.r, a.cell, &a.row
	names, err := a.names(ctx)
	if err != nil {
		return err
	}
	spec, vars, err := names.resolve(a.plan.Spec) // as declared: a value is never read as an expression again
	if err != nil {
		return atStep(c.spec, err)
	}
	a.job = &Job{Run: s.Run, Step: spec, Cell: s.Cell, Values: c.Values, Attempt: s.Attempt, TaskID: taskID(s.Run, s.Step, s.Cell, s.Attempt), Resumed: a.inherited,
		Dir: r.work.path(*s), Scratch: r.work.scratch(*s), Project: r.plan.shop.Project, Strict: r.plan.Options.Strict,
		Inputs: jobInputs(c), Outputs: spec.Outputs, Params: r.plan.Spec.Params, Vars: vars, Runtime: c.runtime,
		Log: a.log, LogPath: a.log.path}
	if len(spec.Secrets) > 0 { // before tracking, which hides them
		if a.job.Secrets, err = secretValues(ctx, r.plan, spec); err != nil {
			return err
		}
	}
	if t := r.e.o.Tracking; t != nil {
		if a.job.Env, err = t.Begin(ctx, a.job); err != nil {
			return fmt.Errorf("open tracking: %w", err)
		}
	}
	a.job.Env = append(a.job.Env, SummaryVar+"="+a.job.SummaryPath(), OutputVar+"="+a.job.OutputPath())
	return nil
}

// prepare makes the workspace: code, inputs, and folders for what is written.
func (a *attempt) prepare(ctx context.Context) error {
	r, c := a.r, a.cell
	for i := range c.inputs {
		f := &c.inputs[i]
		if f.back != nil {
			d, err := r.plan.shop.Datasets.With(ctx, *f.back, f.Digest, f.Path, c.spec.Sees)
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
		d, err := r.plan.shop.Datasets.Without(ctx, *f.dataset, f.hidden)
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
	if err := r.work.fresh(ctx, a.job, c.code, r.bringCode); err != nil {
		return diskFull(err)
	}
	for _, in := range a.job.Inputs {
		dest := a.job.Path(in.Path)
		if dir := filepath.Dir(dest); dir != filepath.Clean(a.job.Dir) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return diskFull(err)
			}
		}
		if _, err := os.Lstat(dest); err == nil { // a tracked file where the input goes is an older copy of it
			if err := os.RemoveAll(dest); err != nil {
				return err
			}
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

// end collects what the step left, commits how it ended and tidies up.
func (a *attempt) end(ctx context.Context, res Result, err error) {
	if a.w.ctx.Err() != nil && !errors.Is(context.Cause(a.w.ctx), ErrFenced) && (err != nil || errors.Is(context.Cause(ctx), ErrDetach)) {
		return // the row stays running: the next engine of this place goes on
	}
	s := &a.row
	cancelled, cause := ctx.Err() != nil && err != nil, why(ctx)
	ctx = context.WithoutCancel(ctx)
	s.Facts, s.Report = maps.Clone(res.Facts), res.Report
	if s.Facts == nil {
		s.Facts = map[string]float64{}
	}
	s.CPUSeconds, s.MaxRSSBytes, s.Isolation = res.CPUSeconds, res.MaxRSSBytes, res.Isolation
	if a.job != nil {
		err = a.collect(ctx, err)
	}
	if terr := a.untrack(ctx, err == nil); terr != nil && err == nil {
		err = terr
	}
	switch {
	case err == nil:
		s.State, s.Selected = Succeeded, s.Cell == 0
	case cancelled:
		s.State, s.Reason = Cancelled, cause
	default:
		s.State, s.Error, s.Cause = stateOf(err), asError(err), causeOf(err)
		if s.Cause == RetryLost {
			s.Error.ID = "L0309"
		}
		s.Reason = s.Error.Msg
	}
	// Some metric is NaN at times: no rule can compare it, so it is missing.
	maps.DeleteFunc(s.Facts, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	a.hide()
	s.EndedAt = a.r.e.o.Clock.Now()
	recorded := a.w.complete(*s, a.room)
	if a.job != nil && !s.State.OK() && (!recorded || s.Error != nil && s.Error.ID == "L0410") {
		a.r.work.remove(a.job.Dir) // on a full disk room is worth more than what a failed step left
	}
	if recorded {
		a.tidy(ctx)
	}
}

// causeOf tells the ends after which another attempt may be made.
func causeOf(err error) RetryReason {
	if how, ok := errors.AsType[*Ended](err); ok {
		return how.Reason
	}
	if errors.Is(err, ErrLost) {
		return RetryLost
	}
	return ""
}

// untrack ends tracking and adds what was tracked; files that the step
// declared go before it.
func (a *attempt) untrack(ctx context.Context, well bool) error {
	if a.r.e.o.Tracking == nil || a.job == nil {
		return nil
	}
	state := Succeeded
	if !well {
		state = Failed
	}
	tracked, err := a.r.e.o.Tracking.End(ctx, a.job, state, a.row.Facts)
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
		a.r.work.removeWorkspace(a.job)
	}
	a.r.work.removeScratch(a.job)
	if k, ok := a.kind.(Resumable); ok {
		if err := k.Forget(ctx, a.job.TaskID); err != nil {
			a.r.e.o.Log.WarnContext(ctx, "task was not forgotten", "task", a.job.TaskID, "err", err)
		}
	}
}
