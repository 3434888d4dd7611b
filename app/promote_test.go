// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/deploy"
	"lastro/gate"
	"lastro/pipeline"
)

// stages of promotion, each of which kill -9 may follow.
var stages = []string{"run ended", "version registered", "decision made", "alias moved", "release offered"}

// promoteUntil carries out a run and the first stages of its promotion.
func promoteUntil(t *testing.T, h *House, last int) {
	t.Helper()
	ctx, by := t.Context(), lastro.Actor("user:ana")
	req := RunRequest{Actor: by}
	w, err := h.workshop(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.plan(ctx, w, req)
	if err != nil {
		t.Fatal(err)
	}
	run, err := h.engine().Run(ctx, p, nil)
	if err != nil || run.State != pipeline.Succeeded {
		t.Fatalf("run = %s %s, %v", run.State, run.Reason, err)
	}
	if last < 1 {
		return
	}
	steps, err := h.Runs.StepRuns(ctx, run.Number)
	if err != nil {
		t.Fatal(err)
	}
	made, artifact, ok := modelArtifact(steps, *w.project.Model)
	if !ok {
		t.Fatalf("no model among %+v", steps)
	}
	v, err := h.register(ctx, run, w.project, made, artifact, by)
	if err != nil {
		t.Fatal(err)
	}
	if last < 2 {
		return
	}
	facts, err := h.gateFacts(ctx, run, w.project)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := h.decide(ctx, run, w.project, v, facts, by)
	if err != nil || d.Verdict != gate.Passed {
		t.Fatalf("decision = %+v, %v", d, err)
	}
	if last < 3 {
		return
	}
	if err := h.Registry.SetAlias(ctx, lastro.System("gate"), v.Model, "candidate", v.Number, d.ID); err != nil {
		t.Fatal(err)
	}
	if last < 4 {
		return
	}
	if err := h.offer(ctx, v, d.ID, false, time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// once fails unless everything that promotion makes is there exactly once.
func once(f folder, h *House, released int) {
	f.Helper()
	v := f.events(h)
	versions, err := h.Registry.VersionsOf(f.Context(), "small-model")
	if err != nil || len(versions) != 1 {
		f.Errorf("%d versions, %v; want 1", len(versions), err)
	}
	decisions, err := h.Gates.List(f.Context(), gate.Filter{Model: "small-model"})
	if err != nil || len(decisions) != 1 {
		f.Errorf("%d decisions, %v; want 1", len(decisions), err)
	}
	if c, err := h.Registry.ByAlias(f.Context(), "small-model", "candidate"); err != nil || c.Number != 1 {
		f.Errorf("candidate = %+v, %v; want version 1", c, err)
	}
	if v["alias.moved"] != 1 || v["release.created"] != released || v["rollout.started"] != released {
		f.Errorf("events = %v; want one alias.moved, %d releases", v, released)
	}
}

// TestKilledInPromotion ends the process after each stage. The next `up`
// finishes the rest, a second one adds nothing; `run` alone does the same but
// for the release, which is up's.
func TestKilledInPromotion(t *testing.T) {
	for last, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			f := newFolder(t, smallProject)
			h := f.open()
			promoteUntil(t, h, last)
			f.close(h)
			for range 2 {
				h = f.open()
				if err := newServer(h, "").resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				once(f, h, 1)
				f.close(h)
			}
			h = f.open()
			out, err := h.Run(t.Context(), RunRequest{Actor: "user:ana"})
			if err != nil || !out.Reused {
				t.Errorf("run again: reused %t, %v", out.Reused, err)
			}
			once(f, h, 1)
		})
	}
	t.Run("run", func(t *testing.T) {
		for last, stage := range stages[:4] {
			f := newFolder(t, smallProject)
			h := f.open()
			promoteUntil(t, h, last)
			f.close(h)
			h = f.open()
			if _, err := h.Run(t.Context(), RunRequest{Actor: "user:ana"}); err != nil {
				t.Errorf("%s: %v", stage, err)
			}
			once(f, h, 0)
		}
	})
}

// TestSettledStays restarts the server after people and rollouts have acted:
// nothing is decided again and nothing is brought back.
func TestSettledStays(t *testing.T) {
	for _, tc := range []struct {
		name string
		act  func(t *testing.T, h *House, r deploy.Rollout)
	}{
		{"promoted", func(t *testing.T, h *House, r deploy.Rollout) {
			end(t, h, r, deploy.Succeeded)
			if err := (aliases{h}).Point(t.Context(), "small-model", "champion", 1, byRollouts, "held"); err != nil {
				t.Fatal(err)
			}
		}},
		{"rolled back", func(t *testing.T, h *House, r deploy.Rollout) { end(t, h, r, deploy.RolledBack) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFolder(t, smallProject)
			h := f.open()
			promoteUntil(t, h, len(stages)-1)
			rollouts, err := h.Deploys.Store.Rollouts(t.Context(), "local", 1)
			if err != nil || len(rollouts) != 1 {
				t.Fatalf("rollouts = %+v, %v", rollouts, err)
			}
			tc.act(t, h, rollouts[0])
			f.close(h)
			h = f.open()
			before := f.events(h)
			s := newServer(h, "")
			if err := s.resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			after := f.events(h)
			if after["release.created"] != before["release.created"] || after["gate.decided"] != before["gate.decided"] {
				t.Errorf("events = %v; before the restart %v", after, before)
			}
			if tc.name != "rolled back" {
				return
			}
			// The same bytes found again by another run bring nothing new.
			out, err := h.Run(t.Context(), RunRequest{Actor: "user:ana"})
			if err != nil {
				t.Fatal(err)
			}
			s.follow(t.Context(), out, time.Time{})
			if got := f.events(h)["release.created"]; got != 1 {
				t.Errorf("%d releases; a version that was rolled back was offered again", got)
			}
			w, err := h.Why(t.Context(), "small-model@1")
			if err != nil || !strings.Contains(w.Verdict, "was rolled back in local") {
				t.Errorf("why = %q, %v", w.Verdict, err)
			}
		})
	}
}

func end(t *testing.T, h *House, r deploy.Rollout, s deploy.State) {
	t.Helper()
	r.State, r.EndedAt = s, time.Now().UTC()
	if err := h.Deploys.Store.UpdateRollout(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestWhyServedUntil(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	ctx := context.Background()
	for n := 1; n <= 2; n++ {
		out, err := h.Run(ctx, RunRequest{Actor: "user:ana", Params: map[string]any{"n": n}})
		if err != nil || out.Version == nil || out.Version.Number != n {
			t.Fatalf("run %d = %+v, %v", n, out.Version, err)
		}
		if w, err := h.Why(ctx, "small-model@"+number(n)); err != nil || !strings.Contains(w.Verdict, "may serve, and does not yet") {
			t.Errorf("why = %q, %v", w.Verdict, err)
		}
		_, r, err := h.Release(ctx, "local", "small-model", n, "user:ana", "")
		if err != nil {
			t.Fatal(err)
		}
		end(t, h, r, deploy.Succeeded)
	}
	w, err := h.Why(ctx, "small-model@1")
	if err != nil || !strings.Contains(w.Verdict, "small-model@1 served local from ") || !strings.Contains(w.Verdict, "when small-model@2 took its place") {
		t.Errorf("why = %q, %v", w.Verdict, err)
	}
}
