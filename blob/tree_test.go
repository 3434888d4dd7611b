// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastro"
)

// TestManifestIsCanonicalJSON: the fast writer writes what lastro.CanonicalJSON
// does, so digests of folders never change.
func TestManifestIsCanonicalJSON(t *testing.T) {
	d := lastro.DigestOf([]byte("x"))
	entries := []Entry{{Path: "plain", Digest: d, Size: 1}}
	for i, name := range []string{"é ü", "line\nbreak", "quote\"s", `back\slash`, "tab\t", "<html>&", "\u2028\u2029", "emoji 🙂", "\x7f", "a/b c.txt", "\x00\x1f"} {
		entries = append(entries, Entry{Path: name, Digest: d, Size: int64(i), Exec: i%2 == 0}, Entry{Path: name + "-dir", Dir: true})
	}
	got, err := EncodeTree(entries) // sorts
	if err != nil {
		t.Fatal(err)
	}
	want, err := lastro.CanonicalJSON(entries)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != TreeMagic+string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	back, err := DecodeTree(got)
	if err != nil || !slices.Equal(back, entries) {
		t.Errorf("decoded: %v, %v", back, err)
	}
	if empty, err := EncodeTree(nil); err != nil || string(empty) != TreeMagic+"[]" {
		t.Errorf("no entries: %q, %v", empty, err)
	}
}

// TestWalkIsSorted: paths come in the order of their bytes as a whole, whatever
// the names of folders.
func TestWalkIsSorted(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for range 300 {
		parts := make([]string, 1+rand.IntN(3))
		for i := range parts {
			parts[i] = []string{"a", "a-", "a.b", "a0", "b", "a b", "-"}[rand.IntN(7)]
		}
		p := strings.Join(parts, "/")
		full := filepath.Join(dir, p)
		if os.MkdirAll(filepath.Dir(full), 0o755) != nil {
			continue // a file is in the way
		}
		if rand.IntN(4) == 0 {
			_ = os.Mkdir(full, 0o755)
		} else {
			_ = os.WriteFile(full, nil, 0o600)
		}
	}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if e.IsDir() {
			if names, _ := os.ReadDir(p); len(names) > 0 {
				return err
			}
		}
		want = append(want, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	var got []string
	if err := Walk(dir, func(f Found) error { got = append(got, f.Path); return nil }); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
	}
}

func TestWalkRefusesNamesThatAreNoText(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o600); err != nil {
		t.Skip("this file system has no such names")
	}
	if err := Walk(dir, func(Found) error { return nil }); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("%v", err)
	}
}

func TestHostileManifests(t *testing.T) {
	d := string(lastro.DigestOf([]byte("x")))
	for _, body := range []string{
		"", "{}", "[", "[{}]", "null", `[{"path": "../x", "digest": "` + d + `"}]`, `[{"path": "/x", "digest": "` + d + `"}]`,
		`[{"path": "a/../b", "digest": "` + d + `"}]`, `[{"path": ".", "dir": true}]`, `[{"path": "", "dir": true}]`,
		`[{"path": "b", "dir": true}, {"path": "a", "dir": true}]`, `[{"path": "a", "dir": true}, {"path": "a", "dir": true}]`,
		`[{"path": "a", "digest": "sha256:../../etc/passwd"}]`, `[{"path": "a"}]`,
	} {
		if _, err := DecodeTree([]byte(TreeMagic + body)); !lastro.Is(err, lastro.ETampered) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := DecodeTree([]byte("a file")); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a file: %v", err)
	}
}

// BenchmarkManifest writes and reads the manifest of a million files.
func BenchmarkManifest(b *testing.B) {
	const n = 1_000_000
	entries := make([]Entry, n)
	d := lastro.DigestOf([]byte("x"))
	for i := range entries {
		entries[i] = Entry{Path: fmt.Sprintf("part-%03d/row-%07d.json", i/10_000, i), Digest: d, Size: int64(i)}
	}
	var text bytes.Buffer
	write := func(w io.Writer) {
		m := NewManifestWriter(w)
		for _, e := range entries {
			if err := m.Add(e); err != nil {
				b.Fatal(err)
			}
		}
		if err := m.End(); err != nil {
			b.Fatal(err)
		}
	}
	write(&text)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			write(io.Discard)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			count := 0
			if err := EachEntry(bytes.NewReader(text.Bytes()), func(Entry) error { count++; return nil }); err != nil || count != n {
				b.Fatal(count, err)
			}
		}
	})
	b.ReportMetric(float64(text.Len())/n, "B/entry")
}
