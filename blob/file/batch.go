// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"lastro"
	"lastro/blob"
)

// A batch is flushed when it has this many files or bytes, so that a folder of
// a million files is held neither in memory nor under temporary names.
const (
	batchFiles = 32_768
	batchBytes = 8 << 30
)

// syncEach is the number of files up to which each is synced by itself, which
// leaves what others write to the same disk alone.
const syncEach = 16

// batch is what one call stores: files under temporary names, which are synced
// together and only then get their names. Contents that are small altogether
// are held in memory and go to the database. It is safe for concurrent use.
type batch struct {
	s   *Store
	dir string // of the temporary names
	seq atomic.Int64

	mu      sync.Mutex
	held    []blob.Content
	holding bool // until the contents are too large together
	size    int64
	claimed map[lastro.Digest]bool
	ready   []temporary
}

type temporary struct {
	path   string
	digest lastro.Digest
}

func (s *Store) newBatch() *batch {
	return &batch{s: s, holding: s.small != nil, claimed: map[lastro.Digest]bool{}}
}

// close removes what was not kept.
func (b *batch) close() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

// create makes a file for keep.
func (b *batch) create() (*os.File, error) {
	b.mu.Lock()
	if b.dir == "" {
		dir, err := os.MkdirTemp(filepath.Join(b.s.dir, "tmp"), "put-")
		if err != nil {
			b.mu.Unlock()
			return nil, diskError(err)
		}
		b.dir = dir
	}
	b.mu.Unlock()
	f, err := os.OpenFile(b.dir+"/"+strconv.FormatInt(b.seq.Add(1), 36), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o400)
	return f, diskError(err)
}

// claim reports whether d has still to be written, and that the caller does it.
func (b *batch) claim(d lastro.Digest) (bool, error) {
	b.mu.Lock()
	taken := b.claimed[d]
	b.claimed[d] = true
	b.mu.Unlock()
	if taken {
		return false, nil
	}
	there, err := b.s.useFile(d)
	if there {
		b.mu.Lock()
		delete(b.claimed, d) // the map holds what has no name yet
		b.mu.Unlock()
	}
	return !there, err
}

// put takes content that is in memory; the caller may use the bytes again.
func (b *batch) put(d lastro.Digest, content []byte) error {
	if write, err := b.claim(d); !write || err != nil {
		return err
	}
	spill, held := b.hold(d, content)
	for _, c := range spill {
		if err := b.write(c.Digest, c.Bytes); err != nil {
			return err
		}
	}
	if held {
		return nil
	}
	return b.write(d, content)
}

// hold keeps small contents in memory; when they become too large together it
// gives them back.
func (b *batch) hold(d lastro.Digest, content []byte) (spill []blob.Content, held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.holding {
		return nil, false
	}
	if b.size += int64(len(content)); b.size > blob.SmallMax {
		return b.spill(), false
	}
	b.held = append(b.held, blob.Content{Digest: d, Bytes: append([]byte(nil), content...)})
	return nil, true
}

func (b *batch) spill() []blob.Content {
	spill := b.held
	b.held, b.holding = nil, false
	return spill
}

// large ends holding: what follows is too large.
func (b *batch) large() error {
	b.mu.Lock()
	spill := b.spill()
	b.mu.Unlock()
	for _, c := range spill {
		if err := b.write(c.Digest, c.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) write(d lastro.Digest, content []byte) error {
	f, err := b.create()
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return b.keep(f, d, int64(len(content)), err)
}

// keep closes a file that is written and notes its digest; with an earlier
// error it is removed.
func (b *batch) keep(f *os.File, d lastro.Digest, size int64, err error) error {
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return diskError(err)
	}
	b.mu.Lock()
	b.ready = append(b.ready, temporary{f.Name(), d})
	b.size += size
	full := len(b.ready) >= batchFiles || b.size > batchBytes
	b.mu.Unlock()
	if full {
		return b.flush()
	}
	return nil
}

// commit makes everything durable and gives it its names.
func (b *batch) commit(ctx context.Context) error {
	if len(b.held) > 0 {
		if err := b.s.putSmall(ctx, b.held); err != nil {
			return err
		}
		b.held = nil
	}
	return b.flush()
}

// flush syncs what is ready, renames it and syncs the names. Content is synced
// before it is named: a name is never that of half a file, whatever crashes.
func (b *batch) flush() error {
	b.mu.Lock()
	ready := b.ready
	b.ready, b.size = nil, 0
	b.mu.Unlock()
	if len(ready) == 0 {
		return nil
	}
	if err := syncFiles(b.dir, ready); err != nil {
		return diskError(err)
	}
	folders := map[string]bool{}
	for _, t := range ready {
		dest := b.s.path(t.digest)
		if err := b.s.makeFan(filepath.Dir(dest), folders); err != nil {
			return diskError(err)
		}
		if err := os.Rename(t.path, dest); err != nil {
			return diskError(err)
		}
	}
	if err := syncNames(b.s.dir, folders); err != nil {
		return diskError(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range ready {
		delete(b.claimed, t.digest)
	}
	for f := range folders {
		b.s.fan.Store(f, true)
	}
	return nil
}

// makeFan makes the folder fan and adds what has to be synced to folders.
func (s *Store) makeFan(fan string, folders map[string]bool) error {
	if folders[fan] {
		return nil
	}
	folders[fan] = true
	if _, ok := s.fan.Load(fan); ok {
		return nil
	}
	folders[s.dir] = true // its name may be younger than any sync
	if err := os.Mkdir(fan, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func syncFiles(dir string, files []temporary) error {
	if len(files) > syncEach {
		if err := syncAll(dir); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	slots := make(chan struct{}, syncEach)
	for i, t := range files {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = syncFile(t.path)
			<-slots
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// syncNames makes renames durable.
func syncNames(dir string, folders map[string]bool) error {
	if len(folders) > syncEach {
		if err := syncAll(dir); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	for f := range folders {
		if err := syncFile(f); err != nil {
			return err
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
