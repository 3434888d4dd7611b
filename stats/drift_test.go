// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// driftGolden is a file of Evidently 0.7.23 and SciPy 1.17.1 figures.
type driftGolden struct {
	Numeric map[string]struct {
		NRef  int     `json:"n_ref"`
		NCur  int     `json:"n_cur"`
		KS    float64 `json:"ks_stat"`
		KSP   float64 `json:"ks_p"`
		W     float64 `json:"wasserstein"`
		WNorm float64 `json:"wasserstein_norm"`
		PSI   float64
		JS    float64
		PSI10 float64   `json:"psi_quantile10"`
		Edges []float64 `json:"quantile_inner_edges"`
	}
	Categorical map[string]struct {
		Ref   map[string]int `json:"counts_ref"`
		Cur   map[string]int `json:"counts_cur"`
		Chi2  any            `json:"chi2_stat"` // "inf" where a category is absent
		ContS float64        `json:"chi2_contingency_stat"`
		ContP float64        `json:"chi2_contingency_p"`
		PSI   float64
		JS    float64
	}
}

// driftColumns reads the raw values behind a golden file.
func driftColumns(t *testing.T, file string) map[string][2]Column {
	values := map[string]*[2][]float64{}
	for _, row := range readCSV(t, file) {
		v, ok := values[row[0]]
		if !ok {
			v = &[2][]float64{}
			values[row[0]] = v
		}
		for side := range 2 {
			for range int(number(t, row[2+side])) {
				v[side] = append(v[side], number(t, row[1]))
			}
		}
	}
	out := map[string][2]Column{}
	for name, v := range values {
		out[name] = [2]Column{NewNumeric(name, v[0]), NewNumeric(name, v[1])}
	}
	return out
}

func TestNumericDriftAgainstEvidently(t *testing.T) {
	for _, set := range []string{"german_credit", "nycflights"} {
		golden := readJSON[driftGolden](t, "drift_"+set+".json")
		for name, c := range driftColumns(t, "drift_"+set+".csv") {
			want := golden.Numeric[name]
			ref, cur := c[0], c[1]
			near(t, name+" rows", float64(ref.Rows()), float64(want.NRef), 0)
			near(t, name+" rows of window", float64(cur.Rows()), float64(want.NCur), 0)
			ks, p, err := KS(ref.Values, cur.Values)
			near(t, name+" ks", ks, want.KS, 1e-12)
			near(t, name+" ks p", p, want.KSP, 1e-6)
			w, err2 := Wasserstein(ref.Values, cur.Values)
			near(t, name+" wasserstein", w, want.W, 1e-6)
			wn, err3 := WassersteinNormalised(ref.Values, cur.Values)
			near(t, name+" wasserstein_norm", wn, want.WNorm, 1e-6)
			psi, err4 := PSIEvidently(ref, cur)
			near(t, name+" psi", psi, want.PSI, 1e-6)
			p10, err5 := PSIDecilesFloor(ref, cur)
			near(t, name+" psi_quantile10", p10, want.PSI10, 1e-6)
			js, err6 := jsTest(ref, cur)
			near(t, name+" js", js.Value, want.JS, 1e-6)
			for i, e := range DecileEdges(ref.Values) {
				near(t, fmt.Sprintf("%s edge %d", name, i), e, want.Edges[i], 1e-9)
			}
			if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCategoricalDriftAgainstEvidently(t *testing.T) {
	for _, set := range []string{"german_credit", "nycflights"} {
		for name, want := range readJSON[driftGolden](t, "drift_"+set+".json").Categorical {
			ref, cur := NewCategorical(name, want.Ref), NewCategorical(name, want.Cur)
			psi, err := PSIEvidently(ref, cur)
			near(t, name+" psi", psi, want.PSI, 1e-6)
			js, err2 := jsTest(ref, cur)
			near(t, name+" js", js.Value, want.JS, 1e-6)
			a := alignCounts(want.Ref, want.Cur)
			gof, _, err3 := Chi2GoodnessOfFit(a.ref, a.cur)
			if v, ok := want.Chi2.(float64); ok {
				near(t, name+" chi2", gof/v, 1, 1e-9)
			} else if !math.IsInf(gof, 1) {
				t.Errorf("%s chi2 = %g, want %v", name, gof, want.Chi2)
			}
			stat, p, err4 := Chi2Homogeneity(a.ref, a.cur)
			near(t, name+" chi2 contingency", stat, want.ContS, 1e-6)
			near(t, name+" chi2 contingency p", p, want.ContP, 1e-6)
			if err := errors.Join(err, err2, err3, err4); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestKSPValuesAgainstSciPy(t *testing.T) {
	want := readJSON[extra](t, "expected.json")
	for i, c := range want.KSExact {
		stat, p, err := KS(c.A, c.B)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("exact %d stat", i), stat, c.Stat, 1e-12)
		near(t, fmt.Sprintf("exact %d p", i), p, c.P, 1e-9)
	}
	for _, c := range want.KSLarge {
		// SciPy takes the exact distribution of one sample of the effective size; the corrected limit is within this of it.
		near(t, fmt.Sprintf("p of %g", c.Stat), ksAsymptotic(c.Stat, c.N, c.M), c.P, 5e-5)
	}
}

func TestPSI(t *testing.T) {
	for name, tc := range map[string]struct {
		expected, actual []int
		want             float64
	}{
		"equal":               {[]int{10, 20, 30}, []int{10, 20, 30}, 0},
		"one empty bin":       {[]int{50, 50}, []int{100, 0}, 2.6254},       // by hand: (0.5−100.5/101)·ln(...) twice
		"empty on both sides": {[]int{50, 0, 50}, []int{100, 0, 0}, 2.6254}, // the middle bin does not count
	} {
		t.Run(name, func(t *testing.T) {
			got, err := PSI(tc.expected, tc.actual)
			if err != nil || math.Abs(got-tc.want) > 1e-3 {
				t.Errorf("PSI(%v, %v) = %v, %v; want %v", tc.expected, tc.actual, got, err, tc.want)
			}
		})
	}
	if _, err := PSI([]int{0, 0}, []int{1, 2}); !errors.Is(err, ErrTooFew) {
		t.Errorf("PSI of an empty reference: %v, want ErrTooFew", err)
	}
}

// Windows from the reference's own distribution go over the noise band in 5%
// of cases; 400 windows give 5% ± 2.2% with 95% probability, and the limits
// here are three standard errors away.
func TestPSINoiseHoldsWhenNothingMoved(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sample := func(n int) Column {
		v := make([]float64, n)
		for i := range v {
			v[i] = math.Exp(rng.NormFloat64())
		}
		return NewNumeric("x", v)
	}
	over, small := 0, 0
	for range 400 {
		d, err := psiTest(sample(3000), sample(800))
		if err != nil {
			t.Fatal(err)
		}
		if d.Value > d.Noise {
			over++
		}
		if d.P < 0.05 {
			small++
		}
	}
	if over < 7 || over > 33 || over != small {
		t.Errorf("over the noise band in %d of 400 windows, p below 0.05 in %d; expected about 20 of both", over, small)
	}
}

func TestChi2Quantiles(t *testing.T) {
	for k, want := range readJSON[extra](t, "expected.json").Chi2Quantile {
		df, _ := strconv.Atoi(k)
		near(t, "95% with "+k+" degrees of freedom", PSINoise(df+1, 100, 100)*50, want, 1e-6)
	}
}

// Every test of the table: 0 for equal sides, the same whatever the order of
// rows, and no smaller when a window moves further away.
func TestDriftTestProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	values := make([]float64, 2000)
	for i := range values {
		values[i] = rng.NormFloat64()
	}
	shifted := func(by float64) []float64 {
		out := make([]float64, len(values))
		for i, v := range values {
			out[i] = v + by
		}
		rng.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
		return out
	}
	categories := func(moved int) map[string]int {
		return map[string]int{"a": 600 - moved, "b": 300, "c": 100 + moved}
	}
	for _, test := range DriftTests {
		for _, kind := range test.Kinds {
			last := -1.0
			for step := range 5 {
				ref, cur := NewNumeric("x", values), NewNumeric("x", shifted(0.3*float64(step)))
				if kind == Categorical {
					ref, cur = NewCategorical("x", categories(0)), NewCategorical("x", categories(100*step))
				}
				d, err := test.Run(ref, cur)
				if err != nil {
					t.Fatalf("%s: %v", test.Name, err)
				}
				if step == 0 && math.Abs(d.Value) > 1e-12 {
					t.Errorf("%s of equal %s columns = %g, want 0", test.Name, kind, d.Value)
				}
				if d.Value <= last {
					t.Errorf("%s on %s: step %d gives %g after %g, must grow", test.Name, kind, step, d.Value, last)
				}
				last = d.Value
			}
		}
	}
}

func TestColumnsThatCannotBeCompared(t *testing.T) {
	numbers := NewNumeric("x", []float64{1, 2, math.NaN(), math.Inf(1)})
	if numbers.Nulls != 2 || numbers.Rows() != 2 {
		t.Errorf("%d rows and %d nulls, want 2 and 2", numbers.Rows(), numbers.Nulls)
	}
	for _, test := range DriftTests {
		if _, err := test.Run(numbers, NewCategorical("x", map[string]int{"a": 1})); err == nil {
			t.Errorf("%s compared numbers with categories", test.Name)
		}
		if _, err := test.Run(NewNumeric("x", nil), NewNumeric("x", nil)); err == nil {
			t.Errorf("%s compared nothing with nothing", test.Name)
		}
	}
}

func TestHistogramsCompareLikeTheirValues(t *testing.T) {
	var values, later []float64
	for i := range 1000 {
		values = append(values, float64(i))
		later = append(later, float64(i)*1.2)
	}
	ref, cur := NewNumeric("x", values), NewNumeric("x", later)
	want, err := psiTest(ref, cur)
	if err != nil {
		t.Fatal(err)
	}
	edges := DecileEdges(ref.Values)
	kept := Column{Name: "x", Kind: Numeric, Edges: edges, Bins: CountBins(ref.Values, edges)}
	got, err := psiTest(kept, cur)
	if err != nil || got != want {
		t.Errorf("with the reference's histogram %+v, %v; want %+v", got, err, want)
	}
}
