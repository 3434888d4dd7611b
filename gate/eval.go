// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strings"

	"lastro"
)

// Missing is the error of an expression that read a fact which is not there,
// is not a number where only a number makes sense, or was written by several
// steps. A gate fails on it; rollback_if holds the canary.
type Missing struct {
	Names []string // facts, as the expression spells them
	Hint  string   // the nearest name, or what there is
}

func (m *Missing) Error() string {
	if len(m.Names) == 1 {
		return "fact " + m.Names[0] + " is missing"
	}
	return "facts " + strings.Join(m.Names, ", ") + " are missing"
}

func (m *Missing) add(facts Facts, names ...string) {
	for _, name := range names {
		if m.Hint == "" {
			m.Hint = facts.nearest(name)
			if v, there := facts.lookup(name); there {
				m.Hint = fmt.Sprintf("it is %v, which is not a number", v)
			}
		}
		m.Names = append(m.Names, name)
	}
}

func (m *Missing) ambiguous(name string, a Ambiguous) {
	m.Names = append(m.Names, name)
	spelled := make([]string, len(a.Steps))
	for i, step := range a.Steps {
		spelled[i] = "steps." + step + "." + name
		if !isIdentifier(step) {
			spelled[i] = fmt.Sprintf("steps[%q].%s", step, name)
		}
	}
	m.Hint = "several steps wrote it; say which: " + strings.Join(spelled, " or ")
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if !isIdentPart(r) || i == 0 && !isIdentStart(r) {
			return false
		}
	}
	return s != ""
}

// Compile checks a rule without facts. The error is a *lastro.Error whose
// Pos has the line and column inside the expression, and no file.
func Compile(r Rule) error { return CompileIn(r.Check, ScopeRule) }

// CompileIn checks an expression that stands in one place of lastro.yaml.
func CompileIn(expr string, scope Scope) error {
	x, err := compile(expr)
	if err != nil {
		return err
	}
	for _, r := range x.reads {
		if msg, hint := scope.refuse(r.fact); msg != "" {
			return &lastro.Error{Code: lastro.EInvalid, ID: "L0182", Msg: msg, Hint: hint,
				Pos: lastro.Pos{Line: r.line, Col: r.col, End: r.col + len([]rune(r.fact))}}
		}
	}
	return nil
}

// EvalBool evaluates an expression over facts. A fact that is not there gives
// a *Missing; every other error is a *lastro.Error. Safe for concurrent use;
// compiled expressions are kept.
func EvalBool(expr string, facts Facts) (bool, error) {
	x, err := compile(expr)
	if err != nil {
		return false, err
	}
	return x.bool(facts)
}

// Reads returns the names of the facts that an expression reads, sorted, as
// keys of Facts (what shift(x) needs is listed as x and champion.x).
func Reads(expr string) ([]string, error) {
	x, err := compile(expr)
	if err != nil {
		return nil, err
	}
	return x.factNames(), nil
}
