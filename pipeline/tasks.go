// SPDX-License-Identifier: Apache-2.0

package pipeline

import "context"

// Tasks is what the executor of a place knows of the tasks that it was given.
type Tasks interface {
	// Tasks returns the IDs of all that it remembers, those that have ended too.
	Tasks(ctx context.Context) ([]string, error)
	// End stops a task, waits until it is gone and forgets it; one that has ended
	// or is not known is no error.
	End(ctx context.Context, id, why string) error
}

// endForeign ends what still runs at this place and is nobody's any more: the
// tasks of an engine of before whose attempts others took over meanwhile.
func (w *worker) endForeign(ours []StepRun) {
	tasks := w.e.o.Tasks
	if tasks == nil {
		return
	}
	mine := map[string]bool{}
	for _, s := range ours {
		mine[taskID(s.Run, s.Step, s.Cell, s.Attempt)] = true
	}
	ids, err := tasks.Tasks(w.ctx) // before anything is claimed: what is begun later is not among them
	if err != nil {
		w.e.o.Log.Warn("tasks of before were not looked for", "err", err)
		return
	}
	for _, id := range ids {
		if !mine[id] {
			w.cells.Go(func() { w.endTask(id, "another engine has taken over its step") })
		}
	}
}

// endTask stops a task that nobody waits for.
func (w *worker) endTask(id, why string) {
	if w.e.o.Tasks == nil {
		return
	}
	if err := w.e.o.Tasks.End(context.WithoutCancel(w.ctx), id, why); err != nil {
		w.e.o.Log.Warn("a task of before was not ended", "task", id, "err", err)
	}
}
