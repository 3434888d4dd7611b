// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"fmt"
	"slices"
	"strings"

	"lastro"
)

// Check returns everything that is wrong with the section; datasets are the
// names that lastro.yaml declares.
func (s Spec) Check(datasets []string) lastro.Problems {
	var out lastro.Problems
	globs := func(pos lastro.Pos, key string, patterns []string) {
		for _, p := range patterns {
			if _, err := ParseGlob(p); err != nil {
				out = append(out, &lastro.Error{Code: lastro.EInvalid, ID: "L0234", Pos: pos, Msg: fmt.Sprintf("on.%s: %v", key, err),
					Hint: "such as main, release/*, src/**, !docs/**"})
			}
		}
	}
	if p := s.Push; p != nil {
		globs(p.Pos, "push.branches", p.Branches)
		globs(p.Pos, "push.tags", p.Tags)
		globs(p.Pos, "push.paths", p.Paths)
	}
	if p := s.PullRequest; p != nil {
		globs(p.Pos, "pull_request.branches", p.Branches)
		globs(p.Pos, "pull_request.paths", p.Paths)
		if p.Forks != ForksAsk && p.Forks != ForksNever {
			out = append(out, &lastro.Error{Code: lastro.EInvalid, ID: "L0235", Pos: p.Pos, Msg: fmt.Sprintf("on.pull_request.forks cannot be %q", p.Forks),
				Hint: "leave it out, and each run of a fork waits for a person: or forks: never"})
		}
	}
	if s.Tag != nil {
		globs(s.Tag.Pos, "tag", s.Tag.Names)
	}
	for _, c := range s.Schedules {
		if _, err := c.parse(); err != nil {
			out = append(out, err.(*lastro.Error))
		}
	}
	for _, d := range s.Data {
		if slices.Contains(datasets, d.Name) {
			continue
		}
		e := &lastro.Error{Code: lastro.EInvalid, ID: "L0236", Pos: d.Pos, Msg: fmt.Sprintf("on.data names %q, which is no dataset", d.Name), Hint: "declare it under data:"}
		if near := lastro.Nearest(d.Name, datasets); near != "" {
			e.Hint = "did you mean " + near + "?"
		} else if len(datasets) > 0 {
			e.Hint = "datasets are " + strings.Join(datasets, ", ")
		}
		out = append(out, e)
	}
	return out
}

// Change is a ref of the repository that points at another commit than before.
type Change struct {
	Ref    string // refs/heads/main, refs/tags/v1
	Before string // 40 or 64 hex digits; "" = the ref is new, or nobody knows
	After  string // "" = the ref is gone
	Actor  lastro.Actor
	Author string // "Name <mail>" of the commit, when known
}

// starts reports whether a change starts a run, as far as names tell, and if
// not, why. Paths are compared when the run is about to start: only then are
// the commits at hand.
func (s Spec) starts(c Change) (Kind, string) {
	branch, isBranch := strings.CutPrefix(c.Ref, "refs/heads/")
	tag, isTag := strings.CutPrefix(c.Ref, "refs/tags/")
	switch {
	case c.After == "":
		return "", c.Ref + " was deleted"
	case isBranch && s.Push == nil:
		return "", "lastro.yaml has no on.push"
	case isBranch && len(s.Push.Branches) == 0 && len(s.Push.Tags) > 0:
		return "", "on.push names tags only"
	case isBranch && !Matches(s.Push.Branches, branch):
		return "", fmt.Sprintf("branch %s is not one of on.push.branches", branch)
	case isBranch:
		return KindPush, ""
	case isTag && s.Tag != nil && Matches(s.Tag.Names, tag):
		return KindTag, ""
	case isTag && s.Push != nil && len(s.Push.Tags) > 0 && Matches(s.Push.Tags, tag):
		return KindTag, ""
	case isTag:
		return "", fmt.Sprintf("tag %s is named neither by on.tag nor by on.push.tags", tag)
	}
	return "", c.Ref + " is neither a branch nor a tag"
}

// Wanted reports whether a cause with these changed files starts a run by
// paths:. Files that nobody could find out let it start.
func (s Spec) Wanted(c Cause, files []string, known bool) bool {
	var paths []string
	switch {
	case c.Kind == KindPush && s.Push != nil:
		paths = s.Push.Paths
	case c.Kind == KindPullRequest && s.PullRequest != nil:
		paths = s.PullRequest.Paths
	}
	return !known || len(paths) == 0 || matchesAny(paths, files)
}

// WatchesGit reports whether any change of the repository may start a run.
func (s Spec) WatchesGit() bool { return s.Push != nil || s.Tag != nil }
