// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/registry"
)

// TestGuard asks for every kind of move in every state of the decision.
func TestGuard(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	rules := h.Project().Rules
	person := lastro.Actor("user:ana")
	version := func(name string) registry.Version {
		t.Helper()
		v, _, err := h.Registry.Register(t.Context(), registry.Registration{Version: registry.Version{Model: "small-model", Digest: lastro.DigestOf([]byte(name)), By: person}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	decide := func(v registry.Version, auc float64) gate.Decision {
		t.Helper()
		d, err := h.Gates.Decide(t.Context(), gate.Subject{Ref: v.Ref(), Digest: v.Digest, Author: person}, rules, gate.Facts{"metrics.auc": auc}, lastro.System("gate"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	none, failed, waiting, waived, passed, turned := version("none"), version("failed"), version("waiting"), version("waived"), version("passed"), version("turned")
	decide(failed, 0.5)
	decide(waiting, 0.62)
	w := decide(waived, 0.62)
	decide(passed, 0.7)
	decide(turned, 0.7)
	decide(turned, 0.5) // the newest decision counts
	until := time.Now().Add(time.Hour)
	if _, err := h.Gates.Waive(t.Context(), gate.WaiveRequest{Decision: w.ID, Bundle: w.Digest, Rule: "good", Reason: "a pilot", Until: until, Actor: "user:rita"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		to   registry.Version
		ok   bool
	}{
		{"no decision", none, false}, {"failed", failed, false}, {"waiting", waiting, false},
		{"waived", waived, true}, {"passed", passed, true}, {"passed, then failed", turned, false},
		{"other bytes under a number that passed", registry.Version{Model: "small-model", Number: passed.Number, Digest: lastro.DigestOf([]byte("flipped"))}, false},
	} {
		for _, kind := range []registry.MoveKind{registry.MoveAlias, registry.MoveStage} {
			for _, by := range []lastro.Actor{person, byRollouts, lastro.System("gate")} {
				err := guard{h}.MayMove(t.Context(), registry.Move{Kind: kind, Model: "small-model", Alias: "champion", To: tc.to, By: by})
				if (err == nil) != tc.ok || err != nil && !lastro.Is(err, lastro.EDenied) {
					t.Errorf("%s to %s by %s: %v", kind, tc.name, by, err)
				}
			}
		}
	}
	for _, kind := range []registry.MoveKind{registry.RemoveAlias, registry.RenameModel, registry.DeleteModel, registry.DeleteVersion} {
		for by, ok := range map[lastro.Actor]bool{person: false, byRollouts: true} {
			err := guard{h}.MayMove(t.Context(), registry.Move{Kind: kind, Model: "small-model", Alias: "champion", From: passed, By: by})
			if (err == nil) != ok || err != nil && !lastro.Is(err, lastro.EDenied) {
				t.Errorf("%s by %s: %v", kind, by, err)
			}
		}
	}
	// Through the registry itself: a refused move changes nothing.
	for _, alias := range []string{"champion", "challenger", "candidate"} {
		if err := h.Registry.SetAlias(t.Context(), person, "small-model", alias, failed.Number, ""); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s to a version that failed: %v", alias, err)
		}
		if _, err := h.Registry.ByAlias(t.Context(), "small-model", alias); !lastro.Is(err, lastro.ENotFound) {
			t.Errorf("%s moved although it was refused: %v", alias, err)
		}
	}
}

// TestGuardRollback: what an alias held before may come back by a rollout
// although its waiver has ended, and by nobody else.
func TestGuardRollback(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	var versions []registry.Version
	for n := 1; n <= 2; n++ {
		out, err := h.Run(t.Context(), RunRequest{Actor: "user:ana", Params: map[string]any{"n": n}})
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, *out.Version)
		if err := (aliases{h}).Point(t.Context(), "small-model", "champion", n, byRollouts, "held"); err != nil {
			t.Fatal(err)
		}
	}
	first := versions[0]
	if _, err := h.Gates.Decide(t.Context(), gate.Subject{Ref: first.Ref(), Digest: first.Digest}, h.Project().Rules, gate.Facts{"metrics.auc": 0.1}, lastro.System("gate")); err != nil {
		t.Fatal(err)
	}
	if err := h.Registry.SetAlias(t.Context(), "user:ana", "small-model", "champion", 1, ""); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a person moved champion back to what fails now: %v", err)
	}
	if err := (aliases{h}).Point(t.Context(), "small-model", "champion", 1, byRollouts, "rollback"); err != nil {
		t.Errorf("a rollback was refused: %v", err)
	}
}
