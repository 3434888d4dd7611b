// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lastro"
)

// runner carries out one run. Its loop alone decides what is ready; each cell
// has a goroutine that reports back through ended.
type runner struct {
	e    *Engine
	plan *Plan
	run  Run
	rec  *recorder
	work *workspaces

	slots chan struct{}
	ended chan outcome
	seen  sync.Mutex // one call of the observer at a time

	steps map[string]*stepState
	prior map[string]StepRun // of a run that goes on: the newest row of each cell
	names scope

	trouble error // the first failure to record; nothing is started after it
}

// outcome is what a cell's goroutine reports: its last row, and the engine's
// own trouble if there was any.
type outcome struct {
	row     StepRun
	trouble error
}

// stepState is how far one step is.
type stepState struct {
	plan    *PlanStep
	cells   []StepRun // of those that have ended, by position
	over    []bool
	started []bool
	ended   bool
	state   State
	reason  string
	chosen  *StepRun // whose outputs go on; nil when there is none
}

func newRunner(e *Engine, p *Plan) *runner {
	r := &runner{e: e, plan: p, slots: make(chan struct{}, e.o.Parallel), ended: make(chan outcome), steps: map[string]*stepState{}, prior: map[string]StepRun{}}
	for i := range p.Steps {
		ps := &p.Steps[i]
		n := len(ps.Cells)
		r.steps[ps.Spec.Name] = &stepState{plan: ps, cells: make([]StepRun, n), over: make([]bool, n), started: make([]bool, n)}
	}
	return r
}

// create stores a new run: every cell has a row from the start, cached ones
// their final one. When all are cached that is the whole run, in one transaction.
func (r *runner) create(ctx context.Context) error {
	now := r.e.o.Clock.Now()
	p := r.plan
	actor := p.Actor
	if actor == "" {
		actor = engineActor
	}
	r.run = Run{Project: p.Spec.Project, State: Running, PlanDigest: p.Digest, Spec: p.Spec, Git: p.Git, Event: p.Event, Actor: actor,
		Params: p.Spec.Params, Datasets: p.Datasets, Code: p.Code, StartedAt: now}
	var rows []StepRun
	for i := range p.Steps {
		ps := &p.Steps[i]
		for j := range ps.Cells {
			rows = append(rows, r.first(ps, &ps.Cells[j], now))
		}
	}
	r.adopt(rows)
	rows = r.rows(rows)
	if r.allEnded() {
		r.finish(now)
	}
	number, err := r.e.o.Store.CreateRun(ctx, r.run, rows, func(number int64) []lastro.Event {
		return r.creation(number, rows, now)
	})
	if err != nil {
		return err
	}
	r.number(number)
	r.observeRun()
	for _, s := range rows {
		s.Run = number
		r.observe(s)
	}
	return nil
}

// creation are the events of a new run.
func (r *runner) creation(number int64, rows []StepRun, now time.Time) []lastro.Event {
	run := r.run
	run.Number = number
	started := run
	started.State, started.Reason = Running, ""
	events := []lastro.Event{runEvent(started, "run.started", now)}
	for _, s := range rows {
		if s.Run = number; s.State != Pending {
			events = append(events, stepEvent(s, now))
		}
	}
	if run.State.Ended() {
		events = append(events, runEvent(run, "run.finished", now))
	}
	return events
}

// number gives the run and all its rows their number.
func (r *runner) number(n int64) {
	r.run.Number = n
	r.e.claim(n)
	for _, st := range r.steps {
		for i := range st.cells {
			st.cells[i].Run = n
		}
		if st.chosen != nil {
			st.chosen.Run = n
		}
	}
}

// first is the row of a cell before anything has run.
func (r *runner) first(ps *PlanStep, c *PlanCell, now time.Time) StepRun {
	s := StepRun{Run: r.run.Number, Step: ps.Spec.Name, Cell: c.Index, Values: c.Values, Attempt: 1, Kind: ps.Spec.Kind, State: Pending}
	if c.Outlook == Hit && c.hit != nil {
		s = fromCache(s, c, c.hit, now)
	}
	return s
}

// fromCache is the row of a cell whose work another run did.
func fromCache(s StepRun, c *PlanCell, hit *StepRun, now time.Time) StepRun {
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

// adopt takes rows that are over already, and ends the steps that they end.
func (r *runner) adopt(rows []StepRun) {
	for _, s := range rows {
		st, i := r.at(s)
		if st == nil || !s.State.Ended() {
			continue
		}
		st.cells[i], st.over[i], st.started[i] = s, true, true
	}
	for i := range r.plan.Steps {
		r.settle(r.steps[r.plan.Steps[i].Spec.Name])
	}
}

// at finds the place of a row in the plan; nil when the plan has none.
func (r *runner) at(s StepRun) (*stepState, int) {
	st := r.steps[s.Step]
	if st == nil {
		return nil, 0
	}
	for i := range st.plan.Cells {
		if st.plan.Cells[i].Index == s.Cell {
			return st, i
		}
	}
	return nil, 0
}

// rows replaces rows by what is known of them now (the selected one is marked).
func (r *runner) rows(rows []StepRun) []StepRun {
	for k, s := range rows {
		if st, i := r.at(s); st != nil && st.over[i] {
			rows[k] = st.cells[i]
		}
	}
	return rows
}

// settle ends a step when all its cells have, and chooses the one that goes on.
// It returns the row that is now selected, nil when nothing changed.
func (r *runner) settle(st *stepState) *StepRun {
	if st.ended {
		return nil
	}
	for i := range st.over {
		if !st.over[i] {
			return nil
		}
	}
	st.ended, st.state = true, Cached
	for i := range st.cells {
		if s := &st.cells[i]; worse(s.State, st.state) {
			st.state, st.reason = s.State, s.Reason
		}
	}
	if !st.state.OK() {
		return nil
	}
	best, err := choose(st.plan.Spec, st.cells)
	if err != nil {
		st.state, st.reason = Failed, err.Error()
		last := &st.cells[len(st.cells)-1]
		last.State, last.Reason, last.Error = Failed, st.reason, asError(err)
		return last
	}
	if best < 0 {
		return nil
	}
	st.chosen = &st.cells[best]
	if st.chosen.Selected {
		return nil
	}
	st.chosen.Selected = true
	return st.chosen
}

// worse orders the states of cells into that of their step.
func worse(a, b State) bool {
	rank := map[State]int{Cached: 0, Succeeded: 1, Skipped: 2, Cancelled: 3, Errored: 4, Failed: 5}
	return rank[a] > rank[b]
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

func (r *runner) allEnded() bool {
	for _, st := range r.steps {
		if !st.ended {
			return false
		}
	}
	return true
}

// carryOut starts what is ready until nothing is left.
func (r *runner) carryOut(ctx context.Context) (Run, error) {
	if r.run.State.Ended() {
		return r.run, nil
	}
	r.rec = newRecorder(r.e.o.Store)
	defer r.rec.close()
	r.work = newWorkspaces(r.e.o, r.run.Number, r.e.isLive)
	r.names = newScope(r.plan.Spec.Params, r.plan.Git, r.plan.Event, nil).withRun(r.run.Number)
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for running := 0; ; running-- {
		if r.trouble == nil && ctx.Err() == nil {
			running += r.start(work)
		}
		if r.trouble != nil {
			stop(ErrDetach) // what outlives the engine goes on; the next command finds it
		}
		if running == 0 {
			break
		}
		r.take(<-r.ended)
	}
	if r.trouble != nil {
		return r.run, r.trouble
	}
	if errors.Is(context.Cause(ctx), ErrDetach) {
		return r.run, ErrDetach
	}
	return r.conclude(ctx)
}

// start begins every cell that is ready and returns how many.
func (r *runner) start(ctx context.Context) int {
	n := 0
	for i := range r.plan.Steps {
		st := r.steps[r.plan.Steps[i].Spec.Name]
		if st.ended || !r.ready(st) {
			continue
		}
		busy := 0
		for j := range st.started {
			if st.started[j] && !st.over[j] {
				busy++
			}
		}
		limit := st.plan.Spec.Parallel
		for j := range st.started {
			if st.started[j] || (limit > 0 && busy >= limit) {
				continue
			}
			if sick := st.sick(); sick != "" {
				r.skip(st, j, "another cell "+sick)
				continue
			}
			st.started[j] = true
			busy++
			n++
			go r.cell(ctx, st.plan, &st.plan.Cells[j])
		}
		r.done(st)
	}
	return n
}

// sick says how a cell of the step ended badly; the rest then need not run.
func (st *stepState) sick() string {
	for i := range st.over {
		if st.over[i] && !st.cells[i].State.OK() && st.cells[i].State != Skipped {
			return string(st.cells[i].State)
		}
	}
	return ""
}

// ready reports whether all that a step needs is there; a step that needs
// what will never come is skipped.
func (r *runner) ready(st *stepState) bool {
	for _, name := range st.plan.Needs {
		need := r.steps[name]
		if !need.ended {
			return false
		}
		if !need.state.OK() {
			for j := range st.over {
				if !st.started[j] {
					r.skip(st, j, name+" "+verb(need.state))
				}
			}
			r.done(st)
			return false
		}
	}
	return true
}

func verb(s State) string {
	if s == Skipped || s == Cancelled {
		return "was " + string(s)
	}
	return string(s)
}

// skip ends a cell without trying it.
func (r *runner) skip(st *stepState, j int, why string) {
	c := &st.plan.Cells[j]
	now := r.e.o.Clock.Now()
	s := StepRun{Run: r.run.Number, Step: st.plan.Spec.Name, Cell: c.Index, Values: c.Values, Attempt: 1, Kind: st.plan.Spec.Kind,
		State: Skipped, Reason: why, StartedAt: now, EndedAt: now}
	st.started[j] = true
	r.keep(s)
	st.cells[j], st.over[j] = s, true
}

// keep records a row that has ended without work; failing to is noted.
func (r *runner) keep(s StepRun) {
	if err := <-r.rec.save(nil, []StepRun{s}, stepEvent(s, s.EndedAt)); err != nil && r.trouble == nil {
		r.trouble = err
	}
	r.observe(s)
}

// take notes the end of a cell.
func (r *runner) take(o outcome) {
	if o.trouble != nil && r.trouble == nil {
		r.trouble = o.trouble
	}
	if o.trouble != nil || !o.row.State.Ended() {
		return // it goes on without this engine, or could not be recorded
	}
	st, i := r.at(o.row)
	st.cells[i] = o.row
	st.over[i] = true
	r.done(st)
}

// done settles a step and records which cell was selected.
func (r *runner) done(st *stepState) {
	changed := r.settle(st)
	if changed == nil {
		return
	}
	var events []lastro.Event
	if !changed.State.OK() {
		events = append(events, stepEvent(*changed, r.e.o.Clock.Now()))
	}
	if err := <-r.rec.save(nil, []StepRun{*changed}, events...); err != nil && r.trouble == nil {
		r.trouble = err
	}
	if !changed.State.OK() {
		r.observe(*changed)
	}
}

// conclude ends the run after its last step; when it was cancelled, what never
// began is cancelled with it.
func (r *runner) conclude(ctx context.Context) (Run, error) {
	now := r.e.o.Clock.Now()
	var rows []StepRun
	var events []lastro.Event
	for i := range r.plan.Steps {
		st := r.steps[r.plan.Steps[i].Spec.Name]
		for j := range st.over {
			if st.over[j] {
				continue
			}
			s := r.first(st.plan, &st.plan.Cells[j], now)
			s.State, s.Reason, s.StartedAt, s.EndedAt = Cancelled, why(ctx), now, now
			st.cells[j], st.over[j] = s, true
			rows, events = append(rows, s), append(events, stepEvent(s, now))
		}
		r.settle(st)
	}
	r.finish(now)
	if ctx.Err() != nil && r.run.State != Succeeded {
		r.run.State, r.run.Reason = Cancelled, why(ctx)
	}
	run := r.run
	if err := <-r.rec.save(&run, rows, append(events, runEvent(run, "run.finished", now))...); err != nil {
		return r.run, err
	}
	for _, s := range rows {
		r.observe(s)
	}
	r.work.finish()
	r.observeRun()
	return r.run, nil
}

// why says in words what ended a context.
func why(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause.Error()
	}
	return "cancelled"
}

// finish gives the run the state that its steps add up to.
func (r *runner) finish(now time.Time) {
	r.run.State, r.run.EndedAt = Succeeded, now
	total := Cached
	var bad []string
	for i := range r.plan.Steps {
		st := r.steps[r.plan.Steps[i].Spec.Name]
		if worse(st.state, total) {
			total = st.state
		}
		if st.state == Failed || st.state == Errored {
			bad = append(bad, fmt.Sprintf("step %s %s: %s", st.plan.Spec.Name, st.state, st.reason))
		}
	}
	if !total.OK() {
		r.run.State, r.run.Reason = total, strings.Join(bad, "; ")
	}
}

func (r *runner) observe(s StepRun) {
	if o := r.e.o.Observer; o != nil {
		r.seen.Lock()
		defer r.seen.Unlock()
		o.StepChanged(s)
	}
}

func (r *runner) observeRun() {
	if o := r.e.o.Observer; o != nil {
		r.seen.Lock()
		defer r.seen.Unlock()
		o.RunChanged(r.run)
	}
}
