// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func labels(s StepSpec) string {
	var out []string
	for _, c := range Cells(s) {
		out = append(out, CellLabel(s.Matrix, c))
	}
	return strings.Join(out, "; ")
}

// The first case is the example of GitHub's documentation, "Running variations
// of jobs in a workflow", Expanding or adding matrix configurations; the second
// is its example of exclude (12 combinations, two excludes take out 3).
func TestCells(t *testing.T) {
	axes := func(pairs ...any) (out []Axis) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, Axis{Name: pairs[i].(string), Values: pairs[i+1].([]any)})
		}
		return out
	}
	fruit := axes("fruit", []any{"apple", "pear"}, "animal", []any{"cat", "dog"})
	for name, c := range map[string]struct {
		spec StepSpec
		want string
	}{
		"include of GitHub's documentation": {StepSpec{Matrix: fruit, Include: []map[string]any{
			{"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"}, {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"}}},
			"fruit=apple animal=cat color=pink shape=circle; fruit=apple animal=dog color=green shape=circle; fruit=pear animal=cat color=pink; fruit=pear animal=dog color=green; fruit=banana; fruit=banana animal=cat"},
		"exclude of GitHub's documentation": {StepSpec{Matrix: axes("os", []any{"macos", "windows"}, "version", []any{int64(12), int64(14), int64(16)}, "environment", []any{"staging", "production"}),
			Exclude: []map[string]any{{"os": "macos", "version": int64(12), "environment": "production"}, {"os": "windows", "version": int64(16)}}},
			"os=macos version=12 environment=staging; os=macos version=14 environment=staging; os=macos version=14 environment=production; os=macos version=16 environment=staging; os=macos version=16 environment=production; " +
				"os=windows version=12 environment=staging; os=windows version=12 environment=production; os=windows version=14 environment=staging; os=windows version=14 environment=production"},
		"include alone":                     {StepSpec{Include: []map[string]any{{"a": int64(1)}, {"a": int64(2), "b": "x"}}}, "a=1; a=2 b=x"},
		"include after exclude":             {StepSpec{Matrix: fruit, Exclude: []map[string]any{{"fruit": "apple"}}, Include: []map[string]any{{"fruit": "apple", "animal": "cat"}}}, "fruit=pear animal=cat; fruit=pear animal=dog; fruit=apple animal=cat"},
		"whole numbers and fractions agree": {StepSpec{Matrix: axes("n", []any{int64(4), "4"}), Exclude: []map[string]any{{"n": 4.0}}}, "n=4"},
		"nothing is left":                   {StepSpec{Matrix: fruit, Exclude: []map[string]any{{"fruit": "apple"}, {"fruit": "pear"}}}, ""},
		"an exclude that names no axis":     {StepSpec{Matrix: axes("n", []any{int64(1)}), Exclude: []map[string]any{{"m": int64(1)}}}, "n=1"},
		"no matrix":                         {StepSpec{}, ""},
	} {
		if got := labels(c.spec); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	if got := Cells(StepSpec{}); len(got) != 1 || got[0] != nil {
		t.Errorf("without a matrix: %v", got)
	}
}

// Whatever its size, a matrix is counted without being made.
func TestCombinations(t *testing.T) {
	huge := make([]any, 1000)
	s := StepSpec{}
	for i := range 40 {
		s.Matrix = append(s.Matrix, Axis{Name: fmt.Sprint("a", i), Values: huge})
	}
	if n := s.Combinations(); n <= MaxCells {
		t.Errorf("%d", n)
	}
}

// The largest matrix with the most hostile lists is expanded in a moment.
func TestCellsAreQuick(t *testing.T) {
	hundred := make([]any, 100)
	for i := range hundred {
		hundred[i] = int64(i)
	}
	s := StepSpec{Matrix: []Axis{{"a", hundred}, {"b", hundred}}}
	for i := range 1000 {
		s.Exclude = append(s.Exclude, map[string]any{"a": int64(i % 100), "b": int64(200)})
		s.Include = append(s.Include, map[string]any{"a": int64(i % 100), fmt.Sprint("x", i%7): int64(i)})
	}
	start := time.Now()
	if n := len(Cells(s)); n != MaxCells {
		t.Errorf("%d cells", n)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Log(took)
	}
}

// A cell that its condition left out is no candidate.
func TestChooseLeavesSkippedCellsOut(t *testing.T) {
	s := StepSpec{Name: "train", Matrix: []Axis{{"n", []any{int64(1), int64(2), int64(3)}}}, Select: &Select{Best: "metrics.auc", Goal: "max"}}
	runs := []StepRun{{Values: map[string]any{"n": int64(1)}, State: Skipped}, {Values: map[string]any{"n": int64(2)}, State: Succeeded, Facts: map[string]float64{"metrics.auc": 0.7}},
		{Values: map[string]any{"n": int64(3)}, State: Succeeded, Facts: map[string]float64{"metrics.auc": 0.6}}}
	if best, err := choose(s, runs); err != nil || best != 1 {
		t.Errorf("%d, %v", best, err)
	}
}
