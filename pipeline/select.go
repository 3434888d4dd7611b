// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// choose returns the index of the cell whose outputs go on. Means are taken
// over the averaged axis (SEMANTICS 20); of equal ones the first wins. A cell
// without the metric is EFailed: nothing can be compared with it.
func choose(s StepSpec, runs []StepRun) (int, error) {
	if !s.HasMatrix() {
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
		if r.State == Skipped {
			continue // its if: left it out
		}
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
		return nil, lastro.Errorf(lastro.EInvalid, "no cell of the matrix of step %q ran", s.Name)
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
