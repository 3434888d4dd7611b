// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"lastro"
	"lastro/pipeline"
)

// names lists everything that an input can name.
func (l *loader) names() []string {
	var out []string
	for _, d := range l.project.Datasets {
		out = append(out, d.Name)
	}
	for _, s := range l.order {
		out = append(out, s)
		for _, o := range l.steps[s].Outputs.Named.Entries {
			out = append(out, s+"."+o.Key.Value)
		}
	}
	return out
}

// input resolves the name of a dataset, a step or a step's output.
func (l *loader) input(t Text) (pipeline.Input, bool) {
	in := pipeline.Input{Pos: t.At}
	if _, ok := l.datasets[t.Value]; ok {
		in.Dataset = t.Value
		return in, true
	}
	step, output, _ := strings.Cut(t.Value, ".")
	n, ok := l.steps[step]
	if !ok {
		l.report(t.At, "L0121", fmt.Sprintf("%q is not a dataset, a step or a step output", t.Value), didYouMean(t.Value, l.names()))
		return in, false
	}
	in.Step, in.Output = step, output
	var outputs []string
	for _, o := range n.Outputs.Named.Entries {
		outputs = append(outputs, o.Key.Value)
	}
	switch {
	case output != "" && !slices.Contains(outputs, output):
		hint := fmt.Sprintf("step %q has no outputs", step)
		if len(outputs) > 0 {
			hint = didYouMean(t.Value, prefixed(step+".", outputs))
		}
		l.report(t.At, "L0121", fmt.Sprintf("step %q has no output %q", step, output), hint)
		return in, false
	case len(outputs) == 0 && n.Outputs.Paths.At.Line == 0:
		l.report(t.At, "L0121", fmt.Sprintf("step %q has no outputs to read", step), fmt.Sprintf("to order the steps without data:  needs: [%s]", step))
		return in, false
	}
	return in, true
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

func (l *loader) stepInputs(n *StepNode, s *pipeline.StepSpec) {
	var seen []string
	for _, t := range n.Inputs.Items {
		if slices.Contains(seen, t.Value) {
			l.report(t.At, "L0109", fmt.Sprintf("input %q is given twice", t.Value), "keep one")
			continue
		}
		seen = append(seen, t.Value)
		if in, ok := l.input(t); ok {
			s.Inputs = append(s.Inputs, in)
		}
	}
	for _, t := range n.Needs.Items {
		if _, ok := l.steps[t.Value]; !ok {
			l.report(t.At, "L0121", fmt.Sprintf("%q is not a step", t.Value), didYouMean(t.Value, l.order))
			continue
		}
		s.Needs = append(s.Needs, t.Value)
	}
}

// output is a path that a step writes, and where the file says so.
type output struct {
	step, path string
	at         lastro.Pos
}

// sameOutputs reports two outputs at one path, or one within the other.
func (l *loader) sameOutputs() {
	at := map[string]output{}    // by path, the first there
	below := map[string]output{} // by folder, the first that lies in it
	for _, mine := range l.outputs {
		if other, clash := meets(mine.path, at, below); clash {
			l.report(mine.at, "L0123", fmt.Sprintf("%q is written by step %q too (line %d)", mine.path, other.step, other.at.Line), "each output needs a path of its own")
		}
		for _, d := range l.project.Datasets {
			if within(mine.path, d.Source) || within(d.Source, mine.path) {
				l.report(mine.at, "L0123", fmt.Sprintf("%q lies in the data of %q", mine.path, d.Name), "each output needs a path of its own, such as work/"+path.Base(mine.path))
			}
		}
		if _, taken := at[mine.path]; !taken {
			at[mine.path] = mine
		}
		for dir := range parents(mine.path) {
			if _, known := below[dir]; known {
				break // and so are those above it
			}
			below[dir] = mine
		}
	}
}

// meets finds an earlier output at a path, around it or in it.
func meets(p string, at, below map[string]output) (output, bool) {
	if other, ok := at[p]; ok {
		return other, true
	}
	for dir := range parents(p) {
		if other, ok := at[dir]; ok {
			return other, true
		}
	}
	other, ok := below[p]
	return other, ok
}

// parents are the folders of a clean path, the nearest first.
func parents(p string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(p, '/'); i > 0; i = strings.LastIndexByte(p[:i], '/') {
			if !yield(p[:i]) {
				return
			}
		}
	}
}

// edge is one step waiting for another, and where the file says so.
type edge struct {
	to string
	at lastro.Pos
}

func (l *loader) edges(step string) []edge {
	var out []edge
	n := l.steps[step]
	for _, t := range n.Inputs.Items {
		name, _, _ := strings.Cut(t.Value, ".")
		if _, isData := l.datasets[t.Value]; l.steps[name] != nil && !isData {
			out = append(out, edge{name, t.At})
		}
	}
	for _, t := range n.Needs.Items {
		if l.steps[t.Value] != nil {
			out = append(out, edge{t.Value, t.At})
		}
	}
	return out
}

// cycles reports each circle of steps once, named from step to step.
func (l *loader) cycles() {
	state := map[string]int{} // 1 on the way, 2 done
	var way []string
	var visit func(step string)
	visit = func(step string) {
		state[step] = 1
		way = append(way, step)
		for _, e := range l.edges(step) {
			switch state[e.to] {
			case 0:
				visit(e.to)
			case 1:
				circle := append(slices.Clone(way[slices.Index(way, e.to):]), e.to)
				slices.Reverse(circle)
				l.report(e.at, "L0122", "steps wait for each other: "+strings.Join(circle, " -> "), "take one of these out: an input, or a name under needs")
			}
		}
		way = way[:len(way)-1]
		state[step] = 2
	}
	for _, step := range l.order {
		if state[step] == 0 {
			visit(step)
		}
	}
}

// whoGoesOn reports a matrix whose outputs are read while nothing says from
// which cell.
func (l *loader) whoGoesOn() {
	for i := range l.project.Pipeline.Steps {
		s := &l.project.Pipeline.Steps[i]
		if !s.HasMatrix() || s.Select != nil {
			continue
		}
		cells := len(pipeline.Cells(*s))
		if reader := l.readerOf(s.Name); reader != "" {
			l.report(l.steps[s.Name].Matrix.At, "L0127", fmt.Sprintf("step %q has %d cells and %s reads its output: nothing says which cell goes on", s.Name, cells, reader),
				"add  select: {best: metrics.NAME, goal: max}")
		}
	}
}

func (l *loader) readerOf(step string) string {
	for _, s := range l.project.Pipeline.Steps {
		for _, in := range s.Inputs {
			if in.Step == step {
				return fmt.Sprintf("step %q", s.Name)
			}
		}
	}
	if m := l.file.Model; m != nil && strings.HasPrefix(m.From.Value, step+".") {
		return "the model"
	}
	return ""
}
