// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"

	"lastro"
)

// Scope says which facts an expression may name.
type Scope int

// The places where expressions stand.
const (
	ScopeAny      Scope = iota // any name: observed_for, whose names are columns
	ScopeRule                  // model.require
	ScopeRollback              // deploy.*.rollback_if
	ScopeMonitor               // monitor.*.performance.alert
)

// Missing is the error of an expression that read a fact which is not there
// (or is not a number). A gate fails on it; rollback_if holds the canary.
type Missing struct {
	Names []string // facts, as the expression spells them
	Hint  string   // the nearest name, or what there is
}

// Compile checks a rule without facts. The error is a *lastro.Error whose
// Pos has the line and column inside the expression, and no file.
func Compile(r Rule) error { return CompileIn(r.Check, ScopeRule) }

// EvalBool evaluates an expression over facts. A fact that is not there gives
// a *Missing; every other error is a *lastro.Error. Safe for concurrent use;
// compiled expressions are kept.
func EvalBool(expr string, facts Facts) (bool, error) {
	return false, lastro.Errorf(lastro.EErrored, "not ready")
}

// CompileIn checks an expression that stands in one place of lastro.yaml.
func CompileIn(expr string, scope Scope) error { return nil }

// Reads returns the names of the facts that an expression reads, sorted, as
// keys of Facts (what shift(x) needs is listed as x and champion.x).
func Reads(expr string) ([]string, error) { return nil, nil }

func (m *Missing) Error() string { return "missing: " + strings.Join(m.Names, ", ") }
