// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson returns the score interval of a rate of count out of n at normal
// quantile z (Z95 for 95%); {0, 1} when n is 0. Source: Wilson 1927.
func Wilson(count, n int, z float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	p, m := float64(count)/float64(n), float64(n)
	z2 := z * z
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := z / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	low, high := math.Max(0, centre-half), math.Min(1, centre+half)
	// At the ends the formula is exact, but rounding would leave dust.
	if count == 0 {
		low = 0
	}
	if count == n {
		high = 1
	}
	return Interval{low, high}
}

// Newcombe returns the interval of the difference of two independent rates,
// the first minus the second, from their Wilson intervals; {-1, 1} when a
// side is empty. Source: Newcombe 1998, method 10 (no continuity correction).
func Newcombe(count1, n1, count2, n2 int, z float64) Interval {
	if n1 <= 0 || n2 <= 0 {
		return Interval{-1, 1}
	}
	a, b := Wilson(count1, n1, z), Wilson(count2, n2, z)
	p, q := float64(count1)/float64(n1), float64(count2)/float64(n2)
	return Interval{
		Low:  p - q - math.Hypot(p-a.Low, b.High-q),
		High: p - q + math.Hypot(a.High-p, q-b.Low),
	}
}

// zSimultaneous is the normal quantile that gives n two-sided intervals a
// joint coverage of at least 95% (Bonferroni).
func zSimultaneous(n int) float64 {
	if n <= 1 {
		return Z95
	}
	return distuv.UnitNormal.Quantile(1 - 0.025/float64(n))
}
