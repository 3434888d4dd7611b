// SPDX-License-Identifier: Apache-2.0

// Package blobtest is the contract of blob.Store: an implementation is done
// when Run is green on it.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lastro"
	"lastro/blob"
)

// Run checks a store. open returns an empty one; damage flips one byte of
// what it keeps for a digest (nil: the backend cannot be reached for that).
func Run(t *testing.T, open func(t *testing.T) blob.Store, damage func(t *testing.T, d lastro.Digest)) {
	t.Run("round trip", func(t *testing.T) { roundTrip(t, open(t)) })
	t.Run("not found", func(t *testing.T) { notFound(t, open(t)) })
	t.Run("tree", func(t *testing.T) { tree(t, open(t)) })
	t.Run("tree is independent of where it lay", func(t *testing.T) { treeDigest(t, open(t)) })
	t.Run("tree of stored blobs", func(t *testing.T) { putEntries(t, open(t)) })
	t.Run("links", func(t *testing.T) { links(t, open(t)) })
	t.Run("copies are private", func(t *testing.T) { private(t, open(t)) })
	t.Run("a file is never a tree", func(t *testing.T) { magic(t, open(t)) })
	t.Run("known files are not read", func(t *testing.T) { known(t, open(t)) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, open(t)) })
	t.Run("cancelled", func(t *testing.T) { cancelled(t, open(t)) })
	if damage != nil {
		t.Run("damage is seen", func(t *testing.T) { damaged(t, open(t), damage) })
	}
}

// Sizes around the limits of buffers.
var sizes = []int{0, 1, 4095, 4096, 4097, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	return b
}

func roundTrip(t *testing.T, s blob.Store) {
	ctx := t.Context()
	for _, n := range sizes {
		want := content(n)
		d, size, err := s.Put(ctx, bytes.NewReader(want))
		if err != nil || size != int64(n) || d != lastro.DigestOf(want) {
			t.Fatalf("Put of %d bytes = %s, %d, %v", n, d, size, err)
		}
		r, err := s.Open(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read back %d of %d bytes, %v", len(got), n, err)
		}
		info, err := s.Stat(ctx, d)
		if err != nil || info.Size != int64(n) || info.Tree || info.Files != 1 {
			t.Errorf("Stat of %d bytes = %+v, %v", n, info, err)
		}
		if ok, err := s.Has(ctx, d); !ok || err != nil {
			t.Errorf("Has = %v, %v", ok, err)
		}
		if again, _, err := s.Put(ctx, bytes.NewReader(want)); again != d || err != nil {
			t.Errorf("second Put = %s, %v", again, err)
		}
		if err := s.Verify(ctx, d); err != nil {
			t.Error(err)
		}
	}
}

func notFound(t *testing.T, s blob.Store) {
	ctx := t.Context()
	d := lastro.DigestOf([]byte("never stored"))
	if _, err := s.Open(ctx, d); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.Stat(ctx, d); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Stat: %v", err)
	}
	dest := filepath.Join(t.TempDir(), "x")
	if err := s.Materialise(ctx, d, dest); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Materialise: %v", err)
	}
	if ok, err := s.Has(ctx, d); ok || err != nil {
		t.Errorf("Has = %v, %v", ok, err)
	}
	for _, bad := range []lastro.Digest{"", "sha256:", "sha256:../../etc/passwd", "sha256:" + lastro.Digest(strings.Repeat("A", 64))} {
		if _, err := s.Open(ctx, bad); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("Open(%q): %v", bad, err)
		}
	}
}

// Files writes files below dir; a path that ends in / is an empty folder.
func Files(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for p, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(p))
		if strings.HasSuffix(p, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, p string) string {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tree(t *testing.T, s blob.Store) {
	ctx := t.Context()
	dir := t.TempDir()
	Files(t, dir, map[string]string{"model/MLmodel": "flavors: {}", "model/data/model.pkl": string(content(3 << 20)), "run.sh": "true", "empty/": "", "é ü": "x"})
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, size, err := s.PutTree(ctx, dir, nil)
	if err != nil || size != 11+3<<20+4+1 {
		t.Fatalf("PutTree = %s, %d, %v", d, size, err)
	}
	dest := filepath.Join(t.TempDir(), "out")
	if err := s.Materialise(ctx, d, dest); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(dest, "model/MLmodel")) != "flavors: {}" || read(t, filepath.Join(dest, "é ü")) != "x" {
		t.Error("wrong content")
	}
	if fi, err := os.Stat(filepath.Join(dest, "empty")); err != nil || !fi.IsDir() {
		t.Errorf("empty folder: %v", err)
	}
	for p, want := range map[string]os.FileMode{"run.sh": 0o500, "model/MLmodel": 0o400, "model/data/model.pkl": 0o400, "model": 0o700} {
		if fi, err := os.Stat(filepath.Join(dest, p)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", p, fi.Mode().Perm(), want, err)
		}
	}
	again, _, err := s.PutPath(ctx, dest)
	if err != nil || again != d {
		t.Errorf("the copy's digest is %s, %v; want %s", again, err, d)
	}
	info, err := s.Stat(ctx, d)
	if err != nil || !info.Tree || info.Size != size || info.Files != 4 {
		t.Errorf("Stat = %+v, %v", info, err)
	}
	entries, err := s.Tree(ctx, d)
	if err != nil || len(entries) != 5 || entries[0].Path != "empty" || !entries[0].Dir {
		t.Errorf("Tree = %+v, %v", entries, err)
	}
	if err := s.Materialise(ctx, d, dest); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("Materialise over something = %v", err)
	}
	if err := s.Verify(ctx, d); err != nil {
		t.Error(err)
	}
}

func treeDigest(t *testing.T, s blob.Store) {
	a, b, c := t.TempDir(), t.TempDir(), t.TempDir()
	Files(t, a, map[string]string{"x/1": "one", "x-2": "two"})
	Files(t, b, map[string]string{"x-2": "two", "x/1": "one"})
	Files(t, c, map[string]string{"x-2": "two", "x/2": "one"})
	da, _, err := s.PutTree(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	db, _, _ := s.PutTree(t.Context(), b, nil)
	dc, _, _ := s.PutTree(t.Context(), c, nil)
	if da != db || da == dc {
		t.Errorf("digests %s, %s, %s", da, db, dc)
	}
}

func links(t *testing.T, s blob.Store) {
	ctx := t.Context()
	dir := t.TempDir()
	Files(t, dir, map[string]string{"a/real": "text"})
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("a/real", "good")
	d, _, err := s.PutTree(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "out")
	if err := s.Materialise(ctx, d, dest); err != nil || read(t, filepath.Join(dest, "good")) != "text" {
		t.Errorf("a link inside: %v", err)
	}
	for name, target := range map[string]string{"absolute": "/etc/passwd", "parent": "../../etc/passwd", "dangling": "nothing", "folder": "a"} {
		link(target, "bad")
		if _, _, err := s.PutTree(ctx, dir, nil); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%s link: %v", name, err)
		}
		os.Remove(filepath.Join(dir, "bad"))
	}
}

func private(t *testing.T, s blob.Store) {
	ctx := t.Context()
	for _, n := range []int{10, 2 << 20} {
		d, _, err := s.Put(ctx, bytes.NewReader(content(n)))
		if err != nil {
			t.Fatal(err)
		}
		dest := filepath.Join(t.TempDir(), "copy")
		if err := s.Materialise(ctx, d, dest); err != nil {
			t.Fatal(err)
		}
		if err := overwrite(dest); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(ctx, d); err != nil {
			t.Errorf("writing to a copy changed the store: %v", err)
		}
	}
}

func magic(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 2 << 20} {
		p := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(p, append([]byte(blob.TreeMagic+"[]"), make([]byte, n)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.PutFile(t.Context(), p, nil); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("a file of %d bytes like a manifest was stored: %v", n, err)
		}
	}
	d, _, err := s.PutTree(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(t.Context(), d); err != nil || !info.Tree {
		t.Errorf("the empty tree: %+v, %v", info, err)
	}
}

// memory is a Known that trusts names alone.
type memory struct {
	sync.Mutex
	m map[string]lastro.Digest
}

func (k *memory) Digest(path string, _ os.FileInfo) (lastro.Digest, bool) {
	k.Lock()
	defer k.Unlock()
	d, ok := k.m[path]
	return d, ok
}

func (k *memory) Learn(path string, _ os.FileInfo, d lastro.Digest) {
	k.Lock()
	defer k.Unlock()
	k.m[path] = d
}

func known(t *testing.T, s blob.Store) {
	dir := t.TempDir()
	Files(t, dir, map[string]string{"a": "one", "b": "two"})
	k := &memory{m: map[string]lastro.Digest{}}
	d, _, err := s.PutTree(t.Context(), dir, k)
	if err != nil || len(k.m) != 2 {
		t.Fatalf("learnt %v, %v", k.m, err)
	}
	Files(t, dir, map[string]string{"a": "ONE"})
	if again, _, err := s.PutTree(t.Context(), dir, k); again != d || err != nil {
		t.Errorf("a known file was read again: %s, %v", again, err)
	}
	// What the store does not hold is read, whatever is known of it.
	k.m[filepath.Join(dir, "b")] = lastro.DigestOf([]byte("never stored"))
	if again, _, err := s.PutTree(t.Context(), dir, k); again != d || err != nil {
		t.Errorf("with a digest that is not there: %s, %v", again, err)
	}
}

func concurrent(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			b := []byte(fmt.Sprint("content ", i%4))
			d, _, err := s.Put(t.Context(), bytes.NewReader(b))
			if err != nil || d != lastro.DigestOf(b) {
				t.Errorf("Put %d: %v", i, err)
			}
			if err := s.Verify(t.Context(), d); err != nil {
				t.Errorf("Verify %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("a person stopped it")
	cancel(why)
	if _, _, err := s.Put(ctx, bytes.NewReader(content(2<<20))); !errors.Is(err, why) {
		t.Errorf("Put = %v", err)
	}
}

func damaged(t *testing.T, s blob.Store, damage func(t *testing.T, d lastro.Digest)) {
	ctx := t.Context()
	dir := t.TempDir()
	Files(t, dir, map[string]string{"model.bin": "weights", "other": "x"})
	d, _, err := s.PutTree(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	weights := lastro.DigestOf([]byte("weights"))
	damage(t, weights)
	if err := s.Verify(ctx, d); !lastro.Is(err, lastro.ETampered) || !strings.HasPrefix(err.Error(), "model.bin: ") {
		t.Errorf("Verify = %v", err)
	}
	dest := filepath.Join(t.TempDir(), "out")
	if err := s.Materialise(ctx, d, dest); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("Materialise = %v", err)
	}
	if _, err := os.Stat(dest); err == nil {
		t.Error("a damaged tree was left behind")
	}
	r, err := s.Open(ctx, weights)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("read = %v", err)
	}
}

func putEntries(t *testing.T, s blob.Store) {
	ctx := t.Context()
	dir := t.TempDir()
	Files(t, dir, map[string]string{"b": "two", "a/1": "one", "empty/": ""})
	want, _, err := s.PutTree(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, two := lastro.DigestOf([]byte("one")), lastro.DigestOf([]byte("two"))
	got, err := s.PutEntries(ctx, []blob.Entry{{Path: "empty", Dir: true}, {Path: "b", Digest: two}, {Path: "a/1", Digest: one}})
	if err != nil || got != want {
		t.Errorf("PutEntries = %s, %v; want %s", got, err, want)
	}
	if _, err := s.PutEntries(ctx, []blob.Entry{{Path: "b", Digest: lastro.DigestOf([]byte("three"))}}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("with a digest that is not there: %v", err)
	}
	for _, bad := range []string{"../b", "/b", "", ".", "a/../b", "a//b"} {
		if _, err := s.PutEntries(ctx, []blob.Entry{{Path: bad, Digest: two}}); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("path %q: %v", bad, err)
		}
	}
	if _, err := s.PutEntries(ctx, []blob.Entry{{Path: "b", Digest: two}, {Path: "b", Digest: one}}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("one path twice: %v", err)
	}
}

// overwrite does what a hostile step would with its input.
func overwrite(p string) error {
	if err := os.Chmod(p, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p, []byte("overwritten by a step"), 0o600)
}
