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

	"lastro"
	"lastro/blob"
)

// smallBytes is the size up to which a file is read into memory first: then
// bytes that the store has already cost no write at all.
const smallBytes = 1 << 20

// Put stores a stream.
func (s *Store) Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error) {
	head, err := readUpTo(r, make([]byte, 0, 4096), smallBytes)
	if err != nil {
		return "", 0, err
	}
	b := s.newBatch()
	defer b.close()
	d, n, err := b.putRead(ctx, head, r, "these bytes")
	if err == nil {
		err = b.commit(ctx)
	}
	return d, n, err
}

// PutFile stores one file.
func (s *Store) PutFile(ctx context.Context, path string, known blob.Known) (lastro.Digest, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("store a file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, lastro.Errorf(lastro.EInvalid, "%s is not a file", path)
	}
	b := s.newBatch()
	defer b.close()
	d, n, err := b.putFile(ctx, path, info, known, nil)
	if err == nil {
		err = b.commit(ctx)
	}
	return d, n, err
}

// PutPath stores a file or a folder.
func (s *Store) PutPath(ctx context.Context, path string) (lastro.Digest, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, fmt.Errorf("store: %w", err)
	}
	if info.IsDir() {
		return s.PutTree(ctx, path, nil)
	}
	return s.PutFile(ctx, path, nil)
}

// putFile adds a file to the batch. scratch is memory to read into.
func (b *batch) putFile(ctx context.Context, path string, info fs.FileInfo, known blob.Known, scratch []byte) (lastro.Digest, int64, error) {
	if known != nil {
		if d, ok := known.Digest(path, info); ok {
			if there, err := b.s.use(ctx, d); there || err != nil {
				return d, info.Size(), err
			}
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("store a file: %w", err)
	}
	defer f.Close()
	d, n, err := b.putOpen(ctx, f, info.Size(), scratch)
	if err == nil && known != nil {
		known.Learn(path, info, d)
	}
	return d, n, err
}

// putOpen adds an open file that had size bytes a moment ago.
func (b *batch) putOpen(ctx context.Context, f *os.File, size int64, scratch []byte) (lastro.Digest, int64, error) {
	if size > smallBytes {
		if d, n, cloned, err := b.putClone(ctx, f); cloned || err != nil {
			return d, n, err
		}
	}
	if cap(scratch) == 0 {
		scratch = make([]byte, 0, min(size, smallBytes)+1) // the byte more finds the end in the same read
	}
	head, err := readUpTo(f, scratch[:0], smallBytes)
	if err != nil {
		return "", 0, err
	}
	return b.putRead(ctx, head, f, f.Name())
}

// putRead adds content of which head was read already: all of it when it is
// shorter than smallBytes.
func (b *batch) putRead(ctx context.Context, head []byte, rest io.Reader, name string) (lastro.Digest, int64, error) {
	if blob.IsTree(head) {
		return "", 0, looksLikeTree(name)
	}
	if len(head) < smallBytes {
		d := lastro.DigestOf(head)
		return d, int64(len(head)), b.put(d, head)
	}
	if err := b.large(); err != nil {
		return "", 0, err
	}
	out, err := b.create()
	if err != nil {
		return "", 0, err
	}
	d, n, err := copyHashed(ctx, out, io.MultiReader(bytes.NewReader(head), rest))
	return d, n, b.keepNew(out, d, n, err)
}

// keepNew is keep unless the store has the content already.
func (b *batch) keepNew(f *os.File, d lastro.Digest, n int64, err error) error {
	write := true
	if err == nil {
		write, err = b.claim(d)
	}
	if !write {
		f.Close()
		return diskError(errors.Join(err, os.Remove(f.Name())))
	}
	return b.keep(f, d, n, err)
}

// putClone shares the blocks of a file when the file system can, and hashes
// the clone: then nothing is written, and what is hashed stays as it is.
func (b *batch) putClone(ctx context.Context, f *os.File) (d lastro.Digest, n int64, cloned bool, err error) {
	out, err := b.create()
	if err != nil {
		return "", 0, false, err
	}
	if clone(out, f) != nil {
		out.Close()
		return "", 0, false, os.Remove(out.Name())
	}
	if err = b.large(); err == nil {
		head := make([]byte, len(blob.TreeMagic))
		if _, err = out.ReadAt(head, 0); err == nil && blob.IsTree(head) {
			err = looksLikeTree(f.Name())
		}
	}
	if err == nil {
		d, n, err = copyHashed(ctx, nil, out)
	}
	return d, n, true, b.keepNew(out, d, n, err)
}

func looksLikeTree(name string) error {
	return lastro.Errorf(lastro.EInvalid, "%s look like a folder's manifest, which a file must not", name)
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
