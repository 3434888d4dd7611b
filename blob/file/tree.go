// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"lastro"
	"lastro/blob"
)

// stretch is how many files a worker takes at a time.
const stretch = 32

// PutTree stores a folder. One goroutine walks it, others read, hash and write
// its files, and the caller's puts the entries together in order; stretches
// between them are few, so memory does not grow with the folder.
func (s *Store) PutTree(ctx context.Context, dir string, known blob.Known) (lastro.Digest, int64, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", 0, fmt.Errorf("read folder %s: %w", dir, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &treePut{b: s.newBatch(), root: root, known: known, cancel: cancel,
		work: make(chan *part, workers()), order: make(chan *part, 4*workers())}
	var wg sync.WaitGroup
	defer func() { cancel(nil); wg.Wait(); t.b.close() }()
	wg.Go(func() { t.walk(ctx) })
	for range workers() {
		wg.Go(func() { t.worker(ctx) })
	}
	m := &manifest{b: t.b}
	defer m.close()
	size, err := t.collect(ctx, m)
	if err != nil {
		return "", 0, err
	}
	d, err := m.end()
	if err == nil {
		err = t.b.commit(ctx)
	}
	return d, size, err
}

type treePut struct {
	b           *batch
	root        string
	known       blob.Known
	cancel      context.CancelCauseFunc
	work, order chan *part
	walkErr     error // read after order is closed
}

// part is a stretch of a folder.
type part struct {
	found   []blob.Found
	entries []blob.Entry
	err     error
	done    chan struct{}
}

// walk hands out the folder in parts.
func (t *treePut) walk(ctx context.Context) {
	defer close(t.order)
	defer close(t.work)
	p, n := &part{done: make(chan struct{})}, 0
	hand := func() error {
		for _, c := range []chan *part{t.order, t.work} {
			select {
			case c <- p:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		p = &part{done: make(chan struct{})}
		return nil
	}
	t.walkErr = blob.Walk(t.root, func(f blob.Found) error {
		if n++; n > blob.MaxEntries {
			return lastro.Errorf(lastro.EInvalid, "folder %s has more than %d files", t.root, blob.MaxEntries)
		}
		if p.found = append(p.found, f); len(p.found) < stretch {
			return nil
		}
		return hand()
	})
	if t.walkErr == nil && len(p.found) > 0 {
		t.walkErr = hand()
	}
}

func (t *treePut) worker(ctx context.Context) {
	var scratch []byte
	for p := range t.work {
		if scratch == nil {
			scratch = make([]byte, 0, 256<<10)
		}
		p.entries = make([]blob.Entry, 0, len(p.found))
		for _, f := range p.found {
			e, err := t.entry(ctx, f, &scratch)
			if err != nil {
				p.err = at(f.Path, err)
				break
			}
			p.entries = append(p.entries, e)
		}
		close(p.done)
	}
}

func (t *treePut) entry(ctx context.Context, f blob.Found, scratch *[]byte) (blob.Entry, error) {
	e := blob.Entry{Path: f.Path, Dir: f.Dir}
	if f.Dir {
		return e, nil
	}
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	from, info, err := f.Look(t.root)
	if err != nil {
		return e, err
	}
	if want := int(min(info.Size(), smallBytes)) + 1; cap(*scratch) < want {
		*scratch = make([]byte, 0, want)
	}
	e.Exec = info.Mode()&0o111 != 0
	e.Digest, e.Size, err = t.b.putFile(ctx, from, info, t.known, *scratch)
	return e, err
}

// collect writes the manifest in order of the paths.
func (t *treePut) collect(ctx context.Context, m *manifest) (size int64, err error) {
	w := blob.NewManifestWriter(m)
	for p := range t.order {
		select {
		case <-p.done:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if p.err != nil {
			return 0, p.err
		}
		for _, e := range p.entries {
			size += e.Size
			if err := w.Add(e); err != nil {
				return 0, diskError(err)
			}
		}
	}
	if t.walkErr != nil {
		return 0, t.walkErr
	}
	return size, diskError(w.End())
}

// manifest takes the bytes of a manifest: in memory while they are few, then
// in a temporary file of the batch.
type manifest struct {
	b    *batch
	buf  bytes.Buffer
	file *os.File
	size int64
	h    *lastro.Hasher
}

func (m *manifest) Write(p []byte) (int, error) {
	if m.buf.Len()+len(p) > smallBytes {
		if err := m.spill(); err != nil {
			return 0, err
		}
	}
	return m.buf.Write(p)
}

func (m *manifest) spill() (err error) {
	if m.file == nil {
		if m.file, err = m.b.create(); err != nil {
			return err
		}
		m.h = lastro.NewHasher()
	}
	_, _ = m.h.Write(m.buf.Bytes())
	n, err := m.file.Write(m.buf.Bytes())
	m.size += int64(n)
	m.buf.Reset()
	return err
}

// end adds the manifest to the batch.
func (m *manifest) end() (lastro.Digest, error) {
	if m.file == nil {
		d := lastro.DigestOf(m.buf.Bytes())
		return d, m.b.put(d, m.buf.Bytes())
	}
	err := m.spill()
	f, d := m.file, m.h.Digest()
	m.file = nil
	return d, m.b.keepNew(f, d, m.size, err)
}

func (m *manifest) close() {
	if m.file != nil {
		m.file.Close()
	}
}

// PutEntries stores a folder made of blobs that are stored already.
func (s *Store) PutEntries(ctx context.Context, entries []blob.Entry) (lastro.Digest, error) {
	own := slices.Clone(entries)
	for i := range own {
		e := &own[i]
		if !filepath.IsLocal(filepath.FromSlash(e.Path)) {
			return "", lastro.Errorf(lastro.EInvalid, "%q is no path below a folder", e.Path)
		}
		if e.Dir {
			e.Digest, e.Size = "", 0
			continue
		}
		if there, err := s.Has(ctx, e.Digest); err != nil {
			return "", at(e.Path, err)
		} else if !there {
			return "", at(e.Path, absent(e.Digest))
		}
		r, err := s.open(ctx, e.Digest)
		if err != nil {
			return "", at(e.Path, err)
		}
		e.Size = r.size
		r.Close()
	}
	text, err := blob.EncodeTree(own)
	if err != nil {
		return "", err
	}
	if _, err := blob.DecodeTree(text); err != nil {
		return "", lastro.Errorf(lastro.EInvalid, "these files make no folder: %w", err)
	}
	b := s.newBatch()
	defer b.close()
	d := lastro.DigestOf(text)
	if err := b.put(d, text); err != nil {
		return "", err
	}
	return d, b.commit(ctx)
}
