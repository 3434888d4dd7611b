// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lastro"
)

// Store keeps decisions and waivers; each write commits with its event.
type Store interface {
	// CreateDecision gives the next number to freeze, and stores what it
	// returns with its event in the same transaction.
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
	// WaiversFor lists the waivers of every decision on one model's bytes,
	// oldest first.
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
func NewService(store Store, clock lastro.Clock) *Service {
	if clock == nil {
		clock = lastro.SystemClock{}
	}
	return &Service{store, clock}
}

// Decide evaluates the rules, freezes the decision and stores it with the
// event decision.made. Waivers of earlier decisions on the same bytes go on
// counting where the rule and the values it saw are the same.
func (s *Service) Decide(ctx context.Context, subject Subject, rules []Rule, facts Facts, actor lastro.Actor) (Decision, error) {
	waivers, err := s.store.WaiversFor(ctx, subject.Model(), subject.Digest)
	if err != nil {
		return Decision{}, err
	}
	d := Evaluate(rules, facts, waivers, s.clock.Now())
	d.Subject, d.Actor = subject, actor
	return s.store.CreateDecision(ctx, func(number int) (Decision, lastro.Event, error) {
		d.ID = fmt.Sprintf("d-%04d", number)
		frozen, err := d.Frozen()
		if err != nil {
			return d, lastro.Event{}, fmt.Errorf("freeze decision %s: %w", d.ID, err)
		}
		d.Digest = lastro.DigestOf(frozen)
		return d, lastro.NewEvent(d.At, actor, "decision.made", d.Ref(), map[string]any{
			"subject": subject.Ref, "verdict": d.Verdict, "digest": d.Digest, "run": subject.Run,
		}), nil
	})
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
	found, err := s.store.Decisions(ctx, Filter{Model: model, Version: version, Limit: 1})
	if err != nil {
		return Decision{}, err
	}
	if len(found) == 0 {
		return Decision{}, lastro.Errorf(lastro.ENotFound, "no gate has decided on %s@%s", model, version)
	}
	return found[0], nil
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

// Waive grants a waiver, or a longer one, with the event waiver.granted.
// EConflict when the decision is not the one that the person saw, is not the
// newest or the rule waits for nobody, EGate when a rule blocks, EDenied when
// the actor may not, EInvalid for a rule, date or reason that will not do.
func (s *Service) Waive(ctx context.Context, r WaiveRequest) (Waiver, error) {
	now := s.clock.Now()
	d, err := s.store.Decision(ctx, r.Decision)
	if err != nil {
		return Waiver{}, err
	}
	if err := r.check(d, now); err != nil {
		return Waiver{}, err
	}
	newest, err := s.newest(ctx, d.Subject.Model(), d.Subject.Digest)
	if err != nil {
		return Waiver{}, err
	}
	if newest != nil && newest.ID != d.ID {
		return Waiver{}, &lastro.Error{Code: lastro.EConflict, ID: "L0362",
			Msg:  fmt.Sprintf("%s is no longer the newest decision on these bytes: %s is", d.ID, newest.ID),
			Hint: "look at " + newest.ID + " and decide on that"}
	}
	result, _ := d.Result(r.Rule)
	digest, err := seenDigest(result)
	if err != nil {
		return Waiver{}, fmt.Errorf("digest rule %s of %s: %w", r.Rule, d.ID, err)
	}
	w := Waiver{Decision: d.ID, Bundle: d.Digest, Rule: r.Rule, Reason: strings.TrimSpace(r.Reason),
		Until: r.Until.UTC().Truncate(time.Microsecond), Actor: r.Actor, At: now.Truncate(time.Microsecond), Seen: digest}
	return s.store.CreateWaiver(ctx, w, lastro.NewEvent(w.At, w.Actor, "waiver.granted", d.Ref(), map[string]any{
		"subject": d.Subject.Ref, "rule": w.Rule, "reason": w.Reason, "until": w.Until, "bundle": w.Bundle,
	}))
}

const maxReason = 2000

// check refuses what no waiver may be.
func (r WaiveRequest) check(d Decision, now time.Time) error {
	kind, name, _ := strings.Cut(string(r.Actor), ":")
	reason := strings.TrimSpace(r.Reason)
	result, known := d.Result(r.Rule)
	switch {
	case kind != "user" || name == "":
		return &lastro.Error{Code: lastro.EDenied, ID: "L0360", Msg: fmt.Sprintf("a waiver is signed by a person, and %s is none", r.Actor),
			Hint: "a user with the right to approve signs in and grants it"}
	case r.NotAuthor && r.Actor == d.Subject.Author:
		return &lastro.Error{Code: lastro.EDenied, ID: "L0361", Msg: fmt.Sprintf("%s started run %s and cannot waive a rule for it", r.Actor, d.Subject.Run),
			Hint: "somebody else has to decide"}
	case r.Bundle != d.Digest:
		return &lastro.Error{Code: lastro.EConflict, ID: "L0362", Msg: fmt.Sprintf("%s is %s, not what you looked at (%s)", d.ID, d.Digest.Short(), r.Bundle.Short()),
			Hint: "look at it again: lastro approve " + d.ID}
	case !known:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0363", Msg: fmt.Sprintf("%s has no rule %q", d.ID, r.Rule), Hint: "it has " + some(d.ruleNames())}
	case result.Outcome == Failed:
		return &lastro.Error{Code: lastro.EGate, ID: "L0364", Msg: fmt.Sprintf("rule %s blocks: %s", r.Rule, result.Message),
			Hint: "only a rule with on_fail: approve can be waived, and only one whose facts are there"}
	case d.Verdict == Failed:
		return &lastro.Error{Code: lastro.EGate, ID: "L0364", Msg: fmt.Sprintf("%s failed: another rule blocks, so nothing is gained by a waiver", d.ID),
			Hint: "lastro why " + d.Subject.Model() + "@" + d.Subject.Version()}
	case result.Outcome != Waiting && result.Outcome != Waived:
		return &lastro.Error{Code: lastro.EConflict, ID: "L0364", Msg: fmt.Sprintf("rule %s %s: there is nothing to waive", r.Rule, result.Outcome)}
	case reason == "":
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0365", Msg: "a waiver needs a reason", Hint: `--reason "why this may pass until then"`}
	case len(reason) > maxReason:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0365", Msg: fmt.Sprintf("the reason has %d characters; at most %d are kept", len(reason), maxReason)}
	case !r.Until.After(now):
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0366", Msg: fmt.Sprintf("a waiver ends in the future, and %s is past", r.Until.UTC().Format(time.DateOnly)),
			Hint: "--until YYYY-MM-DD"}
	}
	return nil
}

func (d Decision) ruleNames() []string {
	names := make([]string, len(d.Results))
	for i, r := range d.Results {
		names[i] = r.Rule.Name
	}
	return names
}

// newest returns the newest decision on a model's bytes, nil when there is none.
func (s *Service) newest(ctx context.Context, model string, digest lastro.Digest) (*Decision, error) {
	found, err := s.store.Decisions(ctx, Filter{Model: model, Digest: digest, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Allows says whether bytes of a model may be promoted now: the newest
// decision on that digest passed, or each rule that waits for a person has a
// waiver that has not run out. The reason is one line for a person, naming the
// decision and the rule; err is only for a store that cannot answer.
func (s *Service) Allows(ctx context.Context, model string, digest lastro.Digest, now time.Time) (ok bool, reason string, err error) {
	d, err := s.newest(ctx, model, digest)
	if err != nil {
		return false, "", err
	}
	if d == nil {
		return false, fmt.Sprintf("no gate has decided on these bytes of %s (%s)", model, digest.Short()), nil
	}
	waivers, err := s.store.Waivers(ctx, d.ID)
	if err != nil {
		return false, "", err
	}
	ok, reason = d.Stands(waivers, now)
	return ok, reason, nil
}

// Stands says whether a decision lets its subject pass at a moment, given the
// waivers granted on it.
func (d Decision) Stands(waivers []Waiver, now time.Time) (bool, string) {
	var by []string
	for _, r := range d.Results {
		switch r.Outcome {
		case Failed:
			return false, fmt.Sprintf("decision %s failed: rule %s: %s", d.ID, r.Rule.Name, r.Message)
		case Waiting, Waived:
			w, found := d.granted(r, waivers)
			if !found {
				return false, fmt.Sprintf("decision %s waits for a person: rule %s: %s", d.ID, r.Rule.Name, r.Message)
			}
			if !w.Until.After(now) {
				return false, fmt.Sprintf("decision %s: the waiver of rule %s by %s ran out on %s", d.ID, r.Rule.Name, w.Actor, w.Until.Format(time.DateOnly))
			}
			by = append(by, waivedBy(w))
		}
	}
	if d.Verdict == Failed {
		return false, fmt.Sprintf("decision %s failed", d.ID)
	}
	if len(by) > 0 {
		return true, fmt.Sprintf("decision %s holds: %s", d.ID, strings.Join(by, ", "))
	}
	return true, fmt.Sprintf("decision %s passed: %d of %d rules held", d.ID, d.held(), len(d.Results))
}

func (d Decision) held() int {
	n := 0
	for _, r := range d.Results {
		if r.Outcome == Passed {
			n++
		}
	}
	return n
}

// granted returns the waiver of a rule that ends last, among the one that the
// decision was made with and those given on exactly this decision since.
func (d Decision) granted(r Result, waivers []Waiver) (best Waiver, found bool) {
	if r.Waiver != nil {
		best, found = *r.Waiver, true
	}
	for _, w := range waivers {
		if w.Rule == r.Rule.Name && w.Decision == d.ID && w.Bundle == d.Digest && (!found || w.Until.After(best.Until)) {
			best, found = w, true
		}
	}
	return best, found
}

func waivedBy(w Waiver) string {
	return fmt.Sprintf("rule %s waived by %s until %s", w.Rule, w.Actor, w.Until.Format(time.DateOnly))
}
