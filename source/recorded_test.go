// SPDX-License-Identifier: Apache-2.0

package source

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"lastro"
)

// TestRecordedSelectsLikeTree: the same questions about a folder and about its
// record get the same answers.
func TestRecordedSelectsLikeTree(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"src/train.py": "train", "src/deep/a.py": "a", "src/deep/b.txt": "b", "lib/c.py": "c",
		"srcs/no.py": "n", "run.sh": "true", "lastro.yaml": "version: 1", "data/x.csv": "x"}
	for p, text := range files {
		full := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if p == "run.sh" {
			mode = 0o755
		}
		if err := os.WriteFile(full, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tree.Select(t.Context(), "", nil, nil)
	if err != nil || len(all) != len(files) {
		t.Fatalf("%d files, %v", len(all), err)
	}
	record := NewRecorded(all, dir)
	for _, q := range []struct {
		under          string
		globs, exclude []string
	}{
		{}, {under: "src"}, {under: "src/"}, {under: "/src/deep"}, {under: "."}, {globs: []string{}}, {globs: []string{"**/*.py"}},
		{globs: []string{"src/*.py", "./lib"}}, {globs: []string{"src/**"}, exclude: []string{"src/deep/"}}, {exclude: []string{"data", "lastro.yaml"}},
		{under: "src", globs: []string{"*.py"}}, {globs: []string{"[a-l]*/*.py"}},
	} {
		want, werr := tree.Select(t.Context(), q.under, q.globs, q.exclude)
		got, gerr := record.Select(t.Context(), q.under, q.globs, q.exclude)
		if werr != nil || gerr != nil || !maps.Equal(got, want) {
			t.Errorf("%+v: %v, %v; want %v, %v", q, got, gerr, want, werr)
		}
	}
	if _, err := record.Select(t.Context(), "", []string{"../x"}, nil); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a bad glob: %v", err)
	}
}

func TestRecordedCopies(t *testing.T) {
	dir, dest := t.TempDir(), t.TempDir()
	content := string(lastro.DigestOf([]byte("true")))
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/run.sh"), []byte("true"), 0o500); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"bin/run.sh": content + "+x"}
	if err := NewRecorded(files, dir).Copy(t.Context(), files, dest); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dest, "bin/run.sh"))
	fi, serr := os.Stat(filepath.Join(dest, "bin/run.sh"))
	if err != nil || serr != nil || string(b) != "true" || fi.Mode().Perm() != 0o700 {
		t.Errorf("%q, %v, %v", b, fi.Mode(), err)
	}
	if err := NewRecorded(files, dir).Copy(t.Context(), map[string]string{"gone.py": content}, dest); !lastro.Is(err, lastro.EErrored) {
		t.Errorf("a missing file: %v", err)
	}
	if err := NewRecorded(files, dir).Copy(t.Context(), map[string]string{"../out": content}, dest); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a path that leaves the tree: %v", err)
	}
}
