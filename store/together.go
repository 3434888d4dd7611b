// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"

	"lastro"
)

// committer commits the small transactions of many callers as one: what arrives
// while one is being written goes into the next together. A single caller
// waits for nobody.
type committer struct {
	db *DB

	mu      sync.Mutex
	busy    bool
	waiting []*job
}

// job is one caller's transaction.
type job struct {
	run    string
	fn     func(*Tx) error
	events []lastro.Event
	err    error
	done   chan struct{}
}

// togetherMost bounds a transaction.
const togetherMost = 128

// committers share the connections of a PostgreSQL database; a SQLite file has one
// writer and one group.
const postgresCommitters = 4

var runSeed = maphash.MakeSeed()

// WriteTogether is WriteSoon in one transaction with other callers'. fn must
// change nothing before it refuses, with a *lastro.Error; then the others are
// kept. With any other error each is tried alone, so only fn's own fails. run is
// the id of the tracked run that fn writes, "" for one that it makes: transactions lock runs in the order
// of their ids, and what is written to the same run is written one after the other.
func (db *DB) WriteTogether(ctx context.Context, run string, fn func(*Tx) error, events ...lastro.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g := &db.committers[0]
	if db.Shared() {
		g = &db.committers[maphash.String(runSeed, run)%postgresCommitters]
	}
	j := &job{run: run, fn: fn, events: events, done: make(chan struct{})}
	g.mu.Lock()
	g.db = db
	g.waiting = append(g.waiting, j)
	lead := !g.busy
	g.busy = true
	g.mu.Unlock()
	if lead {
		g.lead()
	}
	<-j.done // also when the caller has gone: what is under way is not undone
	return j.err
}

// lead writes what waits, and lets another goroutine go on with what has come
// meanwhile.
func (g *committer) lead() {
	g.mu.Lock()
	n := min(togetherMost, len(g.waiting))
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()
	slices.SortStableFunc(batch, func(a, b *job) int { return cmp.Compare(a.run, b.run) })
	g.write(batch)
	for _, j := range batch {
		close(j.done)
	}
	g.mu.Lock()
	g.busy = len(g.waiting) > 0
	if g.busy {
		go g.lead()
	}
	g.mu.Unlock()
}

func (g *committer) write(batch []*job) {
	ctx := context.Background()
	err := g.db.WriteSoon(ctx, func(tx *Tx) error {
		if err := holdRuns(ctx, tx, idsOf(batch)); err != nil {
			return err
		}
		for _, j := range batch {
			if j.err = runJob(tx, j); j.err != nil && !refused(j.err) {
				return j.err
			}
		}
		return nil
	})
	switch {
	case err == nil:
	case len(batch) == 1:
		batch[0].err = unwrapChanged(err)
	default:
		for _, j := range batch {
			g.write([]*job{j})
		}
	}
}

// idsOf are the runs that a transaction writes, without those that it makes.
func idsOf(batch []*job) []string {
	out := make([]string, 0, len(batch))
	for _, j := range batch {
		if j.run != "" {
			out = append(out, j.run)
		}
	}
	return out
}

// changedError is a refusal of a function that had changed something.
type changedError struct{ error }

func (e changedError) Unwrap() error { return e.error }

func unwrapChanged(err error) error {
	if e, ok := err.(changedError); ok {
		return e.error
	}
	return err
}

func refused(err error) bool {
	var e *lastro.Error
	_, changed := err.(changedError)
	return !changed && errors.As(err, &e)
}

func runJob(tx *Tx, j *job) error {
	writes, events := tx.writes, len(tx.events)
	if err := j.fn(tx); err != nil {
		tx.events = tx.events[:events]
		if tx.writes != writes {
			return changedError{err}
		}
		return err
	}
	tx.Emit(j.events...)
	return nil
}
