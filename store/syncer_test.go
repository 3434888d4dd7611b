// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lastro"
)

// openCounting opens a SQLite database and counts its syncs.
func openCounting(t *testing.T, flush func(real func() error) error) (*DB, *sqliteWriter) {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := db.writer.(*sqliteWriter)
	if flush != nil {
		real := w.sync.flush
		w.sync.flush = func() error { return flush(real) }
	}
	return db, w
}

func insertRun(n int) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec(context.Background(), `INSERT INTO model_numbers (model, last) VALUES (?, ?) ON CONFLICT (model) DO UPDATE SET last = excluded.last`, "m", n)
		return err
	}
}

func (s *syncer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushes
}

// Write returns after a sync that began after its commit; WriteSoon returns
// before, and is synced within 200 ms; who is idle syncs nothing.
func TestWhenASyncIs(t *testing.T) {
	var at atomic.Int64
	db, w := openCounting(t, func(real func() error) error { err := real(); at.Store(time.Now().UnixNano()); return err })
	if err := db.Write(t.Context(), insertRun(1)); err != nil || w.sync.count() != 1 {
		t.Fatalf("after Write: %v, %d syncs, want 1", err, w.sync.count())
	}
	start := time.Now()
	for n := range 20 {
		if err := db.WriteSoon(t.Context(), insertRun(n)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took < syncDelay && w.sync.count() != 1 {
		t.Errorf("WriteSoon synced %d times in %s", w.sync.count()-1, took)
	}
	for w.sync.count() < 2 && time.Since(start) < 5*time.Second {
		time.Sleep(time.Millisecond)
	}
	if took := time.Unix(0, at.Load()).Sub(start); took > 200*time.Millisecond {
		t.Errorf("synced %s after the first commit, want 200ms or less", took)
	}
	n := w.sync.count()
	time.Sleep(3 * syncDelay)
	if w.sync.count() != n {
		t.Errorf("%d syncs while idle", w.sync.count()-n)
	}
	if err := db.WriteSoon(t.Context(), insertRun(99)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil || w.sync.synced != w.sync.commits {
		t.Errorf("Close left %d of %d commits unsynced (%v)", w.sync.commits-w.sync.synced, w.sync.commits, err)
	}
	if err := db.Write(context.Background(), insertRun(1)); err == nil {
		t.Error("Write after Close succeeded")
	}
}

// One sync serves every Write that had committed before it began.
func TestWritersShareASync(t *testing.T) {
	db, w := openCounting(t, func(real func() error) error { time.Sleep(20 * time.Millisecond); return real() })
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := db.Write(t.Context(), insertRun(n)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if w.sync.count() > 25 {
		t.Errorf("%d syncs for 50 writers at once", w.sync.count())
	}
}

// After a sync that failed nothing is acknowledged, and nothing more is taken.
func TestFailedSync(t *testing.T) {
	var fail atomic.Bool
	db, _ := openCounting(t, func(real func() error) error {
		if fail.Load() {
			return syscall.EIO
		}
		return real()
	})
	if err := db.Write(t.Context(), insertRun(1)); err != nil {
		t.Fatal(err)
	}
	fail.Store(true)
	for range 2 {
		err := db.Write(t.Context(), insertRun(2))
		var e *lastro.Error
		if !errors.As(err, &e) || e.ID != "L0413" || !errors.Is(err, syscall.EIO) {
			t.Errorf("Write with a failed sync = %v, want L0413", err)
		}
		fail.Store(false) // the next sync would do; what the disk has is unknown all the same
	}
	if err := db.WriteSoon(t.Context(), insertRun(3)); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("WriteSoon after a failed sync = %v", err)
	}
}

// A write-ahead log that was started anew after a checkpoint is still the one
// that is synced.
func TestSyncAfterCheckpoint(t *testing.T) {
	db, w := openCounting(t, nil)
	for n := range 3 {
		if err := db.Write(t.Context(), insertRun(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.conn.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Write(t.Context(), insertRun(9)); err != nil {
		t.Fatal(err)
	}
	info, err := w.wal.f.Stat()
	if err != nil || info.Size() == 0 {
		t.Errorf("the synced file has %d bytes (%v): not the log in use", info.Size(), err)
	}
}
