// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
)

// committer commits what many cells report in as few transactions as possible:
// what arrives while one is being written goes into the next together. Claims go
// the same way, so observers hear of an end before what it lets begin.
type committer struct {
	q      *Queue
	engine string
	notice func(Changed)
	queue  chan report
	done   sync.WaitGroup
}

// report is news of one attempt, that it goes on so far or its end, or the wish
// for work.
type report struct {
	row    StepRun
	end    bool
	claim  int           // so many cells are asked for
	result chan reported // nil = nobody waits
}

type reported struct {
	changed Changed
	claimed []StepRun
	err     error
}

// batchSize bounds a transaction.
const batchSize = 128

// newCommitter also tells notice what each transaction changed.
func newCommitter(q *Queue, engine string, notice func(Changed)) *committer {
	c := &committer{q: q, engine: engine, notice: notice, queue: make(chan report, batchSize)}
	c.done.Go(c.loop)
	return c
}

// close ends the committer after all that was asked of it.
func (c *committer) close() { close(c.queue); c.done.Wait() }

// note keeps what is known of a running attempt; nobody waits for it, as its
// end says all again.
func (c *committer) note(s StepRun) { c.queue <- report{row: s} }

// complete commits the end of an attempt.
func (c *committer) complete(s StepRun) error { return c.ask(report{row: s, end: true}).err }

// claim returns at most n cells to begin.
func (c *committer) claim(n int) ([]StepRun, error) {
	got := c.ask(report{claim: n})
	return got.claimed, got.err
}

func (c *committer) ask(r report) reported {
	r.result = make(chan reported, 1)
	c.queue <- r
	return <-r.result
}

func (c *committer) loop() {
	for first := range c.queue {
		batch := []report{first}
		for more := true; more && len(batch) < batchSize; {
			select {
			case next, ok := <-c.queue:
				if more = ok; ok {
					batch = append(batch, next)
				}
			default:
				more = false
			}
		}
		slices.SortStableFunc(batch, func(a, b report) int { return cmp.Compare(a.order(), b.order()) })
		c.write(batch)
	}
}

// order is the one in which every engine locks what it writes, so that two of
// them do not wait for each other: runs by number, then what is claimed.
func (r report) order() int64 {
	if r.claim > 0 {
		return math.MaxInt64
	}
	return r.row.Run
}

// write commits a batch. When that fails each report is tried alone, so that
// only those that cannot be stored fail.
func (c *committer) write(batch []report) {
	results, err := c.commit(batch)
	if err != nil && len(batch) > 1 {
		for _, r := range batch {
			c.write([]report{r})
		}
		return
	}
	for i, r := range batch {
		got := reported{err: err}
		if err == nil {
			got = results[i]
			c.notice(got.changed)
		}
		if r.result != nil {
			r.result <- got
		}
	}
}

func (c *committer) commit(batch []report) (results []reported, err error) {
	ctx := context.Background() // whoever asked may be cancelled; what has happened is recorded all the same
	err = c.q.store.Change(ctx, func(tx Tx) error {
		results = make([]reported, len(batch))
		for i, r := range batch {
			got := &results[i]
			switch {
			case r.claim > 0:
				got.claimed, got.err = c.q.claim(ctx, tx, c.engine, r.claim)
			case r.end:
				got.err = c.q.complete(ctx, tx, c.engine, r.row, &got.changed)
			default:
				got.err = note(ctx, tx, c.engine, r.row)
			}
			if got.err != nil && !errors.Is(got.err, ErrFenced) { // fenced: it has written nothing
				return got.err
			}
		}
		return nil
	})
	return results, err
}
