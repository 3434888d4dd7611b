// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
)

// Wasserstein returns the first-order earth mover's distance between two
// ascending samples, in the unit of the column: the area between their
// distribution functions.
func Wasserstein(a, b []float64) (float64, error) {
	if len(a) == 0 || len(b) == 0 {
		return 0, ErrTooFew
	}
	sum, i, j := 0.0, 0, 0
	last := math.Min(a[0], b[0])
	for i < len(a) || j < len(b) {
		x := math.Inf(1)
		if i < len(a) {
			x = a[i]
		}
		if j < len(b) {
			x = math.Min(x, b[j])
		}
		sum += (x - last) * math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b)))
		last = x
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
	}
	return sum, nil
}

// WassersteinNormalised divides the distance by the reference's population
// standard deviation, at least 0.001, so one limit suits columns of any unit.
func WassersteinNormalised(reference, window []float64) (float64, error) {
	d, err := Wasserstein(reference, window)
	if err != nil {
		return 0, err
	}
	_, sd := meanSD(reference, 0)
	return d / math.Max(sd, 0.001), nil
}

func wassersteinTest(reference, window Column) (Drift, error) {
	if reference.Values == nil || window.Values == nil {
		return Drift{}, fmt.Errorf("column %s: wasserstein needs the values, a histogram does not do: %w", reference.Name, ErrTooFew)
	}
	v, err := WassersteinNormalised(reference.Values, window.Values)
	if err != nil {
		return Drift{}, err
	}
	return Drift{Test: "wasserstein", Value: v, P: math.NaN(), Noise: math.NaN(), Rows: len(window.Values)}, nil
}

// meanSD returns mean and standard deviation with n−ddof in the denominator.
func meanSD(xs []float64, ddof int) (mean, sd float64) {
	for _, x := range xs {
		mean += x
	}
	mean /= float64(len(xs))
	for _, x := range xs {
		sd += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(sd / float64(len(xs)-ddof))
}
