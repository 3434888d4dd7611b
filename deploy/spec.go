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
	Kind        string        // all-at-once (default), canary
	Steps       []float64     // canary: shares of traffic, 0 to 1, ascending
	Hold        time.Duration // least wall time of a step
	MinRequests int           // least requests that the candidate answered in a step
}
