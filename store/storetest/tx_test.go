// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/store"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func event(subject string) lastro.Event {
	return lastro.NewEvent(at, "system:test", "test.done", lastro.Ref("test:"+subject), nil)
}

// putNumber writes one row of a small table.
func putNumber(ctx context.Context, name string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO model_numbers (model, last) VALUES (?, 1)`, name)
		return err
	}
}

func numbers(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM model_numbers`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A transaction is kept whole with its events or not at all.
func TestAllOrNothing(t *testing.T) {
	Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		heard, end := db.Subscribe(10)
		defer end()
		ended, cancel := context.WithCancel(ctx)
		defer cancel()
		no := errors.New("no")
		for name, write := range map[string]func(context.Context, func(*store.Tx) error, ...lastro.Event) error{"Write": db.Write, "WriteSoon": db.WriteSoon} {
			if err := write(ctx, func(tx *store.Tx) error {
				tx.Emit(event(name + "-refused"))
				return errors.Join(putNumber(ctx, name)(tx), no)
			}); !errors.Is(err, no) {
				t.Errorf("%s that refuses: %v", name, err)
			}
			if err := write(ended, func(tx *store.Tx) error {
				err := putNumber(ctx, name)(tx)
				cancel()
				return err
			}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s whose caller went away: %v", name, err)
			}
			func() {
				defer func() { _ = recover() }()
				_ = write(ctx, func(tx *store.Tx) error { _ = putNumber(ctx, name)(tx); panic("oh") })
			}()
			if n := numbers(t, db); n != 0 {
				t.Fatalf("%s kept %d rows of refused transactions", name, n)
			}
		}
		for i, write := range []func(context.Context, func(*store.Tx) error, ...lastro.Event) error{db.Write, db.WriteSoon} {
			if err := write(ctx, func(tx *store.Tx) error {
				tx.Emit(event(fmt.Sprint(i, "-inside")))
				return putNumber(ctx, fmt.Sprint(i))(tx)
			}, event(fmt.Sprint(i, "-given"))); err != nil {
				t.Fatal(err)
			}
		}
		if n := numbers(t, db); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
		want := []lastro.Ref{"test:0-inside", "test:0-given", "test:1-inside", "test:1-given"}
		for _, w := range want {
			select {
			case ev := <-heard:
				if ev.Subject != w || !ev.At.Equal(at) {
					t.Errorf("heard %+v, want %s", ev, w)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s was not heard", w)
			}
		}
		list, err := db.Events(ctx, store.EventFilter{Newest: true, Limit: 2})
		if err != nil || len(list) != 2 || list[0].Subject != want[3] || list[0].Seq <= list[1].Seq {
			t.Errorf("the newest: %+v, %v", list, err)
		}
		list, err = db.Events(ctx, store.EventFilter{Verb: "test.done", Subject: want[1], After: list[1].Seq - 100})
		if err != nil || len(list) != 1 {
			t.Errorf("of one subject: %+v, %v", list, err)
		}
	})
}

// Who reads before he writes, such as the next number, is alone with the name
// that he locks.
func TestNumbersOfManyWriters(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		const writers, each = 8, 10
		var wg sync.WaitGroup
		for w := range writers {
			db, err := store.Open(t.Context(), target) // as if each were a process
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			wg.Add(1)
			go func() {
				defer wg.Done()
				svc, _ := openGate(db)
				for i := range each {
					s := subject(fmt.Sprint(i), fmt.Sprint(w, i))
					if _, err := svc.Decide(t.Context(), s, incomeRules, incomeFacts(0.05), "system:engine"); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		wg.Wait()
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		list, err := store.NewGate(db).Decisions(t.Context(), gate.Filter{Limit: 1000})
		if err != nil || len(list) != writers*each {
			t.Fatalf("%d decisions, %v; want %d", len(list), err, writers*each)
		}
		for i, d := range list {
			if want := fmt.Sprintf("d-%04d", len(list)-i); d.ID != want {
				t.Fatalf("decision %s where %s was expected", d.ID, want)
			}
		}
	})
}

// Two who claim at once get different rows.
func TestClaimedOnce(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		ctx := t.Context()
		open := func() *store.DB {
			db, err := store.Open(ctx, target)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		db := open()
		const rows = 60
		if err := db.Write(ctx, func(tx *store.Tx) error {
			for i := range rows {
				if err := putNumber(ctx, fmt.Sprint(i))(tx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		claimed := map[string]int{}
		var wg sync.WaitGroup
		for range 4 {
			db := open()
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					var name string
					err := db.WriteSoon(ctx, func(tx *store.Tx) error {
						err := tx.QueryRow(ctx, `SELECT model FROM model_numbers WHERE last = 1 ORDER BY model LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&name)
						if err == nil {
							_, err = tx.Exec(ctx, `UPDATE model_numbers SET last = 2 WHERE model = ?`, name)
						}
						return err
					})
					if err != nil {
						return // none left
					}
					mu.Lock()
					claimed[name]++
					mu.Unlock()
				}
			}()
		}
		wg.Wait()
		if len(claimed) != rows {
			t.Errorf("%d of %d rows were claimed", len(claimed), rows)
		}
		for name, n := range claimed {
			if n != 1 {
				t.Errorf("row %s was claimed %d times", name, n)
			}
		}
	})
}

// A reader by number never finds a lower number later, whoever commits when:
// neither by Events nor as a subscriber in another process.
func TestEventsHaveNoGaps(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		ctx := t.Context()
		var dbs []*store.DB
		for range 4 {
			db, err := store.Open(ctx, target)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			dbs = append(dbs, db)
		}
		listener := dbs[0]
		if !listener.Shared() { // its writer is the only one: a reader elsewhere looks on
			var err error
			if listener, err = store.OpenReadOnly(ctx, target); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
		}
		heard, end := listener.Subscribe(10_000)
		defer end()
		const each = 60
		var wg sync.WaitGroup
		for w, db := range dbs {
			for g := range 2 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range each {
						write := db.WriteSoon
						if i%10 == 0 {
							write = db.Write
						}
						if err := write(ctx, func(tx *store.Tx) error { return nil }, event(fmt.Sprint(w, g, i)), event("two")); err != nil {
							t.Error(err)
						}
					}
				}()
			}
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		total := len(dbs) * 2 * each * 2
		var last int64
		seen := 0
		for finished := false; ; {
			list, err := dbs[0].Events(ctx, store.EventFilter{After: last})
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range list {
				last = ev.Seq
				seen++
			}
			if finished && len(list) == 0 {
				break
			}
			select {
			case <-done:
				finished = true
			default:
			}
		}
		if seen != total {
			t.Errorf("a reader by number saw %d of %d events", seen, total)
		}
		last = 0
		for n := range total {
			select {
			case ev := <-heard:
				if ev.Seq <= last {
					t.Fatalf("heard number %d after %d", ev.Seq, last)
				}
				last = ev.Seq
			case <-time.After(5 * time.Second):
				t.Fatalf("heard %d of %d events", n, total)
			}
		}
	})
}

func TestReadOnlyBeforeAnything(t *testing.T) {
	for _, target := range []string{filepath.Join(t.TempDir(), "lastro.db"), Postgres(t)} {
		if _, err := store.OpenReadOnly(t.Context(), target); !lastro.Is(err, lastro.ENotFound) {
			t.Errorf("%s: %v, want not found", store.Redact(target), err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		look, err := store.OpenReadOnly(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer look.Close()
		if err := db.Write(t.Context(), putNumber(t.Context(), "a")); err != nil {
			t.Fatal(err)
		}
		if n := numbers(t, look); n != 1 {
			t.Errorf("the reader sees %d rows, want 1", n)
		}
		if err := look.Write(t.Context(), putNumber(t.Context(), "b")); err == nil {
			t.Error("a reader wrote")
		}
		if rows, err := look.Query(t.Context(), `DELETE FROM model_numbers RETURNING model`); err == nil {
			for rows.Next() {
			}
			if rows.Err() == nil {
				t.Error("a reader deleted")
			}
			rows.Close()
		}
	})
}
