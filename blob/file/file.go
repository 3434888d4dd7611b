// SPDX-License-Identifier: Apache-2.0

// Package file keeps blobs in a folder of the local disk: one file for each
// digest, written to a temporary name, synced and renamed. It knows nothing
// of what the bytes mean beyond a tree's manifest.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"lastro"
	"lastro/blob"
)

// smallBytes is the size up to which a file is read into memory first: then
// bytes that the store has already cost no write at all.
const smallBytes = 1 << 20

// Store is a blob.Store in a folder.
type Store struct {
	dir string
	fan sync.Map // fan-out folders known to exist and to be synced
}

var _ blob.Store = (*Store)(nil)

// Open returns the store in dir, which is made with mode 0700 when missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, diskError(err)
	}
	return &Store{dir: dir}, nil
}

// path is dir/ab/cdef...: 256 folders keep each of them small.
func (s *Store) path(d lastro.Digest) string {
	h := d.Hex()
	return filepath.Join(s.dir, h[:2], h[2:])
}

func (s *Store) have(d lastro.Digest) bool {
	_, err := os.Stat(s.path(d))
	return err == nil
}

// Has reports whether the store holds d.
func (s *Store) Has(_ context.Context, d lastro.Digest) (bool, error) {
	if _, err := lastro.ParseDigest(string(d)); err != nil {
		return false, err
	}
	_, err := os.Stat(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, diskError(err)
}

// Put stores a stream.
func (s *Store) Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error) {
	head := make([]byte, 0, 4096)
	head, err := readUpTo(r, head, smallBytes)
	if err != nil {
		return "", 0, err
	}
	if bytes.HasPrefix(head, []byte(blob.TreeMagic)) {
		return "", 0, lastro.Errorf(lastro.EInvalid, "these bytes look like a folder's manifest, which a file must not")
	}
	if len(head) < smallBytes {
		d, err := s.putBytes(head)
		return d, int64(len(head)), err
	}
	return s.putStream(ctx, io.MultiReader(bytes.NewReader(head), r))
}

// readUpTo appends to buf until it holds limit bytes or r ends.
func readUpTo(r io.Reader, buf []byte, limit int) ([]byte, error) {
	for len(buf) < limit {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(limit, 4*cap(buf)))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// putBytes stores bytes that are in memory.
func (s *Store) putBytes(b []byte) (lastro.Digest, error) {
	d := lastro.DigestOf(b)
	if s.have(d) {
		return d, nil
	}
	f, err := s.temp()
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return d, s.keep(f, d, err)
}

// putStream stores a stream of any length.
func (s *Store) putStream(ctx context.Context, r io.Reader) (lastro.Digest, int64, error) {
	f, err := s.temp()
	if err != nil {
		return "", 0, err
	}
	h := lastro.NewHasher()
	n, err := io.CopyBuffer(io.MultiWriter(f, h), ctxReader{ctx, r}, make([]byte, 256<<10))
	d := h.Digest()
	return d, n, s.keep(f, d, err)
}

// temp makes a file that keep renames.
func (s *Store) temp() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "put-")
	return f, diskError(err)
}

// keep syncs a temporary file and gives it its name; an earlier error or one
// of its own removes it.
func (s *Store) keep(f *os.File, d lastro.Digest, err error) error {
	defer os.Remove(f.Name())
	if err == nil && s.have(d) {
		return f.Close()
	}
	if err == nil {
		err = f.Chmod(0o400)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = s.rename(f.Name(), d)
	}
	return diskError(err)
}

func (s *Store) rename(temp string, d lastro.Digest) error {
	dest := s.path(d)
	fan := filepath.Dir(dest)
	if _, ok := s.fan.Load(fan); !ok {
		if err := os.Mkdir(fan, 0o700); err == nil {
			if err := syncDir(s.dir); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
		s.fan.Store(fan, true)
	}
	if err := os.Rename(temp, dest); err != nil {
		return err
	}
	return syncDir(fan)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Open returns the bytes of a blob, verified while they are read.
func (s *Store) Open(_ context.Context, d lastro.Digest) (io.ReadCloser, error) {
	f, err := s.open(d)
	if err != nil {
		return nil, err
	}
	return &verifier{f: f, want: d, h: lastro.NewHasher()}, nil
}

func (s *Store) open(d lastro.Digest) (*os.File, error) {
	if _, err := lastro.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0422", Msg: fmt.Sprintf("the store has no content %s", d),
			Hint: "run the step that made it again: lastro run --no-cache"}
	}
	return f, diskError(err)
}

// Stat says what a digest names.
func (s *Store) Stat(ctx context.Context, d lastro.Digest) (blob.Info, error) {
	f, err := s.open(d)
	if err != nil {
		return blob.Info{}, err
	}
	defer f.Close()
	head := make([]byte, len(blob.TreeMagic))
	if n, _ := io.ReadFull(f, head); n < len(head) || string(head) != blob.TreeMagic {
		fi, err := f.Stat()
		if err != nil {
			return blob.Info{}, diskError(err)
		}
		return blob.Info{Digest: d, Size: fi.Size(), Files: 1}, nil
	}
	entries, err := s.Tree(ctx, d)
	info := blob.Info{Digest: d, Tree: true}
	for _, e := range entries {
		info.Size += e.Size
		if !e.Dir {
			info.Files++
		}
	}
	return info, err
}

// Verify reads a blob, or a tree with all its files.
func (s *Store) Verify(ctx context.Context, d lastro.Digest) error {
	r, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	head := make([]byte, len(blob.TreeMagic))
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if _, err := io.Copy(io.Discard, ctxReader{ctx, r}); err != nil {
		return err
	}
	if string(head[:n]) != blob.TreeMagic {
		return nil
	}
	entries, err := s.Tree(ctx, d)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Dir {
			continue
		}
		if err := s.Verify(ctx, e.Digest); err != nil {
			return at(e.Path, err)
		}
	}
	return nil
}

// at names the file of a tree in an error.
func at(path string, err error) error {
	var e *lastro.Error
	if errors.As(err, &e) {
		named := *e
		named.Msg = path + ": " + e.Msg
		return &named
	}
	return fmt.Errorf("%s: %w", path, err)
}

// verifier is the reader of Open.
type verifier struct {
	f    *os.File
	want lastro.Digest
	h    *lastro.Hasher
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.f.Read(p)
	_, _ = v.h.Write(p[:n])
	if err == io.EOF {
		if got := v.h.Digest(); got != v.want {
			return n, tampered(v.want, got)
		}
	}
	return n, err
}

func (v *verifier) Close() error { return v.f.Close() }

func tampered(want, got lastro.Digest) error {
	return &lastro.Error{Code: lastro.ETampered, ID: "L0801", Msg: fmt.Sprintf("stored content %s has changed: it is now %s", want.Short(), got.Short()),
		Notes: []string{"expected " + string(want), "found " + string(got)},
		Hint:  "the disk or somebody altered it; restore it from a backup, or run the step that made it again: lastro run --no-cache"}
}

// ctxReader ends a long copy when ctx ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// diskError names what a person can mend.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be stored",
			Hint: "free some space (lastro keeps its state in .lastro), then run the same command again", Err: err}
	}
	return err
}
