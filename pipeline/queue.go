// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lastro"
)

// Queue is the work that is to be done, in the store: which cells may begin,
// who works at them, and what follows from their end. Each method is one
// transaction, so several engines on one database share the work, and what one
// of them saw committed stays. It starts nothing; Engine does. It is safe for
// concurrent use.
type Queue struct {
	store Store
	clock lastro.Clock

	mu     sync.Mutex
	graphs map[int64]graph
}

// NewQueue returns the queue of a store.
func NewQueue(s Store, c lastro.Clock) *Queue {
	return &Queue{store: s, clock: c, graphs: map[int64]graph{}}
}

// ErrFenced says that an attempt is no longer the caller's: its engine was
// taken for dead, and somebody else goes on. What it did is dropped.
var ErrFenced = &lastro.Error{Code: lastro.EConflict, ID: "L0315", Msg: "another engine has taken over", Hint: "this one was taken for dead: it was stopped, or cut off from its database, for too long"}

// Changed is what a transaction did, for observers.
type Changed struct {
	Steps []StepRun // rows that changed, in order
	Runs  []Run     // runs that ended; only what changes is set
	Ready bool      // something may begin now or soon
}

func (c *Changed) step(s StepRun) { c.Steps = append(c.Steps, s) }

// graph is what the end of a step means to others.
type graph struct {
	specs     map[string]*StepSpec
	followers map[string][]string // those that need it directly
}

func graphOf(spec Spec) graph {
	g := graph{specs: map[string]*StepSpec{}, followers: map[string][]string{}}
	for i := range spec.Steps {
		s := &spec.Steps[i]
		g.specs[s.Name] = s
		for _, need := range s.needs() {
			g.followers[need] = append(g.followers[need], s.Name)
		}
	}
	return g
}

// needs are the steps that a step needs directly, each once.
func (s *StepSpec) needs() []string {
	out := slices.Clone(s.Needs)
	for _, in := range s.Inputs {
		if in.Step != "" {
			out = append(out, in.Step)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// graph returns the graph of a run, from memory after the first time.
func (q *Queue) graph(ctx context.Context, run int64) (graph, error) {
	q.mu.Lock()
	g, ok := q.graphs[run]
	q.mu.Unlock()
	if ok {
		return g, nil
	}
	r, err := q.store.Run(ctx, run)
	if err != nil {
		return g, err
	}
	g = graphOf(r.Spec)
	if r.State.Ended() {
		return g, nil // nobody would forget it
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.graphs[run] = g
	return g, nil
}

// Submit stores a new run with a row for every cell; what is cached has ended.
// When that is all, the run has ended too.
func (q *Queue) Submit(ctx context.Context, r Run, plan []PlanStep) (Run, Changed, error) {
	now := q.clock.Now()
	b := beginning{run: r, now: now, states: map[string]State{}}
	b.run.StartedAt, b.run.State = now, Running
	for i := range plan {
		b.step(&plan[i])
	}
	b.finish()
	var out Changed
	err := q.store.Change(ctx, func(tx Tx) (err error) {
		if b.run.Number, err = tx.CreateRun(ctx, b.run, b.steps, b.rows); err != nil {
			return err
		}
		out = b.numbered()
		for i, s := range b.steps {
			if s.State == Pending && s.Waits == 0 {
				if err := tx.Ready(ctx, b.run.Number, s.Step, plan[i].Spec.atOnce()); err != nil {
					return err
				}
			}
		}
		tx.Emit(b.events()...)
		return nil
	})
	if err != nil {
		return Run{}, Changed{}, err
	}
	if !b.run.State.Ended() {
		q.mu.Lock()
		q.graphs[b.run.Number] = graphOf(r.Spec)
		q.mu.Unlock()
	}
	return b.run, out, nil
}

// atOnce is how many cells of a step may be ready together: -1 is all.
func (s *StepSpec) atOnce() int {
	if s.Parallel > 0 {
		return s.Parallel
	}
	return -1
}

// beginning is a run before it is stored.
type beginning struct {
	run    Run
	now    time.Time
	steps  []StepProgress // in the order of the plan
	states map[string]State
	rows   []StepRun
}

func (b *beginning) step(ps *PlanStep) {
	p := StepProgress{Step: ps.Spec.Name, State: Pending}
	cells := make([]StepRun, len(ps.Cells))
	for i := range ps.Cells {
		c := &ps.Cells[i]
		cells[i] = StepRun{Step: ps.Spec.Name, Cell: c.Index, Values: c.Values, Attempt: 1, Kind: ps.Spec.Kind, State: Pending}
		if c.Outlook == Hit && c.hit != nil {
			cells[i] = fromCache(cells[i], c, b.now)
		} else {
			p.Open++
		}
	}
	for _, need := range ps.Needs {
		if b.states[need] == Pending {
			p.Waits++
		}
	}
	if p.Open == 0 {
		p.State, p.Reason = settle(ps.Spec, cells)
	}
	b.rows = append(b.rows, cells...)
	b.steps = append(b.steps, p)
	b.states[p.Step] = p.State
}

// finish ends the run when nothing is left to do.
func (b *beginning) finish() {
	for _, s := range b.steps {
		if s.State == Pending {
			return
		}
	}
	b.run.State, b.run.Reason = total(b.steps)
	b.run.EndedAt = b.now
}

func (b *beginning) numbered() Changed {
	var out Changed
	for i := range b.rows {
		b.rows[i].Run = b.run.Number
		out.step(b.rows[i])
	}
	out.Ready = !b.run.State.Ended()
	return out
}

func (b *beginning) events() []lastro.Event {
	started := b.run
	started.State, started.Reason = Running, ""
	events := []lastro.Event{runEvent(started, "run.started", b.now)}
	for _, s := range b.rows {
		if s.State != Pending {
			events = append(events, stepEvent(s, b.now))
		}
	}
	if b.run.State.Ended() {
		events = append(events, runEvent(b.run, "run.finished", b.now))
	}
	return events
}

// Claim gives an engine at most n cells that may begin; ErrFenced when it was
// taken for dead.
func (q *Queue) Claim(ctx context.Context, engine string, n int) (rows []StepRun, err error) {
	err = q.store.Change(ctx, func(tx Tx) (err error) {
		rows, err = q.claim(ctx, tx, engine, n)
		return err
	})
	return rows, err
}

func (q *Queue) claim(ctx context.Context, tx Tx, engine string, n int) ([]StepRun, error) {
	// One that was taken for dead would own what nobody looks after.
	if alive, err := tx.Alive(ctx, engine); err != nil || !alive {
		return nil, cmp.Or(err, error(ErrFenced))
	}
	now := q.clock.Now()
	rows, err := tx.Take(ctx, engine, now, n)
	for _, s := range rows {
		tx.Emit(stepEvent(s, now))
	}
	return rows, err
}

// Note keeps what is known of a running attempt so far.
func (q *Queue) Note(ctx context.Context, engine string, s StepRun) error {
	return q.store.Change(ctx, func(tx Tx) error { return note(ctx, tx, engine, s) })
}

func note(ctx context.Context, tx Tx, engine string, s StepRun) error {
	s.Reason = storable(s.Reason)
	mine, err := tx.Note(ctx, engine, s)
	if err == nil && !mine {
		return ErrFenced
	}
	return err
}

// Complete commits the end of an attempt with all that follows: another
// attempt, the cell that goes on, what may begin now, what never will, the end
// of the run. It is ErrFenced when the attempt is not the engine's any more.
func (q *Queue) Complete(ctx context.Context, engine string, s StepRun) (Changed, error) {
	var out Changed
	err := q.store.Change(ctx, func(tx Tx) (err error) {
		out = Changed{}
		return q.complete(ctx, tx, engine, s, &out)
	})
	return out, err
}

func (q *Queue) complete(ctx context.Context, tx Tx, engine string, s StepRun, out *Changed) error {
	s.Reason = storable(s.Reason)
	g, err := q.graph(ctx, s.Run)
	if err != nil {
		return err
	}
	p, err := tx.Lock(ctx, s.Run)
	if err != nil {
		return err
	}
	if err := note(ctx, tx, engine, s); err != nil {
		return err
	}
	tx.Emit(stepEvent(s, s.EndedAt))
	out.step(s)
	a := &advance{q: q, tx: tx, g: g, p: p, now: q.clock.Now(), out: out}
	return a.ended(ctx, s)
}

// storable is a text that every database takes: PostgreSQL refuses zero bytes
// and what is not UTF-8, and a step may put either into the name of a file.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// advance is what follows from the end of cells of one run, within one transaction.
type advance struct {
	q   *Queue
	tx  Tx
	g   graph
	p   Progress
	now time.Time
	out *Changed
}

// ended goes on after the end of one cell's attempt.
func (a *advance) ended(ctx context.Context, s StepRun) error {
	spec := a.g.specs[s.Step]
	if wait, again := spec.Retry.after(s); again && a.p.Stop == "" {
		return a.again(ctx, s, wait)
	}
	n := 1
	if !s.State.OK() && s.State != Skipped && len(spec.Matrix)+len(spec.Include) > 0 {
		rest, err := a.endPending(ctx, s.Step, Skipped, "another cell "+string(s.State))
		if err != nil {
			return err
		}
		n += rest
	} else if spec.Parallel > 0 {
		if err := a.tx.Ready(ctx, s.Run, s.Step, 1); err != nil {
			return err
		}
		a.out.Ready = true
	}
	left, err := a.tx.Close(ctx, s.Run, s.Step, n)
	if err != nil || left > 0 {
		return err
	}
	rows := []StepRun{s}
	if s.Cell != 0 {
		if rows, err = a.tx.Newest(ctx, s.Run, s.Step); err != nil {
			return err
		}
	}
	if err := a.choose(ctx, *spec, rows); err != nil {
		return err
	}
	return a.finish(ctx)
}

// again makes the next attempt of a cell.
func (a *advance) again(ctx context.Context, s StepRun, wait time.Duration) error {
	next := StepRun{Run: s.Run, Step: s.Step, Cell: s.Cell, Values: s.Values, Attempt: s.Attempt + 1, Kind: s.Kind, State: Pending,
		Reason: string(s.Cause) + ", tried again"}
	a.out.Ready = true
	a.out.step(next)
	return a.tx.Put(ctx, next, a.now.Add(wait))
}

// choose ends a step whose cells have all ended, and marks the one that goes on.
func (a *advance) choose(ctx context.Context, spec StepSpec, rows []StepRun) error {
	before := slices.Clone(rows)
	state, reason := settle(spec, rows)
	for i, s := range rows {
		if s.Selected == before[i].Selected && s.State == before[i].State {
			continue
		}
		if err := a.tx.Put(ctx, s, time.Time{}); err != nil {
			return err
		}
		a.out.step(s)
		if s.State != before[i].State {
			a.tx.Emit(stepEvent(s, a.now))
		}
	}
	return a.endStep(ctx, spec.Name, state, reason)
}

// endStep ends a step; those that need it may begin, or are skipped.
func (a *advance) endStep(ctx context.Context, name string, state State, reason string) error {
	if err := a.tx.PutStep(ctx, StepProgress{Run: a.p.Run, Step: name, State: state, Reason: reason}); err != nil {
		return err
	}
	a.p.Open--
	for _, f := range a.g.followers[name] {
		waits, found, err := a.tx.Release(ctx, a.p.Run, f)
		switch {
		case err != nil:
			return err
		case !found: // not asked for, or over already
		case !state.OK():
			err = a.skip(ctx, f, name+" "+verb(state))
		case waits == 0:
			a.out.Ready = true
			err = a.tx.Ready(ctx, a.p.Run, f, a.g.specs[f].atOnce())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skip ends a step that will never begin, and those that need it.
func (a *advance) skip(ctx context.Context, name, why string) error {
	if _, err := a.endPending(ctx, name, Skipped, why); err != nil {
		return err
	}
	return a.endStep(ctx, name, Skipped, why)
}

// endPending ends the cells of a step that have not begun.
func (a *advance) endPending(ctx context.Context, step string, s State, why string) (int, error) {
	rows, err := a.tx.EndPending(ctx, a.p.Run, step, s, why, a.now)
	if err != nil {
		return 0, err
	}
	events := make([]lastro.Event, len(rows))
	for i, row := range rows {
		events[i] = stepEvent(row, a.now)
		a.out.step(row)
	}
	a.tx.Emit(events...)
	return len(rows), nil
}

// finish stores how the run stands, and ends it with its last step.
func (a *advance) finish(ctx context.Context) error {
	if a.p.Open > 0 {
		return a.tx.PutProgress(ctx, a.p)
	}
	steps, err := a.tx.Steps(ctx, a.p.Run)
	if err != nil {
		return err
	}
	a.p.State, a.p.Reason = total(steps)
	if a.p.Stop != "" && a.p.State != Succeeded {
		a.p.State, a.p.Reason = Cancelled, a.p.Stop
	}
	a.p.EndedAt = a.now
	if err := a.tx.PutProgress(ctx, a.p); err != nil {
		return err
	}
	r := Run{Number: a.p.Run, State: a.p.State, Reason: a.p.Reason, EndedAt: a.now}
	a.out.Runs = append(a.out.Runs, r)
	a.q.forget(r.Number)
	a.tx.Emit(runEvent(r, "run.finished", a.now))
	return nil
}

func (q *Queue) forget(run int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.graphs, run)
}

// Cancel ends what has not begun of a run and asks the engines to stop the rest.
func (q *Queue) Cancel(ctx context.Context, run int64, why string) (Changed, error) {
	g, err := q.graph(ctx, run)
	if err != nil {
		return Changed{}, err
	}
	var out Changed
	err = q.store.Change(ctx, func(tx Tx) error {
		out = Changed{}
		p, err := tx.Lock(ctx, run)
		if err != nil {
			return err
		}
		if p.State.Ended() {
			return &lastro.Error{Code: lastro.EConflict, ID: "L0316", Msg: fmt.Sprintf("run #%d has ended: it %s", run, verb(p.State)), Hint: fmt.Sprintf("lastro why %d", run)}
		}
		if p.Stop == "" {
			p.Stop = why
		}
		a := &advance{q: q, tx: tx, g: g, p: p, now: q.clock.Now(), out: &out}
		if err := a.cancel(ctx); err != nil {
			return err
		}
		return a.finish(ctx)
	})
	return out, err
}

func (a *advance) cancel(ctx context.Context) error {
	steps, err := a.tx.Steps(ctx, a.p.Run)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.State.Ended() {
			continue
		}
		n, err := a.endPending(ctx, s.Step, Cancelled, a.p.Stop)
		if err != nil {
			return err
		}
		left, err := a.tx.Close(ctx, a.p.Run, s.Step, n)
		if err != nil {
			return err
		}
		if left > 0 {
			continue // its engine stops it, and its end ends the step
		}
		rows, err := a.tx.Newest(ctx, a.p.Run, s.Step)
		if err != nil {
			return err
		}
		state, reason := settle(*a.g.specs[s.Step], rows)
		if err := a.tx.PutStep(ctx, StepProgress{Run: a.p.Run, Step: s.Step, State: state, Reason: reason}); err != nil {
			return err
		}
		a.p.Open--
	}
	return nil
}

// Abandon ends a run that nobody will go on with; what ran is lost.
func (q *Queue) Abandon(ctx context.Context, run int64, why string) error {
	return q.store.Change(ctx, func(tx Tx) error {
		p, err := tx.Lock(ctx, run)
		if err != nil || p.State.Ended() {
			return err
		}
		a := &advance{q: q, tx: tx, p: p, now: q.clock.Now(), out: &Changed{}}
		steps, err := tx.Steps(ctx, run)
		if err != nil {
			return err
		}
		for _, s := range steps {
			if err := a.abandon(ctx, s, why); err != nil {
				return err
			}
		}
		a.p.State, a.p.Reason, a.p.EndedAt, a.p.Open = Errored, why, a.now, 0
		if err := tx.PutProgress(ctx, a.p); err != nil {
			return err
		}
		q.forget(run)
		tx.Emit(runEvent(Run{Number: run, State: Errored, Reason: why}, "run.finished", a.now))
		return nil
	})
}

func (a *advance) abandon(ctx context.Context, s StepProgress, why string) error {
	if s.State.Ended() {
		return nil
	}
	if _, err := a.endPending(ctx, s.Step, Skipped, why); err != nil {
		return err
	}
	rows, err := a.tx.Newest(ctx, a.p.Run, s.Step)
	if err != nil {
		return err
	}
	s.State, s.Reason, s.Open, s.Waits = Skipped, why, 0, 0
	for _, row := range rows {
		if row.State != Running {
			continue
		}
		row = row.lost("", a.now)
		row.Reason, row.Error.Msg = why, why
		s.State = Errored
		if err := a.tx.Put(ctx, row, time.Time{}); err != nil {
			return err
		}
		a.tx.Emit(stepEvent(row, a.now))
	}
	return a.tx.PutStep(ctx, s)
}

// Retry lets an ended run go on: every cell that did not end well gets another
// attempt, with the same plan.
func (q *Queue) Retry(ctx context.Context, run int64, by lastro.Actor) (Changed, error) {
	g, err := q.graph(ctx, run)
	if err != nil {
		return Changed{}, err
	}
	var out Changed
	err = q.store.Change(ctx, func(tx Tx) error {
		out = Changed{Ready: true}
		p, err := tx.Lock(ctx, run)
		if err != nil {
			return err
		}
		if !p.State.Ended() || p.State == Succeeded {
			return &lastro.Error{Code: lastro.EConflict, ID: "L0317", Msg: fmt.Sprintf("run #%d %s: there is nothing to try again", run, standing(p.State)), Hint: "lastro run --no-cache does all its work anew"}
		}
		now := q.clock.Now()
		p.State, p.Reason, p.Stop, p.EndedAt, p.Open = Running, "", "", time.Time{}, 0
		a := &advance{q: q, tx: tx, g: g, p: p, now: now, out: &out}
		if err := a.reopen(ctx); err != nil {
			return err
		}
		if a.p.Open == 0 {
			return lastro.Errorf(lastro.EConflict, "run #%d ended before its first step: there is nothing to try again", run)
		}
		if err := tx.PutProgress(ctx, a.p); err != nil {
			return err
		}
		r := Run{Number: run, State: Running, Actor: by}
		out.Runs = append(out.Runs, r)
		tx.Emit(runEvent(r, "run.retried", now))
		return nil
	})
	return out, err
}

// reopen makes new attempts of what did not end well.
func (a *advance) reopen(ctx context.Context) error {
	steps, err := a.tx.Steps(ctx, a.p.Run)
	if err != nil {
		return err
	}
	good := map[string]bool{}
	for _, s := range steps {
		good[s.Step] = s.State.OK()
	}
	for _, s := range steps {
		if good[s.Step] {
			continue
		}
		rows, err := a.tx.Newest(ctx, a.p.Run, s.Step)
		if err != nil {
			return err
		}
		next := StepProgress{Run: a.p.Run, Step: s.Step, State: Pending}
		for _, need := range a.g.specs[s.Step].needs() {
			if ok, known := good[need]; known && !ok {
				next.Waits++
			}
		}
		for _, row := range rows {
			if row.State.OK() {
				continue
			}
			next.Open++
			if err := a.tx.Put(ctx, StepRun{Run: row.Run, Step: row.Step, Cell: row.Cell, Values: row.Values, Attempt: row.Attempt + 1, Kind: row.Kind,
				State: Pending, Reason: "asked for: " + string(row.State) + " before"}, time.Time{}); err != nil {
				return err
			}
		}
		if err := a.tx.PutStep(ctx, next); err != nil {
			return err
		}
		a.p.Open++
		if next.Waits == 0 {
			if err := a.tx.Ready(ctx, a.p.Run, s.Step, a.g.specs[s.Step].atOnce()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Join adds an engine to those that work on the queue. Those of the same place
// are dead, or the caller would not hold it: their running attempts are the
// new engine's, and returned.
func (q *Queue) Join(ctx context.Context, e EngineRow) (rows []StepRun, err error) {
	e.StartedAt = q.clock.Now()
	err = q.store.Change(ctx, func(tx Tx) error {
		if err := tx.Join(ctx, e); err != nil {
			return err
		}
		rows, err = tx.Inherit(ctx, e.Place, e.ID)
		return err
	})
	return rows, err
}

// Beat says that an engine lives; ErrFenced when it was taken for dead.
func (q *Queue) Beat(ctx context.Context, engine string) error {
	return q.store.Change(ctx, func(tx Tx) error {
		alive, err := tx.Beat(ctx, engine)
		if err == nil && !alive {
			return ErrFenced
		}
		return err
	})
}

// Bury declares an engine dead whose beat has not changed for too long: what
// it was doing is lost, and tried again. found is false when it has moved since.
func (q *Queue) Bury(ctx context.Context, engine string, beat int64) (out Changed, found bool, err error) {
	err = q.store.Change(ctx, func(tx Tx) error {
		out = Changed{}
		// From here on it claims nothing more, so what it owns is all.
		if found, err = tx.Leave(ctx, engine, beat); err != nil || !found {
			return err
		}
		rows, err := tx.Owned(ctx, engine)
		if err != nil {
			return err
		}
		for _, s := range rows {
			if err := q.complete(ctx, tx, engine, s.lost("its engine was gone", q.clock.Now()), &out); err != nil && err != ErrFenced {
				return err
			}
		}
		return nil
	})
	return out, found, err
}

// Leave takes an engine off the queue that has nothing left to do.
func (q *Queue) Leave(ctx context.Context, engine string) error {
	return q.store.Change(ctx, func(tx Tx) error { _, err := tx.Leave(ctx, engine, -1); return err })
}

// lost is the attempt as it ends when nobody knows how it ended.
func (s StepRun) lost(why string, at time.Time) StepRun {
	s.State, s.Cause, s.EndedAt, s.Reason = Errored, RetryLost, at, "lost: "+why
	s.Error = &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: s.Reason}
	return s
}

// lostTries is how often lost work is tried again without being asked to.
const lostTries = 1

// MaxBackoff is the longest wait between two attempts. What waits for longer
// than that began to wait before the clock was set back, and waits no more.
const MaxBackoff = 10 * time.Minute

// after says whether an attempt that has ended is followed by another one, and
// after how long.
func (r Retry) after(s StepRun) (time.Duration, bool) {
	if s.Cause == "" || s.State.OK() {
		return 0, false
	}
	tries := 0
	if slices.Contains(r.On, s.Cause) || (len(r.On) == 0 && s.Cause == RetryLost) {
		tries = r.Max
	}
	if s.Cause == RetryLost {
		tries = max(tries, lostTries)
	}
	if s.Attempt > tries {
		return 0, false
	}
	wait := r.Backoff
	for range s.Attempt - 1 {
		wait = min(2*wait, MaxBackoff)
	}
	return min(wait, MaxBackoff), true
}

// settle says how a step ended whose cells have all ended, and marks the cell
// that goes on; when none can be chosen, the last one fails.
func settle(spec StepSpec, rows []StepRun) (State, string) {
	state, reason := Cached, ""
	ran := slices.ContainsFunc(rows, func(s StepRun) bool { return s.State != Skipped })
	for i := range rows { // cells that their condition left out say nothing of the others
		if worse(rows[i].State, state) && !(ran && rows[i].State == Skipped) {
			state, reason = rows[i].State, rows[i].Reason
		}
	}
	if !state.OK() {
		return state, reason
	}
	best, err := choose(spec, rows)
	if err != nil {
		last := &rows[len(rows)-1]
		last.State, last.Error = Failed, asError(err)
		last.Reason = last.Error.Msg
		return Failed, last.Reason
	}
	if best >= 0 {
		rows[best].Selected = true
	}
	return state, ""
}

// worse orders the states of cells into that of their step.
func worse(a, b State) bool {
	rank := map[State]int{Cached: 0, Succeeded: 1, Skipped: 2, Cancelled: 3, Errored: 4, Failed: 5}
	return rank[a] > rank[b]
}

// total is the state that the steps of a run add up to. A step that its own
// condition skipped, and what only that skipped, is no reason to fail.
func total(steps []StepProgress) (State, string) {
	worst := Cached
	var bad []string
	more := 0
	for _, s := range steps {
		if worse(s.State, worst) {
			worst = s.State
		}
		if s.State == Failed || s.State == Errored {
			if len(bad) == mostReasons {
				more++
				continue
			}
			bad = append(bad, fmt.Sprintf("step %s %s: %s", s.Step, s.State, strings.TrimPrefix(s.Reason, fmt.Sprintf("step %q: ", s.Step))))
		}
	}
	if worst.OK() || worst == Skipped {
		return Succeeded, ""
	}
	if more > 0 {
		bad = append(bad, fmt.Sprintf("and %d more", more))
	}
	return worst, strings.Join(bad, "; ")
}

// mostReasons is how many steps' reasons stand in that of a run: a matrix may
// fail in ten thousand cells, each of which keeps its own.
const mostReasons = 3

func verb(s State) string {
	if s == Skipped || s == Cancelled {
		return "was " + string(s)
	}
	return string(s)
}

// standing says how a run stands: "is running", "succeeded", "was cancelled".
func standing(s State) string {
	if !s.Ended() {
		return "is " + string(s)
	}
	return verb(s)
}
