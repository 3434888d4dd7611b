// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"lastro/pipeline"
)

// manyCells is how many cells of a step are drawn one by one; more are one box
// and one row with counts, and the step's own page lists them.
const manyCells = 12

// maxNodes is how many boxes a graph may have and still be read.
const maxNodes = 200

// stepGroup is one step of a run with all its cells and attempts.
type stepGroup struct {
	Name  string
	Spec  pipeline.StepSpec  // the zero value when the run's spec has no such step
	Needs []string           // names of the steps that it waits for
	All   []pipeline.StepRun // every attempt, in the order in which they were recorded
	Now   []pipeline.StepRun // the newest attempt of each cell
}

// grouped brings step runs together by step, in the order of the file.
func grouped(run pipeline.Run, steps []pipeline.StepRun) []*stepGroup {
	var out []*stepGroup
	by := map[string]*stepGroup{}
	add := func(name string) *stepGroup {
		g := &stepGroup{Name: name}
		by[name] = g
		out = append(out, g)
		return g
	}
	present := map[string]bool{}
	for _, s := range steps {
		present[s.Step] = true
	}
	for _, spec := range run.Spec.Steps {
		if !present[spec.Name] {
			continue
		}
		g := add(spec.Name)
		g.Spec, g.Needs = spec, slices.Clone(spec.Needs)
		for _, in := range spec.Inputs {
			if in.Step != "" && !slices.Contains(g.Needs, in.Step) {
				g.Needs = append(g.Needs, in.Step)
			}
		}
	}
	for _, s := range steps {
		g := by[s.Step]
		if g == nil {
			g = add(s.Step)
		}
		g.All = append(g.All, s)
	}
	for _, g := range out {
		g.Now = latest(g.All)
	}
	return out
}

// badness orders states: the worst of the cells is the state of the step.
var badness = []pipeline.State{pipeline.Cached, pipeline.Succeeded, pipeline.Skipped, pipeline.Pending, pipeline.Cancelled, pipeline.Waiting, pipeline.Running, pipeline.Errored, pipeline.Failed}

// state is the worst of its cells.
func (g *stepGroup) state() pipeline.State {
	worst := -1
	for _, s := range g.Now {
		worst = max(worst, slices.Index(badness, s.State))
	}
	if worst < 0 {
		return pipeline.Pending
	}
	return badness[worst]
}

// stateCount is how many cells are in a state.
type stateCount struct {
	State pipeline.State
	N     int
}

// counts are the states of its cells, the worst first.
func (g *stepGroup) counts() []stateCount {
	n := map[pipeline.State]int{}
	for _, s := range g.Now {
		n[s.State]++
	}
	var out []stateCount
	for _, s := range slices.Backward(badness) {
		if n[s] > 0 {
			out = append(out, stateCount{s, n[s]})
		}
	}
	return out
}

// countWords writes counts with their signs: ✗ 2  ✓ 9,998.
func countWords(l Lang, counts []stateCount) string {
	var parts []string
	for _, c := range counts {
		parts = append(parts, stateSymbol(c.State)+" "+l.Int(int64(c.N)))
	}
	return strings.Join(parts, "  ")
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
	type cell struct {
		step string
		cell int
	}
	var out []pipeline.StepRun
	at := map[cell]int{}
	for _, s := range steps {
		key := cell{s.Step, s.Cell}
		if i, ok := at[key]; ok {
			if s.Attempt >= out[i].Attempt {
				out[i] = s
			}
			continue
		}
		at[key] = len(out)
		out = append(out, s)
	}
	return out
}

// stepLink leads to the details of a step, cell or attempt on its run's page.
func stepLink(run int64, step string, cell, attempt int) string {
	q := url.Values{"step": {step}}
	if cell > 0 {
		q.Set("cell", fmt.Sprint(cell))
	}
	if attempt > 0 {
		q.Set("attempt", fmt.Sprint(attempt))
	}
	return fmt.Sprintf("/runs/%d?%s#step", run, q.Encode())
}

// with is the page's own address with one value of the query set, or left out
// when it is "".
func with(u *url.URL, key, value string) string {
	q := u.Query()
	q.Del("lang")
	if q.Set(key, value); value == "" {
		q.Del(key)
	}
	if len(q) == 0 {
		return u.Path
	}
	return u.Path + "?" + q.Encode()
}

// runGraph draws what waited for what; "" when there is nothing to draw or too
// much to read, and then the timeline lists it.
func (p *Pages) runGraph(l Lang, run pipeline.Run, groups []*stepGroup) template.HTML {
	boxes := 0
	for _, g := range groups {
		if boxes++; len(g.Now) <= manyCells {
			boxes += len(g.Now) - 1
		}
	}
	limit := manyCells
	if boxes > maxNodes {
		limit = 1 // one box a step
	}
	if len(groups) == 0 || len(groups) > maxNodes {
		return ""
	}
	var nodes []node
	byStep := map[string][]int{}
	var words []string
	add := func(g *stepGroup, n node) {
		for _, need := range g.Needs {
			n.Needs = append(n.Needs, byStep[need]...)
		}
		byStep[g.Name] = append(byStep[g.Name], len(nodes))
		nodes = append(nodes, n)
	}
	for _, g := range groups {
		if len(g.Now) > limit {
			state := g.state()
			name := g.Name + " ×" + l.Int(int64(len(g.Now)))
			add(g, node{Name: name, State: stateClass(state), Note: countWords(l, g.counts()), Link: stepLink(run.Number, g.Name, 0, 0)})
			words = append(words, name+" "+l.T("state."+string(state)))
			continue
		}
		for _, s := range g.Now {
			n := node{Name: stepTitle(s), State: stateClass(s.State), Note: stateSymbol(s.State) + " " + l.T("state."+string(s.State)), Link: stepLink(run.Number, s.Step, s.Cell, 0)}
			if s.State == pipeline.Succeeded {
				n.Note = "✓ " + l.Span(p.lasted(s.StartedAt, s.EndedAt))
			}
			add(g, n)
			words = append(words, stepTitle(s)+" "+l.T("state."+string(s.State)))
		}
	}
	return graph("steps", l.T("run.graph", run.Number), strings.Join(words, "; "), nodes)
}
