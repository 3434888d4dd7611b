// SPDX-License-Identifier: Apache-2.0

package project

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
)

// condition checks what stands under if:.
func (l *loader) condition(t Text, sc scope) string {
	if !t.Given() {
		return ""
	}
	if hs := holes(t.Value); len(hs) > 0 {
		l.report(t.at(hs[0].start, hs[0].end-hs[0].start), "L0111", "a condition reads names without ${{ }}", "write "+hs[0].expr)
		return ""
	}
	if err := (gate.Expressions{}).Condition(t.Value); err != nil {
		var e *lastro.Error
		if !errors.As(err, &e) {
			l.report(t.At, "L0181", err.Error(), "")
			return ""
		}
		hint := e.Hint
		if strings.Contains(e.Msg, "not true or false") {
			hint = "compare it with something: metrics.auc > 0.7"
		}
		l.add(&lastro.Error{Code: e.Code, ID: e.ID, Msg: e.Msg, Hint: hint, Pos: l.inside(t, e.Pos)})
		return ""
	}
	reads, err := gate.Expressions{}.Reads(t.Value)
	if err != nil {
		return ""
	}
	good := true
	for _, name := range reads {
		good = l.checkName(func() lastro.Pos { return l.wordAt(t, name) }, name, sc) && good
	}
	if good {
		sc.tryAll(reads, func(values map[string]any) bool {
			_, err := gate.Expressions{}.Bool(t.Value, values)
			var e *lastro.Error
			if errors.As(err, &e) {
				l.report(t.At, "L0181", e.Msg, e.Hint)
			}
			return err == nil
		})
	}
	return t.Value
}

// laterChecks looks at expressions over facts, now that all steps are known:
// only steps that this one waits for have ended when they are read.
func (l *loader) laterChecks() {
	if slices.ContainsFunc(l.problems, func(p *lastro.Error) bool { return p.ID == "L0122" }) {
		return // who waits for whom is not known
	}
	ancestors, last := pipeline.Ancestors(l.project.Pipeline.Steps), -1
	var before []bool
	for _, c := range l.later {
		if at := l.place[c.sc.step]; at != last {
			before, last = ancestors(at), at
		}
		if root, rest, _ := strings.Cut(c.name, "."); root == "steps" {
			l.ofStep(c, rest, before)
		} else {
			l.ofAnyStep(c, root, before)
		}
	}
}

// ofStep checks steps.NAME.FACT.
func (l *loader) ofStep(c checked, rest string, before []bool) {
	name, fact, _ := strings.Cut(rest, ".")
	spec, known := l.spec(name)
	switch {
	case !known:
		hint := didYouMean(name, l.order)
		for _, step := range l.order { // in CEL a hyphen is a minus
			if strings.HasPrefix(step, name+"-") {
				hint = fmt.Sprintf("a name with a hyphen is written in brackets: steps[%q].metrics.NAME", step)
			}
		}
		l.report(c.at(), "L0121", fmt.Sprintf("%q is not a step", name), hint)
		return
	case name == c.sc.step:
		l.report(c.at(), "L0114", fmt.Sprintf("step %q cannot read its own facts: it has not run then", name), "read those of a step before it")
		return
	case !before[l.place[name]]:
		l.report(c.at(), "L0114", fmt.Sprintf("step %q does not wait for step %q, so it cannot read what that found out", c.sc.step, name), fmt.Sprintf("add  needs: [%s]", name))
		return
	}
	group, key, _ := strings.Cut(fact, ".")
	switch {
	case slices.Contains(factRoots, group) && key != "":
		l.writes(c, spec, group)
	default:
		l.report(c.at(), "L0114", fmt.Sprintf("%q names no fact of a step", c.name), fmt.Sprintf("such as steps.%s.metrics.NAME or steps.%s.values.NAME", name, name))
	}
}

// ofAnyStep checks a fact that stands alone: some step before has to write it.
func (l *loader) ofAnyStep(c checked, root string, before []bool) {
	if !slices.Contains(before, true) {
		l.report(c.at(), "L0114", fmt.Sprintf("step %q waits for no step, so there is nothing that writes %s", c.sc.step, c.name), "name the step that does under needs, or one of its outputs under inputs")
		return
	}
	found := false
	for i, waited := range before {
		found = found || waited && writes(l.project.Pipeline.Steps[i], root)
	}
	if !found {
		l.report(c.at(), "L0114", fmt.Sprintf("none of the steps before %q writes %s", c.sc.step, c.name), writers[root])
	}
}

// writers says, of each group of facts, which steps write them.
var writers = map[string]string{
	"metrics":  "a command writes metrics to a file that it declares: metrics: work/metrics.json",
	"tests":    "the step that tests declares its report: reports: {junit: work/junit.xml}",
	"sarif":    "the step that scans declares its report: reports: {sarif: work/scan.sarif}",
	"coverage": "the step that tests declares its report: reports: {coverage: work/coverage.xml}",
	"values":   "commands and notebooks write NAME=value lines to the file $LASTRO_OUTPUT",
	"compare":  "a step with uses: lastro/compare does",
	"fairness": "a step with uses: lastro/fairness does",
}

// writes reports whether a step can write facts of a group.
func writes(s pipeline.StepSpec, group string) bool {
	switch group {
	case "metrics", "values":
		return len(s.Metrics) > 0 || s.Kind == "run" || s.Kind == "notebook"
	case "tests":
		return s.Reports["junit"] != "" || s.Reports["gotest"] != ""
	case "sarif":
		return s.Reports["sarif"] != ""
	case "coverage":
		return s.Reports["coverage"] != ""
	}
	return s.Kind == "lastro/"+group
}

func (l *loader) writes(c checked, s pipeline.StepSpec, group string) {
	if !writes(s, group) {
		l.report(c.at(), "L0114", fmt.Sprintf("step %q never writes %s", s.Name, strings.TrimPrefix(c.name, "steps."+s.Name+".")), writers[group])
	}
}

func (l *loader) spec(step string) (pipeline.StepSpec, bool) {
	i, ok := l.place[step]
	if !ok || i >= len(l.project.Pipeline.Steps) {
		return pipeline.StepSpec{}, false
	}
	return l.project.Pipeline.Steps[i], true
}
