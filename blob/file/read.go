// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"lastro"
	"lastro/blob"
)

// content is stored bytes that are not verified yet: a file, or bytes of the database.
type content struct {
	io.Reader
	file *os.File // nil: from the database
	size int64
}

func (c *content) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

func (s *Store) open(ctx context.Context, d lastro.Digest) (*content, error) {
	if _, err := lastro.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(d))
	if err == nil {
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, diskError(err)
		}
		return &content{Reader: f, file: f, size: info.Size()}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, diskError(err)
	}
	if s.small != nil {
		b, err := s.small.GetSmall(ctx, d)
		if err == nil {
			return &content{Reader: bytes.NewReader(b), size: int64(len(b))}, nil
		}
		if !lastro.Is(err, lastro.ENotFound) {
			return nil, err
		}
	}
	if f, err := s.fromTrash(d); err == nil {
		return f, nil
	}
	return nil, absent(d)
}

// fromTrash opens what gc took out a moment ago: it puts back what was used
// meanwhile, and what is read now was.
func (s *Store) fromTrash(d lastro.Digest) (*content, error) {
	for _, p := range []string{s.trash(d), s.path(d)} {
		if f, err := os.Open(p); err == nil {
			if info, err := f.Stat(); err == nil {
				return &content{Reader: f, file: f, size: info.Size()}, nil
			}
			f.Close()
		}
	}
	return nil, fs.ErrNotExist
}

// Open returns the bytes of a blob, verified while they are read.
func (s *Store) Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error) {
	c, err := s.open(ctx, d)
	if err != nil {
		return nil, err
	}
	return &verifier{c: c, want: d, h: lastro.NewHasher()}, nil
}

// verifier is the reader of Open.
type verifier struct {
	c    *content
	want lastro.Digest
	h    *lastro.Hasher
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.c.Read(p)
	_, _ = v.h.Write(p[:n])
	if err == io.EOF {
		if got := v.h.Digest(); got != v.want {
			return n, tampered(v.want, got)
		}
	}
	return n, err
}

func (v *verifier) Close() error { return v.c.Close() }

// Stat says what a digest names.
func (s *Store) Stat(ctx context.Context, d lastro.Digest) (blob.Info, error) {
	c, err := s.open(ctx, d)
	if err != nil {
		return blob.Info{}, err
	}
	defer c.Close()
	head := make([]byte, len(blob.TreeMagic))
	if n, _ := io.ReadFull(c, head); !blob.IsTree(head[:n]) {
		return blob.Info{Digest: d, Size: c.size, Files: 1}, nil
	}
	info := blob.Info{Digest: d, Tree: true}
	err = s.eachEntry(ctx, d, func(e blob.Entry) error {
		info.Size += e.Size
		if !e.Dir {
			info.Files++
		}
		return nil
	})
	return info, err
}

// Tree returns the entries of a tree.
func (s *Store) Tree(ctx context.Context, d lastro.Digest) ([]blob.Entry, error) {
	entries := []blob.Entry{}
	err := s.eachEntry(ctx, d, func(e blob.Entry) error {
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

func (s *Store) eachEntry(ctx context.Context, d lastro.Digest, fn func(blob.Entry) error) error {
	r, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return blob.EachEntry(r, fn)
}

// Verify reads a blob, or a tree with all its files.
func (s *Store) Verify(ctx context.Context, d lastro.Digest) error {
	c, err := s.open(ctx, d)
	if err != nil {
		return err
	}
	defer c.Close()
	head := make([]byte, len(blob.TreeMagic))
	n, _ := io.ReadFull(c, head)
	got, err := digest(ctx, io.MultiReader(bytes.NewReader(head[:n]), c), c.size)
	if err != nil {
		return err
	}
	if got != d {
		return tampered(d, got)
	}
	if !blob.IsTree(head[:n]) {
		return nil
	}
	return s.eachEntry(ctx, d, func(e blob.Entry) error {
		if e.Dir {
			return nil
		}
		if err := s.Verify(ctx, e.Digest); err != nil {
			return at(e.Path, err)
		}
		return nil
	})
}

func digest(ctx context.Context, r io.Reader, size int64) (lastro.Digest, error) {
	if size >= overlapFrom {
		d, _, err := copyHashed(ctx, nil, r)
		return d, err
	}
	d, _, err := lastro.DigestReader(ctxReader{ctx, r})
	return d, err
}

// Materialise writes a private copy of a blob or tree to dest.
func (s *Store) Materialise(ctx context.Context, d lastro.Digest, dest string) error {
	if _, err := os.Lstat(dest); err == nil {
		return lastro.Errorf(lastro.EConflict, "%s exists already", dest)
	}
	c, err := s.open(ctx, d)
	if err != nil {
		return err
	}
	head := make([]byte, len(blob.TreeMagic))
	n, _ := io.ReadFull(c, head)
	c.Close()
	if blob.IsTree(head[:n]) {
		err = s.materialiseTree(ctx, d, dest)
	} else {
		err = s.copyOut(ctx, d, dest, false)
	}
	if err != nil {
		os.RemoveAll(dest)
	}
	return diskError(err)
}

// materialiseTree makes the folders in order and lets several goroutines write files.
func (s *Store) materialiseTree(ctx context.Context, d lastro.Digest, dest string) error {
	if err := os.Mkdir(dest, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan blob.Entry, stretch)
	var wg sync.WaitGroup
	for range workers() {
		wg.Go(func() {
			for e := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := s.copyOut(ctx, e.Digest, filepath.Join(dest, filepath.FromSlash(e.Path)), e.Exec); err != nil {
					cancel(at(e.Path, err))
				}
			}
		})
	}
	made := dest
	err := s.eachEntry(ctx, d, func(e blob.Entry) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// The path was checked by EachEntry; every folder on the way was made
		// here, so no link can lead out of dest.
		folder := filepath.Join(dest, filepath.FromSlash(e.Path))
		if !e.Dir {
			folder = filepath.Dir(folder)
		}
		if folder != made {
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return err
			}
			made = folder
		}
		if !e.Dir {
			work <- e
		}
		return nil
	})
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// copyOut writes a verified, read-only copy of one blob.
func (s *Store) copyOut(ctx context.Context, d lastro.Digest, dest string, exec bool) error {
	src, err := s.open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	mode := fs.FileMode(0o400)
	if exec {
		mode = 0o500
	}
	out, err := os.OpenFile(dest, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	got, err := copyVerified(ctx, out, src)
	if err != nil {
		return err
	}
	if got != d {
		return tampered(d, got)
	}
	return out.Close()
}

// copyVerified clones or copies and returns the digest of the copy.
func copyVerified(ctx context.Context, out *os.File, src *content) (lastro.Digest, error) {
	switch {
	case src.file != nil && src.size > smallBytes && clone(out, src.file) == nil:
		return digest(ctx, out, src.size)
	case src.size >= overlapFrom:
		d, _, err := copyHashed(ctx, out, src)
		return d, err
	}
	h := lastro.NewHasher()
	_, err := io.Copy(io.MultiWriter(out, h), ctxReader{ctx, src})
	runtime.KeepAlive(src)
	return h.Digest(), err
}
