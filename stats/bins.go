// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
)

// fewValues is how many distinct reference values a numeric column may have
// to be compared value by value, as a categorical one: bins of a flag, a count
// or a rating would put different values together.
const fewValues = 20

// aligned are two histograms over the same bins.
type aligned struct{ ref, cur []int }

func (a aligned) totals() (n, m int) {
	for i := range a.ref {
		n += a.ref[i]
		m += a.cur[i]
	}
	return n, m
}

// alignDeciles puts two columns on the deciles of the reference, or on its
// single values when there are few, or on its categories. Histograms are used
// as they are when both sides have the same edges.
func alignDeciles(ref, cur Column) (aligned, error) {
	return align(ref, cur, func() []float64 { return DecileEdges(ref.Values) })
}

// alignSturges is the rule of Evidently: equal widths by Sturges' formula over
// both sides together.
func alignSturges(ref, cur Column) (aligned, error) {
	if ref.Kind == Numeric && ref.Values != nil && cur.Values != nil && distinct(ref.Values, fewValues+1) > fewValues {
		edges := sturgesEdges(ref.Values, cur.Values)
		return aligned{equalWidthCounts(ref.Values, edges), equalWidthCounts(cur.Values, edges)}, nil
	}
	return align(ref, cur, nil)
}

func align(ref, cur Column, edges func() []float64) (aligned, error) {
	if ref.Kind != cur.Kind {
		return aligned{}, fmt.Errorf("column %s is %s in the reference and %s in the window", ref.Name, ref.Kind, cur.Kind)
	}
	if ref.Rows() == 0 || cur.Rows() == 0 {
		return aligned{}, fmt.Errorf("column %s: %w: %d in the reference, %d in the window", ref.Name, ErrTooFew, ref.Rows(), cur.Rows())
	}
	switch {
	case ref.Kind == Categorical:
		return alignCounts(ref.Counts, cur.Counts), nil
	case ref.Values != nil && cur.Values != nil:
		if distinct(ref.Values, fewValues+1) <= fewValues {
			return alignCounts(valueCounts(ref.Values), valueCounts(cur.Values)), nil
		}
		e := edges()
		return aligned{CountBins(ref.Values, e), CountBins(cur.Values, e)}, nil
	case ref.Values != nil:
		return aligned{CountBins(ref.Values, cur.Edges), cur.Bins}, nil
	case cur.Values != nil:
		return aligned{ref.Bins, CountBins(cur.Values, ref.Edges)}, nil
	case slices.Equal(ref.Edges, cur.Edges) && len(ref.Bins) == len(cur.Bins):
		return aligned{ref.Bins, cur.Bins}, nil
	}
	return aligned{}, fmt.Errorf("column %s: the histograms of reference and window have different edges", ref.Name)
}

func alignCounts(ref, cur map[string]int) aligned {
	names := make([]string, 0, len(ref))
	for k := range ref {
		names = append(names, k)
	}
	for k := range cur {
		if _, ok := ref[k]; !ok {
			names = append(names, k)
		}
	}
	sort.Strings(names) // sums of floats in one order: the same bits every time
	a := aligned{make([]int, len(names)), make([]int, len(names))}
	for i, k := range names {
		a.ref[i], a.cur[i] = ref[k], cur[k]
	}
	return a
}

func valueCounts(sorted []float64) map[string]int {
	out := map[string]int{}
	for _, v := range sorted {
		out[strconv.FormatFloat(v, 'g', -1, 64)]++
	}
	return out
}

// distinct counts different values of an ascending slice, up to limit.
func distinct(sorted []float64, limit int) int {
	n := 0
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			if n++; n >= limit {
				break
			}
		}
	}
	return n
}

// DecileEdges returns the inner edges for decile bins of an ascending sample:
// its 10%..90% quantiles by linear interpolation (NumPy's default), without
// repeats and without edges that equal the least or greatest value's own
// quantile.
func DecileEdges(sorted []float64) []float64 {
	var all []float64
	for i := 0; i <= 10; i++ {
		if q := Quantile(sorted, float64(i)/10); len(all) == 0 || q != all[len(all)-1] {
			all = append(all, q)
		}
	}
	if len(all) <= 2 {
		return nil
	}
	return all[1 : len(all)-1]
}

// Quantile returns the q-quantile (0 to 1) of an ascending sample by linear
// interpolation; NaN for an empty one.
func Quantile(sorted []float64, q float64) float64 {
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	at := q * float64(n-1)
	i := int(math.Floor(at))
	if i >= n-1 {
		return sorted[n-1]
	}
	a, b, t := sorted[i], sorted[i+1], at-float64(i)
	// NumPy interpolates from the nearer end; equal bits keep values on an edge in the same bin.
	if t >= 0.5 {
		return b - (b-a)*(1-t)
	}
	return a + (b-a)*t
}

// CountBins counts an ascending sample over inner edges: bin i is
// [edges[i-1], edges[i]), the outer ones are open.
func CountBins(sorted, edges []float64) []int {
	counts := make([]int, len(edges)+1)
	from := 0
	for i, e := range edges {
		to := sort.SearchFloat64s(sorted, e)
		counts[i] = to - from
		from = to
	}
	counts[len(edges)] = len(sorted) - from
	return counts
}

// sturgesEdges are NumPy's histogram_bin_edges(both, "sturges"), outer edges
// included.
func sturgesEdges(a, b []float64) []float64 {
	low := math.Min(a[0], b[0])
	high := math.Max(a[len(a)-1], b[len(b)-1])
	if low == high {
		return []float64{low - 0.5, high + 0.5}
	}
	width := (high - low) / (math.Log2(float64(len(a)+len(b))) + 1)
	n := int(math.Ceil((high - low) / width))
	edges := make([]float64, n+1)
	step := (high - low) / float64(n)
	for i := range edges {
		edges[i] = low + float64(i)*step
	}
	edges[n] = high
	return edges
}

// equalWidthCounts counts an ascending sample over edges that include the
// outer ones; the last bin is closed.
func equalWidthCounts(sorted, edges []float64) []int {
	return CountBins(sorted, edges[1:len(edges)-1])
}
