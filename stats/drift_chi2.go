// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Chi2GoodnessOfFit returns Pearson's statistic and p-value of the window's
// counts against the reference's shares taken as known; +Inf and 0 when the
// window has a category that the reference lacks.
func Chi2GoodnessOfFit(expected, actual []int) (stat, p float64, err error) {
	a := aligned{expected, actual}
	n, m := a.totals()
	if n == 0 || m == 0 {
		return 0, 0, ErrTooFew
	}
	k := 0
	for i := range expected {
		if expected[i] == 0 && actual[i] == 0 {
			continue
		}
		k++
		e := float64(expected[i]) * float64(m) / float64(n)
		if e == 0 {
			return math.Inf(1), 0, nil
		}
		stat += (float64(actual[i]) - e) * (float64(actual[i]) - e) / e
	}
	return stat, chi2Survival(stat, k-1), nil
}

// Chi2Homogeneity returns Pearson's statistic and p-value of the 2×K table of
// reference and window, with Yates' correction when K is 2, as SciPy's
// chi2_contingency does.
func Chi2Homogeneity(expected, actual []int) (stat, p float64, err error) {
	a := aligned{expected, actual}
	n, m := a.totals()
	if n == 0 || m == 0 {
		return 0, 0, ErrTooFew
	}
	k := a.used()
	all := float64(n + m)
	for i := range expected {
		column := float64(expected[i] + actual[i])
		if column == 0 {
			continue
		}
		for _, cell := range [2]struct{ observed, row float64 }{{float64(expected[i]), float64(n)}, {float64(actual[i]), float64(m)}} {
			e := cell.row * column / all
			diff := math.Abs(cell.observed - e)
			if k == 2 {
				diff -= math.Min(0.5, diff)
			}
			stat += diff * diff / e
		}
	}
	return stat, chi2Survival(stat, k-1), nil
}

func chi2Survival(stat float64, df int) float64 {
	if df < 1 {
		return 1
	}
	return distuv.ChiSquared{K: float64(df)}.Survival(stat)
}

// chi2Test limits Cramér's V: the statistic itself grows with the rows.
func chi2Test(reference, window Column) (Drift, error) {
	if reference.Kind != Categorical || window.Kind != Categorical {
		return Drift{}, fmt.Errorf("column %s is numeric: chi2 compares categories", reference.Name)
	}
	a, err := align(reference, window, nil)
	if err != nil {
		return Drift{}, err
	}
	stat, p, err := Chi2Homogeneity(a.ref, a.cur)
	if err != nil {
		return Drift{}, err
	}
	n, m := a.totals()
	k := a.used()
	noise := 0.0
	if k > 1 {
		noise = math.Sqrt(distuv.ChiSquared{K: float64(k - 1)}.Quantile(0.95) / float64(n+m))
	}
	return Drift{Test: "chi2", Value: math.Sqrt(stat / float64(n+m)), P: p, Noise: noise, Rows: m, Bins: k}, nil
}
