// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
)

// TestCollectBesideAnother: gc works while another process holds the state,
// with a grace that is long enough for what that process has not recorded yet.
func TestCollectBesideAnother(t *testing.T) {
	f := newFolder(t, smallProject)
	holder := f.open()
	d, _, err := holder.Blobs.Put(t.Context(), strings.NewReader("just stored, in no run yet"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), OpenOptions{Paths: f.paths, Command: "run"}); !lastro.Is(err, lastro.EConflict) {
		t.Fatalf("a second holder: %v", err)
	}
	h, err := Open(t.Context(), OpenOptions{Paths: f.paths, Command: "gc", Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close(h)
	if _, err := h.Collect(t.Context(), CollectOptions{}); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("without grace: %v", err)
	}
	c, err := h.Collect(t.Context(), CollectOptions{Grace: DefaultGrace})
	if err != nil || c.Removed != 0 || c.Recent != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if ok, err := holder.Blobs.Has(t.Context(), d); !ok || err != nil {
		t.Errorf("what was just stored: %v, %v", ok, err)
	}
}

// TestCollectSweeps: what killed commands left in work goes, with its bytes in
// the answer; what is younger than the grace, and work of steps, stays.
func TestCollectSweeps(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	long := time.Now().Add(-48 * time.Hour)
	for _, name := range []string{"compact-1", "with-2", "without-3", "7"} {
		p := filepath.Join(h.Paths.Work(), name, "file")
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "with-2" {
			for _, old := range []string{p, filepath.Dir(p)} {
				if err := os.Chtimes(old, long, long); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, dry := range []bool{true, false} {
		c, err := h.Collect(t.Context(), CollectOptions{Grace: DefaultGrace, DryRun: dry})
		if err != nil || c.Work != 2000 {
			t.Errorf("dry run %v: %+v, %v", dry, c, err)
		}
	}
	left, err := os.ReadDir(h.Paths.Work())
	if err != nil || len(left) != 2 || left[0].Name() != "7" || left[1].Name() != "with-2" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestCollectLogs: logs of old runs go, but for those of work that a kept run
// shows; a server does it once a day.
func TestCollectLogs(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	for i := range 3 {
		if _, err := h.Run(t.Context(), RunRequest{Actor: "user:ana", NoCache: i == 1}); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-100 * 24 * time.Hour)
	for _, run := range []string{"1", "2"} { // 3 took all from 2
		err := filepath.WalkDir(filepath.Join(h.Paths.Logs(), run), func(p string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.WriteFile(filepath.Join(filepath.Dir(p), "more.log"), make([]byte, 1000), 0o600), os.Chtimes(filepath.Join(filepath.Dir(p), "more.log"), long, long), os.Chtimes(p, long, long))
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Chtimes(filepath.Join(h.Paths.Logs(), run), long, long)
	}
	logs := func() (names []string) {
		left, err := os.ReadDir(h.Paths.Logs())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names
	}
	o := CollectOptions{KeepRuns: 1, KeepLogs: 90, Grace: DefaultGrace, Deleted: -1}
	c, err := h.Collect(t.Context(), o)
	if err != nil || c.Logs < 1000 || slices.Contains(logs(), "1") || !slices.Contains(logs(), "2") {
		t.Errorf("%+v, %v; left %v", c, err, logs())
	}
	s := newServer(h, "")
	for range 2 {
		if err := s.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(h.Paths.State, "gc.last"))
	if err != nil || time.Since(info.ModTime()) > time.Minute {
		t.Errorf("when it was done last: %v, %v", info, err)
	}
}
