// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"sync"
)

// committer commits what many cells report in as few transactions as possible:
// what arrives while one is being written goes into the next together.
type committer struct {
	q      *Queue
	engine string
	queue  chan report
	done   sync.WaitGroup
}

// report is news of one attempt: that it goes on so far, or its end.
type report struct {
	row    StepRun
	end    bool
	result chan reported // nil = nobody waits
}

type reported struct {
	changed Changed
	err     error
}

// batchSize bounds a transaction.
const batchSize = 128

func newCommitter(q *Queue, engine string) *committer {
	c := &committer{q: q, engine: engine, queue: make(chan report, batchSize)}
	c.done.Go(c.loop)
	return c
}

// close ends the committer after all that was asked of it.
func (c *committer) close() { close(c.queue); c.done.Wait() }

// note keeps what is known of a running attempt; nobody waits for it, as its
// end says all again.
func (c *committer) note(s StepRun) { c.queue <- report{row: s} }

// complete commits the end of an attempt.
func (c *committer) complete(s StepRun) (Changed, error) {
	r := report{row: s, end: true, result: make(chan reported, 1)}
	c.queue <- r
	done := <-r.result
	return done.changed, done.err
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
		c.write(batch)
	}
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
		if r.result == nil {
			continue
		}
		if err != nil {
			r.result <- reported{err: err}
		} else {
			r.result <- results[i]
		}
	}
}

func (c *committer) commit(batch []report) (results []reported, err error) {
	ctx := context.Background() // whoever asked may be cancelled; what has happened is recorded all the same
	err = c.q.store.Change(ctx, func(tx Tx) error {
		results = make([]reported, len(batch))
		for i, r := range batch {
			var err error
			if r.end {
				err = c.q.complete(ctx, tx, c.engine, r.row, &results[i].changed)
			} else {
				err = note(ctx, tx, c.engine, r.row)
			}
			if err != nil && !errors.Is(err, ErrFenced) {
				return err
			}
			results[i].err = err // fenced: it has written nothing
		}
		return nil
	})
	return results, err
}
