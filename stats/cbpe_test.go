// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"fmt"
	"testing"
)

// census are 99,762 scored persons in the order of the file.
func census(t *testing.T) (y, p []float64, sex []string) {
	for _, r := range readCSV(t, "pred_census_income.csv.gz") {
		y, p, sex = append(y, number(t, r[0])), append(p, number(t, r[1])/1e9), append(sex, r[2])
	}
	return y, p, sex
}

func TestCensusAgainstScikitLearnAndNannyML(t *testing.T) {
	y, p, sex := census(t)
	t.Run("metrics and fairness", func(t *testing.T) {
		golden := readJSON[classGolden](t, "classification_census_income.json")
		for key, metric := range map[string]string{"roc_auc": "auc", "brier": "brier", "log_loss": "log_loss"} {
			m, _ := LookupMetric(metric)
			e, err := m.Estimate(y, p)
			if err != nil {
				t.Fatal(err)
			}
			near(t, metric, e.Value, golden.Metrics[key].(float64), 1e-6)
		}
		answers, truths, groups := make([]bool, len(y)), make([]bool, len(y)), make([]string, len(y))
		names := map[string]string{"F": "Female", "M": "Male"}
		for i := range y {
			answers[i], truths[i], groups[i] = p[i] >= 0.2, y[i] == 1, names[sex[i]]
		}
		f, err := FairnessByGroup(FairnessInput{Group: groups, Favourable: answers, GoodTruth: truths})
		if err != nil {
			t.Fatal(err)
		}
		checkFairness(t, golden, "sex", f)
	})
	t.Run("cbpe", func(t *testing.T) {
		type chunk struct {
			AUC struct {
				Value float64
				SE    float64 `json:"sampling_error"`
			} `json:"roc_auc"`
		}
		golden := readJSON[struct {
			Needs  bool `json:"needs_calibration"`
			Chunks []chunk
		}](t, "cbpe_census_income.json")
		c, err := FitCBPE(y[:50000], p[:50000])
		if err != nil {
			t.Fatal(err)
		}
		if c.Calibrated() != golden.Needs {
			t.Errorf("calibrated %v, NannyML says %v", c.Calibrated(), golden.Needs)
		}
		for i, want := range golden.Chunks {
			e, err := c.Estimate("auc", p[50000+10000*i:60000+10000*i])
			if err != nil {
				t.Fatal(err)
			}
			near(t, fmt.Sprintf("chunk %d", i), e.Value, want.AUC.Value, 1e-6)
			near(t, fmt.Sprintf("chunk %d standard error", i), (e.CIHigh-e.Value)/3, want.AUC.SE, 1e-6)
		}
		// Means over rows: expected within its own margin of what the labels say.
		for _, metric := range []string{"brier", "log_loss", "accuracy"} {
			e, err := c.Estimate(metric, p[50000:60000])
			if err != nil {
				t.Fatal(err)
			}
			m, _ := LookupMetric(metric)
			realised, _ := m.Estimate(y[50000:60000], p[50000:60000])
			if realised.Value < e.CILow || realised.Value > e.CIHigh {
				t.Errorf("%s: expected %+v, labels say %g", metric, e, realised.Value)
			}
		}
	})
}

func TestIsotonicAgainstScikitLearn(t *testing.T) {
	y, p, _, _ := germanCredit(t)
	f := FitIsotonic(y, p)
	for i, want := range readJSON[extra](t, "expected.json").Isotonic {
		x := []float64{0, 0.05, 0.111, 0.2345, 0.4, 0.61, 0.9, 1}[i]
		near(t, fmt.Sprintf("isotonic(%g)", x), f.At(x), want, 1e-9)
	}
}

func TestCBPESaysWhatItCannotDo(t *testing.T) {
	y, p, _, _ := germanCredit(t)
	if _, err := FitCBPE(y[:50], p[:50]); !errors.Is(err, ErrTooFew) {
		t.Errorf("50 rows: %v, want ErrTooFew", err)
	}
	c, err := FitCBPE(y, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Estimate("rmse", p); err == nil {
		t.Error("rmse was estimated from scores")
	}
	if _, err := c.Estimate("auc", nil); !errors.Is(err, ErrTooFew) {
		t.Errorf("no scores: %v, want ErrTooFew", err)
	}
	same, _ := c.Estimate("auc", p)
	realised, _ := c.Reference("auc")
	near(t, "expected of the reference itself", same.Value, realised, 0.02) // 500 rows: the calibration is in sample
}
