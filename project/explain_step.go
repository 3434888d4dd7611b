// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/pipeline"
)

// ExplainStep says in plain words what one step does, what it waits for, reads
// and writes, and when it runs again. The error names the steps that there are.
func ExplainStep(p *Project, name string) ([]Section, error) {
	i := slices.IndexFunc(p.Pipeline.Steps, func(s pipeline.StepSpec) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range p.Pipeline.Steps {
			names = append(names, s.Name)
		}
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0016", Msg: fmt.Sprintf("there is no step %q", name), Hint: didYouMean(name, names)}
	}
	s := p.Pipeline.Steps[i]
	item := explainStep(p, s)
	does := Section{Heading: "What it does", Items: []Item{{Text: item.Text}}}
	for _, more := range item.More {
		does.Items = append(does.Items, Item{Text: more})
	}
	return []Section{does, section("What it waits for", waits(p, s)), section("What it reads", reads(p, s)), section("What it writes", wrote(s)),
		section("When it runs again", again(s))}, nil
}

func section(heading string, lines []string) Section {
	out := Section{Heading: heading}
	for _, l := range lines {
		out.Items = append(out.Items, Item{Text: l})
	}
	if len(lines) == 0 {
		out.Items = []Item{{Text: "nothing"}}
	}
	return out
}

func waits(p *Project, s pipeline.StepSpec) []string {
	var out []string
	for _, in := range s.Inputs {
		if in.Step != "" && !slices.Contains(out, in.Step) {
			out = append(out, in.Step)
		}
	}
	for _, n := range s.Needs {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for i, n := range out {
		spec := p.Pipeline.Steps[slices.IndexFunc(p.Pipeline.Steps, func(other pipeline.StepSpec) bool { return other.Name == n })]
		if spec.HasMatrix() {
			out[i] = fmt.Sprintf("%s, all %d variants", n, len(pipeline.Cells(spec)))
		}
	}
	return out
}

func reads(p *Project, s pipeline.StepSpec) []string {
	var out []string
	for _, in := range s.Inputs {
		switch d, ok := p.Dataset(in.Dataset); {
		case ok:
			place := d.Path
			if place == "" {
				place = d.Source
			}
			out = append(out, fmt.Sprintf("the dataset %s, at %s", d.Name, place))
		default:
			for _, from := range p.Pipeline.Steps {
				for _, o := range from.Outputs {
					if from.Name == in.Step && (in.Output == "" || in.Output == o.Name) {
						out = append(out, fmt.Sprintf("%s.%s, at %s", from.Name, o.Name, o.Path))
					}
				}
			}
		}
	}
	switch {
	case s.Kind != "run" && s.Kind != "notebook":
	case s.Code == nil && s.Workdir == "":
		out = append(out, "the files of the project that git knows or does not ignore")
	case s.Code == nil:
		out = append(out, "the files below "+s.Workdir+" that git knows or does not ignore")
	case len(s.Code) > 0:
		out = append(out, "the files "+strings.Join(s.Code, ", "))
	}
	for _, v := range s.Vars {
		if line := fmt.Sprintf("the value of %s", v.Expr); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

func wrote(s pipeline.StepSpec) []string {
	var out []string
	for _, o := range s.Outputs {
		out = append(out, fmt.Sprintf("%s.%s, at %s", s.Name, o.Name, o.Path))
	}
	for _, m := range s.Metrics {
		out = append(out, fmt.Sprintf("metrics, in %s: the facts metrics.NAME", m))
	}
	for _, format := range sortedKeys(s.Reports) {
		facts := map[string]string{"junit": "tests.total, tests.failed", "gotest": "tests.total, tests.failed", "sarif": "sarif.errors, sarif.warnings", "coverage": "coverage.lines"}[format]
		out = append(out, fmt.Sprintf("a %s report, in %s: the facts %s", format, s.Reports[format], facts))
	}
	for _, file := range s.Plots {
		out = append(out, "a plot, in "+file)
	}
	return out
}

// again says what makes a step run again, and what does not.
func again(s pipeline.StepSpec) []string {
	switch {
	case !s.Cache:
		return []string{"every time: cache is false"}
	case s.Kind != "run" && s.Kind != "notebook":
		return []string{"when its settings or inputs change", "not when its timeout changes"}
	}
	out := []string{"when its command, inputs, files, values, env, names of outputs, the Python lock or the kind of machine change, or one of its secrets is set anew",
		"not when its timeout, retry, resources or select change"}
	if s.MaxAge > 0 {
		out = append(out, "when its result is older than "+span(s.MaxAge))
	}
	return append(out, "lastro plan says which of these it is")
}
