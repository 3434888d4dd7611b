// SPDX-License-Identifier: Apache-2.0

package stats

// DriftTest compares a window's column with the reference's.
type DriftTest struct {
	Name  string
	Doc   string // one sentence for people
	Kinds []ColumnKind
	Run   func(reference, window Column) (Drift, error)
}

// Drift is the outcome of a test on one column. P and Noise can be NaN, so it
// is no wire format.
type Drift struct {
	Test  string
	Value float64 // the statistic that limits are compared with
	P     float64 // probability of at least this value when nothing moved; NaN when the test has none
	Noise float64 // the value that sampling alone exceeds in 5% of windows; NaN when unknown
	Rows  int     // rows of the window with a value
	Bins  int     // bins or categories compared; 0 = none
}

// DriftTests is the table of all tests, by the name used in lastro.yaml.
// "auto" is no row of it: it means psi on every column, by the column's kind.
var DriftTests = []DriftTest{
	{Name: "psi", Doc: "population stability index: deciles of the reference for numbers, shares for categories", Kinds: []ColumnKind{Numeric, Categorical}, Run: psiTest},
	{Name: "js", Doc: "Jensen–Shannon distance (nats) over Sturges bins or categories", Kinds: []ColumnKind{Numeric, Categorical}, Run: jsTest},
	{Name: "ks", Doc: "two-sample Kolmogorov–Smirnov statistic, with its p-value", Kinds: []ColumnKind{Numeric}, Run: ksTest},
	{Name: "wasserstein", Doc: "earth mover's distance in standard deviations of the reference", Kinds: []ColumnKind{Numeric}, Run: wassersteinTest},
	{Name: "chi2", Doc: "Cramér's V with the chi-squared test of homogeneity", Kinds: []ColumnKind{Categorical}, Run: chi2Test},
}

// LookupDrift finds a test by name; "auto" and "" are psi. It returns false
// for an unknown name.
func LookupDrift(name string) (DriftTest, bool) {
	if name == "" || name == "auto" {
		name = "psi"
	}
	for _, t := range DriftTests {
		if t.Name == name {
			return t, true
		}
	}
	return DriftTest{}, false
}

// Supports reports whether the test can compare columns of the kind.
func (t DriftTest) Supports(kind ColumnKind) bool {
	for _, k := range t.Kinds {
		if k == kind {
			return true
		}
	}
	return false
}
