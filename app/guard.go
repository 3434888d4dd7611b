// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"lastro"
	"lastro/registry"
)

// byRollouts is the actor that moves aliases while traffic shifts.
var byRollouts = lastro.System("deploy")

// guard answers for protected aliases with the gates' decisions, whichever
// door asks (SEMANTICS 16).
type guard struct{ h *House }

// MayMove refuses what no passing decision on the same bytes allows. Taking a
// protected name away is left to rollouts: it would unlock what it protects.
func (g guard) MayMove(ctx context.Context, m registry.Move) error {
	subject := m.Model // renamed or deleted as a whole
	if m.Alias != "" {
		subject += "@" + m.Alias
	}
	if m.To.Number == 0 {
		if m.By == byRollouts {
			return nil
		}
		return &lastro.Error{Code: lastro.EDenied, ID: "L0551", Msg: fmt.Sprintf("%s is protected: it can be moved with evidence, but not taken away", subject),
			Hint: "lastro rollback ENVIRONMENT puts back the version before"}
	}
	if m.By == byRollouts && g.heldBefore(ctx, m) {
		return nil // a rollback must work although a waiver has ended since
	}
	ok, reason, err := g.h.Gates.Allows(ctx, m.Model, m.To.Digest, g.h.Clock.Now())
	if err != nil || ok {
		return err
	}
	return &lastro.Error{Code: lastro.EDenied, ID: "L0552",
		Msg:  fmt.Sprintf("%s may not move to version %d: %s", subject, m.To.Number, reason),
		Hint: fmt.Sprintf("lastro why %s@%d shows the decision; a rule with on_fail: approve can be waived: lastro approve", m.Model, m.To.Number)}
}

// heldBefore reports whether the alias pointed at this version earlier.
func (g guard) heldBefore(ctx context.Context, m registry.Move) bool {
	moves, err := g.h.Registry.AliasHistory(ctx, m.Model, m.Alias)
	if err != nil {
		return false
	}
	for _, old := range moves {
		if old.To == m.To.Number {
			return true
		}
	}
	return false
}
