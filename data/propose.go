// SPDX-License-Identifier: Apache-2.0

package data

// Proposal is an edited contract that a report's violations would pass.
type Proposal struct {
	Text    []byte   `json:"-"`       // the whole file; comments and layout are kept
	Diff    string   `json:"diff"`    // unified diff against the present text
	Changes []Change `json:"changes"` // one for each edit
	Left    []Change `json:"left"`    // violations that no widening should hide, with the reason
}

// Change is one edit, or the reason for none.
type Change struct {
	Check string `json:"check"`
	Line  int    `json:"line,omitempty"`
	What  string `json:"what"`
}

// Propose widens the contract so that what the report found is allowed: new
// values join validValues, ranges and lengths stretch to what was seen,
// thresholds to what was measured, types to the wider type, required columns
// may be null. Duplicate keys, SQL rules and patterns are left to a person.
// The report must list every bad value (CheckRequest.MaxBad). EInvalid when
// the file does not parse; EConflict when the report is of another text.
func Propose(file string, text []byte, r Report) (Proposal, error) { return propose(file, text, r) }
