// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"testing"
)

func TestIntervals(t *testing.T) {
	for _, c := range readJSON[extra](t, "expected.json").WilsonExample {
		w := Wilson(c.Count, c.N, Z95)
		near(t, "wilson low", w.Low, c.Low, 1e-12)
		near(t, "wilson high", w.High, c.High, 1e-12)
	}
	// Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10.
	for _, c := range []struct {
		a, m, b, n int
		low, high  float64
	}{
		{56, 70, 48, 80, 0.0524, 0.3339},
		{9, 10, 3, 10, 0.1705, 0.8090},
		{5, 56, 0, 29, -0.0381, 0.1926},
		{10, 10, 0, 10, 0.6075, 1},
	} {
		ci := Newcombe(c.a, c.m, c.b, c.n, Z95)
		near(t, "newcombe low", ci.Low, c.low, 5e-5)
		near(t, "newcombe high", ci.High, c.high, 5e-5)
	}
}

// classGolden is a file of scikit-learn 1.9.1 and Fairlearn 0.15.0 figures.
type classGolden struct {
	Metrics  map[string]any
	Fairness map[string]struct {
		ByGroup map[string]map[string]any `json:"by_group"`
		DP      float64                   `json:"demographic_parity_difference"`
		DPRatio float64                   `json:"demographic_parity_ratio"`
		EO      float64                   `json:"equal_opportunity_difference"`
		Odds    float64                   `json:"equalized_odds_difference"`
	}
}

func checkFairness(t *testing.T, golden classGolden, attribute string, f Fairness) {
	t.Helper()
	want := golden.Fairness[attribute]
	for _, g := range f.Groups {
		for key, got := range map[string]Rate{"selection_rate": g.Selection, "tpr": g.TPR, "fpr": g.FPR, "fnr": g.FNR, "precision": g.PPV, "base_rate": g.BaseRate} {
			near(t, g.Group+" "+key, got.Value, want.ByGroup[g.Group][key].(float64), 1e-6)
			if ci, ok := want.ByGroup[g.Group][key+"_wilson95"].([]any); ok {
				near(t, g.Group+" "+key+" low", got.CILow, ci[0].(float64), 1e-6)
				near(t, g.Group+" "+key+" high", got.CIHigh, ci[1].(float64), 1e-6)
			}
		}
	}
	near(t, attribute+" demographic parity", f.Gaps["demographic_parity"].MaxGap.Value, want.DP, 1e-6)
	near(t, attribute+" selection ratio", f.Gaps["demographic_parity"].Ratio, want.DPRatio, 1e-6)
	near(t, attribute+" equal opportunity", f.Gaps["equal_opportunity"].MaxGap.Value, want.EO, 1e-6)
	near(t, attribute+" equalized odds", f.Gaps["equalized_odds"].MaxGap.Value, want.Odds, 1e-6)
	for name, g := range f.Gaps {
		if !(0 <= g.MaxGap.CILow && g.MaxGap.CILow <= g.MaxGap.Value && g.MaxGap.Value <= g.MaxGap.CIHigh && g.MaxGap.CIHigh <= 1) {
			t.Errorf("%s: %+v is no interval round its value", name, g.MaxGap)
		}
	}
}

func TestFairnessAgainstFairlearn(t *testing.T) {
	y, p, sex, age := germanCredit(t)
	golden := readJSON[classGolden](t, "classification_german_credit.json")
	answers, truths := make([]bool, len(y)), make([]bool, len(y))
	for i := range y {
		answers[i], truths[i] = p[i] >= 0.5, y[i] == 1
	}
	for name, groups := range map[string][]string{"sex": sex, "age_group": age} {
		f, err := FairnessByGroup(FairnessInput{Group: groups, Favourable: answers, GoodTruth: truths})
		if err != nil {
			t.Fatal(err)
		}
		checkFairness(t, golden, name, f)
	}
}

func TestSmallGroupsAreListedAndLeftOut(t *testing.T) {
	in := FairnessInput{MinRows: 3,
		Group:      []string{"a", "a", "a", "b", "b", "b", "c"},
		Favourable: []bool{true, true, false, true, false, false, false},
		GoodTruth:  []bool{true, true, false, false, true, false, true}}
	f, err := FairnessByGroup(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Excluded) != 1 || f.Excluded[0] != "c" || len(f.Groups) != 3 || !f.Groups[2].Excluded {
		t.Errorf("excluded %v of %+v, want c listed and left out", f.Excluded, f.Groups)
	}
	dp := f.Gaps["demographic_parity"]
	near(t, "gap of a and b", dp.MaxGap.Value, 1.0/3, 1e-12)
	if dp.Highest != "a" || dp.Lowest != "b" {
		t.Errorf("highest %s, lowest %s", dp.Highest, dp.Lowest)
	}
	near(t, "ceiling of the selection ratio", f.RatioCeiling, 0.5, 1e-12) // base rates 2/3 and 1/3
	in.GoodTruth = nil
	if f, _ = FairnessByGroup(in); len(f.Gaps) != 1 || f.RatioCeiling != 0 {
		t.Errorf("without truths: %+v, want the selection gap alone", f.Gaps)
	}
}

func TestMoreGroupsWidenTheInterval(t *testing.T) {
	make3 := func(groups ...string) FairnessInput {
		var in FairnessInput
		for k, g := range groups {
			for i := range 100 {
				in.Group, in.Favourable = append(in.Group, g), append(in.Favourable, i < 40+10*k)
			}
		}
		return in
	}
	two, _ := FairnessByGroup(make3("a", "b"))
	three, _ := FairnessByGroup(FairnessInput{
		Group:      append(make3("a", "b").Group, make3("c").Group...),
		Favourable: append(make3("a", "b").Favourable, make3("c").Favourable...)})
	a, b := two.Gaps["demographic_parity"].MaxGap, three.Gaps["demographic_parity"].MaxGap
	if a.Value != b.Value || !(b.CIHigh > a.CIHigh) || math.IsNaN(b.CIHigh) {
		t.Errorf("two groups %+v, three groups %+v: the same gap, a wider interval", a, b)
	}
}
