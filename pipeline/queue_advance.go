// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro"
)

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
	rows := []StepRun{s}
	if s.Cell != 0 { // else the step ends with its only cell
		left, err := a.tx.Close(ctx, s.Run, s.Step, n)
		if err != nil || left > 0 {
			return err
		}
	}
	if s.Cell != 0 {
		var err error
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
	next := StepRun{Run: s.Run, Step: s.Step, Cell: s.Cell, Values: s.Values, Attempt: s.Attempt + 1, Weight: s.Weight, Kind: s.Kind, State: Pending,
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

// rank orders the ends of cells, the best first.
var rank = map[State]int{Cached: 0, Succeeded: 1, Skipped: 2, Cancelled: 3, Errored: 4, Failed: 5}

// worse orders the states of cells into that of their step.
func worse(a, b State) bool { return rank[a] > rank[b] }

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
