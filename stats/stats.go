// SPDX-License-Identifier: Apache-2.0

// Package stats turns histograms, counts and sorted samples into numbers:
// drift tests, metrics with intervals, paired comparison of two models,
// fairness by group, and the performance that scores alone let one expect
// (CBPE). It does no input or output and knows no capability; who measures
// what and when is the business of monitor, step/compare and step/fairness.
//
// Every function is pure and safe for concurrent use; what is random takes a
// seed and gives the same numbers for the same seed on every machine.
package stats

import (
	"errors"
	"math"
)

// ErrTooFew says that there are not enough rows, or not both classes, to
// compute a figure. Compare with errors.Is.
var ErrTooFew = errors.New("not enough rows")

// Z95 is the standard normal quantile of a two-sided 95% interval.
const Z95 = 1.959963984540054

// Interval is a two-sided interval, 95% unless the function says otherwise.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Estimate is a figure with its 95% confidence interval.
type Estimate struct {
	Value  float64 `json:"value"`
	CILow  float64 `json:"ci_low"`
	CIHigh float64 `json:"ci_high"`
}

// around makes the normal interval of a value with a standard error.
func around(value, se float64) Estimate {
	return Estimate{Value: value, CILow: value - Z95*se, CIHigh: value + Z95*se}
}

// clamp keeps an estimate's interval within the range that the figure can take.
func (e Estimate) clamp(low, high float64) Estimate {
	e.CILow, e.CIHigh = math.Max(e.CILow, low), math.Min(e.CIHigh, high)
	return e
}
