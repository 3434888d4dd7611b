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
//
// Where attempts end there is room for others: these are claimed in the same
// transaction, so that a small step costs one and not two.
type committer struct {
	q      *Queue
	engine string
	work   working
	queue  chan report
	done   sync.WaitGroup
}

// working is what a committer asks of the engine that it commits for.
type working interface {
	// roomWith returns the room that the engine has once these are given back.
	roomWith(freed []*room) Room
	// took hears of a transaction that was committed, before those who wait for
	// it: rooms were given back, and cells claimed.
	took(freed []*room, changed []Changed, claimed []StepRun)
}

// report is news of one attempt, that it goes on so far or its end, or the wish
// for work.
type report struct {
	row    StepRun
	end    bool
	room   *room         // of an attempt that ends: given back with its end
	claim  bool          // only more work is asked for
	result chan reported // nil = nobody waits
}

type reported struct {
	changed Changed
	claimed int // of those who asked for work
	err     error
}

// batchSize bounds a transaction.
const batchSize = 128

func newCommitter(q *Queue, engine string, w working) *committer {
	c := &committer{q: q, engine: engine, work: w, queue: make(chan report, batchSize)}
	c.done.Go(c.loop)
	return c
}

// close ends the committer after all that was asked of it.
func (c *committer) close() { close(c.queue); c.done.Wait() }

// note keeps what is known of a running attempt; nobody waits for it, as its
// end says all again.
func (c *committer) note(s StepRun) { c.queue <- report{row: s} }

// complete commits the end of an attempt, whose room is free then.
func (c *committer) complete(s StepRun, r *room) error {
	return c.ask(report{row: s, end: true, room: r}).err
}

// claim begins cells for which there is room, and returns how many.
func (c *committer) claim() (int, error) {
	got := c.ask(report{claim: true})
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
	if r.claim {
		return math.MaxInt64
	}
	return r.row.Run
}

// write commits a batch. When that fails each report is tried alone, so that
// only those that cannot be stored fail.
func (c *committer) write(batch []report) {
	results, claimed, err := c.commit(batch)
	if err != nil && len(batch) > 1 {
		for _, r := range batch {
			c.write([]report{r})
		}
		return
	}
	if err == nil {
		c.tell(batch, results, claimed)
	}
	for i, r := range batch {
		got := reported{err: err}
		if err == nil {
			got = results[i]
		}
		if r.result != nil {
			r.result <- got
		}
	}
}

// tell lets the engine know what was committed.
func (c *committer) tell(batch []report, results []reported, claimed []StepRun) {
	changed := make([]Changed, len(results))
	for i := range results {
		changed[i] = results[i].changed
		if batch[i].claim {
			results[i].claimed = len(claimed)
		}
	}
	c.work.took(rooms(batch), changed, claimed)
}

// rooms are those that the ends of a batch give back.
func rooms(batch []report) []*room {
	var out []*room
	for _, r := range batch {
		if r.room != nil {
			out = append(out, r.room)
		}
	}
	return out
}

// commit also claims what there is room for, when attempts end or somebody asks.
func (c *committer) commit(batch []report) (results []reported, claimed []StepRun, err error) {
	ctx := context.Background() // whoever asked may be cancelled; what has happened is recorded all the same
	freed := rooms(batch)
	err = c.q.store.Change(ctx, func(tx Tx) error {
		results, claimed = make([]reported, len(batch)), nil
		for i, r := range batch {
			got := &results[i]
			switch {
			case r.claim: // below
			case r.end:
				got.err = c.q.complete(ctx, tx, c.engine, r.row, &got.changed)
			default:
				got.err = note(ctx, tx, c.engine, r.row)
			}
			if got.err != nil && !errors.Is(got.err, ErrFenced) { // fenced: it has written nothing
				return got.err
			}
		}
		asks := slices.IndexFunc(batch, func(r report) bool { return r.claim })
		space := c.work.roomWith(freed)
		if space.Free <= 0 || asks < 0 && len(freed) == 0 {
			return nil
		}
		var cerr error
		if claimed, cerr = c.q.claim(ctx, tx, c.engine, space); errors.Is(cerr, ErrFenced) && asks < 0 {
			return nil // the next who asks for work, or the next beat, hears of it
		} else if asks >= 0 && errors.Is(cerr, ErrFenced) {
			results[asks].err = cerr
			return nil
		}
		return cerr
	})
	return results, claimed, err
}
