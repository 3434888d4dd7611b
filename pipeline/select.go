// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// cells returns the values of every cell of a matrix, the last axis fastest;
// one nil without a matrix.
func cells(axes []Axis) []map[string]any {
	out := []map[string]any{nil}
	for _, a := range axes {
		var next []map[string]any
		for _, c := range out {
			for _, v := range a.Values {
				cell := maps.Clone(c)
				if cell == nil {
					cell = map[string]any{}
				}
				cell[a.Name] = v
				next = append(next, cell)
			}
		}
		out = next
	}
	return out
}

// choose returns the index of the cell whose outputs go on. Means are taken
// over the averaged axis (SEMANTICS 20); of equal ones the first wins. A cell
// without the metric is EFailed: nothing can be compared with it.
func choose(s StepSpec, runs []StepRun) (int, error) {
	if len(s.Matrix) == 0 {
		return 0, nil
	}
	if s.Select == nil {
		return -1, nil
	}
	groups, err := scores(s, runs)
	if err != nil {
		return -1, err
	}
	best := groups[0]
	for _, g := range groups[1:] {
		if (s.Select.Goal == "min" && g.mean < best.mean) || (s.Select.Goal != "min" && g.mean > best.mean) {
			best = g
		}
	}
	return best.first, nil
}

// group is the cells that differ in the averaged axis only.
type group struct {
	first int // its first cell: the averaged axis's first value
	mean  float64
	n     int
}

func scores(s StepSpec, runs []StepRun) ([]group, error) {
	var out []group
	index := map[string]int{}
	for i, r := range runs {
		v, ok := r.Facts[s.Select.Best]
		if !ok {
			return nil, noMetric(s, r)
		}
		values := maps.Clone(r.Values)
		delete(values, s.Select.AverageOver)
		key := CellLabel(s.Matrix, values)
		at, ok := index[key]
		if !ok {
			at = len(out)
			index[key] = at
			out = append(out, group{first: i})
		}
		g := &out[at]
		g.n++
		g.mean += (v - g.mean) / float64(g.n)
	}
	if len(out) == 0 {
		return nil, lastro.Errorf(lastro.EInvalid, "the matrix of step %q has no cells", s.Name)
	}
	return out, nil
}

func noMetric(s StepSpec, r StepRun) error {
	have := slices.Sorted(maps.Keys(r.Facts))
	e := &lastro.Error{Code: lastro.EFailed, ID: "L0307", Pos: s.Pos,
		Msg:  fmt.Sprintf("step %q selects by %s, which its cell %s did not write", s.Name, s.Select.Best, CellLabel(s.Matrix, r.Values)),
		Hint: "it wrote no metrics: declare the file with `metrics:`"}
	if len(have) > 0 {
		e.Hint = "it wrote " + strings.Join(have, ", ")
		if near := lastro.Nearest(s.Select.Best, have); near != "" {
			e.Hint += "; did you mean " + near + "?"
		}
	}
	return e
}
