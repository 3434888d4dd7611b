// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastro"
)

// commit writes files and commits them; it returns the commit.
func commit(t *testing.T, dir, message string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		write(t, dir, name, text)
	}
	gitIn(t, dir, "add", "-A")
	gitIn(t, dir, "commit", "-q", "-m", message)
	return gitIn(t, dir, "rev-parse", "HEAD")
}

// TestMirror follows a repository that is somewhere else: refs, new commits,
// what they change, and their files.
func TestMirror(t *testing.T) {
	there, ctx := t.TempDir(), t.Context()
	gitIn(t, there, "init", "-q")
	first := commit(t, there, "one", map[string]string{"a.py": "1", "docs/x y.md": "x"})
	gitIn(t, there, "tag", "light")
	gitIn(t, there, "tag", "-a", "-m", "release", "v1")
	m, err := MirrorOf(there, filepath.Join(t.TempDir(), "mirror"))
	if err != nil {
		t.Fatal(err)
	}
	refs, err := m.Refs(ctx)
	if err != nil || refs["refs/heads/main"] != first || refs["refs/tags/light"] != first || refs["refs/tags/v1"] != first || len(refs) != 3 {
		t.Errorf("Refs = %v, %v; want three at %s", refs, err, first)
	}
	here, ok := Here(there)
	if !ok {
		t.Fatal("the folder is a repository")
	}
	if same, err := here.Refs(ctx); err != nil || len(same) != 3 || same["refs/tags/v1"] != first {
		t.Errorf("Refs of the folder itself = %v, %v", same, err)
	}
	if m.Has(ctx, first) {
		t.Error("a commit is here before it was fetched")
	}
	if err := m.Fetch(ctx, "refs/heads/main"); err != nil || !m.Has(ctx, first) {
		t.Fatalf("Fetch = %v", err)
	}
	second := commit(t, there, "two", map[string]string{"a.py": "2", "docs/ção.md": "y"})
	if err := m.Fetch(ctx, "refs/heads/main"); err != nil {
		t.Fatal(err)
	}
	files, err := m.Changed(ctx, first, second)
	if want := []string{"a.py", "docs/ção.md"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("Changed = %q, %v; want %q", files, err, want)
	}
	if head, err := m.Resolve(ctx, "main"); err != nil || head != second {
		t.Errorf("Resolve = %s, %v; want %s", head, err, second)
	}
	if _, err := m.Resolve(ctx, "gone"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Resolve of no branch = %v", err)
	}
	if who, err := m.Author(ctx, second); err != nil || who != "Ada <ada@example.org>" {
		t.Errorf("Author = %q, %v", who, err)
	}
	// A push that rewrote the branch, as git push --force does.
	gitIn(t, there, "reset", "-q", "--hard", first)
	other := commit(t, there, "other", map[string]string{"b.py": "3"})
	if err := m.Fetch(ctx, "refs/heads/main"); err != nil || !m.Has(ctx, other) {
		t.Errorf("Fetch of a rewritten branch = %v", err)
	}
	if p := m.Parent(ctx, second, other); p != first {
		t.Errorf("Parent = %s, want %s", p, first)
	}
	dest := filepath.Join(t.TempDir(), "out")
	if err := m.Checkout(ctx, second, dest); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dest, "a.py")); err != nil || string(text) != "2" {
		t.Errorf("a.py = %q, %v", text, err)
	}
	if err := m.RemoveCheckout(ctx, dest); err != nil {
		t.Error(err)
	}
}

func TestMirrorThatIsNotThere(t *testing.T) {
	m, err := MirrorOf(filepath.Join(t.TempDir(), "nothing"), filepath.Join(t.TempDir(), "mirror"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Refs(t.Context()); !lastro.Is(err, lastro.EServer) {
		t.Errorf("Refs = %v, want that it does not answer", err)
	}
	if err := m.Fetch(t.Context(), "refs/heads/main"); !lastro.Is(err, lastro.EServer) {
		t.Errorf("Fetch = %v, want that it does not answer", err)
	}
}

// TestHostileNames: names from outside neither start a program nor become an option.
func TestHostileNames(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	for _, address := range []string{"ext::sh -c touch% " + canary, "-oProxyCommand=touch " + canary, "--upload-pack=touch " + canary, "ssh://-oProxyCommand=touch/x",
		"-oProxyCommand=x:y", "git@-oProxyCommand=touch:x", "", "fd::3", "ftp://host/x", "https://user:s3same@host/x", "https://ho\nst/x", "relative/path"} {
		if _, err := MirrorOf(address, t.TempDir()); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("MirrorOf(%q) = %v, want it refused", address, err)
		} else if strings.Contains(err.Error(), "s3same") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	for _, address := range []string{"https://host/x.git", "ssh://git@host:22/x", "git@host:team/x.git", "host:x", "/srv/git/x.git", "file:///srv/x"} {
		if _, err := MirrorOf(address, t.TempDir()); err != nil {
			t.Errorf("MirrorOf(%q) = %v", address, err)
		}
	}
	for _, ref := range []string{"main", "--upload-pack=touch", "refs/heads/../x", "refs/heads/a b", "refs/heads/x:refs/heads/main", "refs/heads/*", "refs/heads/a\nb", "refs/heads/x.lock", "refs/heads/", "refs/x", "refs/heads/@{u}"} {
		if lastro.IsRef(ref) {
			t.Errorf("isRef(%q) is true", ref)
		}
	}
	for _, ref := range []string{"refs/heads/main", "refs/heads/-x", "refs/heads/$(touch)", "refs/heads/ção", "refs/pull/12/head"} {
		if !lastro.IsRef(ref) {
			t.Errorf("isRef(%q) is false", ref)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command ran")
	}
}
