// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastro"
)

// Evaluator understands expressions: the CEL that the rules of gates are
// written in. Names are dotted: params.depth, matrix.rate, steps.train.metrics.auc.
// Every method may be called concurrently; errors are *lastro.Error whose Pos
// has the line and column inside the expression and no file.
type Evaluator interface {
	// Reads compiles an expression of any type and returns the names that it
	// reads, sorted.
	Reads(expr string) ([]string, error)

	// Eval returns the value of an expression: nil, bool, float64, string, []any
	// or map[string]any. vars are by dotted name; one that is not there is an
	// error (L0334) unless the expression asks has() about it, and "" below event.
	Eval(expr string, vars map[string]any) (any, error)

	// Bool is Eval of an expression that gives true or false; any other value
	// is an error.
	Bool(expr string, vars map[string]any) (bool, error)
}

// condition decides whether a step, or one cell of it, runs. It is asked when
// all that the step needs has ended well. names is the scope of the cell, with
// the run and the steps that it needs (withCell, withRun, withSteps). A step
// that is left out is skipped, and why is the expression with the values that
// it saw. A fact that is missing is an error of the step (EInvalid, L0334)
// with a hint.
func condition(s StepSpec, names scope) (ok bool, why string, err error) {
	if s.If == "" {
		return true, "", nil
	}
	ok, err = names.holds(s.If)
	if err != nil {
		return false, "", atIf(s, err)
	}
	if ok {
		return true, "", nil
	}
	return false, names.sawFalse(s.If), nil
}

// holds evaluates a condition.
func (s scope) holds(expr string) (bool, error) {
	if s.cel == nil {
		return false, lastro.Errorf(lastro.EUnsupported, "this engine evaluates no conditions")
	}
	reads, err := s.cel.Reads(expr)
	if err != nil {
		return false, err
	}
	vars, err := s.vars(reads)
	if err != nil {
		return false, err
	}
	ok, err := s.cel.Bool(expr, vars)
	return ok, s.hinted(err, reads)
}

// sawFalse says why a condition did not hold: "if: metrics.auc > 0.7 is false
// (metrics.auc is 0.62)".
func (s scope) sawFalse(expr string) string {
	reads, err := s.cel.Reads(expr)
	if err != nil {
		return "if: " + expr
	}
	var saw []string
	for _, name := range reads {
		if v, ok := s.find(name); ok {
			saw = append(saw, fmt.Sprintf("%s is %s", name, shortValue(v)))
		} else {
			saw = append(saw, "there is no "+name)
		}
	}
	out := "if: " + strings.Join(strings.Fields(expr), " ") + " is false"
	if len(saw) > 0 {
		out += " (" + strings.Join(saw, ", ") + ")"
	}
	return out
}

// shortValue spells a value for a person, texts in quotes.
func shortValue(v any) string {
	out := text(v)
	if t, ok := v.(string); ok {
		out = fmt.Sprintf("%q", t)
	}
	if runes := []rune(out); len(runes) > 60 {
		return string(runes[:59]) + "…"
	}
	return out
}

// atIf says of an error that it is of the step's condition.
func atIf(s StepSpec, err error) error {
	var e *lastro.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("step %q: if: %s: %w", s.Name, s.If, err)
	}
	placed := *e
	placed.Pos = s.Pos
	placed.Msg = fmt.Sprintf("step %q: if: %s: %s", s.Name, strings.Join(strings.Fields(s.If), " "), e.Msg)
	return &placed
}

// Upstream returns the steps that a step waits for, directly or through
// others: an if: or a ${{ steps.NAME ... }} may read only these.
func Upstream(steps []StepSpec, step string) map[string]bool {
	out := map[string]bool{}
	for i, s := range steps {
		if s.Name == step {
			for n, before := range Ancestors(steps)(i) {
				if before {
					out[steps[n].Name] = true
				}
			}
		}
	}
	return out
}

// Ancestors is Upstream for many questions: it answers by the number of a step,
// and the answer holds until the next one.
func Ancestors(steps []StepSpec) func(step int) []bool {
	index := make(map[string]int, len(steps))
	for i, s := range steps {
		index[s.Name] = i
	}
	needs := make([][]int, len(steps))
	for i, s := range steps {
		for _, n := range directNeeds(s) {
			if at, ok := index[n]; ok {
				needs[i] = append(needs[i], at)
			}
		}
	}
	seen := make([]bool, len(steps))
	return func(step int) []bool {
		clear(seen)
		todo := slices.Clone(needs[step])
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !seen[at] {
				seen[at] = true
				todo = append(todo, needs[at]...)
			}
		}
		return seen
	}
}

// foresee says what a plan can tell of the conditions of a cell and of the
// steps that it needs: "" = they hold, or there are none; LeftOut; Depends when
// facts of the run decide. What is skipped with another step is not cached.
func (p *planner) foresee(ps *PlanStep, c *PlanCell) (Outlook, string) {
	for _, need := range ps.Needs {
		switch p.unsure[need] {
		case LeftOut:
			return LeftOut, need + " is skipped"
		case Depends:
			return Depends, "depends on " + need
		}
	}
	s := ps.Spec
	if s.If == "" {
		return "", ""
	}
	names := p.names.withCell(c.Values)
	expr := "if: " + strings.Join(strings.Fields(s.If), " ")
	reads, err := names.reads(s.If)
	if err != nil {
		return Depends, err.Error()
	}
	if slices.ContainsFunc(reads, ofRun) {
		return Depends, expr
	}
	if slices.ContainsFunc(reads, ofFacts) {
		rows, waits := p.before(s.Name)
		if len(waits) > 0 {
			return Depends, expr
		}
		names = names.withSteps(rows)
	}
	holds, err := names.holds(s.If)
	switch {
	case err != nil: // the step will say so
		return Depends, expr
	case !holds:
		return LeftOut, names.sawFalse(s.If)
	}
	return "", ""
}

// foretell notes a step whose conditions leave it out, or may.
func (p *planner) foretell(ps *PlanStep) {
	out, may := 0, false
	for _, c := range ps.Cells {
		if c.Outlook == LeftOut {
			out++
		}
		may = may || c.Outlook == Depends && ps.Spec.If != ""
	}
	for _, need := range ps.Needs {
		may = may || p.unsure[need] == Depends
	}
	switch {
	case out == len(ps.Cells):
		p.unsure[ps.Spec.Name] = LeftOut
	case may:
		p.unsure[ps.Spec.Name] = Depends
	}
}

// before returns what the cache knows of the steps that a step waits for, and
// those that have yet to tell.
func (p *planner) before(step string) (rows []StepRun, waits []string) {
	if p.upstream[step] == nil {
		p.upstream[step] = Upstream(p.plan.Spec.Steps, step)
	}
	for name := range p.upstream[step] {
		if row := p.selected[name]; row != nil {
			chosen := *row
			chosen.Selected = true
			rows = append(rows, chosen)
		} else {
			waits = append(waits, name)
		}
	}
	return rows, waits
}
