// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

// hole is one ${{ }} in a text; offsets count runes.
type hole struct {
	start, end int    // of the whole, braces included
	expr       string // the path inside, "" when it is no path
	raw        string // what stands between the braces
}

// roots are what ${{ }} can read, with the names below them; nil = any name.
var roots = map[string][]string{
	"params": nil,
	"matrix": nil,
	"run":    {"id"},
	"git":    {"commit", "branch", "author"},
	"event":  nil,
}

var dotted = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+$`)

// holes finds the expressions of a text. An open one reaches to its end.
func holes(text string) []hole {
	runes := []rune(text)
	var out []hole
	for i := 0; i+2 < len(runes); i++ {
		if runes[i] == '$' && runes[i+1] == '{' && runes[i+2] == '{' {
			h := holeAt(runes, i)
			out = append(out, h)
			i = h.end - 1
		}
	}
	return out
}

func holeAt(runes []rune, start int) hole {
	h := hole{start: start, end: len(runes)}
	for i := start + 3; i+1 < len(runes); i++ {
		if runes[i] == '}' && runes[i+1] == '}' {
			h.raw, h.end = string(runes[start+3:i]), i+2
			break
		}
	}
	if path := strings.TrimSpace(h.raw); dotted.MatchString(path) {
		h.expr = path
	}
	return h
}

// scope is what the expressions of one place can read.
type scope struct {
	params map[string]any
	matrix []string // axes, nil outside a step with a matrix
	single bool     // the value must be one word: not a list or an object
}

// check reports what is wrong with one expression; false when something is.
func (l *loader) check(t Text, h hole, sc scope) bool {
	if l.full() {
		return false
	}
	if strings.HasPrefix(h.expr, "event.") {
		return true // what an event carries depends on what started the run
	}
	at := t.at(h.start, h.end-h.start)
	if h.expr == "" {
		msg := fmt.Sprintf("%q is no name that an expression can read", strings.TrimSpace(h.raw))
		if h.raw == "" {
			msg = "the expression is not closed with }}"
		}
		l.report(at, "L0111", msg, "write ${{ params.NAME }}: a dotted name and nothing else; calculate in the script")
		return false
	}
	parts := strings.Split(h.expr, ".")
	root := parts[0]
	names, known := roots[root]
	if !known {
		hint := "an expression reads params, matrix, run, git or event"
		if near := lastro.Nearest(root, []string{"params", "matrix", "run", "git", "event"}); near != "" {
			hint = fmt.Sprintf("did you mean `%s`?", strings.Join(append([]string{near}, parts[1:]...), "."))
		}
		if root == "secrets" || root == "env" || root == "steps" {
			l.unsupported(at, "${{ "+root+" }}", hint)
			return false
		}
		l.report(at, "L0111", fmt.Sprintf("an expression cannot read %q", root), hint)
		return false
	}
	switch root {
	case "params":
		if l.file.Params.File.Given() {
			return true // what the file has is not known; that it is named is reported
		}
		return l.checkParam(at, parts[1:], sc)
	case "matrix":
		names = sc.matrix
		if names == nil {
			l.report(at, "L0112", fmt.Sprintf("there is no matrix here, so %q has no value", h.expr), "add `matrix:` to the step, or use params")
			return false
		}
	}
	if len(parts) != 2 || !slices.Contains(names, parts[1]) {
		l.report(at, "L0112", fmt.Sprintf("%q has no value", h.expr), oneOf(root, parts[1], names))
		return false
	}
	return true
}

// checkParam walks the params along a path.
func (l *loader) checkParam(at lastro.Pos, path []string, sc scope) bool {
	var value any = sc.params
	prefix := "params"
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			l.report(at, "L0112", fmt.Sprintf("%s is a value, not an object: it has no %q", prefix, name), "")
			return false
		}
		if value, ok = object[name]; !ok {
			l.report(at, "L0112", fmt.Sprintf("%s.%s is not declared", prefix, name), oneOf(prefix, name, sortedKeys(object)))
			return false
		}
		prefix += "." + name
	}
	switch value.(type) {
	case map[string]any, []any:
		if sc.single {
			l.report(at, "L0112", prefix+" is an object or a list, and a command wants one value", "name one member of it")
			return false
		}
	}
	return true
}

func oneOf(prefix, name string, names []string) string {
	if near := lastro.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean `%s.%s`?", prefix, near)
	}
	if len(names) == 0 {
		return fmt.Sprintf("the file has no %s", prefix)
	}
	return fmt.Sprintf("%s has %s", prefix, strings.Join(names, ", "))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkAll checks the expressions of a text that the engine resolves by value.
func (l *loader) checkAll(t Text, sc scope) {
	for _, h := range holes(t.Value) {
		l.check(t, h, sc)
	}
}
