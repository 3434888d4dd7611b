// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/blob/blobtest"
	"lastro/blob/file"
	"lastro/store"
)

// TestBlobContract: a folder and the database together are a blob.Store.
func TestBlobContract(t *testing.T) { EachTarget(t, testBlobContract) }

func testBlobContract(t *testing.T, target string) {
	db := open(t, target) // the contract's stores share it: digests do not meet
	open := func(t *testing.T) blob.Store {
		change(t, db, `DELETE FROM small_blobs`)
		s, err := file.OpenWith(filepath.Join(t.TempDir(), "blobs"), store.NewBlobs(db))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	blobtest.Run(t, open, func(t *testing.T, d lastro.Digest) {
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			n, err := tx.Exec(t.Context(), `UPDATE small_blobs SET bytes = ? WHERE digest = ?`, []byte("damaged"), string(d))
			if n != 1 {
				t.Errorf("%s is not in the database", d)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestSmallOutputsMakeNoFile: a small file, and a folder that is small with its
// manifest, cost no file; larger ones do.
func TestSmallOutputsMakeNoFile(t *testing.T) { Each(t, testSmallOutputsMakeNoFile) }

func testSmallOutputsMakeNoFile(t *testing.T, db *store.DB) {
	dir := t.TempDir()
	s, err := file.OpenWith(filepath.Join(dir, "blobs"), store.NewBlobs(db))
	if err != nil {
		t.Fatal(err)
	}
	made := func() (files int) {
		_ = filepath.WalkDir(filepath.Join(dir, "blobs"), func(_ string, e os.DirEntry, _ error) error {
			if !e.IsDir() {
				files++
			}
			return nil
		})
		return files
	}
	put := func(sizes ...int) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out")
		files := map[string]string{}
		for i, n := range sizes {
			files[fmt.Sprintf("%d/%d", n, i)] = string(bytes.Repeat([]byte{byte(i)}, n))
		}
		blobtest.Files(t, out, files)
		if len(sizes) == 1 {
			out = filepath.Join(out, fmt.Sprintf("%d/0", sizes[0]))
		}
		if _, _, err := s.PutPath(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		sizes []int
		want  int
	}{
		{[]int{0}, 0}, {[]int{blob.SmallMax}, 0}, {[]int{10, 20_000, 30_000}, 0},
		{[]int{blob.SmallMax + 1}, 1}, {[]int{40_000, 40_001}, 3}, {[]int{100, 2 << 20}, 3},
	} {
		before := made()
		put(c.sizes...)
		if got := made() - before; got != c.want {
			t.Errorf("sizes %v made %d files, want %d", c.sizes, got, c.want)
		}
	}
}

func small(t *testing.T, db *store.DB, texts ...string) (*store.Blobs, []blob.Content) {
	t.Helper()
	s := store.NewBlobs(db)
	var contents []blob.Content
	for _, text := range texts {
		contents = append(contents, blob.Content{Digest: lastro.DigestOf([]byte(text)), Bytes: []byte(text)})
	}
	if err := s.PutSmall(t.Context(), contents); err != nil {
		t.Fatal(err)
	}
	return s, contents
}

func TestSmallContents(t *testing.T) { Each(t, testSmallContents) }

func testSmallContents(t *testing.T, db *store.DB) {
	s, contents := small(t, db, "one", "two\x00", "")
	ctx := t.Context()
	for _, c := range contents {
		if b, err := s.GetSmall(ctx, c.Digest); err != nil || !bytes.Equal(b, c.Bytes) {
			t.Errorf("GetSmall = %q, %v", b, err)
		}
		if ok, err := s.UseSmall(ctx, c.Digest); !ok || err != nil {
			t.Errorf("UseSmall = %v, %v", ok, err)
		}
	}
	never := lastro.DigestOf([]byte("never stored"))
	if _, err := s.GetSmall(ctx, never); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("GetSmall of nothing: %v", err)
	}
	if ok, err := s.UseSmall(ctx, never); ok || err != nil {
		t.Errorf("UseSmall of nothing = %v, %v", ok, err)
	}
	seen := map[lastro.Digest]int64{}
	err := s.EachSmall(ctx, func(o blob.Object) error { seen[o.Digest] = o.Size; return nil })
	if err != nil || len(seen) != 3 || seen[contents[1].Digest] != 4 {
		t.Errorf("EachSmall: %v, %v", seen, err)
	}
}

// TestSmallContentsInUseStay: what was used at or after the time is not removed.
func TestSmallContentsInUseStay(t *testing.T) { Each(t, testSmallContentsInUseStay) }

func testSmallContentsInUseStay(t *testing.T, db *store.DB) {
	s, contents := small(t, db, "one")
	ctx, d := t.Context(), contents[0].Digest
	age := func(by time.Duration) {
		change(t, db, `UPDATE small_blobs SET used_at = ?`, lastro.Micros(time.Now().Add(-by)))
	}
	hourAgo := time.Now().Add(-blob.Fresh)
	for _, use := range []func() error{
		func() error { return s.PutSmall(ctx, contents) },
		func() error { _, err := s.UseSmall(ctx, d); return err },
	} {
		age(48 * time.Hour)
		if err := use(); err != nil {
			t.Fatal(err)
		}
		if removed, err := s.RemoveSmall(ctx, d, hourAgo); removed || err != nil {
			t.Errorf("a content that was used again: removed %v, %v", removed, err)
		}
	}
	age(48 * time.Hour)
	if removed, err := s.RemoveSmall(ctx, d, hourAgo); !removed || err != nil {
		t.Errorf("an old content: removed %v, %v", removed, err)
	}
}

// TestSmallContentsReadOnly: who only looks marks nothing and is not refused.
func TestSmallContentsReadOnly(t *testing.T) { EachTarget(t, testSmallContentsReadOnly) }

func testSmallContentsReadOnly(t *testing.T, target string) {
	db := open(t, target)
	d := lastro.DigestOf([]byte("x"))
	if err := store.NewBlobs(db).PutSmall(t.Context(), []blob.Content{{Digest: d, Bytes: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	change(t, db, `UPDATE small_blobs SET used_at = 1`)
	look, err := store.OpenReadOnly(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	if ok, err := store.NewBlobs(look).UseSmall(t.Context(), d); !ok || err != nil {
		t.Errorf("UseSmall = %v, %v", ok, err)
	}
}

// change runs one statement.
func change(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}
