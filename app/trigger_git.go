// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
	"lastro/source"
	"lastro/trigger"
)

// How often the repository is looked at: one that is here costs a few
// milliseconds, one that is somewhere else costs its host more.
const (
	pollHere  = 2 * time.Second
	pollThere = time.Minute
)

// errNoRepository says that nothing can be watched.
var errNoRepository = &lastro.Error{Code: lastro.EInvalid, ID: "L0247", Msg: "on: names pushes, and there is no repository to watch",
	Hint: "git init in the folder of lastro.yaml, or name one: lastro up --repository URL"}

// repository is where changes are looked for and commits come from.
func (h *House) repository() (source.Repository, error) {
	if h.watching.Repository != "" {
		return source.MirrorOf(h.watching.Repository, h.mirrorDir())
	}
	if r, ok := source.Here(h.Paths.Project); ok {
		return r, nil
	}
	return source.Repository{}, errNoRepository
}

// mirrorDir is where the repository that is somewhere else is mirrored.
func (h *House) mirrorDir() string { return filepath.Join(h.Paths.State, "git", "mirror.git") }

// CheckRepository refuses an address that cannot be watched; "" is none.
func CheckRepository(address string) error {
	if address == "" {
		return nil
	}
	_, err := source.MirrorOf(address, "")
	return err
}

// gitLoop looks for changes of branches and tags.
func (s *server) gitLoop(ctx context.Context) error {
	period := or(s.house.watching.Poll, pollHere)
	if s.house.watching.Repository != "" {
		period = or(s.house.watching.Poll, pollThere)
	}
	return s.every(ctx, period, max(period, 10*time.Minute), "the repository", func(ctx context.Context) error {
		p := s.house.Project()
		if p == nil || !p.Trigger.WatchesGit() {
			return nil
		}
		if !pause(ctx, jittered(period/8)) {
			return nil
		}
		ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, lastro.Errorf(lastro.EServer, "the repository has not answered within two minutes"))
		defer cancel()
		return s.house.pollGit(ctx, p)
	})
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// pollGit looks at branches and tags once.
func (h *House) pollGit(ctx context.Context, p *project.Project) error {
	r, err := h.repository()
	if err != nil {
		return err
	}
	refs, err := r.Refs(ctx)
	if err != nil {
		return err
	}
	return h.triggers(p).Looked(ctx, p.Trigger, refs)
}

// requestOfChange brings the commits of a change here and fills in what its run
// needs; skip says why none is to start.
func (h *House) requestOfChange(ctx context.Context, p *project.Project, c trigger.Cause, req RunRequest) (_ RunRequest, skip string, err error) {
	r, err := h.repository()
	if err != nil {
		return req, "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, lastro.Errorf(lastro.EServer, "the repository has not answered within five minutes"))
	defer cancel()
	before, base, err := h.fetch(ctx, r, c)
	if err != nil {
		return req, "", err
	}
	files, known := h.changedFiles(ctx, r, before, c.Commit)
	if !p.Trigger.Wanted(c, files, known) {
		return req, fmt.Sprintf("none of the %d files that it changes is named by on.%s.paths", len(files), c.Kind), nil
	}
	if known {
		req.Event["files"] = len(files)
	}
	if author, err := r.Author(ctx, c.Commit); err == nil {
		req.Event["author"] = author
	}
	if c.Trust == trigger.Trusted {
		return req, "", nil
	}
	req.Scope, req.Untrusted = scopeOf(c), true
	if c.Trust == trigger.Fork {
		req.Base, req.Strict = base, true
		req.Event["base_commit"] = base
	}
	return req, "", nil
}

// fetch brings the commit of a cause here. before is the commit that its
// changes count from, "" when nobody knows; base is the head of the branch that
// a pull request wants to go into.
func (h *House) fetch(ctx context.Context, r source.Repository, c trigger.Cause) (before, base string, err error) {
	if c.Kind != trigger.KindPullRequest {
		if !r.Has(ctx, c.Commit) {
			err = r.Fetch(ctx, c.Ref)
		}
		return c.Before, "", orMissing(ctx, r, c.Commit, err)
	}
	if err := r.Fetch(ctx, "refs/heads/"+c.Base); err != nil {
		return "", "", err
	}
	if base, err = r.Resolve(ctx, c.Base); err != nil {
		return "", "", err
	}
	for _, ref := range pullRefs(c) {
		if r.Has(ctx, c.Commit) {
			break
		}
		if err = r.Fetch(ctx, ref); err == nil {
			break
		}
	}
	return r.Parent(ctx, base, c.Commit), base, orMissing(ctx, r, c.Commit, err)
}

// pullRefs are the names under which forges keep the head of a pull request in
// the repository that it wants to go into.
func pullRefs(c trigger.Cause) []string {
	return []string{fmt.Sprintf("refs/pull/%d/head", c.Number()), fmt.Sprintf("refs/merge-requests/%d/head", c.Number())}
}

// orMissing is err, or that a commit is not here after all.
func orMissing(ctx context.Context, r source.Repository, commit string, err error) error {
	if r.Has(ctx, commit) {
		return nil
	}
	if err == nil {
		err = &lastro.Error{Code: lastro.ENotFound, ID: "L0248", Msg: fmt.Sprintf("commit %.12s is not in %s: it was rewritten, or is of another repository", commit, r),
			Hint: "lastro up --repository URL names the one that is meant"}
	}
	return err
}

func (h *House) changedFiles(ctx context.Context, r source.Repository, before, after string) (files []string, known bool) {
	if before == "" || !r.Has(ctx, before) {
		return nil, false
	}
	files, err := r.Changed(ctx, before, after)
	return files, err == nil
}

// repositoryOf is the repository that a commit is unpacked from: the project's
// own when it has it.
func (h *House) repositoryOf(ctx context.Context, commit string) (source.Repository, error) {
	here, ok := source.Here(h.Paths.Project)
	if h.watching.Repository == "" || ok && here.Has(ctx, commit) {
		return here, nil // without a repository, unpacking says so
	}
	return h.repository()
}

// codeDir unpacks the code that a request names and returns the project's folder.
func (h *House) codeDir(ctx context.Context, req RunRequest) (string, error) {
	if req.Base != "" {
		return h.forkDir(ctx, req.Commit, req.Base)
	}
	return h.checkout(ctx, req.Commit)
}

// gitOf is what a run of a commit says of it; the branch is the folder's where
// the cause names none.
func (h *House) gitOf(ctx context.Context, req RunRequest, folder pipeline.Git) pipeline.Git {
	g := pipeline.Git{Commit: req.Commit, Branch: folder.Branch, Author: folder.Author}
	if branch, ok := req.Event["branch"].(string); ok {
		g.Branch = branch
	}
	if r, err := h.repositoryOf(ctx, req.Commit); err == nil {
		if author, err := r.Author(ctx, req.Commit); err == nil {
			g.Author = author
		}
	}
	return g
}

// prefix is the path of the project's folder below the repository's root.
func (h *House) prefix(ctx context.Context) string {
	dir, err := source.ProjectDir(ctx, h.Paths.Project, "")
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(filepath.ToSlash(dir), "/")
}
