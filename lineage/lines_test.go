// SPDX-License-Identifier: Apache-2.0

package lineage

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLines holds the hunks against patch(1) and the counts against
// `diff --minimal` (GNU diffutils) for texts that were changed at random.
func TestLines(t *testing.T) {
	if _, err := exec.LookPath("diff"); err != nil {
		t.Skip("diff is not installed")
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range random.IntN(40) {
			b.WriteString(string(rune('a'+random.IntN(5))) + "\n")
		}
		if random.IntN(4) == 0 {
			b.WriteString("no newline")
		}
		return b.String()
	}
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for range 150 {
		a, b := text(), text()
		got := Lines([]byte(a), []byte(b))
		os.WriteFile(from, []byte(a), 0o600)
		os.WriteFile(to, []byte(b), 0o600)
		out, _ := exec.Command("diff", "--minimal", "-U3", from, to).Output()
		added, removed := 0, 0
		for i, line := range strings.Split(string(out), "\n") {
			if i > 1 && strings.HasPrefix(line, "+") {
				added++
			}
			if i > 1 && strings.HasPrefix(line, "-") {
				removed++
			}
		}
		if got.Added != added || got.Removed != removed {
			t.Fatalf("%q -> %q: +%d -%d, diff says +%d -%d\n%s", a, b, got.Added, got.Removed, added, removed, got.Unified)
		}
		if applied := apply(t, dir, a, got.Unified); applied != b {
			t.Fatalf("%q patched with\n%s is %q, want %q", a, got.Unified, applied, b)
		}
	}
}

func apply(t *testing.T, dir, text, hunks string) string {
	t.Helper()
	if hunks == "" {
		return text
	}
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("patch is not installed")
	}
	name := filepath.Join(dir, "f")
	os.WriteFile(name, []byte(text), 0o600)
	cmd := exec.Command("patch", "-s", "-p0", "--posix", "-o", name+".out")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("--- f\n+++ f\n" + hunks)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("patch: %v\n%s\n%s", err, out, hunks)
	}
	raw, err := os.ReadFile(name + ".out")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestLinesOfOthers(t *testing.T) {
	if p := Lines([]byte("x"), []byte("x")); p != (Patch{}) {
		t.Errorf("equal texts: %+v", p)
	}
	if p := Lines([]byte("a\x00b"), []byte("text")); !p.Binary || p.Added != 0 {
		t.Errorf("binary: %+v", p)
	}
	// 6,000 lines that have nothing in common are all replaced, and soon.
	p := Lines([]byte(strings.Repeat("a\n", 3000)), []byte(strings.Repeat("b\n", 3000)))
	if p.Added != 3000 || p.Removed != 3000 {
		t.Errorf("+%d -%d", p.Added, p.Removed)
	}
}
