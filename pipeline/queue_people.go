// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"time"

	"lastro"
)

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
			return &lastro.Error{Code: lastro.EConflict, ID: "L0319", Msg: fmt.Sprintf("run #%d ended before its first step: there is nothing to try again", run),
				Hint: fmt.Sprintf("lastro why %d says what stopped it; lastro run starts a new one", run)}
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
		for _, need := range directNeeds(*a.g.specs[s.Step]) {
			if ok, known := good[need]; known && !ok {
				next.Waits++
			}
		}
		for _, row := range rows {
			if row.State.OK() {
				continue
			}
			next.Open++
			if err := a.tx.Put(ctx, StepRun{Run: row.Run, Step: row.Step, Cell: row.Cell, Values: row.Values, Attempt: row.Attempt + 1, Weight: row.Weight, Turns: a.g.specs[row.Step].Parallel > 0, Kind: row.Kind,
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
