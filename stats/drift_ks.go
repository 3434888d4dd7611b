// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
)

// KS returns the two-sided two-sample Kolmogorov–Smirnov statistic of two
// ascending samples (0 to 1) and its p-value: exact up to 10,000 rows a side,
// as SciPy does, else from the limiting distribution with a correction for
// the size. Sources: Hodges 1958 (lattice paths); Vrbik 2018 (correction).
func KS(a, b []float64) (stat, p float64, err error) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 0, 0, ErrTooFew
	}
	// The largest |i·m − j·n| in integers: the exact p-value needs the statistic free of rounding.
	var h int64
	for i, j := 0, 0; i < n && j < m; {
		x := math.Min(a[i], b[j])
		for i < n && a[i] == x {
			i++
		}
		for j < m && b[j] == x {
			j++
		}
		h = max(h, absInt(int64(i)*int64(m)-int64(j)*int64(n)))
	}
	stat = float64(h) / float64(n) / float64(m)
	if max(n, m) <= 10000 {
		return stat, ksExact(n, m, h), nil
	}
	return stat, ksAsymptotic(stat, n, m), nil
}

// ksExact is the share of lattice paths from (0,0) to (n,m) that somewhere
// reach |i·m − j·n| >= h. Summing the share outside, not inside, keeps small
// p-values accurate.
func ksExact(n, m int, h int64) float64 {
	if h == 0 {
		return 1
	}
	outside := make([]float64, m+1)
	for i := 0; i <= n; i++ {
		for j := 0; j <= m; j++ {
			switch {
			case absInt(int64(i)*int64(m)-int64(j)*int64(n)) >= h:
				outside[j] = 1
			case i == 0 && j == 0:
				outside[j] = 0
			default:
				v := outside[j] * float64(i)
				if j > 0 {
					v += outside[j-1] * float64(j)
				}
				outside[j] = v / float64(i+j)
			}
		}
	}
	return math.Min(1, outside[m])
}

func ksAsymptotic(d float64, n, m int) float64 {
	size := float64(n) * float64(m) / float64(n+m)
	x := math.Sqrt(size) * d
	return kolmogorov(x + 1/(6*math.Sqrt(size)) + (x-1)/(4*size))
}

// kolmogorov is the survival function of the limiting distribution.
func kolmogorov(x float64) float64 {
	if x <= 0 {
		return 1
	}
	if x < 1 {
		// Jacobi's form converges fast here, the alternating one does not.
		sum := 0.0
		for k := 1; k <= 7; k += 2 {
			sum += math.Exp(-float64(k*k) * math.Pi * math.Pi / (8 * x * x))
		}
		return math.Max(0, 1-math.Sqrt(2*math.Pi)/x*sum)
	}
	sum, sign := 0.0, 1.0
	for k := 1; k <= 10; k++ {
		sum += sign * math.Exp(-2*float64(k*k)*x*x)
		sign = -sign
	}
	return math.Min(1, 2*sum)
}

func absInt(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

func ksTest(reference, window Column) (Drift, error) {
	if reference.Values == nil || window.Values == nil {
		return Drift{}, fmt.Errorf("column %s: ks needs the values, a histogram does not do: %w", reference.Name, ErrTooFew)
	}
	d, p, err := KS(reference.Values, window.Values)
	if err != nil {
		return Drift{}, err
	}
	// 1.3581 is the 95% quantile of the limiting distribution.
	noise := 1.3581 * math.Sqrt(inverseRows(len(reference.Values), len(window.Values)))
	return Drift{Test: "ks", Value: d, P: p, Noise: noise, Rows: len(window.Values)}, nil
}
