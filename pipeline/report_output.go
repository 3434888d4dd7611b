// SPDX-License-Identifier: Apache-2.0

package pipeline

import "path/filepath"

// A step hands text to lastro through two files of its scratch folder, named
// in its environment. Both are read once, when the step has ended.
const (
	SummaryVar = "LASTRO_SUMMARY" // Markdown for people
	OutputVar  = "LASTRO_OUTPUT"  // NAME=value lines for later steps
)

// Bounds of the two files, in bytes; a longer one is a clear error.
const (
	MaxSummary = 1 << 20
	MaxOutput  = 1 << 20
)

// SummaryPath returns the absolute path of $LASTRO_SUMMARY.
func (j *Job) SummaryPath() string { return filepath.Join(j.Scratch, "summary.md") }

// OutputPath returns the absolute path of $LASTRO_OUTPUT.
func (j *Job) OutputPath() string { return filepath.Join(j.Scratch, "output") }
