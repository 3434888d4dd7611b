// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"

	"lastro"
)

// append adds an event.
func (t *Tx) append(_ context.Context, ev *lastro.Event) error {
	t.Emit(*ev)
	return nil
}

// storeEvents stores what was emitted and numbers it. It is the last thing that
// a transaction does, and it holds the lock of events until the commit: so
// events become visible in the order of their numbers, and who has read
// number n never finds a lower one later.
func (t *Tx) storeEvents(ctx context.Context) error {
	if err := t.pending.flush(ctx, t); err != nil {
		return err
	}
	if len(t.events) == 0 {
		return nil
	}
	if err := t.Lock(ctx, "events"); err != nil {
		return err
	}
	for i := range t.events {
		ev := &t.events[i]
		err := t.QueryRow(ctx, `INSERT INTO events (at, actor, verb, subject, data) VALUES (?, ?, ?, ?, ?) RETURNING seq`,
			lastro.Micros(ev.At), string(ev.Actor), ev.Verb, string(ev.Subject), string(ev.Data)).Scan(&ev.Seq)
		if err != nil {
			return err
		}
	}
	return nil
}

// EventFilter narrows a list of events; empty fields match everything.
type EventFilter struct {
	After   int64 // only events with a greater sequence number
	Verb    string
	Subject lastro.Ref
	Limit   int  // 0 = 1,000
	Newest  bool // newest first, else oldest first
}

// Events lists events in order of their sequence numbers.
func (db *DB) Events(ctx context.Context, f EventFilter) ([]lastro.Event, error) {
	if f.Limit == 0 {
		f.Limit = 1000
	}
	order := "ASC"
	if f.Newest {
		order = "DESC"
	}
	rows, err := db.Query(ctx, `SELECT seq, at, actor, verb, subject, data FROM events
		WHERE seq > ? AND (? = '' OR verb = ?) AND (? = '' OR subject = ?) ORDER BY seq `+order+` LIMIT ?`,
		f.After, f.Verb, f.Verb, string(f.Subject), string(f.Subject), f.Limit)
	return collect(rows, err, func(r *sql.Rows) (lastro.Event, error) {
		var ev lastro.Event
		var at int64
		var data string
		err := r.Scan(&ev.Seq, &at, &ev.Actor, &ev.Verb, &ev.Subject, &data)
		ev.At = lastro.FromMicros(at)
		if data != "" {
			ev.Data = []byte(data)
		}
		return ev, err
	})
}

// bus hands events to subscribers of this process, in order and each once.
type bus struct {
	mu   sync.Mutex
	last int64 // number of the last one handed out
	subs map[chan lastro.Event]struct{}
}

func newBus() *bus { return &bus{subs: map[chan lastro.Event]struct{}{}} }

func (b *bus) subscribe(buffer int) (<-chan lastro.Event, func()) {
	ch := make(chan lastro.Event, buffer)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[ch] = struct{}{}
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, ok := b.subs[ch]; ok {
			delete(b.subs, ch)
			close(ch)
		}
	}
}

func (b *bus) publish(events []lastro.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range events {
		if ev.Seq <= b.last {
			continue
		}
		b.last = ev.Seq
		for ch := range b.subs {
			select {
			case ch <- ev:
			default:
			}
		}
	}
}
