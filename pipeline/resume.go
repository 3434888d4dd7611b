// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"lastro"
)

// takeOver goes on with the run of an engine that died: what has ended stays
// as it ended, what was running is looked for when its turn comes.
func (r *runner) takeOver(ctx context.Context, old Run) error {
	r.run = old
	r.e.claim(old.Number)
	rows, err := r.e.o.Store.StepRuns(ctx, old.Number)
	if err != nil {
		return err
	}
	newest := map[string]StepRun{}
	for _, s := range rows {
		name := cellName(s.Step, s.Cell)
		if n, ok := newest[name]; !ok || s.Attempt > n.Attempt {
			newest[name] = s
		}
	}
	var over []StepRun
	for name, s := range newest {
		switch {
		case s.State.Ended() && !r.again(s):
			over = append(over, s)
		case s.State == Running || r.again(s):
			r.prior[name] = s
		}
	}
	r.adopt(over)
	now := r.e.o.Clock.Now()
	r.run.State = Running
	if err := r.e.o.Store.Record(ctx, &r.run, r.selectedRows(), []lastro.Event{runEvent(r.run, "run.resumed", now)}...); err != nil {
		return err
	}
	r.observeRun()
	work := newWorkspaces(r.e.o, old.Number, r.e.isLive)
	for _, s := range over {
		r.tidyEnded(ctx, work, s)
		r.observe(s)
	}
	return nil
}

// tidyEnded does what the engine may have died before: between committing the
// end of a step and tidying up after it.
func (r *runner) tidyEnded(ctx context.Context, work *workspaces, s StepRun) {
	if s.State != Succeeded {
		return
	}
	work.remove(filepath.Join(work.dir, fmt.Sprintf("%s-%d", cellName(s.Step, s.Cell), s.Attempt)))
	k, ok := r.e.kinds[s.Kind].(Resumable)
	if !ok {
		return
	}
	id := taskID(s.Run, s.Step, s.Cell, s.Attempt)
	if err := k.Forget(ctx, id); err != nil {
		r.e.o.Log.WarnContext(ctx, "task was not forgotten", "task", id, "err", err)
	}
}

// again reports whether an attempt that ended as lost still waits for its
// second try: the engine died between the two.
func (r *runner) again(s StepRun) bool {
	return s.State == Errored && s.Error != nil && s.Error.ID == "L0309"
}

// selectedRows are the rows that settling has marked; writing them again does no harm.
func (r *runner) selectedRows() []StepRun {
	var out []StepRun
	for _, st := range r.steps {
		if st.chosen != nil {
			out = append(out, *st.chosen)
		}
	}
	return out
}
