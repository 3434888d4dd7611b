// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// order checks how the steps refer to each other and puts them into an order
// in which each comes after what it needs: that of the file where possible.
func (p *planner) order() error {
	byName := map[string]StepSpec{}
	var names []string
	for _, s := range p.plan.Spec.Steps {
		if _, twice := byName[s.Name]; twice || s.Name == "" || strings.ContainsAny(s.Name, "./\\") {
			return &lastro.Error{Code: lastro.EInvalid, Pos: s.Pos, Msg: fmt.Sprintf("%q is no name for a step, or two steps have it", s.Name)}
		}
		byName[s.Name] = s
		names = append(names, s.Name)
	}
	needs, problems := dependencies(p.plan.Spec.Steps, names)
	if err := problems.OrNil(); err != nil {
		return err
	}
	wanted, err := p.wanted(names, needs)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for range names {
		for _, name := range names {
			if done[name] || !wanted[name] || !all(needs[name], done) {
				continue
			}
			done[name] = true
			p.plan.Steps = append(p.plan.Steps, PlanStep{Spec: byName[name], Needs: needs[name]})
			break
		}
	}
	if len(done) < len(wanted) {
		return cycle(names, needs, done, byName)
	}
	for i := range p.plan.Steps {
		p.steps[p.plan.Steps[i].Spec.Name] = &p.plan.Steps[i]
	}
	return nil
}

func all(names []string, in map[string]bool) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !in[n] })
}

// dependencies returns the direct needs of each step and what is wrong with
// references and paths.
func dependencies(steps []StepSpec, names []string) (map[string][]string, lastro.Problems) {
	needs := map[string][]string{}
	var problems lastro.Problems
	for _, s := range steps {
		list := slices.Clone(s.Needs)
		for _, in := range s.Inputs {
			if in.Step != "" {
				list = append(list, in.Step)
			}
		}
		for _, n := range list {
			if slices.Contains(names, n) {
				if !slices.Contains(needs[s.Name], n) {
					needs[s.Name] = append(needs[s.Name], n)
				}
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
func (p *planner) wanted(names []string, needs map[string][]string) (map[string]bool, error) {
	for _, asked := range slices.Concat(p.o.Only, p.o.From) {
		if !slices.Contains(names, asked) {
			e := &lastro.Error{Code: lastro.EInvalid, ID: "L0121", Msg: fmt.Sprintf("there is no step %q", asked), Hint: "there are " + strings.Join(names, ", ")}
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
	for _, n := range names {
		if !into[n] {
			into[n] = true
			closure(edges[n], edges, into)
		}
	}
}

// cycle names the steps that wait for each other.
func cycle(names []string, needs map[string][]string, done map[string]bool, specs map[string]StepSpec) error {
	at := names[slices.IndexFunc(names, func(n string) bool { return !done[n] })]
	var way []string
	for !slices.Contains(way, at) {
		way = append(way, at)
		i := slices.IndexFunc(needs[at], func(n string) bool { return !done[n] })
		if i < 0 {
			break
		}
		at = needs[at][i]
	}
	way = append(way[slices.Index(way, at):], at)
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0122", Pos: specs[at].Pos, Msg: "these steps wait for each other: " + strings.Join(way, " → "),
		Hint: "remove one of these inputs or needs"}
}
