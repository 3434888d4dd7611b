// SPDX-License-Identifier: Apache-2.0

package source

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func repo(t *testing.T) string {
	dir := t.TempDir()
	gitIn(t, dir, "init", "--quiet")
	write(t, dir, ".gitignore", "work/\n.lastro/\n")
	write(t, dir, "src/train.py", "print(1)\n")
	write(t, dir, "src/deep/é ü.py", "print(2)\n")
	write(t, dir, "tests/test_a.py", "def test(): pass\n")
	write(t, dir, "data/a.csv", "x\n1\n")
	write(t, dir, "lastro.yaml", "version: 1\n")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "--quiet", "-m", "first words")
	return dir
}

func open(t *testing.T, dir string, c *StatCache) *Tree {
	t.Helper()
	tree, err := Open(t.Context(), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestFacts(t *testing.T) {
	dir := repo(t)
	f, err := open(t, dir, nil).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Commit != gitIn(t, dir, "rev-parse", "HEAD") || f.Branch != "main" || f.Author != "Ada <ada@example.org>" || f.Subject != "first words" || f.Dirty() || f.Lost != "" || time.Since(f.At) > time.Hour {
		t.Errorf("%+v", f)
	}
	write(t, dir, "src/train.py", "print(3)\n")
	write(t, dir, "new file", "")
	write(t, dir, "work/ignored", "")
	write(t, dir, "src/__pycache__/x.pyc", "")
	gitIn(t, dir, "mv", "tests/test_a.py", "tests/test_b.py")
	gitIn(t, dir, "checkout", "--quiet", "--detach")
	f, err = open(t, dir, nil).Facts(t.Context())
	want := []string{"new file", "src/train.py", "tests/test_b.py"}
	if err != nil || !f.Dirty() || f.Branch != "" || !slices.Equal(f.Changed, want) {
		t.Errorf("%+v, %v; want changed %q", f, err, want)
	}
	sub, err := open(t, filepath.Join(dir, "src"), nil).Facts(t.Context())
	if err != nil || !slices.Equal(sub.Changed, []string{"train.py"}) {
		t.Errorf("below the repository's root: %q, %v", sub.Changed, err)
	}
}

func TestWithoutCommitOrGit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "train.py", "print(1)")
	write(t, dir, ".venv/lib/x.py", "")
	tree := open(t, dir, nil)
	f, err := tree.Facts(t.Context())
	if err != nil || !f.Untraced || f.Lost == "" || !f.Dirty() {
		t.Errorf("%+v, %v", f, err)
	}
	files, err := tree.Files(t.Context())
	if err != nil || !slices.Equal(files, []string{"train.py"}) {
		t.Errorf("files %q, %v", files, err)
	}
	gitIn(t, dir, "init", "--quiet")
	f, err = open(t, dir, nil).Facts(t.Context())
	if err != nil || f.Untraced || f.Commit != "" || f.Lost == "" {
		t.Errorf("no commit yet: %+v, %v", f, err)
	}
	if err := Checkout(t.Context(), t.TempDir(), strings.Repeat("a", 40), filepath.Join(dir, "x")); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("checkout without git: %v", err)
	}
}

func TestSelect(t *testing.T) {
	dir := repo(t)
	write(t, dir, "src/new.py", "untracked")
	write(t, dir, "work/out.csv", "ignored")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "src", "leak")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("train.py", filepath.Join(dir, "src", "link.py")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "tests/test_a.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := open(t, dir, nil)
	for name, tc := range map[string]struct {
		under          string
		globs, exclude []string
		want           []string
	}{
		"all":      {"", nil, []string{"lastro.yaml", "data", ".gitignore"}, []string{"src/deep/é ü.py", "src/link.py", "src/new.py", "src/train.py", "tests/test_a.py"}},
		"under":    {"tests", nil, nil, []string{"tests/test_a.py"}},
		"globs":    {"", []string{"src/**", "tests/**"}, []string{"src/deep"}, []string{"src/link.py", "src/new.py", "src/train.py", "tests/test_a.py"}},
		"one star": {"", []string{"src/*.py"}, nil, []string{"src/link.py", "src/new.py", "src/train.py"}},
		"stars":    {"", []string{"**/*é*"}, nil, []string{"src/deep/é ü.py"}},
		"folder":   {"", []string{"data"}, nil, []string{"data/a.csv"}},
		"nothing":  {"", []string{"lib/**"}, nil, nil},
	} {
		got, err := tree.Select(t.Context(), tc.under, tc.globs, tc.exclude)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), tc.want) {
			t.Errorf("%s: %q, %v; want %q", name, slices.Sorted(maps.Keys(got)), err, tc.want)
		}
	}
	got, _ := tree.Select(t.Context(), "", []string{"tests/**", "src/link.py"}, nil)
	if got["tests/test_a.py"] != string(lastro.DigestOf([]byte("def test(): pass\n")))+"+x" || got["src/link.py"] != string(lastro.DigestOf([]byte("print(1)\n"))) {
		t.Errorf("content %v", got)
	}
	dest := t.TempDir()
	if err := tree.Copy(t.Context(), got, dest); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dest, "tests/test_a.py")); err != nil || fi.Mode()&0o100 == 0 {
		t.Errorf("the copy is not executable: %v", err)
	}
	write(t, dir, "src/train.py", "edited")
	if err := tree.Copy(t.Context(), got, t.TempDir()); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("copy of an edited file: %v", err)
	}
	for _, bad := range []string{"[", "../x", "/etc/*", ""} {
		if _, err := tree.Select(t.Context(), "", []string{bad}, nil); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("glob %q: %v", bad, err)
		}
	}
}

func TestStatCache(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "big.csv")
	write(t, dir, "big.csv", "one")
	at := filepath.Join(dir, "stat.json")
	c := OpenStatCache(at)
	fi, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	one := lastro.DigestOf([]byte("one"))
	c.Learn(p, fi, one)
	if _, ok := c.Digest(p, fi); ok {
		t.Error("a file that was only just written is trusted")
	}
	// Nobody can set ctime back, so wait until the file is old enough.
	time.Sleep(racy + 100*time.Millisecond)
	c.Learn(p, fi, one)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	c = OpenStatCache(at)
	if d, ok := c.Digest(p, fi); !ok || d != one {
		t.Errorf("after reopening: %s, %v", d, ok)
	}
	// Same size, and the old mtime put back: ctime tells.
	write(t, dir, "big.csv", "two")
	if err := os.Chtimes(p, fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	fi, _ = os.Stat(p)
	if _, ok := c.Digest(p, fi); ok {
		t.Error("a changed file with its old mtime is trusted")
	}
	write(t, dir, "stat.json", "{broken")
	if _, ok := OpenStatCache(at).Digest(p, fi); ok {
		t.Error("a broken cache knows something")
	}
}

func TestCheckout(t *testing.T) {
	dir := repo(t)
	first := gitIn(t, dir, "rev-parse", "HEAD")
	write(t, dir, "src/train.py", "print('second')\n")
	gitIn(t, dir, "commit", "--quiet", "-am", "second")
	marker := filepath.Join(t.TempDir(), "hook-ran")
	write(t, dir, ".git/hooks/post-checkout", "#!/bin/sh\ntouch "+marker+"\n")
	os.Chmod(filepath.Join(dir, ".git/hooks/post-checkout"), 0o755)
	dest := filepath.Join(t.TempDir(), "sub", "old")
	for range 2 { // a checkout that was lost does not block the next
		if err := Checkout(t.Context(), dir, first, dest); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dest, "src/train.py"))
		if err != nil || string(got) != "print(1)\n" {
			t.Errorf("%q, %v", got, err)
		}
		f, err := open(t, dest, nil).Facts(t.Context())
		if err != nil || f.Commit != first || f.Dirty() {
			t.Errorf("%+v, %v", f, err)
		}
		os.RemoveAll(dest)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a hook of the repository ran")
	}
	if err := RemoveCheckout(t.Context(), dir, dest); err != nil {
		t.Error(err)
	}
	if err := Checkout(t.Context(), dir, strings.Repeat("0", 40), dest); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("unknown commit: %v", err)
	}
	if err := Checkout(t.Context(), dir, "--upload-pack=touch", dest); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("an option as a commit: %v", err)
	}
}
