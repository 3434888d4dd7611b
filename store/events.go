// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"

	"lastro"
)

// append stores an event and numbers it.
func (t *Tx) append(ctx context.Context, ev *lastro.Event) error {
	err := t.QueryRow(ctx, `INSERT INTO events (at, actor, verb, subject, data) VALUES (?, ?, ?, ?, ?) RETURNING seq`,
		lastro.Micros(ev.At), string(ev.Actor), ev.Verb, string(ev.Subject), string(ev.Data)).Scan(&ev.Seq)
	if err == nil {
		t.events = append(t.events, *ev)
	}
	return err
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

// Subscribe returns a channel that hears every event committed through this DB
// from now on, and a function that ends it. A subscriber that falls behind by
// more than the buffer misses events: it reads the rest with Events.
func (db *DB) Subscribe(buffer int) (<-chan lastro.Event, func()) { return db.bus.subscribe(buffer) }

// bus hands events to subscribers, in order and each once.
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
