// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// germanCredit are 500 scored loans: truth, score, sex.
func germanCredit(t *testing.T) (y, p []float64, sex, age []string) {
	for _, r := range readCSV(t, "pred_german_credit.csv") {
		y, p = append(y, number(t, r[0])), append(p, number(t, r[1]))
		sex, age = append(sex, r[2]), append(age, r[3])
	}
	return y, p, sex, age
}

func TestBinaryMetricsAgainstScikitLearn(t *testing.T) {
	y, p, _, _ := germanCredit(t)
	want := readJSON[extra](t, "expected.json")
	for name, tc := range map[string]struct{ value, se float64 }{
		"auc": {want.AUC, want.AUCSE}, "brier": {want.Brier, want.BrierSE}, "log_loss": {want.LogLoss, 0}, "accuracy": {want.Accuracy, 0},
	} {
		m, _ := LookupMetric(name)
		e, err := m.Estimate(y, p)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name, e.Value, tc.value, 1e-9)
		if tc.se > 0 {
			near(t, name+" standard error", (e.CIHigh-e.CILow)/2/Z95, tc.se, 1e-9)
		}
	}
	e, _ := Accuracy(y, p)
	near(t, "accuracy low", e.CILow, Wilson(380, 500, Z95).Low, 1e-12) // 0.76 of 500
}

func TestRegressionMetricsAgainstScikitLearn(t *testing.T) {
	var y, p []float64
	for _, r := range readCSV(t, "regression.csv") {
		y, p = append(y, number(t, r[0])), append(p, number(t, r[1]))
	}
	want := readJSON[extra](t, "expected.json").Regression
	for _, name := range []string{"rmse", "mae", "r2"} {
		m, _ := LookupMetric(name)
		e, err := m.Estimate(y, p)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name, e.Value, want[name], 1e-9)
		if !(e.CILow < e.Value && e.Value < e.CIHigh) {
			t.Errorf("%s = %+v: the value is outside its interval", name, e)
		}
	}
	mae, _ := MAE(y, p)
	near(t, "mae standard error", (mae.CIHigh-mae.Value)/Z95, want["mae_se"], 1e-9)
	// The delta method against 4,000 bootstrap resamples of scikit-learn's r2_score: itself known to about 1%.
	r2, _ := R2(y, p)
	near(t, "r2 standard error over bootstrap", (r2.Value-r2.CILow)/Z95/want["r2_se_bootstrap_4000"], 1, 0.1)
}

func TestMetricsRefuseWhatTheyCannotMeasure(t *testing.T) {
	for _, m := range Metrics {
		if _, err := m.Estimate(nil, nil); !errors.Is(err, ErrTooFew) {
			t.Errorf("%s of nothing: %v, want ErrTooFew", m.Name, err)
		}
		if _, err := m.Estimate([]float64{0, 1, 1, 0}, []float64{0.1, math.NaN(), 0.5, 0.2}); err == nil {
			t.Errorf("%s took NaN", m.Name)
		}
	}
	if _, err := AUC([]float64{1, 1, 1, 0}, []float64{0.1, 0.2, 0.3, 0.4}); !errors.Is(err, ErrTooFew) {
		t.Errorf("auc with one negative: %v, want ErrTooFew", err)
	}
	if _, err := AUC([]float64{2, 1, 0}, []float64{0.1, 0.2, 0.3}); err == nil {
		t.Error("auc took a truth of 2")
	}
}

func TestPairedBootstrapAgainstDeLong(t *testing.T) {
	y, p, _, _ := germanCredit(t)
	want := readJSON[extra](t, "expected.json")
	got, err := PairedBootstrap(y, want.Candidate, p, []string{"auc", "brier"}, 2000, 42)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "auc diff", got[0].Diff.Value, want.AUCDiff, 1e-9)
	near(t, "brier diff", got[1].Diff.Value, want.BrierDiff, 1e-9)
	// Percentiles of 2,000 resamples against the normal interval of DeLong's covariance: ends known to about 5% of the width.
	for i, se := range []float64{want.AUCDiffSE, want.BrierDiffSE} {
		d := got[i].Diff
		near(t, got[i].Metric+" low", (d.CILow-d.Value)/se, -Z95, 0.2)
		near(t, got[i].Metric+" high", (d.CIHigh-d.Value)/se, Z95, 0.2)
	}
	again, _ := PairedBootstrap(y, want.Candidate, p, []string{"auc", "brier"}, 2000, 42)
	other, _ := PairedBootstrap(y, want.Candidate, p, []string{"auc", "brier"}, 2000, 43)
	if !slices.Equal(got, again) || slices.Equal(got, other) {
		t.Error("the same seed must give the same numbers and another seed others")
	}
}

func TestBootstrapCountsTiesLikeAUC(t *testing.T) {
	y := []float64{0, 1, 0, 1, 1, 0, 0, 1}
	p := []float64{0.1, 0.1, 0.4, 0.4, 0.4, 0.9, 0.2, 0.9}
	want, err := AUC(y, p)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "auc of every row once", newWeightedAUC(y, p).weighted([]int32{1, 1, 1, 1, 1, 1, 1, 1}), want.Value, 1e-15)
	// Row 1 three times and row 5 never, as if the rows had been repeated.
	repeated, err := AUC([]float64{0, 1, 1, 1, 0, 1, 1, 0, 1}, []float64{0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.2, 0.9})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "auc of a resample", newWeightedAUC(y, p).weighted([]int32{1, 3, 1, 1, 1, 0, 1, 1}), repeated.Value, 1e-15)
}

// randomScores are n rows of two models that agree in part.
func randomScores(n int) (y, a, b []float64) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range n {
		risk := rng.Float64()
		yes := 0.0
		if rng.Float64() < risk {
			yes = 1
		}
		y = append(y, yes)
		a, b = append(a, min(1, max(0, risk+0.3*rng.NormFloat64()))), append(b, min(1, max(0, risk+0.4*rng.NormFloat64())))
	}
	return y, a, b
}

func BenchmarkPairedBootstrap500x20k(b *testing.B) {
	y, p, q := randomScores(20000)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := PairedBootstrap(y, p, q, []string{"auc", "brier"}, 500, 1); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(500*20000/time.Since(start).Seconds(), "rows/s")
	}
}
