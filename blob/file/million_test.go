// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"lastro/source"
)

// TestManyFiles: memory does not grow with a folder; the long form takes a
// million files.
func TestManyFiles(t *testing.T) {
	n, folders := 2_000, 4
	if os.Getenv("LASTRO_TORTURE") != "" {
		n, folders = 1_000_000, 10
	}
	dir := t.TempDir()
	for f := range folders {
		sub := filepath.Join(dir, "data", fmt.Sprint(f))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n / folders {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("row-%07d.json", i)), fmt.Appendf(nil, "%d", f*n+i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LASTRO_TORTURE") != "" {
		time.Sleep(3 * time.Second) // what was just written is not remembered
	}
	cache := filepath.Join(dir, "stat-cache")
	var digests [2]string
	for i, what := range []string{"cold", "unchanged"} {
		known := source.OpenStatCache(cache)
		peak, stop := watchHeap()
		began := time.Now()
		d, _, err := s.PutTree(t.Context(), filepath.Join(dir, "data"), known)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		stop()
		if err := known.Save(); err != nil {
			t.Fatal(err)
		}
		digests[i] = string(d)
		t.Logf("%s: %d files in %v, heap %d MB at its peak", what, n, took.Round(time.Millisecond), peak.Load()>>20)
		if peak.Load() > 400<<20 {
			t.Errorf("%s: heap of %d MB", what, peak.Load()>>20)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("digests %v", digests)
	}
}

// watchHeap samples the heap until stop is called.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	runtime.GC()
	peak = new(atomic.Uint64)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}
