// SPDX-License-Identifier: Apache-2.0

// Package lineage answers questions about how things came to be: what a
// version was made from, why it serves or not. The facts are gathered by app
// from the capabilities; here are the words of the answer.
package lineage

// Why is an answer to "why?": a sentence, then reasons.
type Why struct {
	Subject string   `json:"subject"`
	Verdict string   `json:"verdict"` // one sentence
	Lines   []Reason `json:"because"`
	Next    []string `json:"next,omitempty"` // commands
}

// Reason is one line of an answer.
type Reason struct {
	Kind string `json:"kind"` // decision, rule, waiver, run, made-from, rollout, release, bytes, step, changed, same
	Text string `json:"text"`
	OK   *bool  `json:"ok,omitempty"` // nil when it is neither good nor bad

	// Of an ingredient that changed: its name and whole values, "" = none.
	Name string `json:"name,omitempty"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}
