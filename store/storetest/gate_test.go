// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/store"
)

// movable is a clock that the test sets.
type movable struct{ t time.Time }

func (m *movable) Now() time.Time { return m.t }

var incomeRules = []gate.Rule{
	{Name: "auc-floor", Check: "metrics.auc >= 0.90"},
	{Name: "equal-opportunity", Check: "fairness.sex.equal_opportunity.max_gap <= 0.10", OnFail: gate.Approve},
}

func incomeFacts(gap float64) gate.Facts {
	return gate.Facts{"metrics.auc": 0.93, "fairness.sex.equal_opportunity.max_gap": gap,
		"fairness.sex.equal_opportunity.max_gap.ci_low": gap - 0.02, "fairness.sex.equal_opportunity.max_gap.ci_high": gap + 0.02}
}

func openGate(db *store.DB) (*gate.Service, *movable) {
	clock := &movable{time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)}
	return gate.NewService(store.NewGate(db), clock), clock
}

func subject(version, bytes string) gate.Subject {
	return gate.Subject{Ref: lastro.NewRef("model", "income-outreach", version), Digest: lastro.DigestOf([]byte(bytes)), Run: "7", Author: "user:ana"}
}

func TestGateDecisionIsFrozenAndNewestCounts(t *testing.T) {
	Each(t, testGateDecisionIsFrozenAndNewestCounts)
}

func testGateDecisionIsFrozenAndNewestCounts(t *testing.T, db *store.DB) {
	svc, clock := openGate(db)
	ctx := context.Background()
	digest := lastro.DigestOf([]byte("m1"))
	if ok, why, err := svc.Allows(ctx, "income-outreach", digest, clock.t); ok || err != nil || !strings.Contains(why, "no gate has decided") {
		t.Fatalf("Allows without a decision = %v, %q, %v", ok, why, err)
	}
	d, err := svc.Decide(ctx, subject("1", "m1"), incomeRules, incomeFacts(0.05), lastro.System("engine"))
	if err != nil {
		t.Fatal(err)
	}
	if d.ID != "d-0001" || d.Verdict != gate.Passed || d.Digest == "" {
		t.Fatalf("Decide = %s %s %s", d.ID, d.Verdict, d.Digest)
	}
	got, err := svc.Get(ctx, "d-0001")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := d.Frozen()
	b, _ := got.Frozen()
	if string(a) != string(b) || got.Digest != d.Digest || lastro.DigestOf(b) != d.Digest {
		t.Errorf("what was read is not what was frozen:\n%s\n%s", a, b)
	}
	if ok, why, _ := svc.Allows(ctx, "income-outreach", digest, clock.t); !ok {
		t.Errorf("Allows after a pass: %s", why)
	}
	if ok, _, _ := svc.Allows(ctx, "another", digest, clock.t); ok {
		t.Error("a decision on one model let another pass")
	}
	// The same bytes, judged again with other facts: the newest decision counts.
	if _, err := svc.Decide(ctx, subject("2", "m1"), incomeRules, incomeFacts(0.21), lastro.System("engine")); err != nil {
		t.Fatal(err)
	}
	ok, why, _ := svc.Allows(ctx, "income-outreach", digest, clock.t)
	if ok || !strings.Contains(why, "d-0002 waits for a person: rule equal-opportunity") || !strings.Contains(why, "0.21 [0.19, 0.23]") {
		t.Errorf("Allows after a later refusal = %v, %q", ok, why)
	}
	if v, err := svc.ForVersion(ctx, "income-outreach", "1"); err != nil || v.ID != "d-0001" {
		t.Errorf("ForVersion(1) = %s, %v", v.ID, err)
	}
	if _, err := svc.ForVersion(ctx, "income-outreach", "9"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("ForVersion(9) = %v", err)
	}
	events, err := db.Events(ctx, store.EventFilter{Verb: "decision.made"})
	if err != nil || len(events) != 2 || events[1].Subject != "decision:d-0002" {
		t.Errorf("events = %v, %v", events, err)
	}
}

func TestGateTamperedDecisionIsRefused(t *testing.T) { Each(t, testGateTamperedDecisionIsRefused) }

func testGateTamperedDecisionIsRefused(t *testing.T, db *store.DB) {
	svc, clock := openGate(db)
	ctx := context.Background()
	if _, err := svc.Decide(ctx, subject("1", "m1"), incomeRules, incomeFacts(0.21), lastro.System("engine")); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE decisions SET frozen = replace(frozen, '"verdict":"waiting"', '"verdict":"passed"')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Get(ctx, "d-0001"); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("Get of a changed decision = %v, want tampered", err)
	}
	if ok, _, err := svc.Allows(ctx, "income-outreach", lastro.DigestOf([]byte("m1")), clock.t); ok || !lastro.Is(err, lastro.ETampered) {
		t.Errorf("Allows on a changed decision = %v, %v", ok, err)
	}
}

func TestGateWaiver(t *testing.T) { Each(t, testGateWaiver) }

func testGateWaiver(t *testing.T, db *store.DB) {
	svc, clock := openGate(db)
	ctx := context.Background()
	digest := lastro.DigestOf([]byte("m1"))
	d, err := svc.Decide(ctx, subject("1", "m1"), incomeRules, incomeFacts(0.21), lastro.System("engine"))
	if err != nil {
		t.Fatal(err)
	}
	good := gate.WaiveRequest{Decision: d.ID, Bundle: d.Digest, Actor: "user:rui", Rule: "equal-opportunity",
		Reason: "outreach only; reviewed in March", Until: clock.t.AddDate(0, 1, 0), NotAuthor: true}
	for name, tc := range map[string]struct {
		change func(*gate.WaiveRequest)
		code   lastro.Code
	}{
		"a token":          {func(r *gate.WaiveRequest) { r.Actor = "token:ci" }, lastro.EDenied},
		"nobody":           {func(r *gate.WaiveRequest) { r.Actor = "user:" }, lastro.EDenied},
		"the author":       {func(r *gate.WaiveRequest) { r.Actor = "user:ana" }, lastro.EDenied},
		"another bundle":   {func(r *gate.WaiveRequest) { r.Bundle = lastro.DigestOf(nil) }, lastro.EConflict},
		"no such rule":     {func(r *gate.WaiveRequest) { r.Rule = "equal" }, lastro.EInvalid},
		"a rule that held": {func(r *gate.WaiveRequest) { r.Rule = "auc-floor" }, lastro.EConflict},
		"no reason":        {func(r *gate.WaiveRequest) { r.Reason = " " }, lastro.EInvalid},
		"past":             {func(r *gate.WaiveRequest) { r.Until = clock.t }, lastro.EInvalid},
		"no decision":      {func(r *gate.WaiveRequest) { r.Decision = "d-0099" }, lastro.ENotFound},
	} {
		r := good
		tc.change(&r)
		if _, err := svc.Waive(ctx, r); !lastro.Is(err, tc.code) {
			t.Errorf("%s: Waive = %v, want %s", name, err, tc.code)
		}
	}
	if ok, _, _ := svc.Allows(ctx, "income-outreach", digest, clock.t); ok {
		t.Fatal("a refused waiver let the version pass")
	}
	w, err := svc.Waive(ctx, good)
	if err != nil || w.ID != 1 {
		t.Fatalf("Waive = %+v, %v", w, err)
	}
	ok, why, _ := svc.Allows(ctx, "income-outreach", digest, clock.t)
	if !ok || !strings.Contains(why, "waived by user:rui until 2026-12-23") {
		t.Errorf("Allows with a waiver = %v, %q", ok, why)
	}
	if ok, why, _ := svc.Allows(ctx, "income-outreach", digest, w.Until); ok || !strings.Contains(why, "ran out") {
		t.Errorf("Allows at the waiver's end = %v, %q", ok, why)
	}
	events, _ := db.Events(ctx, store.EventFilter{Verb: "waiver.granted"})
	if len(events) != 1 || events[0].Actor != "user:rui" {
		t.Errorf("events = %v", events)
	}

	// The same bytes and the same values again: the waiver goes on, until its date.
	again, err := svc.Decide(ctx, subject("2", "m1"), incomeRules, incomeFacts(0.21), lastro.System("engine"))
	if err != nil || again.Verdict != gate.Passed || again.Results[1].Outcome != gate.Waived {
		t.Fatalf("the same again = %s %v, %v", again.Verdict, again.Results, err)
	}
	if ok, _, _ := svc.Allows(ctx, "income-outreach", digest, clock.t); !ok {
		t.Error("a carried waiver does not count")
	}
	if ok, _, _ := svc.Allows(ctx, "income-outreach", digest, w.Until.Add(time.Hour)); ok {
		t.Error("a carried waiver outlived its date")
	}
	// It ran out: the person may look again and grant a longer one.
	longer := good
	longer.Decision, longer.Bundle, longer.Until = again.ID, again.Digest, w.Until.AddDate(0, 1, 0)
	if _, err := svc.Waive(ctx, longer); err != nil {
		t.Errorf("a longer waiver: %v", err)
	}
	if ok, why, _ := svc.Allows(ctx, "income-outreach", digest, w.Until.Add(time.Hour)); !ok {
		t.Errorf("a longer waiver does not count: %s", why)
	}
	if _, err := svc.Waive(ctx, good); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("a waiver on an old decision = %v, want conflict", err)
	}
	// Other values: what the person saw was not this.
	worse, err := svc.Decide(ctx, subject("3", "m1"), incomeRules, incomeFacts(0.25), lastro.System("engine"))
	if err != nil || worse.Verdict != gate.Waiting {
		t.Errorf("a larger gap = %s, %v; want waiting", worse.Verdict, err)
	}
}

func TestGateBlockingRuleCannotBeWaived(t *testing.T) { Each(t, testGateBlockingRuleCannotBeWaived) }

func testGateBlockingRuleCannotBeWaived(t *testing.T, db *store.DB) {
	svc, clock := openGate(db)
	ctx := context.Background()
	facts := incomeFacts(0.21)
	facts["metrics.auc"] = 0.8
	d, err := svc.Decide(ctx, subject("1", "m1"), incomeRules, facts, lastro.System("engine"))
	if err != nil || d.Verdict != gate.Failed {
		t.Fatalf("Decide = %s, %v", d.Verdict, err)
	}
	for _, rule := range []string{"auc-floor", "equal-opportunity"} {
		_, err := svc.Waive(ctx, gate.WaiveRequest{Decision: d.ID, Bundle: d.Digest, Actor: "user:rui", Rule: rule, Reason: "please", Until: clock.t.AddDate(1, 0, 0)})
		if !lastro.Is(err, lastro.EGate) && !lastro.Is(err, lastro.EConflict) {
			t.Errorf("Waive(%s) on a failed decision = %v", rule, err)
		}
	}
}
