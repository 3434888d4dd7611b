// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// MeanOf returns the mean of repeated measurements and its 95% interval by
// Student's t; ok is false for fewer than two, which say nothing about how far
// they scatter, and for values that are not finite.
func MeanOf(values []float64) (mean float64, ci Interval, ok bool) {
	mean, variance, ok := moments(values)
	if !ok {
		return mean, Interval{}, false
	}
	n := float64(len(values))
	half := studentT(n-1) * math.Sqrt(variance/n)
	return mean, Interval{mean - half, mean + half}, true
}

// DifferenceOfMeans returns the mean of b minus that of a, and its 95% interval
// by Welch's t, which takes neither equal scatter nor equal counts for granted;
// ok is false when a side has fewer than two measurements, or one is not
// finite. Source: Welch 1947; degrees of freedom by Satterthwaite.
func DifferenceOfMeans(a, b []float64) (diff float64, ci Interval, ok bool) {
	meanA, varA, okA := moments(a)
	meanB, varB, okB := moments(b)
	diff = meanB - meanA
	if !okA || !okB {
		return diff, Interval{}, false
	}
	nA, nB := float64(len(a)), float64(len(b))
	errA, errB := varA/nA, varB/nB
	if errA+errB == 0 {
		return diff, Interval{diff, diff}, true
	}
	df := (errA + errB) * (errA + errB) / (errA*errA/(nA-1) + errB*errB/(nB-1))
	half := studentT(df) * math.Sqrt(errA+errB)
	return diff, Interval{diff - half, diff + half}, true
}

// studentT is the quantile of Student's t that gives a two-sided 95% interval.
func studentT(df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(0.975)
}

// moments returns the mean and the unbiased variance; NaN without values.
func moments(values []float64) (mean, variance float64, ok bool) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	if n == 0 {
		mean = math.NaN()
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / (n - 1)
	}
	return mean, variance, n >= 2 && !math.IsNaN(variance) && !math.IsInf(variance, 0)
}
