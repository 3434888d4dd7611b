// SPDX-License-Identifier: Apache-2.0

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
