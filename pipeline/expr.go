// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

var exprPattern = regexp.MustCompile(`\$\{\{\s*([^{}]*?)\s*\}\}`)

// scope is what an expression can name: params.x, matrix.axis, git.commit,
// git.branch, event.key, run.id. It maps whole names to values.
type scope map[string]any

func newScope(params map[string]any, git Git, event, cell map[string]any) scope {
	s := scope{"git.commit": git.Commit, "git.branch": git.Branch, "git.author": git.Author}
	for prefix, m := range map[string]map[string]any{"params.": params, "event.": event, "matrix.": cell} {
		for k, v := range m {
			s.add(prefix+k, v)
		}
	}
	return s
}

func (s scope) add(name string, v any) {
	s[name] = v
	if m, ok := v.(map[string]any); ok {
		for k, inner := range m {
			s.add(name+"."+k, inner)
		}
	}
}

// withRun adds what only a run knows. Such values are labels: they are no part
// of a cache key, or nothing that prints the run's number could ever be cached.
func (s scope) withRun(number int64) scope {
	out := maps.Clone(s)
	out["run.id"] = number
	return out
}

// ofRun reports whether an expression is known only to a run.
func ofRun(expr string) bool { return strings.HasPrefix(expr, "run.") }

func (s scope) lookup(expr string) (any, error) {
	if v, ok := s[expr]; ok {
		return v, nil
	}
	if strings.HasPrefix(expr, "event.") {
		return "", nil // what an event carries depends on what started the run
	}
	names := append(slices.Sorted(maps.Keys(s)), "run.id")
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0112", Msg: fmt.Sprintf("${{ %s }} names nothing that is known here", expr)}
	if near := lastro.Nearest(expr, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean ${{ %s }}?", near)
	} else {
		e.Hint = "known are " + strings.Join(names, ", ")
	}
	return nil, e
}

// expand replaces ${{ }} inside the strings of a JSON document. A string that
// is one expression becomes its value, with its type; elsewhere the value is
// written into the text. Expressions of the run stay as they are unless the
// scope knows the run. It returns the names that were used.
func expand(raw json.RawMessage, s scope) (json.RawMessage, []string, error) {
	if len(raw) == 0 || !strings.Contains(string(raw), "${{") {
		return raw, nil, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, nil, fmt.Errorf("read settings: %w", err)
	}
	x := expander{scope: s, used: map[string]bool{}}
	v, err := x.value(v)
	if err != nil {
		return nil, nil, err
	}
	out, err := lastro.CanonicalJSON(v)
	return out, slices.Sorted(maps.Keys(x.used)), err
}

type expander struct {
	scope scope
	used  map[string]bool
}

func (x *expander) value(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if v[k], err = x.value(v[k]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = x.value(v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		return x.text(v)
	}
	return v, nil
}

func (x *expander) text(s string) (any, error) {
	if m := exprPattern.FindStringSubmatch(s); m != nil && m[0] == s {
		return x.expr(m[1], s)
	}
	var firstErr error
	out := exprPattern.ReplaceAllStringFunc(s, func(match string) string {
		v, err := x.expr(exprPattern.FindStringSubmatch(match)[1], match)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		return text(v)
	})
	return out, firstErr
}

func (x *expander) expr(name, original string) (any, error) {
	if _, known := x.scope[name]; ofRun(name) && !known {
		return original, nil
	}
	x.used[name] = true
	return x.scope.lookup(name)
}
