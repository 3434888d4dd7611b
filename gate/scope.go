// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"slices"
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

// scopes are the names that each place knows (SEMANTICS, "Facts that rules
// can read"): a root that ends with a dot is open below it, any other name is
// one fact.
var scopes = map[Scope]struct {
	place string
	names []string
}{
	ScopeRule: {"a rule", []string{"metrics.", "tests.total", "tests.failed", "tests.skipped", "sarif.errors", "sarif.warnings", "sarif.notes",
		"coverage.lines", "values.", "data.", "compare.", "fairness.", "scan.unsafe", "sbom.vulnerabilities.", "params.", "matrix.", "event.", "run.", "git.", "steps."}},
	ScopeRollback: {"rollback_if", []string{"errors.rate", "latency.p50", "latency.p95", "latency.p99", "decision.rate", "score.mean", "score.sd"}},
	ScopeMonitor:  {"a performance alert", []string{"value", "value.ci_low", "value.ci_high", "baseline", "best"}},
}

// refuse says why a fact cannot be read here, "" when it can.
func (s Scope) refuse(fact string) (msg, hint string) {
	if s == ScopeAny {
		return "", ""
	}
	known := scopes[s]
	root, _, deeper := strings.Cut(fact, ".")
	var siblings, roots []string
	for _, name := range known.names {
		if name == fact || strings.HasSuffix(name, ".") && strings.HasPrefix(fact, name) {
			return "", ""
		}
		first, _, _ := strings.Cut(name, ".")
		if first == root {
			siblings = append(siblings, name)
		}
		if !slices.Contains(roots, first) {
			roots = append(roots, first)
		}
	}
	switch {
	case len(siblings) == 1 && strings.HasSuffix(siblings[0], "."):
		return fmt.Sprintf("%q is a group of facts, not one of them", fact), fmt.Sprintf("name one below it, such as %sNAME", siblings[0])
	case len(siblings) > 0:
		return fmt.Sprintf("there is no fact %q", fact), oneOf(fact, siblings)
	}
	near := lastro.Nearest(root, roots)
	if near != "" && deeper {
		near += strings.TrimPrefix(fact, root)
	}
	if near != "" {
		return fmt.Sprintf("%s cannot read %q", known.place, fact), fmt.Sprintf("did you mean `%s`?", near)
	}
	return fmt.Sprintf("%s cannot read %q", known.place, fact), "it can read " + strings.Join(roots, ", ")
}

func oneOf(name string, names []string) string {
	if near := lastro.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	return "there is " + strings.Join(names, ", ")
}
