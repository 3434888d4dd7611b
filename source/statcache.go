// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lastro"
)

// racy is how old a file's last change must be before its digest is
// remembered: a file changed again within one tick of the file system's clock
// has the same times, so a younger digest could be of an older content. Ticks
// are 4 ms on Linux; some file systems count in 10 ms, a few in 2 s (FAT).
const racy = 2 * time.Second

// StatCache remembers the digests of files whose inode, size and times have
// not changed since they were read. It is only an aid: lost or damaged, files
// are read again. The methods of a nil cache remember nothing. It is safe for
// concurrent use and satisfies blob.Known.
type StatCache struct {
	path  string
	mu    sync.Mutex
	known map[string]statEntry
	dirty bool
}

type statEntry struct {
	Stat   fileStat      `json:"s"`
	Digest lastro.Digest `json:"d"`
	Used   int64         `json:"u"` // day, since 1970; entries unused for long are dropped
}

// fileStat is what changes when a file does. ctime is the one that no program sets.
type fileStat struct {
	Inode uint64 `json:"i"`
	Size  int64  `json:"n"`
	Mtime int64  `json:"m"` // ns
	Ctime int64  `json:"c"` // ns
}

// keepDays is how long an unused entry is kept.
const keepDays = 30

// OpenStatCache reads the cache at path; a missing or unreadable one is empty.
func OpenStatCache(path string) *StatCache {
	c := &StatCache{path: path, known: map[string]statEntry{}}
	f, err := os.Open(path)
	if err != nil {
		return c
	}
	defer f.Close()
	if json.NewDecoder(bufio.NewReader(f)).Decode(&c.known) != nil || c.known == nil {
		c.known = map[string]statEntry{}
	}
	return c
}

// Save writes the cache if it has learnt something. The file appears whole.
func (c *StatCache) Save() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	today := day(time.Now())
	for p, e := range c.known {
		if today-e.Used > keepDays {
			delete(c.known, p)
		}
	}
	raw, err := json.Marshal(c.known)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(c.path), ".stat-")
	if err != nil {
		return fmt.Errorf("save the stat cache: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(raw)
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), c.path)
	}
	c.dirty = err != nil
	return err
}

func day(t time.Time) int64 { return t.Unix() / 86400 }

// Digest returns what the file contained when fi says that it is still the same.
func (c *StatCache) Digest(path string, fi fs.FileInfo) (lastro.Digest, bool) {
	if c == nil {
		return "", false
	}
	st, ok := statOf(fi)
	if !ok {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[path]
	if !ok || e.Stat != st {
		return "", false
	}
	if today := day(time.Now()); e.Used != today {
		e.Used, c.dirty = today, true
		c.known[path] = e
	}
	return e.Digest, true
}

// Learn remembers the digest of a file whose fi was taken before it was read.
// It forgets it instead when the file has changed since, or only just.
func (c *StatCache) Learn(path string, fi fs.FileInfo, d lastro.Digest) {
	if c == nil {
		return
	}
	st, ok := statOf(fi)
	again, err := os.Stat(path)
	if !ok || err != nil {
		return
	}
	if now, _ := statOf(again); now != st || time.Since(time.Unix(0, max(st.Ctime, st.Mtime))) < racy {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[path] = statEntry{Stat: st, Digest: d, Used: day(time.Now())}
	c.dirty = true
}

// digest returns the digest of a file, reading it only when it must.
func (c *StatCache) digest(path string, fi fs.FileInfo) (lastro.Digest, error) {
	if d, ok := c.Digest(path, fi); ok {
		return d, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, _, err := lastro.DigestReader(f)
	if err == nil {
		c.Learn(path, fi, d)
	}
	return d, err
}
