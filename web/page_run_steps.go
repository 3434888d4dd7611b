// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"lastro/pipeline"
)

// stepRow is one line of the timeline.
type stepRow struct {
	Name, Cell string
	Title      string
	State      pipeline.State
	Bar        template.HTML
	Took       string
	Reason     string
	Note       string
	Link       string
	Attempt    int
}

func stepTitle(s pipeline.StepRun) string {
	if s.Cell == 0 {
		return s.Step
	}
	var values []string
	for _, k := range slices.Sorted(mapKeys(s.Values)) {
		values = append(values, fmt.Sprint(s.Values[k]))
	}
	return s.Step + " " + strings.Join(values, " · ")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// latest keeps the newest attempt of each step and cell, in order.
func latest(steps []pipeline.StepRun) []pipeline.StepRun {
	var out []pipeline.StepRun
	at := map[string]int{}
	for _, s := range steps {
		key := fmt.Sprintf("%s.%d", s.Step, s.Cell)
		if i, ok := at[key]; ok {
			out[i] = s
			continue
		}
		at[key] = len(out)
		out = append(out, s)
	}
	return out
}

// runGraph draws what waited for what.
func runGraph(l Lang, run pipeline.Run, steps []pipeline.StepRun) template.HTML {
	needs := map[string][]string{}
	for _, s := range run.Spec.Steps {
		needs[s.Name] = slices.Clone(s.Needs)
		for _, in := range s.Inputs {
			if in.Step != "" && !slices.Contains(needs[s.Name], in.Step) {
				needs[s.Name] = append(needs[s.Name], in.Step)
			}
		}
	}
	var nodes []node
	byStep := map[string][]int{}
	var words []string
	for _, s := range latest(steps) {
		n := node{Name: stepTitle(s), State: stateClass(s.State), Note: stateSymbol(s.State) + " " + l.T("state."+string(s.State))}
		if s.State == pipeline.Succeeded {
			n.Note = "✓ " + l.Span(lasted(s.StartedAt, s.EndedAt))
		}
		for _, need := range needs[s.Step] {
			n.Needs = append(n.Needs, byStep[need]...)
		}
		byStep[s.Step] = append(byStep[s.Step], len(nodes))
		nodes = append(nodes, n)
		words = append(words, stepTitle(s)+" "+l.T("state."+string(s.State)))
	}
	if len(nodes) == 0 {
		return ""
	}
	return graph("steps", l.T("run.graph", run.Number), strings.Join(words, "; "), nodes)
}

func timeline(l Lang, run pipeline.Run, steps []pipeline.StepRun) []stepRow {
	total := lasted(run.StartedAt, run.EndedAt).Seconds()
	var rows []stepRow
	for _, s := range steps {
		row := stepRow{Name: s.Step, Title: stepTitle(s), State: s.State, Reason: s.Reason, Attempt: s.Attempt, Took: "–",
			Link: fmt.Sprintf("/runs/%d?step=%s&cell=%d#log", run.Number, s.Step, s.Cell)}
		if !s.StartedAt.IsZero() {
			start := s.StartedAt.Sub(run.StartedAt).Seconds()
			took := lasted(s.StartedAt, s.EndedAt)
			row.Took = l.Span(took)
			row.Bar = bar(start, start+took.Seconds(), total, stateClass(s.State))
		}
		if s.MaxRSSBytes > 0 {
			row.Note = l.T("run.memory", l.Int(s.MaxRSSBytes>>20))
		}
		rows = append(rows, row)
	}
	return rows
}
