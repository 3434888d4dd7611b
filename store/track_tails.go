// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"
)

// When the tail of a run is folded: a read of a run that is being written then
// has this many rows to decode besides its chunks. Each process of a shared
// database counts what it has written itself.
const (
	foldRows   = 256
	foldPoints = rowMost
	endRows    = 8    // of a run that ends: fewer are left as they are
	foldRuns   = 32   // runs in one transaction, at most
	tailsKept  = 1e5  // runs that are counted
	readRows   = 2048 // what a reader finds too many, whoever wrote them
)

// tails counts what has been appended to runs since they were folded, and folds
// in the background. What is forgotten, as when the process ends, is folded
// when the run is written or read again.
type tails struct {
	mu     sync.Mutex
	counts map[int64]tailCount
	due    []int64
	busy   bool
}

type tailCount struct {
	rows, points int
	left         int // points that the last fold left
	due          bool
}

// added counts a row of points.
func (s Track) added(run int64, points int) {
	t := &s.db.tails
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil || len(t.counts) >= tailsKept {
		t.counts = map[int64]tailCount{}
	}
	c := t.counts[run]
	c.rows, c.points = c.rows+1, c.points+points
	if c.rows >= foldRows || c.points >= max(foldPoints, c.left) {
		s.foldSoon(run, &c)
	}
	t.counts[run] = c
}

// ended folds what a run that has ended leaves, and forgets it.
func (s Track) ended(run int64) {
	t := &s.db.tails
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.counts[run]; c.rows >= endRows {
		s.foldSoon(run, &c)
	}
	delete(t.counts, run)
}

// tooMany folds a run that a reader found long.
func (s Track) tooMany(run int64) {
	if s.db.writer == nil {
		return
	}
	t := &s.db.tails
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.due, run) {
		s.foldSoon(run, &tailCount{})
	}
}

// foldSoon needs the lock.
func (s Track) foldSoon(run int64, c *tailCount) {
	if c.due {
		return
	}
	c.due = true
	t := &s.db.tails
	t.due = append(t.due, run)
	if !t.busy {
		t.busy = true
		go s.foldDue()
	}
}

// holdNumber holds a run that is known by its number, if it is there.
func holdNumber(ctx context.Context, tx *Tx, run int64) error {
	rows, err := tx.Query(ctx, `SELECT number FROM tracked_runs WHERE number = ? FOR UPDATE`, run)
	_, err = collect(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
	return err
}

// foldDue folds all that is due. A run that cannot be folded is tried again
// when it has grown by as much once more.
func (s Track) foldDue() {
	t := &s.db.tails
	for {
		t.mu.Lock()
		n := min(foldRuns, len(t.due))
		if t.busy = n > 0; !t.busy {
			t.mu.Unlock()
			return
		}
		runs := slices.Sorted(slices.Values(t.due[:n]))
		t.due = slices.Delete(t.due, 0, n)
		t.mu.Unlock()
		left := make([]int, n)
		err := s.db.WriteSoon(context.Background(), func(tx *Tx) error {
			for i, run := range runs {
				var err error
				if err = holdNumber(context.Background(), tx, run); err != nil {
					return err
				}
				if _, left[i], err = foldTail(context.Background(), tx, run); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			clear(left)
		}
		t.mu.Lock()
		for i, run := range runs {
			if _, ok := t.counts[run]; ok {
				t.counts[run] = tailCount{left: left[i]}
			}
		}
		t.mu.Unlock()
	}
}
