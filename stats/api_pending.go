// SPDX-License-Identifier: Apache-2.0

package stats

func psiTest(reference, window Column) (Drift, error)         { return Drift{}, ErrTooFew }
func jsTest(reference, window Column) (Drift, error)          { return Drift{}, ErrTooFew }
func ksTest(reference, window Column) (Drift, error)          { return Drift{}, ErrTooFew }
func wassersteinTest(reference, window Column) (Drift, error) { return Drift{}, ErrTooFew }
func chi2Test(reference, window Column) (Drift, error)        { return Drift{}, ErrTooFew }

// AUC returns the area under the ROC curve with DeLong's interval.
func AUC(truth, score []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// Brier returns the mean squared error of probabilities.
func Brier(truth, p []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// LogLoss returns the mean negative log-likelihood in nats.
func LogLoss(truth, p []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// Accuracy returns the share of right answers at a threshold of 0.5.
func Accuracy(truth, p []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// RMSE returns the root mean squared error.
func RMSE(truth, prediction []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// MAE returns the mean absolute error.
func MAE(truth, prediction []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// R2 returns the coefficient of determination.
func R2(truth, prediction []float64) (Estimate, error) { return Estimate{}, ErrTooFew }

// Comparison is one metric of a candidate and a champion on the same rows.
type Comparison struct {
	Metric    string   `json:"metric"`
	Candidate float64  `json:"candidate"`
	Champion  float64  `json:"champion"`
	Diff      Estimate `json:"diff"` // candidate minus champion, raw sign, 95% percentile interval
	Higher    bool     `json:"higher_is_better"`
	Rows      int      `json:"rows"`
	Resamples int      `json:"resamples"`
}

// PairedBootstrap compares two models on the same rows by resampling rows
// with replacement; truth, candidate and champion are parallel.
func PairedBootstrap(truth, candidate, champion []float64, metrics []string, resamples int, seed uint64) ([]Comparison, error) {
	return nil, ErrTooFew
}

// Wilson returns the score interval of a rate of count out of n at normal
// quantile z (Z95 for 95%); {0, 1} when n is 0.
func Wilson(count, n int, z float64) Interval { return Interval{} }

// Newcombe returns the interval of the difference of two independent rates,
// the first minus the second, from their Wilson intervals (method 10).
func Newcombe(count1, n1, count2, n2 int, z float64) Interval { return Interval{} }

// FairnessInput is one answer a row. Favourable and GoodTruth are in terms of
// the person: true is the answer, or the truth, that is good for them.
type FairnessInput struct {
	Group      []string
	Favourable []bool // the answer
	GoodTruth  []bool // the truth; nil when no labels are known: only selection rates then
	MinRows    int    // groups with fewer rows are listed and left out of gaps; 0 = 1
}

// Rate is a share of rows with its Wilson interval; NaN-free: Of 0 gives
// Value 0 with interval 0 to 1.
type Rate struct {
	Count int `json:"count"`
	Of    int `json:"of"`
	Estimate
}

// GroupRates are the rates of one group.
type GroupRates struct {
	Group     string `json:"group"`
	Rows      int    `json:"rows"`
	Excluded  bool   `json:"excluded,omitempty"` // smaller than MinRows
	BaseRate  Rate   `json:"base_rate"`          // good truths
	Selection Rate   `json:"selection"`          // favourable answers
	TPR       Rate   `json:"tpr"`                // favourable among good truths
	FPR       Rate   `json:"fpr"`
	FNR       Rate   `json:"fnr"`
	PPV       Rate   `json:"ppv"` // good truths among favourable answers
}

// Gap is the largest difference of one measure between two groups.
type Gap struct {
	Measure string   `json:"measure"` // demographic_parity, equal_opportunity, equalized_odds, false_positive_rate, predictive_parity
	MaxGap  Estimate `json:"max_gap"` // highest minus lowest rate, 0 to 1
	Highest string   `json:"highest"` // the groups
	Lowest  string   `json:"lowest"`
	Ratio   float64  `json:"ratio"` // lowest over highest rate; 1 when both are 0
}

// Fairness is what one model does to the groups of one attribute.
type Fairness struct {
	Groups       []GroupRates   `json:"groups"` // by name
	Excluded     []string       `json:"excluded,omitempty"`
	Gaps         map[string]Gap `json:"gaps"`
	RatioCeiling float64        `json:"ratio_ceiling"` // the selection ratio that a perfect classifier would have: lowest over highest base rate
}

// FairnessByGroup computes rates and gaps of one attribute.
func FairnessByGroup(in FairnessInput) (Fairness, error) { return Fairness{}, ErrTooFew }

// CBPE estimates performance from calibrated scores alone.
type CBPE struct{}

// FitCBPE learns from reference rows with truth: whether the scores need
// isotonic calibration, and the sampling noise.
func FitCBPE(truth, score []float64) (*CBPE, error) { return nil, ErrTooFew }

// AUC returns the ROC AUC to be expected of a window's scores; the interval
// is its sampling error of 3 standard errors, as NannyML states it.
func (c *CBPE) AUC(score []float64) (Estimate, error) { return Estimate{}, ErrTooFew }
