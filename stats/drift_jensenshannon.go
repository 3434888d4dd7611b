// SPDX-License-Identifier: Apache-2.0

package stats

import "math"

// JS returns the Jensen–Shannon distance between two histograms over the same
// bins: the square root of the divergence in nats, 0 when equal and at most
// √ln 2. Source: Lin 1991; scipy.spatial.distance.jensenshannon.
func JS(expected, actual []int) (float64, error) {
	a := aligned{expected, actual}
	n, m := a.totals()
	if n == 0 || m == 0 {
		return 0, ErrTooFew
	}
	sum := 0.0
	for i := range expected {
		p, q := float64(expected[i])/float64(n), float64(actual[i])/float64(m)
		mid := (p + q) / 2
		if p > 0 {
			sum += p * math.Log(p/mid)
		}
		if q > 0 {
			sum += q * math.Log(q/mid)
		}
	}
	return math.Sqrt(math.Max(0, sum/2)), nil
}

// jsTest uses that for small differences the divergence is an eighth of the
// PSI, which has a known distribution.
func jsTest(reference, window Column) (Drift, error) {
	a, err := alignSturges(reference, window)
	if err != nil {
		return Drift{}, err
	}
	v, err := JS(a.ref, a.cur)
	if err != nil {
		return Drift{}, err
	}
	n, m := a.totals()
	k := a.used()
	return Drift{Test: "js", Value: v, P: PSIPValue(8*v*v, k, n, m), Noise: math.Sqrt(PSINoise(k, n, m) / 8), Rows: m, Bins: k}, nil
}
