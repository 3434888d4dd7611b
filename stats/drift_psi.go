// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// PSI returns the population stability index between two histograms over the
// same bins: the sum over bins of (q−p)·ln(q/p), in nats, 0 when equal. It is
// symmetric and has no upper bound. Every bin gets half a count more, so empty
// bins stay finite; bins that are empty on both sides do not count. With no
// drift at all its expected value is about (bins−1)·(1/n+1/m), so 0.1 means
// little under a few hundred rows: see PSIPValue. It fails with ErrTooFew when
// a side is empty. Source: Siddiqi 2006; Yurdakul 2018 for the distribution.
func PSI(expected, actual []int) (float64, error) {
	if len(expected) != len(actual) {
		return 0, fmt.Errorf("histograms of %d and %d bins", len(expected), len(actual))
	}
	a := aligned{expected, actual}
	n, m := a.totals()
	if n == 0 || m == 0 {
		return 0, ErrTooFew
	}
	k := float64(a.used())
	sum := 0.0
	for i := range expected {
		if expected[i] == 0 && actual[i] == 0 {
			continue
		}
		p := (float64(expected[i]) + 0.5) / (float64(n) + k/2)
		q := (float64(actual[i]) + 0.5) / (float64(m) + k/2)
		sum += (q - p) * math.Log(q/p)
	}
	return sum, nil
}

// used counts bins that are not empty on both sides.
func (a aligned) used() int {
	k := 0
	for i := range a.ref {
		if a.ref[i] > 0 || a.cur[i] > 0 {
			k++
		}
	}
	return k
}

// PSIPValue returns the probability of at least this PSI when both samples,
// of n and m rows, come from one distribution over the bins: then
// PSI/(1/n+1/m) follows the chi-squared distribution with bins−1 degrees of
// freedom. It is an approximation that needs a handful of rows in each bin.
func PSIPValue(psi float64, bins, n, m int) float64 {
	if bins < 2 {
		return 1
	}
	return distuv.ChiSquared{K: float64(bins - 1)}.Survival(psi / inverseRows(n, m))
}

// PSINoise returns the PSI that sampling alone exceeds in 5% of comparisons
// of n with m rows over so many bins.
func PSINoise(bins, n, m int) float64 {
	if bins < 2 {
		return 0
	}
	return distuv.ChiSquared{K: float64(bins - 1)}.Quantile(0.95) * inverseRows(n, m)
}

func inverseRows(n, m int) float64 { return 1/float64(n) + 1/float64(m) }

func psiTest(reference, window Column) (Drift, error) {
	a, err := alignDeciles(reference, window)
	if err != nil {
		return Drift{}, err
	}
	v, err := PSI(a.ref, a.cur)
	if err != nil {
		return Drift{}, err
	}
	n, m := a.totals()
	k := a.used()
	return Drift{Test: "psi", Value: v, P: PSIPValue(v, k, n, m), Noise: PSINoise(k, n, m), Rows: m, Bins: k}, nil
}

// PSIEvidently returns the PSI as Evidently 0.7 computes it, for comparison
// with figures of that tool: equal-width Sturges bins over both sides together
// (categories, or single values when the reference has at most 20), and an
// empty share replaced by 0.0001, or by a millionth of the side's least share
// when that is smaller still.
func PSIEvidently(reference, window Column) (float64, error) {
	a, err := alignSturges(reference, window)
	if err != nil {
		return 0, err
	}
	return psiShares(fillEvidently(shares(a.ref)), fillEvidently(shares(a.cur))), nil
}

// PSIDecilesFloor returns the PSI over the reference's deciles with an empty
// share replaced by 0.0001, the form that many scorecards use.
func PSIDecilesFloor(reference, window Column) (float64, error) {
	if reference.Rows() == 0 || window.Rows() == 0 || reference.Kind != Numeric {
		return 0, ErrTooFew
	}
	edges := DecileEdges(reference.Values)
	return psiShares(fill(shares(CountBins(reference.Values, edges)), 1e-4), fill(shares(CountBins(window.Values, edges)), 1e-4)), nil
}

func psiShares(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		sum += (p[i] - q[i]) * math.Log(p[i]/q[i])
	}
	return sum
}

func shares(counts []int) []float64 {
	n := 0
	for _, c := range counts {
		n += c
	}
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = float64(c) / float64(n)
	}
	return out
}

func fill(p []float64, floor float64) []float64 {
	for i := range p {
		if p[i] == 0 {
			p[i] = floor
		}
	}
	return p
}

func fillEvidently(p []float64) []float64 {
	least := math.Inf(1)
	for _, v := range p {
		if v > 0 {
			least = math.Min(least, v)
		}
	}
	if least <= 1e-4 {
		return fill(p, least/1e6)
	}
	return fill(p, 1e-4)
}
