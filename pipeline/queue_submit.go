// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"time"

	"lastro"
)

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
		cells[i] = StepRun{Step: ps.Spec.Name, Cell: c.Index, Values: c.Values, Attempt: 1, Weight: ps.Spec.weight(), Turns: ps.Spec.Parallel > 0, Kind: ps.Spec.Kind, State: Pending}
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
