// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"time"

	"lastro"
)

// Kind says what a measurement is about.
type Kind string

// The kinds of measurement.
const (
	Drift       Kind = "drift"       // one input column against the training data
	Estimated   Kind = "estimated"   // the metric that the scores let one expect, before labels (CBPE)
	Performance Kind = "performance" // the metric against labels
)

// State says how a measurement stands to its limits.
type State string

// The states of a measurement.
const (
	OK      State = "ok"
	Warn    State = "warn"
	Alarm   State = "alert"
	Unknown State = "unknown" // could not be computed; Note says why
)

// Measurement is one figure of one window. Pointers are nil when the figure
// does not exist for its kind.
type Measurement struct {
	ID          string     `json:"id"` // from environment, release, kind, name and window start
	Environment string     `json:"environment"`
	Release     lastro.Ref `json:"release"`
	Model       lastro.Ref `json:"model"`
	Kind        Kind       `json:"kind"`
	Name        string     `json:"name"`           // column or metric
	Test        string     `json:"test,omitempty"` // drift test
	Start       time.Time  `json:"start"`          // event time, inclusive
	End         time.Time  `json:"end"`            // exclusive
	Month       string     `json:"month"`          // 2013-07: the month of the window's middle, for series and labels
	Rows        int        `json:"rows"`           // rows measured
	Answers     int        `json:"answers"`        // answers in the window
	Observed    int        `json:"observed"`       // answers that can ever have a label (performance)
	Value       float64    `json:"value"`
	CILow       *float64   `json:"ci_low,omitempty"`
	CIHigh      *float64   `json:"ci_high,omitempty"`
	P           *float64   `json:"p,omitempty"`        // drift: p-value
	Noise       *float64   `json:"noise,omitempty"`    // drift: what sampling alone exceeds in 5% of windows
	Baseline    *float64   `json:"baseline,omitempty"` // performance: in the version's decision; estimated: on the reference rows
	Best        *float64   `json:"best,omitempty"`     // performance: best earlier window since the release
	Harm        *float64   `json:"harm,omitempty"`     // estimated: how much worse than the reference; > 0 is worse
	State       State      `json:"state"`
	Note        string     `json:"note,omitempty"`
	At          time.Time  `json:"at"` // wall clock
}

// Filter narrows a list of measurements; empty fields match everything.
type Filter struct {
	Environment string
	Release     lastro.Ref
	Kind        Kind
	Name        string
	Limit       int // 0 = 10,000
}

// Series is one column or metric over the windows of an environment, oldest
// first, for charts and tables.
type Series struct {
	Kind   Kind          `json:"kind"`
	Name   string        `json:"name"`
	Points []Measurement `json:"points"`
}

// Measurements lists measurements, newest window first, then by kind and name.
func (s *Service) Measurements(ctx context.Context, f Filter) ([]Measurement, error) {
	return s.Store.Measurements(ctx, f)
}
