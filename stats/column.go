// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"sort"
)

// ColumnKind says how a column is compared.
type ColumnKind string

// The kinds of column.
const (
	Numeric     ColumnKind = "numeric"
	Categorical ColumnKind = "categorical"
)

// Column is one side (reference or window) of a comparison: the values of one
// column. A numeric column has Values, or Bins over Edges when only a
// histogram was kept; a categorical one has Counts.
type Column struct {
	Name   string         `json:"name"`
	Kind   ColumnKind     `json:"kind"`
	Values []float64      `json:"values,omitempty"` // ascending and finite
	Edges  []float64      `json:"edges,omitempty"`  // inner edges, ascending; bin i is [Edges[i-1], Edges[i]), the outer ones are open
	Bins   []int          `json:"bins,omitempty"`   // len(Edges)+1 counts
	Counts map[string]int `json:"counts,omitempty"` // rows by category
	Nulls  int            `json:"nulls"`            // rows without a value (null, NaN, infinite); no test reads them
}

// NewNumeric makes a numeric column from values in any order; NaN and
// infinities count as nulls. It keeps its own sorted copy.
func NewNumeric(name string, values []float64) Column {
	c := Column{Name: name, Kind: Numeric, Values: make([]float64, 0, len(values))}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			c.Nulls++
			continue
		}
		c.Values = append(c.Values, v)
	}
	sort.Float64s(c.Values)
	return c
}

// NewCategorical makes a categorical column from counts by category; it keeps
// the map.
func NewCategorical(name string, counts map[string]int) Column {
	return Column{Name: name, Kind: Categorical, Counts: counts}
}

// Rows returns how many rows have a value.
func (c Column) Rows() int {
	if c.Kind == Numeric && c.Values != nil {
		return len(c.Values)
	}
	n := 0
	for _, k := range c.Bins {
		n += k
	}
	for _, k := range c.Counts {
		n += k
	}
	return n
}
