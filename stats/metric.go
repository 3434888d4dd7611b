// SPDX-License-Identifier: Apache-2.0

package stats

// Problem types that metrics belong to.
const (
	Binary     = "binary"     // truth 0 or 1, prediction a probability
	Regression = "regression" // truth and prediction are numbers
)

// Metric is one row of the table of metrics.
type Metric struct {
	Name     string
	Problem  string
	Higher   bool // true when a higher value is better
	Doc      string
	Estimate func(truth, prediction []float64) (Estimate, error) // ErrTooFew without rows, or without both classes where they are needed
}

// Metrics is the table of all metrics, by the name used in lastro.yaml.
// Accuracy thresholds the probability at 0.5.
var Metrics = []Metric{
	{Name: "auc", Problem: Binary, Higher: true, Doc: "area under the ROC curve; interval by DeLong", Estimate: AUC},
	{Name: "brier", Problem: Binary, Doc: "mean squared error of the probability", Estimate: Brier},
	{Name: "log_loss", Problem: Binary, Doc: "mean negative log-likelihood (nats)", Estimate: LogLoss},
	{Name: "accuracy", Problem: Binary, Higher: true, Doc: "share of right answers at 0.5; Wilson interval", Estimate: Accuracy},
	{Name: "rmse", Problem: Regression, Doc: "root mean squared error", Estimate: RMSE},
	{Name: "mae", Problem: Regression, Doc: "mean absolute error", Estimate: MAE},
	{Name: "r2", Problem: Regression, Higher: true, Doc: "coefficient of determination", Estimate: R2},
}

// LookupMetric finds a metric by name; "roc_auc" is auc.
func LookupMetric(name string) (Metric, bool) {
	if name == "roc_auc" {
		name = "auc"
	}
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}
