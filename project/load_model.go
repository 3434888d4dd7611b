// SPDX-License-Identifier: Apache-2.0

package project

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/registry"
)

func (l *loader) translateModel() {
	n := l.file.Model
	if n == nil {
		return
	}
	m := &registry.Spec{Name: n.Name.Value, Pos: n.Name.At}
	if n.From.Given() {
		m.Step, m.Output = l.stepOutput(n.From)
	}
	for _, t := range n.Protect.Items {
		if !aliasName.MatchString(t.Value) {
			l.report(t.At, "L0106", fmt.Sprintf("%q is no name for an alias", t.Value), "use lower-case letters, digits, _ and -")
		}
		m.Protect = append(m.Protect, t.Value)
	}
	l.project.Model = m
	names := map[string]int{}
	for _, r := range n.Require.Items {
		rule := l.rule(r)
		if line, twice := names[rule.Name]; twice {
			l.report(rule.Pos, "L0109", fmt.Sprintf("rule %q is there twice", rule.Name), fmt.Sprintf("the first is in line %d; rename one", line))
		}
		names[rule.Name] = rule.Pos.Line
		l.project.Rules = append(l.project.Rules, rule)
	}
}

var aliasName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// stepOutput resolves step.output; a step with one output may stand alone.
func (l *loader) stepOutput(t Text) (step, output string) {
	if _, isData := l.datasets[t.Value]; isData {
		l.report(t.At, "L0121", fmt.Sprintf("%q is a dataset, and a step's output is wanted", t.Value), "write step.output, such as train.model")
		return "", ""
	}
	in, ok := l.input(t)
	if !ok {
		return "", ""
	}
	if in.Output != "" {
		return in.Step, in.Output
	}
	outputs := l.steps[in.Step].Outputs.Named.Entries
	if len(outputs) == 1 {
		return in.Step, outputs[0].Key.Value
	}
	var names []string
	for _, o := range outputs {
		names = append(names, in.Step+"."+o.Key.Value)
	}
	l.report(t.At, "L0121", fmt.Sprintf("step %q has several outputs", in.Step), "name one: "+strings.Join(names, ", "))
	return "", ""
}

func (l *loader) rule(n RuleNode) gate.Rule {
	check, name := n.Check, n.Name
	if n.Short.Given() {
		check = n.Short
	}
	r := gate.Rule{Name: name.Value, Check: strings.TrimSpace(check.Value), OnFail: n.OnFail.Value, First: n.First.Value, Why: n.Why.Value, Pos: n.At}
	if r.OnFail == "" {
		r.OnFail = gate.Block
	}
	if r.Name == "" {
		r.Name = r.Check
	}
	if !check.Given() {
		return r
	}
	r.Pos = check.At
	if l.compiles(check, gate.ScopeRule) {
		l.factsOf(check, r.Check)
	}
	return r
}

// compiles checks a CEL expression and puts its problem at its place in the file.
func (l *loader) compiles(t Text, scope gate.Scope) bool {
	if hs := holes(t.Value); len(hs) > 0 {
		l.report(t.at(hs[0].start, hs[0].end-hs[0].start), "L0111", "a rule reads facts by their name, without ${{ }}", "write "+hs[0].expr)
		return false
	}
	err := gate.CompileIn(t.Value, scope)
	if err == nil {
		return true
	}
	var e *lastro.Error
	if !errors.As(err, &e) {
		l.report(t.At, "L0181", err.Error(), "")
		return false
	}
	l.add(&lastro.Error{Code: e.Code, ID: e.ID, Msg: e.Msg, Hint: e.Hint, Pos: l.inside(t, e.Pos)})
	return false
}

// inside moves a place within an expression to its place in the file.
func (l *loader) inside(t Text, p lastro.Pos) lastro.Pos {
	lines := strings.Split(t.Value, "\n")
	if p.Line < 1 || p.Line > len(lines) || p.Col < 1 {
		return t.At
	}
	offset := p.Col - 1
	for _, line := range lines[:p.Line-1] {
		offset += len([]rune(line)) + 1
	}
	return t.at(offset, max(1, p.End-p.Col))
}

// factsOf reports facts that nothing in this file will ever write.
func (l *loader) factsOf(t Text, check string) {
	reads, err := gate.Reads(check)
	if err != nil {
		return
	}
	for _, name := range reads {
		at := l.wordAt(t, name)
		root, rest, _ := strings.Cut(name, ".")
		switch root {
		case "data":
			l.dataFact(at, name, rest)
		case "compare":
			l.writtenBy(at, name, "lastro/compare")
		case "fairness":
			l.writtenBy(at, name, "lastro/fairness")
		case "tests":
			if !slices.ContainsFunc(l.project.Pipeline.Steps, func(s pipeline.StepSpec) bool { return len(s.Reports) > 0 }) {
				l.report(at, "L0183", fmt.Sprintf("no step writes %s", name), "give the step that tests  reports: {junit: work/junit.xml}")
			}
		case "scan", "sbom":
			l.unsupported(at, "fact "+name, "remove the rule")
		case "steps":
			if near, ok := l.stepFact(rest); !ok {
				l.report(at, "L0183", fmt.Sprintf("no step writes %s", name), near)
			}
		}
	}
}

func (l *loader) writtenBy(at lastro.Pos, fact, kind string) {
	if !slices.ContainsFunc(l.project.Pipeline.Steps, func(s pipeline.StepSpec) bool { return s.Kind == kind }) {
		l.report(at, "L0183", fmt.Sprintf("no step writes %s", fact), fmt.Sprintf("add a step with  uses: %s", kind))
	}
}

// dataFact checks data.NAME.checks.failed; a name may hold dots itself.
func (l *loader) dataFact(at lastro.Pos, fact, rest string) {
	name, found := "", false
	for _, d := range l.project.Datasets {
		if strings.HasPrefix(rest, d.Name+".") {
			name, found = d.Name, true
		}
	}
	switch {
	case !found:
		first, _, _ := strings.Cut(rest, ".")
		l.report(at, "L0121", fmt.Sprintf("%q is not a dataset", first), didYouMean(first, sortedKeys(l.datasets)))
	case !slices.Contains([]string{"checks.total", "checks.failed"}, strings.TrimPrefix(rest, name+".")):
		l.report(at, "L0183", fmt.Sprintf("nothing writes %s", fact), didYouMean(fact, []string{"data." + name + ".checks.failed", "data." + name + ".checks.total"}))
	case l.datasets[name].Contract == "":
		l.report(at, "L0183", fmt.Sprintf("nothing writes %s: dataset %q has no contract", fact, name), "give the dataset  contract: contracts/"+name+".odcs.yaml")
	}
}

func (l *loader) stepFact(rest string) (hint string, ok bool) {
	for _, s := range l.order {
		if strings.HasPrefix(rest, s+".metrics.") {
			return "", true
		}
	}
	first, _, _ := strings.Cut(rest, ".")
	if l.steps[first] != nil {
		return fmt.Sprintf("write steps.%s.metrics.NAME", first), false
	}
	return didYouMean(first, l.order), false
}
