// SPDX-License-Identifier: Apache-2.0

package track

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"lastro"
)

// Limits, as MLflow's clients know them; lengths are in characters.
const (
	MaxName       = 500 // experiment
	MaxKey        = 250
	MaxParam      = 6000
	MaxTag        = 8000
	MaxTagOfAll   = 20_000 // the value of a tag of an experiment
	MaxBatch      = 1000   // metrics and everything of one batch together
	MaxParamBatch = 100
	MaxTagBatch   = 100
	MaxPath       = 1024 // of an artifact
)

func checkKey(what, key string) error {
	if strings.ContainsFunc(key, unicode.IsControl) {
		return lastro.Errorf(lastro.EInvalid, "%s %q has a control character", what, key)
	}
	return lastro.CheckText(what+fmt.Sprintf(" %.40q", key), key, 1, MaxKey)
}

func checkTag(t Tag) error { return checkTagTo(t, MaxTag) }

func checkTagTo(t Tag, most int) error {
	if strings.HasPrefix(t.Key, reservedTags) {
		return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("tag %q cannot be written: names that begin with %s say where a tracked run comes from", t.Key, reservedTags),
			Hint: "choose another name"}
	}
	if err := checkKey("tag", t.Key); err != nil {
		return err
	}
	return lastro.CheckText("the value of tag "+t.Key, t.Value, 0, most)
}

func checkParam(p Param) error {
	if err := checkKey("param", p.Key); err != nil {
		return err
	}
	return lastro.CheckText("the value of param "+p.Key, p.Value, 0, MaxParam)
}

// check refuses a batch that is too large or holds what cannot be kept.
func (b Batch) check() error {
	for _, limit := range []struct {
		what    string
		n, most int
	}{{"metrics", len(b.Metrics), MaxBatch}, {"params", len(b.Params), MaxParamBatch}, {"tags", len(b.Tags), MaxTagBatch},
		{"entries", len(b.Metrics) + len(b.Params) + len(b.Tags), MaxBatch}} {
		if limit.n > limit.most {
			return lastro.Errorf(lastro.EInvalid, "a batch of %d %s is too large; %d is the most", limit.n, limit.what, limit.most)
		}
	}
	for _, m := range b.Metrics {
		if err := checkKey("metric", m.Key); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, p := range b.Params {
		if err := checkParam(p); err != nil {
			return err
		}
		if seen[p.Key] {
			return lastro.Errorf(lastro.EInvalid, "param %q is twice in the batch; give each param one value", p.Key)
		}
		seen[p.Key] = true
	}
	for _, t := range b.Tags {
		if err := checkTag(t); err != nil {
			return err
		}
	}
	return nil
}

// CheckPath refuses artifact names that could mean anything but a name below
// the artifact root. It is never a path on our disk, but it is one on that of
// who downloads it: no part is dots, and none is once a careless reader has
// decoded it again.
func CheckPath(path string) error {
	bad := &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%.80q cannot name an artifact", path),
		Hint: "leave out backslashes, control characters, and empty or dotted parts"}
	if len(path) > MaxPath || !utf8.ValidString(path) {
		return bad
	}
	for range 3 {
		if !plainPath(path) {
			return bad
		}
		again := percent.ReplaceAllStringFunc(path, func(code string) string {
			n, _ := strconv.ParseUint(code[1:], 16, 8)
			if strings.ContainsRune("./\\%", rune(n)) {
				return string(rune(n))
			}
			return "_" // whatever it stands for, it leads nowhere
		})
		if again == path {
			return nil
		}
		path = again
	}
	return bad
}

// percent is a character as URLs write it.
var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func plainPath(path string) bool {
	if strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }) {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.TrimSpace(part) != part {
			return false
		}
	}
	return true
}
