// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// syncDelay is when a commit of WriteSoon is synced at the latest, counted from
// the first one that waits; with the sync itself it stays below 200 ms.
const syncDelay = 100 * time.Millisecond

// syncer makes commits durable: one sync serves all that were committed before
// it began. After a failed sync nobody can know what the disk has (Linux may
// drop the pages), so nothing more is committed until the database is opened anew.
type syncer struct {
	flush func() error

	mu      sync.Mutex
	ended   *sync.Cond // a flush has ended
	commits uint64     // so far
	synced  uint64     // of these, durable
	running bool       // a flush is under way
	timer   *time.Timer
	armed   bool // the timer runs
	closed  bool
	err     error
	flushes int // so far; for tests
}

func newSyncer(flush func() error) *syncer {
	s := &syncer{flush: flush}
	s.ended = sync.NewCond(&s.mu)
	return s
}

// committed counts a commit and returns its number.
func (s *syncer) committed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	return s.commits
}

// failed returns the error of a flush that failed.
func (s *syncer) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// soon sees to it that what is committed now is synced after syncDelay.
func (s *syncer) soon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.armed || s.closed {
		return
	}
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(syncDelay, s.tick)
	} else {
		s.timer.Reset(syncDelay)
	}
}

func (s *syncer) tick() {
	s.mu.Lock()
	s.armed = false
	n := s.commits
	s.mu.Unlock()
	_ = s.wait(n) // kept for the next writer
}

// wait returns when commit n is durable.
func (s *syncer) wait(n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.synced < n {
		if s.running {
			s.ended.Wait()
			continue
		}
		s.running = true
		reached := s.commits
		s.mu.Unlock()
		err := s.flush()
		s.mu.Lock()
		s.running = false
		s.flushes++
		if err != nil {
			s.err = fmt.Errorf("sync the database: %w", err)
		} else {
			s.synced = reached
		}
		s.ended.Broadcast()
	}
	return s.err
}

// close syncs what is left; no timer fires afterwards.
func (s *syncer) close() error {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	n := s.commits
	s.mu.Unlock()
	return s.wait(n)
}

// walFile syncs SQLite's write-ahead log through a descriptor of its own. To
// close that is harmless: SQLite's locks are on other files.
type walFile struct {
	path string
	f    *os.File
}

func (w *walFile) sync() error {
	if w.f == nil {
		f, err := os.Open(w.path)
		if err != nil {
			return err
		}
		w.f = f
		if err := syncFolder(filepath.Dir(w.path)); err != nil {
			return err
		}
	}
	return datasync(w.f)
}

func (w *walFile) close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
