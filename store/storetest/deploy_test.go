// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"reflect"
	"testing"
	"time"

	"lastro"
	"lastro/deploy"
	"lastro/store"
)

func TestDeploy(t *testing.T) { Each(t, testDeploy) }

func testDeploy(t *testing.T, db *store.DB) {
	ctx := t.Context()
	s := store.NewDeploy(db)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	explain := func(rel deploy.Release, r *deploy.Rollout) []lastro.Event {
		return []lastro.Event{lastro.NewEvent(at, "user:ana", "release.created", rel.Ref(), nil), lastro.NewEvent(at, "user:ana", "rollout.started", r.Ref(), nil)}
	}
	want := deploy.Release{Environment: "local", Model: "flights", Version: 3, Digest: lastro.DigestOf([]byte("x")), Settings: deploy.Settings{JoinKey: "id", Favourable: "yes"}, By: "user:ana", At: at, Why: "first"}
	rollout := deploy.Rollout{Environment: "local", State: deploy.Starting, Strategy: deploy.Strategy{Kind: "canary", Steps: []float64{0.1, 1}, Hold: time.Minute}, At: at, StepAt: at}
	rel, r, err := s.CreateRelease(ctx, want, &rollout, nil, explain)
	if err != nil || rel.Number != 1 || r.Number != 1 || r.Release != 1 {
		t.Fatalf("CreateRelease: %+v, %+v, %v", rel, r, err)
	}
	want.Number = 1
	if got, err := s.Release(ctx, "local", 1); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Release: %+v, %v; want %+v", got, err, want)
	}
	if got, err := s.Rollout(ctx, "local", 1); err != nil || !reflect.DeepEqual(got, *r) {
		t.Errorf("Rollout: %+v, %v; want %+v", got, err, *r)
	}
	// Two open rollouts, and nothing half written.
	if _, _, err := s.CreateRelease(ctx, want, &rollout, nil, explain); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("a second open rollout: %v, want EConflict", err)
	}
	if list, err := s.Releases(ctx, "local", 0); err != nil || len(list) != 1 {
		t.Errorf("after the conflict: %d releases, %v", len(list), err)
	}
	closed := *r
	closed.State = deploy.Superseded
	if rel, _, err = s.CreateRelease(ctx, want, &rollout, []deploy.Rollout{closed}, explain); err != nil || rel.Number != 2 {
		t.Errorf("superseding: %+v, %v", rel, err)
	}
	if err := s.UpdateRollout(ctx, closed); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("changing a closed rollout: %v, want EConflict", err)
	}
	if _, err := s.Current(ctx, "local"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Current before any held: %v, want ENotFound", err)
	}
	second, err := s.Rollout(ctx, "local", 2)
	if err != nil {
		t.Fatal(err)
	}
	second.State = deploy.Succeeded
	live := deploy.Live{Environment: "local", Release: 2, Generation: 7, Since: at}
	if err := s.Finish(ctx, second, live, lastro.NewEvent(at, "system:deploy", "rollout.finished", second.Ref(), nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Current(ctx, "local"); err != nil || got != live {
		t.Errorf("Current: %+v, %v; want %+v", got, err, live)
	}
	if names, err := s.Environments(ctx); err != nil || !reflect.DeepEqual(names, []string{"local"}) {
		t.Errorf("Environments: %v, %v", names, err)
	}
	if events, err := db.Events(ctx, store.EventFilter{}); err != nil || len(events) != 5 || events[2].Subject != "release:local@2" {
		t.Errorf("events %+v, %v; want 5, of the numbered rows", events, err)
	}
}
