// SPDX-License-Identifier: Apache-2.0

// Package trigger decides what starts a run: a push, new data, a schedule, an
// alert, a person; each cause starts at most one run.
package trigger

// Spec is the on: section of lastro.yaml.
type Spec struct {
	Data   []string // datasets whose new versions start a run
	Manual bool
}
