// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"strings"
	"sync"

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

// Room is what an engine has left for cells, in processors, of how many it has.
type Room struct{ Free, All int }

// Takes reports whether a cell of a weight still fits, and how much it takes: one
// that is heavier than the whole engine takes all of it.
func (r Room) Takes(weight int) (n int, fits bool) {
	n = min(max(1, weight), r.All)
	return n, n <= r.Free
}

// Claim gives an engine the cells that may begin, as many as it has room for;
// ErrFenced when it was taken for dead.
func (q *Queue) Claim(ctx context.Context, engine string, room Room) (rows []StepRun, err error) {
	err = q.store.Change(ctx, func(tx Tx) (err error) {
		rows, err = q.claim(ctx, tx, engine, room)
		return err
	})
	return rows, err
}

func (q *Queue) claim(ctx context.Context, tx Tx, engine string, room Room) ([]StepRun, error) {
	// One that was taken for dead would own what nobody looks after.
	if alive, err := tx.Alive(ctx, engine); err != nil || !alive {
		return nil, cmp.Or(err, error(ErrFenced))
	}
	now := q.clock.Now()
	rows, err := tx.Take(ctx, engine, now, room)
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

func (q *Queue) forget(run int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.graphs, run)
}
