// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMaterialised: a copy is made once, and again when it was changed, cut
// short or removed.
func TestMaterialised(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.csv": "x\n1\n", "sub/b.csv": "x\n2\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, _, err := h.Blobs.PutTree(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied := func() string {
		t.Helper()
		path, err := h.materialised(t.Context(), d, "data")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(path, "sub", "b.csv"))
		if err != nil || string(text) != "x\n2\n" {
			t.Fatalf("copy = %q, %v", text, err)
		}
		return path
	}
	path := copied()
	before, err := os.Stat(filepath.Join(path, "a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	copied()
	if after, err := os.Stat(filepath.Join(path, "a.csv")); err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged copy was made again: %v", err)
	}
	inner := filepath.Join(path, "sub", "b.csv")
	for what, spoil := range map[string]func() error{
		"a flipped byte": func() error { return os.WriteFile(inner, []byte("x\n3\n"), 0o600) },
		"cut short":      func() error { return os.Truncate(inner, 0) },
		"removed":        func() error { return os.Remove(inner) },
		"a new file":     func() error { return os.WriteFile(filepath.Join(path, "c.csv"), []byte("x\n9\n"), 0o600) },
		"killed before the stamp": func() error {
			return os.Remove(filepath.Join(filepath.Dir(path), ".stamp-data"))
		},
	} {
		if err := os.Chmod(inner, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		copied()
		if _, err := os.Stat(filepath.Join(path, "c.csv")); err == nil {
			t.Errorf("%s: a file that is not of the content stays", what)
		}
	}
	memo := filepath.Join(h.cacheDir(), "derived-x")
	if err := os.WriteFile(memo, []byte(d), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.tidyCache(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, memo} {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("what is in use was removed: %v", err)
		}
	}
	if err := h.tidyCache(t.Context(), time.Now().Add(cacheLife+time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, memo} {
		if _, err := os.Stat(p); !os.IsNotExist(err) {
			t.Errorf("what nobody used for two weeks stays: %v", err)
		}
	}
	copied()
}
