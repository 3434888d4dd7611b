// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"time"

	"lastro"
)

// Spec is what lastro.yaml asks to be watched in one environment.
type Spec struct {
	Environment string
	Drift       *DriftSpec
	Performance *PerformanceSpec
	Notify      []string // targets; "log" is the only one so far
	Retrain     *RetrainSpec
	Pos         lastro.Pos
}

// DriftSpec compares the columns of a window with the training data.
type DriftSpec struct {
	Test    string // psi, ks, js, wasserstein, chi2; auto = PSI on every column, by its kind
	Step    string // reference: the step ...
	Output  string // ... and output that the live version was trained on
	Window  time.Duration
	MinRows int
	Warn    float64
	Alert   float64
	Columns []string // nil = all that the model reads
}

// PerformanceSpec measures the model against labels that arrive later.
type PerformanceSpec struct {
	Labels      string        // dataset
	Join        string        // column of both sides
	Delay       time.Duration // how long labels take; a window is measured no earlier
	ObservedFor string        // CEL over an answer's columns; "" = all rows
	Window      time.Duration
	Metric      string // auc, brier, accuracy, rmse, mae ...
	Alert       string // CEL over value, value.ci_low, value.ci_high, baseline, best
}

// RetrainSpec says when an alert starts the pipeline again.
type RetrainSpec struct {
	When      []string      // drift, performance, quality
	NewLabels int           // least new label rows since the live version was trained
	Cooldown  time.Duration // in event time
	Max       int           // runs ...
	Per       time.Duration // ... in this span of event time; 0 = no limit
}
