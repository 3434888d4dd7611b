// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"regexp"
	"strings"

	"lastro"
)

// Glob matches names of branches, tags and paths: * stands for any characters
// but a slash, ** for any at all, ? for one, [ab] and [a-z] for one of several;
// a name that begins with ! takes out what an earlier one let in.
type Glob struct {
	not bool
	re  *regexp.Regexp
}

// ParseGlob reads a pattern.
func ParseGlob(pattern string) (Glob, error) {
	g := Glob{}
	text := pattern
	if strings.HasPrefix(text, "!") {
		g.not, text = true, text[1:]
	}
	if text == "" {
		return g, lastro.Errorf(lastro.EInvalid, "the pattern %q is empty", pattern)
	}
	re, err := regexp.Compile(`^(?:` + expression(text) + `)$`)
	if err != nil {
		return g, lastro.Errorf(lastro.EInvalid, "the pattern %q cannot be read: its brackets do not fit", pattern)
	}
	g.re = re
	return g, nil
}

// expression writes a glob as a regular expression.
func expression(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch glob[i] {
		case '*':
			if !strings.HasPrefix(glob[i:], "**") {
				b.WriteString(`[^/]*`)
				continue
			}
			i++
			if strings.HasPrefix(glob[i+1:], "/") && (i == 1 || glob[i-2] == '/') { // a/**/b matches a/b too
				b.WriteString(`(?:.*/)?`)
				i++
				continue
			}
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`[^/]`)
		case '[':
			end := strings.IndexByte(glob[i:], ']')
			if end < 2 {
				b.WriteString(`[`) // does not compile, and is reported
				continue
			}
			b.WriteString("[" + strings.ReplaceAll(glob[i+1:i+end], `\`, `\\`) + "]")
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	return b.String()
}

// Matches reports whether a name is let in by the last pattern that fits it;
// no patterns let everything in. Patterns that cannot be read fit nothing.
func Matches(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	in := strings.HasPrefix(patterns[0], "!") // only exclusions: the rest is in
	for _, p := range patterns {
		if g, err := ParseGlob(p); err == nil && g.re.MatchString(name) {
			in = !g.not
		}
	}
	return in
}

// matchesAny reports whether one of the names is let in.
func matchesAny(patterns, names []string) bool {
	for _, n := range names {
		if Matches(patterns, n) {
			return true
		}
	}
	return false
}
