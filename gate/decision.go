// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"fmt"
	"time"

	"lastro"
)

// Outcome is what one rule gave.
type Outcome string

// The outcomes of a rule.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"  // blocks
	Waiting Outcome = "waiting" // on_fail: approve: a person may waive it
	Waived  Outcome = "waived"  // waiting, and a person did
	Warned  Outcome = "warned"  // on_fail: warn: said, not enforced
)

// Saw is one fact that a rule read, as it was.
type Saw struct {
	Name     string   `json:"name"`
	Value    any      `json:"value"`              // nil with Missing
	Missing  bool     `json:"missing,omitempty"`  // not there, or not a number
	Estimate *float64 `json:"estimate,omitempty"` // the figure itself when Name is one end of its interval
	CILow    *float64 `json:"ci_low,omitempty"`   // the 95% interval around Value or Estimate
	CIHigh   *float64 `json:"ci_high,omitempty"`
}

// Result is what one rule gave and why.
type Result struct {
	Rule    Rule    `json:"rule"`
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"` // one line for a person
	Hint    string  `json:"hint,omitempty"`
	Saw     []Saw   `json:"saw"`
	Waiver  *Waiver `json:"waiver,omitempty"` // with Waived
}

// Subject is what a decision is about.
type Subject struct {
	Ref    lastro.Ref    `json:"ref"`    // model:flight-delay@3
	Digest lastro.Digest `json:"digest"` // of the version's bytes
	Run    string        `json:"run,omitempty"`
	Author lastro.Actor  `json:"author,omitempty"` // who started the run
}

// Decision is the frozen answer of a gate. Digest covers everything else in
// it, so that what a person approves cannot change afterwards.
type Decision struct {
	ID      string        `json:"id"` // d-0001
	Subject Subject       `json:"subject"`
	At      time.Time     `json:"at"`
	Actor   lastro.Actor  `json:"actor"`
	Verdict Outcome       `json:"verdict"` // passed, failed or waiting
	Results []Result      `json:"results"` // in the order of the rules
	Facts   Facts         `json:"facts"`   // all that there were, read or not
	Digest  lastro.Digest `json:"digest"`
}

// Waiver is a person's signed "pass this failing rule until then", bound to
// one decision as it was.
type Waiver struct {
	ID       int64         `json:"id"`
	Decision string        `json:"decision"`
	Bundle   lastro.Digest `json:"bundle"` // digest of the decision that the person saw
	Rule     string        `json:"rule"`
	Reason   string        `json:"reason"`
	Until    time.Time     `json:"until"`
	Actor    lastro.Actor  `json:"actor"`
	At       time.Time     `json:"at"`
	Seen     lastro.Digest `json:"seen"` // digest of the rule and of the values it saw
}

// Model and Version are the parts of the subject's reference.
func (s Subject) Model() string { _, name, _ := s.Ref.Parts(); return name }

// Version is the number of the subject's version, as text.
func (s Subject) Version() string { _, _, version := s.Ref.Parts(); return version }

// Ref points at the decision.
func (d Decision) Ref() lastro.Ref { return lastro.NewRef("decision", d.ID, "") }

// Result returns what one rule gave.
func (d Decision) Result(rule string) (Result, bool) {
	for _, r := range d.Results {
		if r.Rule.Name == rule {
			return r, true
		}
	}
	return Result{}, false
}

// Frozen returns the decision's canonical bytes, which its digest is of:
// everything but the digest itself.
func (d Decision) Frozen() ([]byte, error) {
	d.Digest = ""
	return lastro.CanonicalJSON(d)
}

// Thaw reads a decision from its frozen bytes; ETampered when they do not
// give the digest.
func Thaw(frozen []byte, digest lastro.Digest) (Decision, error) {
	var d Decision
	if got := lastro.DigestOf(frozen); got != digest {
		return d, &lastro.Error{Code: lastro.ETampered, ID: "L0802", Msg: fmt.Sprintf("a stored decision was changed: its bytes give %s, not %s", got.Short(), digest.Short()),
			Hint: "it counts as no decision; run the pipeline again to make a new one"}
	}
	if err := json.Unmarshal(frozen, &d); err != nil {
		return d, fmt.Errorf("read decision %s: %w", digest.Short(), err)
	}
	d.Digest = digest
	return d, nil
}
