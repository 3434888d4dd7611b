// SPDX-License-Identifier: Apache-2.0

// Package gate decides whether a subject may pass: rules in CEL over facts, a
// decision frozen with every value it saw, and waivers by named persons
// (SEMANTICS 16 and 17). Where facts come from and what a refusal stops is not
// known here: app gathers the facts, and the registry asks Service.Allows.
package gate

import "lastro"

// Rule is one condition: a CEL expression over facts, with what happens when
// it does not hold.
type Rule struct {
	Name   string     `json:"name"`
	Check  string     `json:"check"`           // CEL; 5%, 200ms and 7d are allowed as literals (SEMANTICS 17)
	OnFail string     `json:"on_fail"`         // block (default), warn, approve
	First  string     `json:"first,omitempty"` // pass or block: what compare.* rules give when there is no champion yet; "" = block
	Why    string     `json:"why,omitempty"`
	Pos    lastro.Pos `json:"-"`
}

// What a rule does when it does not hold.
const (
	Block   = "block"
	Warn    = "warn"
	Approve = "approve"
)
