// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// order checks how the steps refer to each other and puts them into an order
// in which each comes after what it needs: that of the file where possible.
func (p *planner) order() error {
	steps := p.plan.Spec.Steps
	index := make(map[string]int, len(steps)) // of each step in the file
	names := make([]string, len(steps))
	for i, s := range steps {
		if _, twice := index[s.Name]; twice || s.Name == "" || strings.ContainsAny(s.Name, "./\\") {
			return &lastro.Error{Code: lastro.EInvalid, Pos: s.Pos, Msg: fmt.Sprintf("%q is no name for a step, or two steps have it", s.Name)}
		}
		index[s.Name], names[i] = i, s.Name
	}
	needs, problems := dependencies(steps, index, names)
	if err := problems.OrNil(); err != nil {
		return err
	}
	wanted, err := p.wanted(names, index, needs)
	if err != nil {
		return err
	}
	sorted := inOrder(names, index, needs, wanted)
	if len(sorted) < len(wanted) {
		return cycle(names, needs, wanted, sorted, func(name string) lastro.Pos { return steps[index[name]].Pos })
	}
	p.plan.Steps = make([]PlanStep, len(sorted))
	for i, name := range sorted {
		p.plan.Steps[i] = PlanStep{Spec: steps[index[name]], Needs: needs[name]}
		p.steps[name] = &p.plan.Steps[i]
	}
	return nil
}

// inOrder sorts the wanted steps so that each comes after what it needs; of
// those that are free, the first of the file. Steps of a circle are left out.
// Its time grows with the number of edges, so ten thousand steps are quick.
func inOrder(names []string, index map[string]int, needs map[string][]string, wanted map[string]bool) []string {
	left := make([]int, len(names)) // needs that are still to come
	followers := make([][]int, len(names))
	free := &ints{}
	for i, name := range names {
		if !wanted[name] {
			continue
		}
		left[i] = len(needs[name])
		for _, n := range needs[name] {
			followers[index[n]] = append(followers[index[n]], i)
		}
		if left[i] == 0 {
			heap.Push(free, i)
		}
	}
	sorted := make([]string, 0, len(wanted))
	for free.Len() > 0 {
		i := heap.Pop(free).(int)
		sorted = append(sorted, names[i])
		for _, f := range followers[i] {
			if left[f]--; left[f] == 0 {
				heap.Push(free, f)
			}
		}
	}
	return sorted
}

// ints is a heap, the smallest first.
type ints []int

func (h ints) Len() int           { return len(h) }
func (h ints) Less(i, j int) bool { return h[i] < h[j] }
func (h ints) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ints) Push(x any)        { *h = append(*h, x.(int)) }
func (h *ints) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// directNeeds are the steps that a step names under needs and inputs, each once.
func directNeeds(s StepSpec) []string {
	out := slices.Clone(s.Needs)
	for _, in := range s.Inputs {
		if in.Step != "" {
			out = append(out, in.Step)
		}
	}
	seen := make(map[string]bool, len(out))
	return slices.DeleteFunc(out, func(n string) bool {
		twice := seen[n]
		seen[n] = true
		return twice
	})
}

// dependencies returns the direct needs of each step and what is wrong with
// references and paths.
func dependencies(steps []StepSpec, index map[string]int, names []string) (map[string][]string, lastro.Problems) {
	needs := make(map[string][]string, len(steps))
	var problems lastro.Problems
	for _, s := range steps {
		for _, n := range directNeeds(s) {
			if _, ok := index[n]; ok {
				needs[s.Name] = append(needs[s.Name], n)
				continue
			}
			e := &lastro.Error{Code: lastro.EInvalid, ID: "L0121", Pos: s.Pos, Msg: fmt.Sprintf("step %q needs %q, which is no step", s.Name, n)}
			if near := lastro.Nearest(n, names); near != "" {
				e.Hint = "did you mean " + near + "?"
			}
			problems = append(problems, e)
		}
		problems = append(problems, badPaths(s)...)
	}
	return needs, problems
}

func badPaths(s StepSpec) (problems lastro.Problems) {
	paths := slices.Clone(s.Metrics)
	for _, o := range s.Outputs {
		paths = append(paths, o.Path)
	}
	paths = slices.AppendSeq(paths, maps.Values(s.Reports))
	for _, p := range paths {
		if !local(p) {
			problems = append(problems, &lastro.Error{Code: lastro.EInvalid, ID: "L0124", Pos: s.Pos,
				Msg: fmt.Sprintf("step %q: %q is not a path inside the workspace", s.Name, p), Hint: "write a path relative to the repository root, without .."})
		}
	}
	return problems
}

// wanted are the steps of --only with all they need, or all steps; it also
// marks what --from forces.
func (p *planner) wanted(names []string, index map[string]int, needs map[string][]string) (map[string]bool, error) {
	for _, asked := range slices.Concat(p.o.Only, p.o.From) {
		if _, ok := index[asked]; !ok {
			e := &lastro.Error{Code: lastro.EInvalid, ID: "L0121", Msg: fmt.Sprintf("there is no step %q", asked), Hint: "there are " + someOf(names, 12)}
			if near := lastro.Nearest(asked, names); near != "" {
				e.Hint = "did you mean " + near + "?"
			}
			return nil, e
		}
	}
	wanted := map[string]bool{}
	if len(p.o.Only) == 0 {
		for _, n := range names {
			wanted[n] = true
		}
	} else {
		closure(p.o.Only, needs, wanted)
	}
	followers := map[string][]string{}
	for name, ns := range needs {
		for _, n := range ns {
			followers[n] = append(followers[n], name)
		}
	}
	closure(p.o.From, followers, p.from)
	return wanted, nil
}

// closure adds the names and everything reachable from them.
func closure(names []string, edges map[string][]string, into map[string]bool) {
	todo := slices.Clone(names)
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !into[n] {
			into[n] = true
			todo = append(todo, edges[n]...)
		}
	}
}

// cycle names the steps that wait for each other, given those that do not.
func cycle(names []string, needs map[string][]string, wanted map[string]bool, sorted []string, pos func(string) lastro.Pos) error {
	stuck := maps.Clone(wanted)
	for _, name := range sorted {
		delete(stuck, name)
	}
	waits := func(n string) bool { return stuck[n] }
	at := names[slices.IndexFunc(names, waits)]
	var way []string
	met := map[string]int{}
	for {
		if first, again := met[at]; again {
			way = append(way[first:], at)
			break
		}
		met[at] = len(way)
		way = append(way, at)
		at = needs[at][slices.IndexFunc(needs[at], waits)]
	}
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0122", Pos: pos(at), Msg: "these steps wait for each other: " + shortWay(way),
		Hint: "remove one of these inputs or needs"}
}

// shortWay joins the steps of a circle; the middle of a long one is left out.
func shortWay(way []string) string {
	if len(way) > 12 {
		way = slices.Concat(way[:6], []string{fmt.Sprintf("… (%d more)", len(way)-11)}, way[len(way)-5:])
	}
	return strings.Join(way, " → ")
}
