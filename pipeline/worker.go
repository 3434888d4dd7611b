// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
)

// worker is one life of an engine on the queue: from joining to leaving.
type worker struct {
	e      *Engine
	id     string
	ctx    context.Context
	stop   context.CancelCauseFunc
	commit *committer
	cells  sync.WaitGroup
	gone   chan struct{} // closed when it works no more
	err    error         // why it stopped by itself; set before gone is closed

	trouble atomic.Pointer[error] // what kept it from recording
}

// Work joins those that carry out the queue, goes on with what an engine of the
// same place left behind, and works until ctx ends. Cells that outlive the
// engine are let go (ErrDetach); the next Work of this place finds them. The
// error is nil when ctx ended, ErrFenced when others took this engine for dead,
// or what kept it from recording.
func (e *Engine) Work(ctx context.Context) error {
	e.mu.Lock()
	if e.working != nil {
		e.mu.Unlock()
		return lastro.Errorf(lastro.EConflict, "this engine works already")
	}
	w := e.newWorker(context.WithoutCancel(ctx))
	e.mu.Unlock()
	defer context.AfterFunc(ctx, func() { w.stop(ErrDetach) })()
	w.work()
	if ctx.Err() != nil && !errors.Is(w.err, ErrFenced) {
		return nil
	}
	return w.err
}

// newWorker makes the engine's worker; e.mu is held.
func (e *Engine) newWorker(ctx context.Context) *worker {
	w := &worker{e: e, id: e.o.Place + "/" + rand.Text()[:8], gone: make(chan struct{})}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	w.commit = newCommitter(e.q, w.id, w)
	e.working, e.draining = w, false
	return w
}

// work joins the queue and works until its context ends.
func (w *worker) work() {
	left, err := w.e.q.Join(context.WithoutCancel(w.ctx), EngineRow{ID: w.id, Place: w.e.o.Place})
	if err == nil {
		sweep(w.e.o.StateDir, w.e.ended)
		w.endForeign(left)
		for _, s := range left {
			w.carry(s, w.e.room(s), true)
		}
		err = w.loop()
	}
	w.finish(err)
}

// ended reports whether a run is over, or was never stored.
func (e *Engine) ended(run int64) bool {
	p, err := e.o.Store.Progress(context.Background(), run)
	return lastro.Is(err, lastro.ENotFound) || (err == nil && p.State.Ended())
}

// finish waits for the cells, which ctx has told to let go, or to stop when
// others have taken them over.
func (w *worker) finish(err error) {
	if errors.Is(err, ErrFenced) {
		w.stop(ErrFenced)
	}
	w.stop(ErrDetach)
	w.cells.Wait()
	w.commit.close()
	if trouble := w.trouble.Load(); err == nil && trouble != nil {
		err = *trouble
	}
	if cause := context.Cause(w.ctx); err == nil && !errors.Is(cause, ErrDetach) && w.ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	e := w.e
	e.mu.Lock()
	w.err, e.working, e.used = err, nil, 0
	clear(e.active) // whoever works next opens them as they are then
	e.mu.Unlock()
	close(w.gone)
}

// loop claims what may begin until ctx ends.
func (w *worker) loop() error {
	w.watch()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		n, err := w.claim()
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-w.ctx.Done():
			return nil
		case <-w.e.wake:
		case <-w.ticks(poll): // work of others, and what waits for its back-off
		}
	}
}

// ticks is the poll's channel while somebody may have news without waking this
// engine, or a run of before a restart waits for its back-off; an idle engine of
// its own store sleeps.
func (w *worker) ticks(poll *time.Ticker) <-chan time.Time {
	w.e.mu.Lock()
	active := len(w.e.active)
	w.e.mu.Unlock()
	if w.e.o.Store.Shared() || active > 0 {
		return poll.C
	}
	left, err := w.e.o.Store.Runs(w.ctx, RunFilter{Unfinished: true, Limit: 1})
	if err != nil || len(left) > 0 {
		return poll.C
	}
	return nil
}

// claim takes as many cells as there is room for and begins them.
func (w *worker) claim() (int, error) {
	if w.roomWith(nil).Free <= 0 {
		return 0, nil
	}
	return w.commit.claim()
}

// roomWith implements working.
func (w *worker) roomWith(freed []*room) Room {
	e := w.e
	e.mu.Lock()
	defer e.mu.Unlock()
	r := Room{All: e.o.Parallel}
	if e.draining || w.ctx.Err() != nil {
		return r
	}
	r.Free = e.o.Parallel - e.used
	for _, f := range freed {
		r.Free += f.n
	}
	return r
}

// took implements working: claimed cells begin once observers have heard of
// what let them.
func (w *worker) took(freed []*room, changed []Changed, claimed []StepRun) {
	for _, f := range freed {
		f.release()
	}
	rooms := make([]*room, len(claimed))
	for i, s := range claimed {
		rooms[i] = w.e.room(s)
	}
	for _, c := range changed {
		c.Ready = c.Ready && len(freed) == 0 // else what began to be ready was claimed with it, or there is no room
		w.e.notice(c)
	}
	for i, s := range claimed {
		w.carry(s, rooms[i], false)
	}
}

// carry works at one claimed attempt in a goroutine of its own. A cell that is
// inherited was begun by an engine before.
func (w *worker) carry(s StepRun, room *room, inherited bool) {
	e := w.e
	w.cells.Go(func() {
		defer room.free()
		a, err := e.activate(w.ctx, s.Run)
		if err != nil {
			if w.ctx.Err() == nil {
				if inherited { // it may still run, and nobody would stop it
					w.endTask(taskID(s.Run, s.Step, s.Cell, s.Attempt), asError(err).Msg)
				}
				s.State, s.Error, s.EndedAt = Errored, asError(err), e.o.Clock.Now()
				s.Reason = s.Error.Msg
				w.complete(s, room)
			}
			return
		}
		defer a.enter()()
		ctx, stop := context.WithCancelCause(w.ctx)
		defer stop(nil)
		defer context.AfterFunc(a.ctx, func() { stop(context.Cause(a.ctx)) })()
		(&attempt{w: w, r: a, row: s, room: room}).carry(ctx, inherited)
	})
}

// room is what a cell takes of its engine until it is given back.
type room struct {
	e *Engine
	n int // guarded by Engine.mu; 0 = it was given back
}

// room takes what a cell needs.
func (e *Engine) room(s StepRun) *room {
	n, _ := Room{All: e.o.Parallel}.Takes(s.Weight)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used += n
	return &room{e: e, n: n}
}

// release gives the room back, and reports whether it had not been already.
func (r *room) release() bool {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	held := r.n > 0
	r.e.used -= r.n
	r.n = 0
	return held
}

// free is release for who does not claim in the place of it.
func (r *room) free() {
	if r.release() {
		r.e.poke()
	}
}

// complete commits the end of an attempt, and gives its room to others; false
// when that could not be. What others have taken over is dropped; when nothing
// can be recorded the worker stops.
func (w *worker) complete(s StepRun, r *room) bool {
	err := w.commit.complete(s, r)
	if errors.Is(err, ErrFenced) {
		w.e.o.Log.Warn("the end of a step came too late: another engine has it", "step", s.Ref(), "attempt", s.Attempt)
	} else if err != nil {
		w.trouble.CompareAndSwap(nil, &err)
		w.stop(ErrDetach) // what else runs goes on, and is found when recording is possible again
	}
	return err == nil
}

// Drain lets the engine begin nothing more and returns when all that it carries
// out has ended, or ctx has.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		e.mu.Lock()
		busy := e.used
		e.mu.Unlock()
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Busy returns how many cells this engine is carrying out.
func (e *Engine) Busy() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.used
}

// watch keeps this engine's lease and looks after the others', when there are others.
func (w *worker) watch() {
	if !w.e.o.Store.Shared() {
		return
	}
	w.cells.Go(func() { w.every(w.e.o.Lease/3, w.beat) })
	l := &lookout{seen: map[string]sighting{}}
	w.cells.Go(func() { w.every(w.e.o.Lease/3, func() { w.look(l) }) })
	w.cells.Go(func() { w.every(time.Second, w.stops) })
	over := map[int64]bool{}
	w.cells.Go(func() { w.every(w.e.o.Lease/3, func() { over = w.retireEnded(over) }) })
}

// retireEnded forgets runs that another engine ended. It returns those that
// have ended since the last time: their end may be this engine's own, which its
// observer is just being told of.
func (w *worker) retireEnded(before map[int64]bool) map[int64]bool {
	e, over := w.e, map[int64]bool{}
	e.mu.Lock()
	runs := slices.Collect(maps.Keys(e.active))
	e.mu.Unlock()
	for _, n := range runs {
		e.opening.Lock() // nobody opens it meanwhile, to try it again
		p, err := e.o.Store.Progress(w.ctx, n)
		switch {
		case err != nil || !p.State.Ended():
		case before[n]:
			e.q.forget(n)
			e.retire(Run{Number: n, State: p.State, Reason: p.Reason, EndedAt: p.EndedAt})
		default:
			over[n] = true
		}
		e.opening.Unlock()
	}
	return over
}

func (w *worker) every(d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		f()
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *worker) beat() {
	err := w.e.q.Beat(w.ctx, w.id)
	if errors.Is(err, ErrFenced) {
		w.stop(ErrFenced)
	} else if err != nil && w.ctx.Err() == nil {
		w.e.o.Log.Warn("no heartbeat", "err", err)
	}
}

// stops ends the cells of runs that were cancelled through another process.
func (w *worker) stops() {
	stopping, err := w.e.o.Store.Stopping(w.ctx)
	if err != nil {
		return // the next second asks again
	}
	for run, why := range stopping {
		if a := w.e.at(run); a != nil {
			a.stop(errors.New(why))
		}
	}
}

// lookout remembers when the beat of each engine was last seen to change. Only
// this process's own passing of time counts, so clocks need not agree.
type lookout struct{ seen map[string]sighting }

type sighting struct {
	beat  int64
	since time.Time
}

// silent returns whether an engine has not moved for longer than the lease.
func (l *lookout) silent(e EngineRow, now time.Time, lease time.Duration) bool {
	last, known := l.seen[e.ID]
	if !known || last.beat != e.Beat {
		l.seen[e.ID] = sighting{e.Beat, now}
		return false
	}
	return now.Sub(last.since) > lease
}

func (w *worker) look(l *lookout) {
	engines, err := w.e.o.Store.Engines(w.ctx)
	if err != nil {
		return // the next beat asks again
	}
	for _, other := range engines {
		if other.ID == w.id || !l.silent(other, time.Now(), w.e.o.Lease) {
			continue
		}
		changed, found, err := w.e.q.Bury(w.ctx, other.ID, other.Beat)
		if err != nil {
			w.e.o.Log.Warn("a silent engine was not declared dead", "engine", other.ID, "err", err)
		} else if found {
			w.e.o.Log.Warn("an engine was silent for too long: its steps are tried again", "engine", other.ID)
			delete(l.seen, other.ID)
			w.e.notice(changed)
		}
	}
}
