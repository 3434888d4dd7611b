// SPDX-License-Identifier: Apache-2.0

package source

import (
	"io/fs"
	"os"
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
//
// A million files are remembered in 88 MB of disk, which is mapped rather than
// read: opening it costs nothing.
type StatCache struct {
	path   string
	mu     sync.RWMutex
	base   *statFile              // what was saved
	learnt map[statKey]statRecord // since then
}

// fileStat is what changes when a file does. ctime is the one that no program sets.
type fileStat struct {
	Inode uint64
	Size  int64
	Mtime int64 // ns
	Ctime int64 // ns
}

const (
	// keepDays is how long an unused entry is kept.
	keepDays = 30
	// markDays is how long a used entry is not marked as used again, so that
	// runs in which nothing changed write nothing.
	markDays = 7
	// learntMax bounds what is held in memory; more is saved on the way.
	learntMax = 200_000
)

// OpenStatCache opens the cache at path; a missing or unreadable one is empty.
func OpenStatCache(path string) *StatCache {
	return &StatCache{path: path, base: openStatFile(path), learnt: map[statKey]statRecord{}}
}

// Save writes the cache if it has learnt something. The file appears whole.
func (c *StatCache) Save() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.save()
}

// save writes what is on disk by now, perhaps by another process, with what
// was learnt here.
func (c *StatCache) save() error {
	if len(c.learnt) == 0 {
		return nil
	}
	c.base.close()
	c.base = openStatFile(c.path)
	err := c.base.merge(c.path, c.learnt, today()-keepDays)
	c.base.close()
	c.base, c.learnt = openStatFile(c.path), map[statKey]statRecord{}
	return err
}

func today() uint32 { return uint32(time.Now().Unix() / 86400) }

// Digest returns what the file contained when fi says that it is still the same.
func (c *StatCache) Digest(path string, fi fs.FileInfo) (lastro.Digest, bool) {
	if c == nil {
		return "", false
	}
	st, ok := statOf(fi)
	if !ok {
		return "", false
	}
	key := keyOf(path)
	c.mu.RLock()
	r, ok := c.learnt[key]
	if !ok {
		r, ok = c.base.find(key)
	}
	c.mu.RUnlock()
	if !ok || r.stat != st {
		return "", false
	}
	if now := today(); r.day+markDays < now {
		r.day = now
		c.keep(key, r)
	}
	return r.digest(), true
}

// Learn remembers the digest of a file whose fi was taken before it was read,
// unless the file has changed since, or only just.
func (c *StatCache) Learn(path string, fi fs.FileInfo, d lastro.Digest) {
	if c == nil {
		return
	}
	st, ok := statOf(fi)
	if !ok || time.Since(time.Unix(0, max(st.Ctime, st.Mtime))) < racy {
		return
	}
	again, err := os.Stat(path)
	if err != nil {
		return
	}
	if now, _ := statOf(again); now == st {
		c.keep(keyOf(path), newRecord(st, d, today()))
	}
}

func (c *StatCache) keep(key statKey, r statRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.learnt[key] = r; len(c.learnt) >= learntMax {
		_ = c.save() // what cannot be saved is forgotten: it is only an aid
	}
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
