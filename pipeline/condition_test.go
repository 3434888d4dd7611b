// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A thousand steps in a row are put in order in time that grows with their
// number, whatever the order of the file.
func TestOrderOfManySteps(t *testing.T) {
	const n = 10_000
	var steps []StepSpec
	for i := range n { // the file names them backwards
		s := StepSpec{Name: fmt.Sprintf("s%d", n-i)}
		if n-i > 1 {
			s.Needs = []string{fmt.Sprintf("s%d", n-i-1)}
		}
		steps = append(steps, s)
	}
	p := &planner{plan: &Plan{Spec: Spec{Steps: steps}}, steps: map[string]*PlanStep{}, from: map[string]bool{}}
	start := time.Now()
	if err := p.order(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%d steps took %v", n, took)
	}
	for i, s := range p.plan.Steps {
		if want := fmt.Sprintf("s%d", i+1); s.Spec.Name != want {
			t.Fatalf("step %d is %s, want %s", i, s.Spec.Name, want)
		}
	}
}

// Of the steps that are free, the first of the file comes first.
func TestOrderKeepsTheFile(t *testing.T) {
	steps := []StepSpec{{Name: "c", Needs: []string{"a"}}, {Name: "b"}, {Name: "a"}, {Name: "d", Inputs: []Input{{Step: "c", Output: "x"}, {Step: "c", Output: "y"}}}}
	p := &planner{plan: &Plan{Spec: Spec{Steps: steps}}, steps: map[string]*PlanStep{}, from: map[string]bool{}}
	if err := p.order(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.plan.Steps {
		got = append(got, s.Spec.Name)
	}
	if want := []string{"b", "a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if !slices.Equal(p.plan.Steps[3].Needs, []string{"c"}) {
		t.Errorf("d needs %v", p.plan.Steps[3].Needs)
	}
}

func TestHoles(t *testing.T) {
	for text, want := range map[string][]Hole{
		"a ${{ params.x }} b":         {{2, 17, "params.x", true}},
		`${{ a == "}}" }}${{b}}`:      {{0, 16, `a == "}}"`, true}, {16, 22, "b", true}},
		"${{ don't }} x":              {{0, 12, "don't", true}},
		"${{ 'it\\'s }}' }}":          {{0, 17, "'it\\'s }}'", true}},
		"x ${{ params.x":              {{2, 14, "params.x", false}},
		"$ {{ }} $${ {":               nil,
		"${{ 'a\nb }}' }}":            {{0, 11, "'a\nb", true}},
		"é ${{ params.x }}":           {{3, 18, "params.x", true}},
		"${{ x }}${{ y }}${{ z":       {{0, 8, "x", true}, {8, 16, "y", true}, {16, 21, "z", false}},
		"${{ {'a': 1}['a'] }} and }}": {{0, 20, "{'a': 1}['a']", true}},
		"${{ }} ${{}}":                {{0, 6, "", true}, {7, 12, "", true}},
	} {
		if got := Holes(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// What a step is given by value is the value, whatever it looks like; nothing
// of it is read as an expression again.
func TestResolveKeepsValues(t *testing.T) {
	for _, v := range []string{"", " ", "${{ params.y }}", "}}", "${{", "$(x)", "'\"`", "a\nb", "\\", "\u2028", "{\"a\": 1}", "x}} ${{ params.y", strings.Repeat("x", 50<<10)} {
		s := newScope(map[string]any{"x": v, "y": "SECOND"}, Git{}, nil, nil)
		spec, vars, err := s.resolve(StepSpec{With: json.RawMessage(`{"a":"${{ params.x }}","b":["<${{params.x}}>"]}`), Argv: []string{"p", "${{ params.x }}", "--v=${{ params.x }}."},
			Env: map[string]string{"A": "${{ params.x }}/${{ params.x }}"}, Vars: []Var{{"V", "params.x"}}, Services: []ServiceSpec{{Env: map[string]string{"B": "${{ params.x }}"}}}})
		if err != nil {
			t.Errorf("%.40q: %v", v, err)
			continue
		}
		var with struct {
			A string
			B []string
		}
		if err := json.Unmarshal(spec.With, &with); err != nil || with.A != v || with.B[0] != "<"+v+">" {
			t.Errorf("%.40q: with %.80s, %v", v, spec.With, err)
		}
		if spec.Argv[1] != v || spec.Argv[2] != "--v="+v+"." || spec.Env["A"] != v+"/"+v || vars["V"] != v || spec.Services[0].Env["B"] != v {
			t.Errorf("%.40q: %.200q", v, fmt.Sprint(spec.Argv, spec.Env, vars, spec.Services))
		}
	}
}
