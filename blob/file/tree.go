// SPDX-License-Identifier: Apache-2.0

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
	"slices"
	"sync"

	"lastro"
	"lastro/blob"
)

// parallelPuts lets the syncs of small files share one commit of the file
// system's journal.
const parallelPuts = 8

// PutFile stores one file.
func (s *Store) PutFile(ctx context.Context, path string, known blob.Known) (lastro.Digest, int64, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("store a file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return "", 0, lastro.Errorf(lastro.EInvalid, "%s is not a file", path)
	}
	d, err := s.putFile(ctx, path, fi, known)
	return d, fi.Size(), err
}

func (s *Store) putFile(ctx context.Context, path string, fi fs.FileInfo, known blob.Known) (lastro.Digest, error) {
	if known != nil {
		if d, ok := known.Digest(path, fi); ok && s.have(d) {
			return d, nil
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("store a file: %w", err)
	}
	defer f.Close()
	var d lastro.Digest
	if fi.Size() > smallBytes {
		d, err = s.putLarge(ctx, f)
	} else {
		d, _, err = s.Put(ctx, f)
	}
	if err == nil && known != nil {
		known.Learn(path, fi, d)
	}
	return d, err
}

// putLarge digests a file before it is copied when the file system can share
// its blocks: then nothing is written, and a file that is known costs one read.
func (s *Store) putLarge(ctx context.Context, f *os.File) (lastro.Digest, error) {
	t, err := s.temp()
	if err != nil {
		return "", err
	}
	if clone(t, f) != nil {
		t.Close()
		os.Remove(t.Name())
		d, _, err := s.Put(ctx, f)
		return d, err
	}
	head := make([]byte, len(blob.TreeMagic))
	_, err = io.ReadFull(t, head)
	if err == nil && string(head) == blob.TreeMagic {
		err = lastro.Errorf(lastro.EInvalid, "%s looks like a folder's manifest, which a file must not", f.Name())
	}
	h := lastro.NewHasher()
	_, _ = h.Write(head)
	if err == nil {
		_, err = io.Copy(h, ctxReader{ctx, t})
	}
	return h.Digest(), s.keep(t, h.Digest(), err)
}

// PutTree stores a folder.
func (s *Store) PutTree(ctx context.Context, dir string, known blob.Known) (lastro.Digest, int64, error) {
	found, err := blob.Walk(dir)
	if err != nil {
		return "", 0, err
	}
	errs := make([]error, len(found))
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelPuts)
	for i := range found {
		if found[i].Dir {
			continue
		}
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			f := &found[i]
			if f.Digest, errs[i] = s.putFile(ctx, f.From, f.Info, known); errs[i] != nil {
				errs[i] = at(f.Path, errs[i])
			}
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", 0, firstOf(errs)
	}
	var size int64
	entries := make([]blob.Entry, len(found))
	for i, f := range found {
		entries[i] = f.Entry
		size += f.Size
	}
	manifest, err := blob.EncodeTree(entries)
	if err != nil {
		return "", 0, err
	}
	d, err := s.putBytes(manifest)
	return d, size, err
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// PutPath stores a file or a folder.
func (s *Store) PutPath(ctx context.Context, path string) (lastro.Digest, int64, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("store: %w", err)
	}
	if fi.IsDir() {
		return s.PutTree(ctx, path, nil)
	}
	return s.PutFile(ctx, path, nil)
}

// Tree returns the entries of a tree.
func (s *Store) Tree(ctx context.Context, d lastro.Digest) ([]blob.Entry, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, len(blob.TreeMagic))
	if n, _ := io.ReadFull(r, head); string(head[:n]) != blob.TreeMagic {
		return nil, lastro.Errorf(lastro.EInvalid, "%s names a file, not a folder", d)
	}
	manifest, err := io.ReadAll(io.MultiReader(bytes.NewReader(head), r))
	if err != nil {
		return nil, err
	}
	return blob.DecodeTree(manifest)
}

// Materialise writes a private copy of a blob or tree to dest.
func (s *Store) Materialise(ctx context.Context, d lastro.Digest, dest string) error {
	if _, err := os.Lstat(dest); err == nil {
		return lastro.Errorf(lastro.EConflict, "%s exists already", dest)
	}
	info, err := s.Stat(ctx, d)
	if err != nil {
		return err
	}
	if info.Tree {
		err = s.materialiseTree(ctx, d, dest)
	} else {
		err = s.copyOut(ctx, d, dest, false)
	}
	if err != nil {
		os.RemoveAll(dest)
	}
	return diskError(err)
}

func (s *Store) materialiseTree(ctx context.Context, d lastro.Digest, dest string) error {
	entries, err := s.Tree(ctx, d)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dest, 0o700); err != nil {
		return err
	}
	made := map[string]bool{dest: true}
	for _, e := range entries {
		// Paths were checked by DecodeTree; every folder on the way was made here,
		// so no link can lead out of dest.
		p := filepath.Join(dest, filepath.FromSlash(e.Path))
		folder := filepath.Dir(p)
		if e.Dir {
			folder = p
		}
		if !made[folder] {
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return err
			}
			made[folder] = true
		}
		if e.Dir {
			continue
		}
		if err := s.copyOut(ctx, e.Digest, p, e.Exec); err != nil {
			return at(e.Path, err)
		}
	}
	return nil
}

// copyOut writes a verified copy of one blob.
func (s *Store) copyOut(ctx context.Context, d lastro.Digest, dest string, exec bool) error {
	src, err := s.open(d)
	if err != nil {
		return err
	}
	defer src.Close()
	mode := fs.FileMode(0o600)
	if exec {
		mode = 0o700
	}
	out, err := os.OpenFile(dest, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	h := lastro.NewHasher()
	if fi, serr := src.Stat(); serr == nil && fi.Size() > smallBytes && clone(out, src) == nil {
		_, err = io.Copy(h, ctxReader{ctx, out})
	} else {
		_, err = io.Copy(io.MultiWriter(out, h), ctxReader{ctx, src})
	}
	if err != nil {
		return err
	}
	if got := h.Digest(); got != d {
		return tampered(d, got)
	}
	return out.Close()
}

// PutEntries stores a folder made of blobs that are stored already.
func (s *Store) PutEntries(_ context.Context, entries []blob.Entry) (lastro.Digest, error) {
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
		f, err := s.open(e.Digest)
		if err != nil {
			return "", at(e.Path, err)
		}
		fi, err := f.Stat()
		f.Close()
		if err != nil {
			return "", diskError(err)
		}
		e.Size = fi.Size()
	}
	manifest, err := blob.EncodeTree(own)
	if err != nil {
		return "", err
	}
	if _, err := blob.DecodeTree(manifest); err != nil {
		return "", lastro.Errorf(lastro.EInvalid, "these files make no folder: %w", err)
	}
	return s.putBytes(manifest)
}
