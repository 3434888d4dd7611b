// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"time"

	"lastro"
)

// Spec is an environment as lastro.yaml declares it.
type Spec struct {
	Name       string
	Model      string // the model's name ...
	Alias      string // ... and the alias that the environment follows
	Strategy   Strategy
	RollbackIf []string // CEL over the candidate's facts (SEMANTICS, table of facts)
	Pos        lastro.Pos
}

// Strategy is how traffic moves to a release.
type Strategy struct {
	Kind  string    `json:"kind"`            // all-at-once (default), canary
	Steps []float64 `json:"steps,omitempty"` // canary: shares of traffic, 0 to 1, ascending
	// Hold is the least wall time of a step.
	Hold time.Duration `json:"hold,omitempty"`
	// MinRequests is the least number of requests that the candidate answers in
	// a step; no rule is judged on fewer. 0 = 20 with a Hold, 100 without one.
	MinRequests int `json:"min_requests,omitempty"`
}
