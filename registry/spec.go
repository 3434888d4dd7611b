// SPDX-License-Identifier: Apache-2.0

package registry

import "lastro"

// Spec is a model as lastro.yaml declares it.
type Spec struct {
	Name    string
	Step    string   // the step ...
	Output  string   // ... and its output that holds the model
	Protect []string // aliases that move only with a passing decision; candidate, champion and challenger always are
	Pos     lastro.Pos
}
