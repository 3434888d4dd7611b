// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

// signals decide what ctrl-C and SIGTERM do. Without anything else said both
// end the command's context. A second ctrl-C ends the process at once, which
// loses nothing: steps go on under their supervisor, and the next command takes
// them over.
type signals struct {
	mu    sync.Mutex
	term  func(n int) // instead of ending the context, at the n-th SIGTERM
	other func() bool // reports whether SIGINT came of another lastro, and was dealt with
	deaf  bool        // ctrl-C is somebody else's: of the shell that runs in this terminal
}

// listen starts listening; the function that it returns ends it.
func (s *signals) listen(cancel context.CancelCauseFunc) (stop func()) {
	heard := make(chan os.Signal, 8)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	quit := make(chan struct{})
	go func() {
		interrupts, terms := 0, 0
		for {
			select {
			case <-quit:
				return
			case sig := <-heard:
				if sig == os.Interrupt {
					if s.interrupt(cancel) {
						interrupts++
					}
				} else {
					terms++
					s.terminate(cancel, terms)
				}
				if interrupts > 1 {
					os.Exit(130)
				}
			}
		}
	}()
	return func() { signal.Stop(heard); close(quit) }
}

// interrupt reports whether ctrl-C was for this process.
func (s *signals) interrupt(cancel context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf || (s.other != nil && s.other()) {
		return false
	}
	cancel(nil)
	return true
}

func (s *signals) terminate(cancel context.CancelCauseFunc, n int) {
	s.mu.Lock()
	f := s.term
	s.mu.Unlock()
	if f == nil {
		cancel(nil)
		return
	}
	f(n)
}

// set says what SIGTERM does from now on.
func (s *signals) set(term func(n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = term
}

// asked says who deals with a SIGINT of another lastro.
func (s *signals) asked(other func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = other
}

// ignore makes ctrl-C somebody else's, or this process's again.
func (s *signals) ignore(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = is
}

// draining carries out a run so that the first SIGTERM lets the steps that run
// come to their end and starts nothing more, and the second leaves them to
// their supervisor. What is left of the run waits for the next command.
func draining(env *Env, h *app.House, f func(*Env) (app.RunResult, error)) (app.RunResult, error) {
	ctx, cancel := context.WithCancelCause(env.Ctx)
	defer cancel(nil)
	inner := *env
	inner.Ctx = ctx
	env.sig.set(func(n int) {
		if n > 1 {
			env.note("stopping at once; the steps that run go on, and the next command takes them over")
			cancel(pipeline.ErrDetach)
			return
		}
		env.note("%s", drainLine(h.Busy()))
		go func() {
			if h.Drain(ctx) != nil {
				return
			}
			// When it was the last step the run has ended, and is decided on.
			if _, err := h.Unfinished(ctx, 0); !lastro.Is(err, lastro.ENotFound) {
				cancel(pipeline.ErrDetach)
			}
		}()
	})
	defer env.sig.set(nil)
	env.sig.asked(func() bool {
		number, why := app.Interrupted(env.paths())
		if number == 0 {
			return false
		}
		go func() { _ = h.Cancel(context.WithoutCancel(ctx), number, why) }() // one that has ended meanwhile needs nothing
		return true
	})
	defer env.sig.asked(nil)
	out, err := f(&inner)
	if errors.Is(err, pipeline.ErrDetach) {
		if n := out.Run.Number; n != 0 {
			env.note("run #%d has not ended; go on with: lastro resume %d", n, n)
		}
		return out, reported{context.Canceled}
	}
	return out, err
}

func drainLine(busy int) string {
	if busy == 0 {
		return "stopping: nothing new starts, and nothing runs now"
	}
	return "stopping: nothing new starts; waiting for " + count(busy, "step") + " that run" + map[bool]string{true: "s", false: ""}[busy == 1] +
		". A second SIGTERM stops at once and leaves them to the next command"
}

// drained is the context of a server: the first SIGTERM lets the steps that run
// come to their end before it ends, the second ends it at once.
func drained(env *Env, h *app.House) context.Context {
	ctx, cancel := context.WithCancelCause(env.Ctx)
	env.sig.set(func(n int) {
		if n > 1 {
			env.note("stopping at once; the steps that run go on, and the next server takes them over")
			cancel(nil)
			return
		}
		env.note("%s", drainLine(h.Busy()))
		go func() {
			if h.Drain(ctx) == nil {
				cancel(nil)
			}
		}()
	})
	return ctx
}
