// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"sync"
	"time"

	"lastro"
)

// followEvery is how often the events of other processes are looked for, while
// somebody listens.
const followEvery = 250 * time.Millisecond

// followPage is how many events are read at once.
const followPage = 1000

// Subscribe returns a channel that hears every event committed from now on, in
// order, and a function that ends it. A subscriber that falls behind by more than
// the buffer misses events: it reads the rest with Events. What other processes
// commit is heard within followEvery.
func (db *DB) Subscribe(buffer int) (<-chan lastro.Event, func()) {
	if db.writer != nil && !db.Shared() {
		return db.bus.subscribe(buffer) // the one writer publishes
	}
	f := &db.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == 0 {
		f.start(db)
	}
	f.listeners++
	ch, end := db.bus.subscribe(buffer)
	return ch, sync.OnceFunc(func() {
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.listeners--; f.listeners == 0 {
			f.stop()
		}
	})
}

// follower reads events by their numbers and publishes them, while somebody
// listens: at once after a commit of this process, and every followEvery. There
// is no second way (such as NOTIFY), because this one misses nothing: numbers are
// in the order of commits, and a broken connection only delays it.
type follower struct {
	mu        sync.Mutex
	listeners int
	cancel    context.CancelFunc
	ended     chan struct{}
	woken     chan struct{}
}

func (f *follower) start(db *DB) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.ended, f.woken = cancel, make(chan struct{}), make(chan struct{}, 1)
	// Without an answer it goes on from what was heard last: rather old events
	// again than a new one missed.
	if last, err := db.lastEvent(ctx); err == nil {
		db.bus.skipTo(last)
	}
	go f.run(ctx, db, f.woken, f.ended)
}

func (f *follower) stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.ended
		f.cancel = nil
	}
}

func (f *follower) run(ctx context.Context, db *DB, woken, ended chan struct{}) {
	defer close(ended)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-woken:
		}
		for {
			events, err := db.Events(ctx, EventFilter{After: db.bus.heard(), Limit: followPage})
			if err != nil {
				break // the next time
			}
			db.bus.publish(events)
			if len(events) < followPage {
				break
			}
		}
	}
}

// wake makes the follower look now.
func (f *follower) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners > 0 {
		select {
		case f.woken <- struct{}{}:
		default:
		}
	}
}

func (f *follower) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
}

// lastEvent returns the number of the newest event.
func (db *DB) lastEvent(ctx context.Context) (last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = db.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM events`).Scan(&last)
	return last, err
}

// heard returns the number of the last event that was published.
func (b *bus) heard() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// skipTo makes the bus go on after event n.
func (b *bus) skipTo(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, n)
}
