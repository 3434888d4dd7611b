// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"lastro"
)

// Store keeps decisions and waivers; each write commits with its event.
type Store interface {
	// CreateDecision gives the next number to freeze, and stores what it
	// returns in the same transaction.
	CreateDecision(ctx context.Context, freeze func(number int) (Decision, lastro.Event, error)) (Decision, error)
	// Decision returns one decision, ENotFound when there is none, ETampered
	// when its stored bytes do not give its digest.
	Decision(ctx context.Context, id string) (Decision, error)
	// Decisions lists decisions, newest first.
	Decisions(ctx context.Context, f Filter) ([]Decision, error)
	// CreateWaiver stores a waiver and returns it with its ID.
	CreateWaiver(ctx context.Context, w Waiver, ev lastro.Event) (Waiver, error)
	// Waivers lists the waivers of one decision, oldest first.
	Waivers(ctx context.Context, decision string) ([]Waiver, error)
	// WaiversFor lists the waivers of every decision on one model's bytes.
	WaiversFor(ctx context.Context, model string, digest lastro.Digest) ([]Waiver, error)
}

// Filter narrows a list of decisions; empty fields match everything.
type Filter struct {
	Model   string
	Version string
	Digest  lastro.Digest
	Verdict Outcome
	Limit   int // 0 = 100
}

// Service makes, keeps and answers for decisions. Safe for concurrent use.
type Service struct {
	store Store
	clock lastro.Clock
}

// NewService returns a service over a store; clock nil = the machine's.
func NewService(store Store, clock lastro.Clock) *Service { return &Service{store, clock} }

// Decide evaluates the rules, freezes the decision and stores it with the
// event decision.made.
func (s *Service) Decide(ctx context.Context, subject Subject, rules []Rule, facts Facts, actor lastro.Actor) (Decision, error) {
	return Decision{}, nil
}

// Get returns one decision.
func (s *Service) Get(ctx context.Context, id string) (Decision, error) {
	return s.store.Decision(ctx, id)
}

// List returns decisions, newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Decision, error) {
	return s.store.Decisions(ctx, f)
}

// ForVersion returns the newest decision on a model's version, ENotFound
// when there is none.
func (s *Service) ForVersion(ctx context.Context, model, version string) (Decision, error) {
	return Decision{}, nil
}

// Waivers lists the waivers granted on a decision, oldest first.
func (s *Service) Waivers(ctx context.Context, id string) ([]Waiver, error) {
	return s.store.Waivers(ctx, id)
}

// WaiveRequest is a person's wish to pass one failing rule.
type WaiveRequest struct {
	Decision  string
	Bundle    lastro.Digest // digest of the decision as the person saw it
	Actor     lastro.Actor  // must be a person: user:NAME
	Rule      string
	Reason    string
	Until     time.Time // must lie ahead
	NotAuthor bool      // refuse the person who started the run
}

// Waive grants a waiver with the event waiver.granted. EConflict when the
// decision is not the one that the person saw or waits for nobody, EDenied
// when the actor may not, EInvalid for a date or reason that will not do.
func (s *Service) Waive(ctx context.Context, r WaiveRequest) (Waiver, error) { return Waiver{}, nil }

// Allows says whether bytes of a model may be promoted now: the newest
// decision on that digest passed, or each rule that waits for a person has a
// waiver that has not run out. The reason is one line for a person, naming the
// decision and the rule; err is only for a store that cannot answer.
func (s *Service) Allows(ctx context.Context, model string, digest lastro.Digest, now time.Time) (ok bool, reason string, err error) {
	return false, "", nil
}
