// SPDX-License-Identifier: Apache-2.0

package source

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lastro"
)

// selection returns which paths Select takes: those below the folder under,
// matched by one of the globs and not at or below an excluded path.
func selection(under string, globs, exclude []string) (func(string) bool, error) {
	match, err := compile(globs)
	if err != nil {
		return nil, err
	}
	under = path.Clean("/" + filepath.ToSlash(under))[1:]
	excluded := make([]string, len(exclude))
	for i, x := range exclude {
		excluded[i] = path.Clean(x)
	}
	return func(f string) bool {
		return below(f, under) && match(f) && !slices.ContainsFunc(excluded, func(x string) bool { return below(f, x) })
	}, nil
}

func below(f, folder string) bool {
	return folder == "" || folder == "." || f == folder || strings.HasPrefix(f, folder+"/")
}

// compile returns a matcher for globs over paths with slashes: `*` and `?` stay
// within one folder, `**` is any number of folders, `[a-z]` a class. A glob that
// names a folder matches everything below it. No globs match everything.
func compile(globs []string) (func(string) bool, error) {
	var patterns [][]string
	for _, g := range globs {
		clean := path.Clean(strings.TrimPrefix(g, "./"))
		if _, err := path.Match(clean, ""); err != nil || g == "" || strings.HasPrefix(clean, "..") || path.IsAbs(clean) {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0153", Msg: "bad glob \"" + g + "\"",
				Hint: "globs count from the repository root: src/**, tests/*.py, lib/[a-c]*.py"}
		}
		patterns = append(patterns, strings.Split(clean, "/"))
	}
	return func(p string) bool {
		if globs == nil {
			return true
		}
		parts := strings.Split(p, "/")
		for _, pattern := range patterns {
			if matchParts(pattern, parts) {
				return true
			}
		}
		return false
	}, nil
}

// matchParts matches folder by folder; what is left of the path lies below
// what the pattern names.
func matchParts(pattern, parts []string) bool {
	switch {
	case len(pattern) == 0:
		return true
	case pattern[0] == ".":
		return true
	case pattern[0] == "**":
		for i := 0; i <= len(parts); i++ {
			if matchParts(pattern[1:], parts[i:]) {
				return true
			}
		}
		return false
	case len(parts) == 0:
		return false
	}
	ok, _ := path.Match(pattern[0], parts[0])
	return ok && matchParts(pattern[1:], parts[1:])
}
