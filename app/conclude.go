// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"sync"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
	"lastro/store"
)

// On a database that several servers share, each of them may follow a run: the
// one that was asked for it, and those that were started while it went on. Only
// one registers its model and decides, and another goes on when that one dies.

// concludeLease is how long who concludes a run may be silent before another
// takes it over; only the own passing of time counts.
var concludeLease = 15 * time.Second

// alone calls do unless another process does or has done the same for this
// run; it waits for that one, and takes over when it has died. mine is false
// when the other one did it. A place has one process at a time, so its name is
// that of the process, and one that was restarted goes on at once.
func (h *House) alone(ctx context.Context, run int64, do func(context.Context) error) (mine bool, err error) {
	if !h.DB.Shared() {
		return true, do(ctx)
	}
	runs := store.NewPipeline(h.DB)
	if mine, err = h.awaitTurn(ctx, runs, run); err != nil || !mine {
		return mine, err
	}
	stop := h.keepTurn(ctx, runs, run)
	err = do(ctx)
	stop()
	if err != nil {
		return true, err // it stays undone, and is tried again
	}
	_, err = runs.Concluded(ctx, run, h.place())
	return true, err
}

// awaitTurn returns true once the conclusion is this process's, false once
// another has done it.
func (h *House) awaitTurn(ctx context.Context, runs *store.Pipeline, run int64) (bool, error) {
	me := h.place()
	var last store.Conclusion
	since := time.Now()
	for {
		c, err := runs.Conclude(ctx, run, me)
		if err != nil || c.Owner == me || c.Done {
			return err == nil && !c.Done, err
		}
		if c != last {
			last, since = c, time.Now()
		}
		if time.Since(since) > concludeLease {
			taken, err := runs.TakeConclusion(ctx, c, me)
			if err != nil || taken {
				return taken, err
			}
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(concludeLease / 10):
		}
	}
}

// keepTurn says that this process goes on until the function that it returns
// is called.
func (h *House) keepTurn(ctx context.Context, runs *store.Pipeline, run int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(concludeLease / 5)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := runs.BeatConclusion(ctx, run, h.place()); err != nil && ctx.Err() == nil {
					h.Log.Warn("no heartbeat of a conclusion", "run", pipeline.RunRef(run), "err", err)
				}
			}
		}
	})
	return func() { cancel(); beating.Wait() }
}

// settleLoop finishes, on a database that others share, what their deaths left
// undone; on its own one the server does so when it starts.
func (s *server) settleLoop(ctx context.Context) error {
	if !s.house.DB.Shared() {
		return nil
	}
	return s.every(ctx, concludeLease, 4*concludeLease, "runs of other servers", s.settleOthers)
}

// settleOthers concludes succeeded runs that nobody has concluded, one after
// the other. A run that somebody concludes now is waited for, which costs
// nothing; one of which nobody knows is this server's.
func (s *server) settleOthers(ctx context.Context) error {
	h, p := s.house, s.house.Project()
	if p == nil || p.Model == nil {
		return nil
	}
	runs, err := store.NewPipeline(h.DB).Unconcluded(ctx, p.Name, 10)
	if err != nil {
		return err
	}
	for _, run := range runs {
		// Who followed the run may just be about to conclude it, with the actor
		// and the code that it was asked with.
		if !registers(run) || h.Clock.Now().Sub(run.EndedAt) < concludeLease {
			continue
		}
		out, err := h.concludeOf(ctx, run)
		if err != nil {
			h.Log.Error("the run was not decided", "run", run.Ref(), "err", err)
			continue
		}
		s.follow(ctx, out, run.EndedAt)
	}
	return nil
}

// concludeOf concludes a run of another process, with the project that it was
// planned from.
func (h *House) concludeOf(ctx context.Context, run pipeline.Run) (RunResult, error) {
	w, err := h.recorded(ctx, run)
	if err != nil {
		return RunResult{}, err
	}
	h.running.Lock()
	defer h.running.Unlock()
	return h.conclude(ctx, run, w.project, lastro.System("engine"))
}

// decideOnce registers the model of a run and decides on it, or finds what
// another process decided.
func (h *House) decideOnce(ctx context.Context, out *RunResult, p *project.Project, actor lastro.Actor) error {
	mine, err := h.alone(ctx, out.Run.Number, func(ctx context.Context) error { return h.promote(ctx, out, p, actor) })
	if err != nil || mine || p.Model == nil {
		return err
	}
	out.elsewhere = true
	_, err = h.decidedOf(ctx, out, p)
	return err
}
