// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxCells bounds the cells of one matrix, and its axes multiplied.
const MaxCells = 10_000

// HasMatrix reports whether the step runs in cells.
func (s StepSpec) HasMatrix() bool { return len(s.Matrix) > 0 || len(s.Include) > 0 }

// Combinations multiplies the axes of the matrix: how many cells there are
// before exclude and include. It stops at the first number above MaxCells.
func (s StepSpec) Combinations() int {
	n := 1
	for _, a := range s.Matrix {
		if n *= len(a.Values); n > MaxCells {
			return n
		}
	}
	return n
}

// Cells returns the values of every cell of the step, the last axis fastest;
// one nil without a matrix. exclude takes out the combinations that agree with
// all it names. Then each include goes to every combination of the axes that it
// contradicts in no axis and adds its other values there, over those of an
// earlier include; one that fits none becomes a cell of its own (as GitHub
// Actions has it). The caller has made sure that there are not too many.
func Cells(s StepSpec) []map[string]any {
	if !s.HasMatrix() {
		return []map[string]any{nil}
	}
	m := newMatrix(s.Matrix)
	combos := m.combinations()
	for _, e := range s.Exclude {
		where, known := m.indexes(e)
		if !known || len(where) < len(e) {
			continue // it names what no cell has
		}
		combos = slices.DeleteFunc(combos, func(c combo) bool { return c.agrees(where) })
	}
	var own []map[string]any
	for _, in := range s.Include {
		if !m.extend(combos, in) {
			own = append(own, maps.Clone(in))
		}
	}
	out := make([]map[string]any, 0, len(combos)+len(own))
	for _, c := range combos {
		values := make(map[string]any, len(c.at)+len(c.more))
		for i, a := range s.Matrix {
			values[a.Name] = a.Values[c.at[i]]
		}
		maps.Copy(values, c.more)
		out = append(out, values)
	}
	return append(out, own...)
}

// combo is one combination of the axes.
type combo struct {
	at   []int          // of each axis, the number of its value
	more map[string]any // values that includes added
}

// agrees reports whether the combination has these values of these axes.
func (c combo) agrees(where map[int]int) bool {
	for axis, value := range where {
		if c.at[axis] != value {
			return false
		}
	}
	return true
}

// matrix finds axes and their values by name.
type matrix struct {
	axes  []Axis
	axis  map[string]int
	value []map[string]int // of each axis, the number of a value by its spelling
}

func newMatrix(axes []Axis) matrix {
	m := matrix{axes: axes, axis: map[string]int{}}
	for i, a := range axes {
		m.axis[a.Name] = i
		numbers := make(map[string]int, len(a.Values))
		for n, v := range a.Values {
			numbers[spelled(v)] = n
		}
		m.value = append(m.value, numbers)
	}
	return m
}

// spelled tells values apart: 4 and "4" are two, 4 and 4.0 are one.
func spelled(v any) string {
	if s, ok := v.(string); ok {
		return "t" + s
	}
	return text(v)
}

// combinations multiplies the axes; none without axes.
func (m matrix) combinations() []combo {
	if len(m.axes) == 0 {
		return nil
	}
	out := []combo{{}}
	for _, a := range m.axes {
		next := make([]combo, 0, len(out)*len(a.Values))
		for _, c := range out {
			for v := range a.Values {
				next = append(next, combo{at: append(slices.Clone(c.at), v)})
			}
		}
		out = next
	}
	return out
}

// indexes are the axes that an object names, and their values; known is false
// when one of these is no value of its axis.
func (m matrix) indexes(object map[string]any) (where map[int]int, known bool) {
	where = map[int]int{}
	for name, v := range object {
		axis, isAxis := m.axis[name]
		if !isAxis {
			continue
		}
		value, ok := m.value[axis][spelled(v)]
		if !ok {
			return where, false
		}
		where[axis] = value
	}
	return where, true
}

// extend adds an include to the combinations that it contradicts in no axis;
// false when there is none.
func (m matrix) extend(combos []combo, in map[string]any) bool {
	where, known := m.indexes(in)
	if !known {
		return false
	}
	found := false
	for i := range combos {
		if !combos[i].agrees(where) {
			continue
		}
		found = true
		for name, v := range in {
			if _, isAxis := m.axis[name]; isAxis {
				continue
			}
			if combos[i].more == nil {
				combos[i].more = map[string]any{}
			}
			combos[i].more[name] = v
		}
	}
	return found
}

// CellLabel writes a cell as people read it: "depth=4 rate=0.1", in the order
// of the axes; what an include added comes after them.
func CellLabel(axes []Axis, values map[string]any) string {
	parts := make([]string, 0, len(values))
	seen := 0
	for _, a := range axes {
		if v, ok := values[a.Name]; ok {
			parts, seen = append(parts, a.Name+"="+text(v)), seen+1
		}
	}
	if seen < len(values) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if !slices.ContainsFunc(axes, func(a Axis) bool { return a.Name == name }) {
				parts = append(parts, fmt.Sprintf("%s=%s", name, text(values[name])))
			}
		}
	}
	return strings.Join(parts, " ")
}
