// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// keyVersion changes when the meaning of an ingredient changes: then nothing
// of before is found again.
const keyVersion = "1"

// cacheKey is the digest of the canonical JSON of all ingredients (SEMANTICS 11).
func cacheKey(ingredients map[string]string) (lastro.Digest, error) {
	b, err := lastro.CanonicalJSON(ingredients)
	if err != nil {
		return "", fmt.Errorf("encode ingredients: %w", err)
	}
	return lastro.DigestOf(b), nil
}

// flatten writes a JSON value as ingredients: objects by dotted name, so that a
// reason can name the one setting that changed; everything else as its JSON,
// strings bare.
func flatten(into map[string]string, name string, v any) {
	if m, ok := v.(map[string]any); ok && len(m) > 0 {
		for k, inner := range m {
			if name != "" {
				k = name + "." + k
			}
			flatten(into, k, inner)
		}
		return
	}
	into[name] = text(v)
}

// generic turns any value into maps, slices, strings and json.Numbers.
func generic(v any) (any, error) {
	b, err := lastro.CanonicalJSON(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	var out any
	err = dec.Decode(&out)
	return out, err
}

// changes says in a few words how the ingredients now differ from those then.
// files names changed code files.
func changes(then, now map[string]string, files []string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(union(then, now))) {
		was, before := then[name]
		is, after := now[name]
		switch {
		case was == is && before == after:
		case name == "code" && len(files) > 0:
			parts = append(parts, "code changed ("+someOf(files, 3)+")")
		case !after:
			parts = append(parts, name+" is gone")
		case !before:
			parts = append(parts, name+" is new")
		case isDigest(was) || isDigest(is):
			parts = append(parts, fmt.Sprintf("%s changed (%s → %s)", name, shorten(was), shorten(is)))
		case len(was)+len(is) <= 60:
			parts = append(parts, fmt.Sprintf("%s %s → %s", name, was, is))
		default:
			parts = append(parts, name+" changed")
		}
	}
	return strings.Join(parts, "; ")
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

func isDigest(s string) bool { return strings.HasPrefix(s, "sha256:") && len(s) >= 71 }

// shorten keeps the first digits of a digest and what follows it.
func shorten(s string) string {
	if !isDigest(s) {
		return s
	}
	return lastro.Digest(s[:71]).Short() + s[71:]
}

func someOf(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// changedFiles lists the code files that differ; only those of now that are
// this step's, and those that are gone.
func changedFiles(then, stepNow, allNow map[string]string) []string {
	var out []string
	for p, d := range stepNow {
		if then[p] != d {
			out = append(out, p)
		}
	}
	for p := range then {
		if _, ok := allNow[p]; !ok {
			out = append(out, p+" (gone)")
		}
	}
	slices.Sort(out)
	return out
}
