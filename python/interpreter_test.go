// SPDX-License-Identifier: Apache-2.0

package python

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		wanted, exact string
		want          bool
	}{
		{"3.11", "3.11.2", true}, {"3.11", "3.1.1", false}, {"3.1", "3.11.2", false}, {"3.11.2", "3.11.2", true}, {"3.11.2", "3.11.20", false},
		{"3", "3.12.1", true}, {"", "3.13.0", true}, {"", "3.8.18", false},
	} {
		if got := matches(c.wanted, c.exact); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.wanted, c.exact, got)
		}
	}
	if !older("3.9.18", "3.11.2") || older("3.11.2", "3.9.18") || older("3.11.2", "3.11.2") {
		t.Error("versions are compared as text")
	}
}

func program(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCandidates: shims are never run; what pyenv has stands for them, the
// version that the user chose first.
func TestCandidates(t *testing.T) {
	home := t.TempDir()
	pyenv := filepath.Join(home, ".pyenv")
	program(t, filepath.Join(pyenv, "shims", "python3.11"))
	chosen := program(t, filepath.Join(pyenv, "versions", "3.11.4", "bin", "python3"))
	newest := program(t, filepath.Join(pyenv, "versions", "3.11.10", "bin", "python3"))
	program(t, filepath.Join(pyenv, "versions", "3.12.1", "bin", "python3"))
	if err := os.WriteFile(filepath.Join(pyenv, "version"), []byte("3.12.1\n3.11.4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := program(t, filepath.Join(home, "bin", "python3.11"))
	uv := program(t, filepath.Join(home, ".local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin/python3"))
	r := &Resolver{Env: []string{"HOME=" + home, "PATH=" + filepath.Join(pyenv, "shims") + ":" + filepath.Join(home, "bin")}}
	var got []string
	for _, path := range r.candidates("3.11") {
		if dir, err := filepath.Rel(home, path); err == nil && filepath.IsLocal(dir) {
			got = append(got, path)
		}
	}
	if want := []string{chosen, newest, mine, uv}; !slices.Equal(got, want) {
		t.Errorf("candidates %q; want %q", got, want)
	}
}

func TestDigestRequirements(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	check := func(what string) {
		t.Helper()
		d, err := digestRequirements(filepath.Join(dir, "requirements.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if before, again := seen[string(d)]; again {
			t.Errorf("%s: same digest as %s", what, before)
		}
		seen[string(d)] = what
	}
	check("no file")
	write("requirements.txt", "-r base.txt\n-c limits.txt\nnumpy\n")
	check("included files missing")
	write("base.txt", "pandas\n-r requirements.txt\n") // includes itself in a circle
	check("base there")
	write("limits.txt", "numpy<2\n")
	check("limits there")
	write("limits.txt", "numpy<3\n")
	check("limits changed")
}

func TestParseLock(t *testing.T) {
	h := header{"sha256:abc", "3.11", "linux/amd64"}
	l := parseLock([]byte(h.String() + "\nnumpy==2.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via pandas\npandas==2.2.2 --hash=sha256:cc\n"))
	if l.header != h || !l.hashed || !slices.Equal(l.pins, []string{"numpy==2.1.0", "pandas==2.2.2"}) {
		t.Errorf("%+v", l)
	}
	if l := parseLock([]byte("numpy==2.1.0\n--index-url https://example.org\n-e ./here\n")); l.hashed || len(l.pins) != 2 {
		t.Errorf("without hashes: %+v", l)
	}
}
