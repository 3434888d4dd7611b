// SPDX-License-Identifier: Apache-2.0

package stats

import "sort"

// Isotonic is a rising, piecewise linear map from scores to probabilities.
type Isotonic struct{ x, y []float64 }

// FitIsotonic fits truth (0 or 1) on scores by least squares among rising
// functions (pool adjacent violators); equal scores are pooled first.
// Source: Barlow et al. 1972; the same curve as scikit-learn's
// IsotonicRegression.
func FitIsotonic(truth, score []float64) Isotonic {
	var x, mean, weight []float64
	for _, i := range ascending(score) {
		if k := len(x) - 1; k >= 0 && x[k] == score[i] {
			mean[k] += truth[i]
			weight[k]++
			continue
		}
		x, mean, weight = append(x, score[i]), append(mean, truth[i]), append(weight, 1)
	}
	for k := range mean {
		mean[k] /= weight[k]
	}
	return Isotonic{x, poolAdjacent(mean, weight)}
}

// poolAdjacent returns the rising sequence nearest to v in weighted least squares.
func poolAdjacent(v, weight []float64) []float64 {
	type block struct {
		mean, weight float64
		size         int
	}
	var blocks []block
	for i := range v {
		blocks = append(blocks, block{v[i], weight[i], 1})
		for n := len(blocks); n > 1 && blocks[n-2].mean >= blocks[n-1].mean; n = len(blocks) {
			a, b := blocks[n-2], blocks[n-1]
			w := a.weight + b.weight
			blocks[n-2] = block{(a.mean*a.weight + b.mean*b.weight) / w, w, a.size + b.size}
			blocks = blocks[:n-1]
		}
	}
	out := make([]float64, 0, len(v))
	for _, b := range blocks {
		for range b.size {
			out = append(out, b.mean)
		}
	}
	return out
}

// At returns the probability for a score; beyond the fitted scores it is that
// of the nearest one.
func (f Isotonic) At(score float64) float64 {
	n := len(f.x)
	i := sort.SearchFloat64s(f.x, score)
	switch {
	case i == 0:
		return f.y[0]
	case i == n:
		return f.y[n-1]
	}
	t := (score - f.x[i-1]) / (f.x[i] - f.x[i-1])
	return f.y[i-1] + t*(f.y[i]-f.y[i-1])
}
