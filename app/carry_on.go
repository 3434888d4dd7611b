// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lastro"
	"lastro/pipeline"
)

// reproducing is the part of the cache that only runs for comparison see.
const reproducing = pipeline.Reproduction

// registers reports whether the model of a run is registered and decided on.
func registers(r pipeline.Run) bool {
	return !r.Options.Untrusted && r.Options.Scope != reproducing
}

// Retry lets an ended run go on: what failed, errored, was cancelled or skipped
// gets another attempt, what succeeded stays. It returns once the run has ended
// again and its model is decided on.
func (h *House) Retry(ctx context.Context, number int64, by lastro.Actor, obs pipeline.Observer) (RunResult, error) {
	h.observer = obs
	if err := h.mayRetry(ctx, number); err != nil {
		return RunResult{}, err
	}
	if err := h.engine().Retry(ctx, number, by); err != nil {
		return RunResult{}, err
	}
	return h.carryOn(ctx, number)
}

// mayRetry refuses a run whose files are gone: they say what its steps run.
func (h *House) mayRetry(ctx context.Context, number int64) error {
	run, err := h.Runs.Run(ctx, number)
	if err != nil {
		return err
	}
	if run.Tree == "" || !run.State.Ended() || run.State == pipeline.Succeeded {
		return nil // the engine says why not
	}
	has, err := h.Blobs.Has(ctx, run.Tree)
	if err == nil && !has {
		err = &lastro.Error{Code: lastro.ENotFound, ID: "L0667", Msg: fmt.Sprintf("the files of run #%d are no longer kept", number), Hint: "start a new run: lastro run"}
	}
	return err
}

// Resume goes on with a run that has not ended: the one of that number, or the
// newest one (0).
func (h *House) Resume(ctx context.Context, number int64, obs pipeline.Observer) (RunResult, error) {
	h.observer = obs
	run, err := h.Unfinished(ctx, number)
	if err != nil {
		return RunResult{}, err
	}
	err = h.Runs.Change(ctx, func(tx pipeline.Tx) error {
		tx.Emit(lastro.NewEvent(h.Clock.Now(), run.Actor, "run.resumed", run.Ref(), map[string]any{"project": run.Project, "state": run.State}))
		return nil
	})
	if err != nil {
		return RunResult{}, err
	}
	return h.carryOn(ctx, run.Number)
}

// Unfinished returns the run of that number, or the newest one that has not
// ended (0). One that has ended is EConflict.
func (h *House) Unfinished(ctx context.Context, number int64) (pipeline.Run, error) {
	if number == 0 {
		left, err := h.Runs.Runs(ctx, pipeline.RunFilter{Unfinished: true, Limit: 1})
		if err == nil && len(left) == 0 {
			err = &lastro.Error{Code: lastro.ENotFound, ID: "L0668", Msg: "every run has ended: there is nothing to go on with", Hint: "lastro retry RUN tries again what did not end well in a run; lastro ls lists them"}
		}
		if err != nil {
			return pipeline.Run{}, err
		}
		return left[0], nil
	}
	run, err := h.Runs.Run(ctx, number)
	if err != nil || !run.State.Ended() {
		return run, err
	}
	e := &lastro.Error{Code: lastro.EConflict, ID: "L0669", Msg: fmt.Sprintf("run #%d has ended: it %s", number, was(run.State)), Hint: fmt.Sprintf("lastro retry %d tries again what did not end well", number)}
	if run.State == pipeline.Succeeded {
		e.Hint = "lastro run --no-cache does all its work anew"
	}
	return run, e
}

// carryOn lets the engine work until a run has ended, and does what follows.
// When ctx ends the run is cancelled, unless the cause is ErrDetach.
func (h *House) carryOn(ctx context.Context, number int64) (RunResult, error) {
	run, err := h.Runs.Run(ctx, number)
	if err != nil {
		return RunResult{}, err
	}
	if h.observer != nil {
		h.observer.RunChanged(run)
	}
	run, err = h.working(ctx, func() (pipeline.Run, error) { return h.waitOrCancel(ctx, number) })
	if err != nil {
		return RunResult{Run: run}, err
	}
	w, err := h.recorded(ctx, run)
	if err != nil {
		return RunResult{Run: run}, err
	}
	return h.conclude(ctx, run, w.project, run.Actor)
}

// working lets the engine work while f runs.
func (h *House) working(ctx context.Context, f func() (pipeline.Run, error)) (pipeline.Run, error) {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), pipeline.ErrDetach) {
			stop(pipeline.ErrDetach)
		}
	})()
	done := make(chan error, 1)
	go func() { done <- h.engine().Work(work) }()
	type answer struct {
		run pipeline.Run
		err error
	}
	answered := make(chan answer, 1)
	go func() { run, err := f(); answered <- answer{run, err} }()
	var a answer
	select {
	case a = <-answered:
		stop(pipeline.ErrDetach)
		<-done
	case err := <-done: // by itself: nothing could be recorded any more
		if err == nil {
			err = pipeline.ErrDetach
		}
		a.err = err
	}
	return a.run, a.err
}

func (h *House) waitOrCancel(ctx context.Context, number int64) (pipeline.Run, error) {
	end, err := h.engine().Wait(ctx, number)
	if err == nil || ctx.Err() == nil || errors.Is(context.Cause(ctx), pipeline.ErrDetach) {
		return end, err
	}
	still := context.WithoutCancel(ctx)
	why := "cancelled"
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		why = cause.Error()
	}
	if err := h.engine().Cancel(still, number, why); err != nil && !lastro.Is(err, lastro.EConflict) {
		return end, err
	}
	return h.engine().Wait(still, number)
}

// Drain lets the engine begin nothing more and returns when all that it carries
// out has ended, or ctx has.
func (h *House) Drain(ctx context.Context) error { return h.engine().Drain(ctx) }

// Busy is how many steps and cells are being carried out here.
func (h *House) Busy() int { return h.engine().Busy() }

// CancelHere cancels a run that nobody carries out now: what an engine before
// left running is stopped.
func (h *House) CancelHere(ctx context.Context, number int64, why string) (pipeline.Run, error) {
	if err := h.engine().Cancel(ctx, number, why); err != nil {
		return pipeline.Run{}, err
	}
	return h.working(ctx, func() (pipeline.Run, error) { return h.engine().Wait(ctx, number) })
}

// Cancel asks for the end of a run that this process carries out.
func (h *House) Cancel(ctx context.Context, number int64, why string) error {
	return h.engine().Cancel(ctx, number, why)
}

// CarriesOutRuns reports whether the holder's command works on the queue, so
// that it can be asked to cancel a run.
func (h Holder) CarriesOutRuns() bool {
	switch h.Command {
	case "run", "retry", "resume", "reproduce":
		return true
	}
	return false
}

// interruptFile is where a process that interrupts another says which run is
// meant, and why.
func interruptFile(p Paths, pid int) string {
	return filepath.Join(p.Run(), "interrupt-"+strconv.Itoa(pid))
}

// InterruptHolder asks the process that carries out a run to cancel it, and
// says why.
func InterruptHolder(p Paths, holder Holder, number int64, why string) error {
	if err := os.WriteFile(interruptFile(p, holder.PID), fmt.Appendf(nil, "%d %s", number, why), 0o600); err != nil {
		return diskError(err)
	}
	if err := syscall.Kill(holder.PID, syscall.SIGINT); err != nil {
		return &lastro.Error{Code: lastro.EDenied, ID: "L0670", Msg: fmt.Sprintf("process %d, which carries the run out, cannot be interrupted", holder.PID),
			Hint: "press ctrl-C where it runs, or ask its owner to", Err: err}
	}
	return nil
}

// Interrupted says which run another process wants this one to cancel, and
// why; 0 when it was ctrl-C.
func Interrupted(p Paths) (number int64, why string) {
	name := interruptFile(p, os.Getpid())
	info, err := os.Stat(name)
	if err != nil {
		return 0, ""
	}
	raw, err := os.ReadFile(name)
	_ = os.Remove(name)
	if err != nil || time.Since(info.ModTime()) > time.Minute { // left for a process that had this number before
		return 0, ""
	}
	first, why, _ := strings.Cut(string(raw), " ")
	if number, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, ""
	}
	return number, strings.TrimSpace(why)
}
