// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lastro"
)

func learn(c *StatCache, from, to int) {
	for i := from; i < to; i++ {
		p := fmt.Sprintf("/data/folder-%d/file-%d.parquet", i%100, i)
		c.keep(keyOf(p), newRecord(fileStat{Inode: uint64(i), Size: int64(i)}, lastro.DigestOf([]byte(p)), today()))
	}
}

func knows(c *StatCache, i int) bool {
	p := fmt.Sprintf("/data/folder-%d/file-%d.parquet", i%100, i)
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.base.find(keyOf(p))
	return ok && r.digest() == lastro.DigestOf([]byte(p)) && r.stat.Inode == uint64(i)
}

// TestStatFile: two processes that save one after the other lose nothing of
// each other, old entries go, a damaged record is not known and does no harm.
func TestStatFile(t *testing.T) {
	at := filepath.Join(t.TempDir(), "stat-cache")
	a, b := OpenStatCache(at), OpenStatCache(at)
	learn(a, 0, 500)
	learn(b, 400, 1000)
	old := statRecord{day: today() - keepDays - 1}
	a.keep(keyOf("old"), old)
	for _, c := range []*StatCache{a, b} {
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
	}
	c := OpenStatCache(at)
	for i := range 1000 {
		if !knows(c, i) {
			t.Fatalf("entry %d is lost", i)
		}
	}
	if _, ok := c.base.find(keyOf("old")); ok || c.base.count() != 1000 {
		t.Errorf("%d entries, the old one among them: %v", c.base.count(), ok)
	}

	raw, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(statHead)+7*statSize+50] ^= 1 // within a digest
	if err := os.WriteFile(at, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c = OpenStatCache(at)
	lost := 0
	for i := range 1000 {
		if !knows(c, i) {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("%d entries are unknown, want the damaged one", lost)
	}
}

// TestStatFileCutShort: the file is mapped; who cuts it short costs knowledge,
// not the process.
func TestStatFileCutShort(t *testing.T) {
	at := filepath.Join(t.TempDir(), "stat-cache")
	c := OpenStatCache(at)
	learn(c, 0, 10_000)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at, 100); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		knows(c, i)
	}
	learn(c, 0, 10)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	if !knows(c, 3) {
		t.Error("what was learnt after that is lost")
	}
}

func TestStatFileOfOlderForm(t *testing.T) {
	at := filepath.Join(t.TempDir(), "stat-cache")
	if err := os.WriteFile(at, []byte(`{"/a":{"s":{},"d":"x","u":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := OpenStatCache(at)
	learn(c, 0, 1)
	if err := c.Save(); err != nil || !knows(c, 0) {
		t.Errorf("saved over a file of another form: %v", err)
	}
}

// BenchmarkStatCache opens a cache with n entries and looks 20,000 up.
func BenchmarkStatCache(b *testing.B) {
	for _, n := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			at := filepath.Join(b.TempDir(), "stat-cache")
			c := OpenStatCache(at)
			learn(c, 0, n)
			if err := c.Save(); err != nil {
				b.Fatal(err)
			}
			keys := make([]statKey, 20_000)
			for i := range keys {
				p := fmt.Sprintf("/data/folder-%d/file-%d.parquet", i%100, i)
				keys[i] = keyOf(p)
			}
			for b.Loop() {
				c := OpenStatCache(at)
				for i, k := range keys {
					if r, ok := c.base.find(k); !ok || r.stat.Inode != uint64(i) {
						b.Fatal("lost")
					}
				}
				c.base.close()
			}
			b.ReportMetric(float64(binary.Size([statSize]byte{})), "B/entry")
		})
	}
}
