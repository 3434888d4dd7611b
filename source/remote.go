// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"lastro"
)

// Repository is a git repository whose changes start runs: the one that holds a
// folder of this machine, or a bare mirror of one that is somewhere else.
type Repository struct {
	dir string // where git runs
	url string // of what dir mirrors; "" = dir is the repository itself
}

// Here returns the repository that holds a folder; ok is false when none does.
func Here(folder string) (r Repository, ok bool) {
	_, ok = repository(folder)
	return Repository{dir: folder}, ok || bare(folder)
}

// MirrorOf returns the repository at a URL or path through a mirror in dir, a
// folder that Fetch makes when it is not there.
func MirrorOf(address, dir string) (Repository, error) {
	if err := checkAddress(address); err != nil {
		return Repository{}, err
	}
	return Repository{dir: dir, url: address}, nil
}

// checkAddress lets through what git fetches from without starting a program
// that the address names: ext::, and a host or path that git would take for an
// option, run commands.
func checkAddress(address string) error {
	bad := func(msg, hint string) error {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0240", Msg: fmt.Sprintf("%q is not a repository that can be watched: %s", Redacted(address), msg), Hint: hint}
	}
	const hint = "https://host/path, ssh://user@host/path, user@host:path or a folder"
	switch {
	case address == "" || strings.HasPrefix(address, "-") || strings.ContainsAny(address, "\x00\n"):
		return bad("no address begins so", hint)
	case filepath.IsAbs(address):
		return nil
	case strings.Contains(address, "::"):
		return bad("it names a program to start", hint)
	}
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		u, err := url.Parse(address)
		switch {
		case scheme != "https" && scheme != "http" && scheme != "ssh" && scheme != "git" && scheme != "file":
			return bad("the scheme "+scheme+" is not known", hint)
		case err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(u.Hostname(), "-"):
			return bad("the host cannot be read", hint)
		}
		if _, secret := u.User.Password(); secret {
			return bad("it holds a password, which would be written to logs and to the mirror", "git's credential helper keeps it: git help credentials; or use ssh")
		}
		return nil
	}
	host, path, scp := strings.Cut(address, ":")
	if !scp {
		return bad("it is neither a URL nor an absolute path", hint)
	}
	if _, name, ok := strings.Cut(host, "@"); ok {
		host = name
	}
	if host == "" || path == "" || strings.HasPrefix(host, "-") {
		return bad("the host cannot be read", hint)
	}
	return nil
}

// Redacted is an address without the password that it may hold.
func Redacted(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		return u.Redacted()
	}
	return address
}

// Remote reports whether the repository is somewhere else.
func (r Repository) Remote() bool { return r.url != "" }

// String is its address without a password, or its folder.
func (r Repository) String() string {
	if r.url == "" {
		return r.dir
	}
	return Redacted(r.url)
}

// Refs returns the commits of all branches and tags by full name
// (refs/heads/main). An annotated tag is the commit that it leads to.
func (r Repository) Refs(ctx context.Context) (map[string]string, error) {
	if r.url == "" {
		out, err := git(ctx, r.dir, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/heads", "refs/tags")
		if err != nil {
			return nil, err
		}
		refs := map[string]string{}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) >= 2 {
				refs[f[0]] = f[len(f)-1]
			}
		}
		return refs, nil
	}
	out, err := r.outside(ctx, os.TempDir(), "ls-remote", "--quiet", "--", r.url, "refs/heads/*", "refs/tags/*")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		commit, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if ok && lastro.IsCommit(commit) {
			refs[strings.TrimSuffix(name, "^{}")] = commit // the peeled line follows the tag's own
		}
	}
	return refs, nil
}

// outside runs a git command that talks to another machine: nothing is asked,
// only known ways are taken, and the program that a mirror's configuration may
// name is not started.
func (r Repository) outside(ctx context.Context, dir string, args ...string) ([]byte, error) {
	fixed := []string{"-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "credential.interactive=false",
		"-c", "fetch.recurseSubmodules=false", "-c", "gc.auto=0"}
	out, err := git(ctx, dir, append(fixed, args...)...)
	var e *lastro.Error
	if errors.As(err, &e) {
		e.Code, e.ID = lastro.EServer, "L0241"
		e.Msg = fmt.Sprintf("the repository %s does not answer: %s", r, strings.ReplaceAll(strings.TrimPrefix(e.Msg, "git -c: "), r.url, r.String()))
		e.Hint = "try git ls-remote " + r.String() + " as the user who runs lastro up"
	}
	return out, err
}

// Fetch brings commits of refs into the mirror: full names such as
// refs/heads/main or refs/pull/12/head. It does nothing for a repository that
// is here.
func (r Repository) Fetch(ctx context.Context, refs ...string) error {
	if r.url == "" || len(refs) == 0 {
		return nil
	}
	if err := r.make(ctx); err != nil {
		return err
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--", r.url}
	for _, ref := range refs {
		if !lastro.IsRef(ref) {
			return lastro.Errorf(lastro.EInvalid, "%q is not the name of a ref", ref)
		}
		args = append(args, "+"+ref+":refs/seen/"+strings.TrimPrefix(ref, "refs/"))
	}
	_, err := r.outside(ctx, r.dir, args...)
	return err
}

// make creates the mirror. One that was cut short has no HEAD and is made again.
func (r Repository) make(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); err == nil {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	_, err := git(ctx, r.dir, "init", "--quiet", "--bare", ".")
	return err
}

// Has reports whether a commit is here.
func (r Repository) Has(ctx context.Context, commit string) bool {
	if _, err := os.Stat(r.dir); err != nil || !lastro.IsCommit(commit) {
		return false
	}
	_, err := git(ctx, r.dir, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// Changed lists the files, by path from the repository's root, that differ
// between two commits that are here. Both names of a renamed file are in it.
func (r Repository) Changed(ctx context.Context, before, after string) ([]string, error) {
	if !lastro.IsCommit(before) || !lastro.IsCommit(after) {
		return nil, lastro.Errorf(lastro.EInvalid, "%q or %q is not a commit", before, after)
	}
	out, err := git(ctx, r.dir, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", before, after, "--")
	if err != nil {
		return nil, err
	}
	var files []string
	for f := range strings.SplitSeq(string(out), "\x00") {
		if f != "" {
			files = append(files, f)
		}
	}
	return files, nil
}

// Parent returns where two commits have parted; "" when they have nothing in common.
func (r Repository) Parent(ctx context.Context, a, b string) string {
	if !lastro.IsCommit(a) || !lastro.IsCommit(b) {
		return ""
	}
	out, err := git(ctx, r.dir, "merge-base", a, b)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// Author returns "Name <mail>" of a commit that is here.
func (r Repository) Author(ctx context.Context, commit string) (string, error) {
	if !lastro.IsCommit(commit) {
		return "", lastro.Errorf(lastro.EInvalid, "%q is not a commit", commit)
	}
	out, err := git(ctx, r.dir, "show", "-s", "--format=%an <%ae>", commit, "--")
	return strings.TrimSpace(string(out)), err
}

// Resolve returns the commit of a branch as it was fetched last, or as it is here.
func (r Repository) Resolve(ctx context.Context, branch string) (string, error) {
	ref := "refs/heads/" + branch
	if !lastro.IsRef(ref) {
		return "", lastro.Errorf(lastro.EInvalid, "%q is not the name of a branch", branch)
	}
	if r.url != "" {
		ref = "refs/seen/heads/" + branch
	}
	out, err := git(ctx, r.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return "", &lastro.Error{Code: lastro.ENotFound, ID: "L0242", Msg: fmt.Sprintf("branch %s is not in %s", branch, r)}
	}
	return strings.TrimSpace(string(out)), nil
}

// Checkout writes the files of a commit that is here to dest, which must not exist.
func (r Repository) Checkout(ctx context.Context, commit, dest string) error {
	return Checkout(ctx, r.dir, commit, dest)
}

// RemoveCheckout removes what Checkout made.
func (r Repository) RemoveCheckout(ctx context.Context, dest string) error {
	return RemoveCheckout(ctx, r.dir, dest)
}
