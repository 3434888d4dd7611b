// SPDX-License-Identifier: Apache-2.0

// Package source knows the tree of files that a project is: its git commit,
// its branch and what has changed, which files are code, and their digests. It
// works in a folder without git too and says what is lost. It runs git, never
// a project's code, and knows nothing of pipelines.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lastro"
)

// Facts are what git says of a tree; only Lost is set without git.
type Facts struct {
	Commit   string    // 40 or 64 hex digits; "" before the first commit
	Branch   string    // "" when detached
	Author   string    // "Name <mail>" of the commit
	Subject  string    // first line of its message
	At       time.Time // when it was committed
	Changed  []string  // tracked files that differ from the commit, and new ones
	Lost     string    // for people: what cannot be said, "" = nothing
	Untraced bool      // there is no git at all
}

// Dirty reports whether the tree is not exactly the commit.
func (f Facts) Dirty() bool { return len(f.Changed) > 0 || f.Commit == "" }

// Tree is a project's folder at one moment. It is safe for concurrent use.
type Tree struct {
	Root  string // absolute
	cache *StatCache
	git   bool
	below string // path of Root below the repository's root, with a slash at its end; "" = the same

	once  sync.Once
	files []string // tracked, and untracked but not ignored, with slashes, sorted
	err   error
}

// Open looks at the folder root; cache may be nil.
func Open(ctx context.Context, root string, cache *StatCache) (*Tree, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(abs)
	if err != nil || !fi.IsDir() {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0150", Msg: fmt.Sprintf("%s is not a folder that can be read", root), Err: err}
	}
	top, ok := repository(abs)
	t := &Tree{Root: abs, cache: cache, git: ok}
	if rel, err := filepath.Rel(top, abs); ok && err == nil && rel != "." {
		t.below = filepath.ToSlash(rel) + "/"
	}
	return t, nil
}

// repository looks for .git here or above without starting a process.
func repository(dir string) (top string, ok bool) {
	if _, err := exec.LookPath("git"); err != nil {
		return "", false
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// git runs one git command in the tree, reading only.
func (t *Tree) run(ctx context.Context, args ...string) ([]byte, error) {
	return git(ctx, t.Root, args...)
}

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		e := &lastro.Error{Code: lastro.EErrored, ID: "L0151", Msg: fmt.Sprintf("git %s: %s", args[0], strings.TrimSpace(problems.String())), Err: nil}
		if strings.Contains(problems.String(), "dubious ownership") {
			e.Hint = "this folder belongs to another user: git config --global --add safe.directory " + dir
		}
		return nil, e
	}
	return out.Bytes(), nil
}

// Facts asks git about the tree.
func (t *Tree) Facts(ctx context.Context) (Facts, error) {
	if !t.git {
		return Facts{Untraced: true, Lost: "this folder is not in git: runs are named by the digest of the code, and nobody can say later who changed what, or check an older state out"}, nil
	}
	var f Facts
	out, err := t.run(ctx, "status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z", "--", ".")
	if err != nil {
		return f, err
	}
	f.parseStatus(out)
	for i, p := range f.Changed { // git counts from the repository's root
		f.Changed[i] = strings.TrimPrefix(p, t.below)
	}
	f.Changed = slices.DeleteFunc(f.Changed, skipped)
	if f.Commit == "" {
		f.Lost = "there is no commit yet: runs are named by the digest of the code alone"
		return f, nil
	}
	out, err = t.run(ctx, "show", "-s", "--format=%an <%ae>%x00%cI%x00%s", f.Commit)
	if err != nil {
		return f, err
	}
	if parts := strings.SplitN(strings.TrimRight(string(out), "\n"), "\x00", 3); len(parts) == 3 {
		f.Author, f.Subject = parts[0], parts[2]
		f.At, _ = time.Parse(time.RFC3339, parts[1])
		f.At = f.At.UTC()
	}
	return f, nil
}

// parseStatus reads `git status --porcelain=v2 --branch -z`: NUL-ended entries,
// a rename followed by one more for its old name.
func (f *Facts) parseStatus(out []byte) {
	entries := strings.Split(string(out), "\x00")
	for i := 0; i < len(entries); i++ {
		e := entries[i]
		switch {
		case strings.HasPrefix(e, "# branch.oid "):
			if f.Commit = e[len("# branch.oid "):]; f.Commit == "(initial)" {
				f.Commit = ""
			}
		case strings.HasPrefix(e, "# branch.head "):
			if f.Branch = e[len("# branch.head "):]; f.Branch == "(detached)" {
				f.Branch = ""
			}
		case strings.HasPrefix(e, "1 "), strings.HasPrefix(e, "u "):
			f.changed(e, map[byte]int{'1': 8, 'u': 10}[e[0]])
		case strings.HasPrefix(e, "2 "):
			f.changed(e, 9)
			i++
		case strings.HasPrefix(e, "? "):
			f.Changed = append(f.Changed, e[2:])
		}
	}
	slices.Sort(f.Changed)
}

// changed takes the path, which follows n fields.
func (f *Facts) changed(entry string, n int) {
	if fields := strings.SplitN(entry, " ", n+1); len(fields) == n+1 {
		f.Changed = append(f.Changed, fields[n])
	}
}

// Files lists the code that could be: tracked files and untracked ones that
// are not ignored, by path from the root, sorted. Without git it is every file,
// apart from folders that tools make (environments, caches).
func (t *Tree) Files(ctx context.Context) ([]string, error) {
	t.once.Do(func() {
		if t.git {
			t.files, t.err = t.gitFiles(ctx)
		} else {
			t.files, t.err = t.walk()
		}
		slices.Sort(t.files)
		t.files = slices.Compact(t.files)
	})
	return t.files, t.err
}

func (t *Tree) gitFiles(ctx context.Context) ([]string, error) {
	out, err := t.run(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
	if err != nil {
		return nil, err
	}
	var files []string
	for f := range strings.SplitSeq(string(out), "\x00") {
		if f != "" && !skipped(f) {
			files = append(files, f)
		}
	}
	return files, nil
}

// madeByTools are folders that are nobody's code, ignored or not.
var madeByTools = []string{".git", ".lastro", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".ipynb_checkpoints", ".venv", "venv", "node_modules"}

func skipped(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if slices.Contains(madeByTools, part) {
			return true
		}
	}
	return false
}

func (t *Tree) walk() ([]string, error) {
	var files []string
	err := filepath.WalkDir(t.Root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != t.Root && slices.Contains(madeByTools, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(t.Root, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}

// Select returns the content of files by path from the root: those below the
// folder under ("" = root), matched by one of the globs (nil = all) and not at
// or below an excluded path. The content is the file's digest, followed by "+x"
// when it is executable. A symbolic link counts as the file it leads to, and
// only if that lies in the tree. Files that are tracked but gone are left out.
func (t *Tree) Select(ctx context.Context, under string, globs, exclude []string) (map[string]string, error) {
	files, err := t.Files(ctx)
	if err != nil {
		return nil, err
	}
	selected, err := selection(under, globs, exclude)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, f := range files {
		if !selected(f) {
			continue
		}
		content, err := t.content(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if content != "" {
			out[f] = content
		}
	}
	return out, nil
}

// content digests one file; "" for what is no file of the tree (a link out of
// it, a submodule).
func (t *Tree) content(f string) (string, error) {
	p := filepath.Join(t.Root, filepath.FromSlash(f))
	fi, err := os.Lstat(p)
	if err != nil {
		return "", err
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(p)
		root, rerr := filepath.EvalSymlinks(t.Root)
		if err != nil || rerr != nil || !strings.HasPrefix(target, root+string(filepath.Separator)) {
			return "", nil
		}
		if fi, err = os.Stat(target); err != nil {
			return "", nil
		}
		p = target
	}
	if !fi.Mode().IsRegular() {
		return "", nil
	}
	d, err := t.cache.digest(p, fi)
	if err != nil {
		return "", err
	}
	return contentOf(d, fi.Mode()), nil
}

func contentOf(d lastro.Digest, mode fs.FileMode) string {
	if mode&0o111 != 0 {
		return string(d) + "+x"
	}
	return string(d)
}

// Copy writes selected files below dest. A file that has changed since Select
// is EConflict: what runs must be what was digested.
func (t *Tree) Copy(ctx context.Context, files map[string]string, dest string) error {
	return eachPlace(ctx, files, dest, func(f, to, content string) error {
		return inCopy(f, copyChecked(filepath.Join(t.Root, filepath.FromSlash(f)), to, content))
	})
}

func copyChecked(from, to, content string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if string(lastro.DigestOf(b)) != strings.TrimSuffix(content, "+x") {
		return &lastro.Error{Code: lastro.EConflict, ID: "L0152", Msg: "the file was changed while the run was being started", Hint: "run the same command again"}
	}
	return os.WriteFile(to, b, modeOf(content))
}
