// SPDX-License-Identifier: Apache-2.0

package lastro

import "strings"

// IsCommit reports whether s is the full name of a commit of git: 40 or 64 lower-case hexadecimal digits.
func IsCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// IsRef reports whether s is a full name that git allows for a ref (git help
// check-ref-format), so that a name from outside is safe as an argument.
func IsRef(s string) bool {
	if !strings.HasPrefix(s, "refs/") || len(s) > 4096 || strings.ContainsAny(s, " ~^:?*[\\\x7f") ||
		strings.Contains(s, "..") || strings.Contains(s, "@{") || strings.Contains(s, "//") || strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x20 {
			return false
		}
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return strings.Count(s, "/") >= 2
}
