// SPDX-License-Identifier: Apache-2.0

package stats_test

import (
	"math"
	"testing"

	"lastro/stats"
)

// The expected numbers are SciPy 1.17.1's: ttest_1samp(a, 0) and
// ttest_ind(b, a, equal_var=False), confidence_interval().
func TestRepeats(t *testing.T) {
	a, b := []float64{0.771, 0.779, 0.768, 0.774, 0.776}, []float64{0.781, 0.784, 0.779}
	mean, ci, ok := stats.MeanOf(a)
	close(t, "mean of five", ok, []float64{mean, ci.Low, ci.High}, []float64{0.7736, 0.7682883477556257, 0.7789116522443744})
	mean, ci, ok = stats.MeanOf([]float64{0.5, 0.7})
	close(t, "mean of two", ok, []float64{mean, ci.Low, ci.High}, []float64{0.6, -0.6706204736174691, 1.870620473617469})
	diff, ci, ok := stats.DifferenceOfMeans(a, b)
	close(t, "difference", ok, []float64{diff, ci.Low, ci.High}, []float64{0.007733333333333259, 0.0018483151992959874, 0.01361835146737053})
	diff, ci, ok = stats.DifferenceOfMeans([]float64{1, 1}, []float64{3, 3, 3})
	close(t, "nothing scatters", ok, []float64{diff, ci.Low, ci.High}, []float64{2, 2, 2})
	for name, values := range map[string][]float64{"none": nil, "one": {1}, "not a number": {1, math.NaN()}, "infinite": {1, math.Inf(1)}} {
		if _, _, ok := stats.MeanOf(values); ok {
			t.Errorf("%s: there is an interval", name)
		}
		if _, _, ok := stats.DifferenceOfMeans(values, b); ok {
			t.Errorf("%s: there is an interval of the difference", name)
		}
	}
}

func close(t *testing.T, what string, ok bool, got, want []float64) {
	t.Helper()
	if !ok {
		t.Errorf("%s: no interval", what)
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}
