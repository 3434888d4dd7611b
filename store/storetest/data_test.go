// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"testing"
	"time"

	"lastro"
	"lastro/data"
	"lastro/store"
)

func TestDatasetVersions(t *testing.T) { Each(t, testDatasetVersions) }

func testDatasetVersions(t *testing.T, db *store.DB) {
	ctx := t.Context()
	s := store.NewData(db)
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	v := data.Version{Dataset: "flights", Digest: lastro.DigestOf([]byte("a")), Rows: -1, Bytes: 10, Files: 2, SeenAt: at, Source: "data/flights", Commit: "3f9d1c2"}

	if got, created, err := s.RegisterVersion(ctx, v, "user:ana"); err != nil || !created || got != v {
		t.Fatalf("first RegisterVersion = %+v, %v, %v; want it created", got, created, err)
	}
	again := v
	again.SeenAt, again.Rows = at.Add(time.Hour), 7
	got, created, err := s.RegisterVersion(ctx, again, "user:ana")
	if err != nil || created || got.Rows != 7 || !got.SeenAt.Equal(at) {
		t.Fatalf("second RegisterVersion = %+v, %v, %v; want the first with 7 rows", got, created, err)
	}
	second := v
	second.Digest, second.SeenAt = lastro.DigestOf([]byte("b")), at.Add(time.Minute)
	if _, _, err := s.RegisterVersion(ctx, second, "user:ana"); err != nil {
		t.Fatal(err)
	}
	list, err := s.Versions(ctx, "flights", 0)
	if err != nil || len(list) != 2 || list[0].Digest != second.Digest || list[1].Rows != 7 {
		t.Fatalf("Versions = %+v, %v; want b then a", list, err)
	}
	if _, err := s.Version(ctx, "flights", lastro.DigestOf([]byte("c"))); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Version of an unknown digest: %v; want not found", err)
	}
	events, err := db.Events(ctx, store.EventFilter{Verb: "dataset.version_seen"})
	if err != nil || len(events) != 2 {
		t.Errorf("%d events, %v; want one a new version", len(events), err)
	}
}

func TestDatasetReports(t *testing.T) { Each(t, testDatasetReports) }

func testDatasetReports(t *testing.T, db *store.DB) {
	ctx := t.Context()
	s := store.NewData(db)
	v := data.Version{Dataset: "d", Digest: lastro.DigestOf([]byte("a")), SeenAt: time.Unix(1, 0).UTC()}
	if _, _, err := s.RegisterVersion(ctx, v, "user:ana"); err != nil {
		t.Fatal(err)
	}
	key := data.CheckKey(lastro.DigestOf([]byte("contract")), nil)
	if _, err := s.Report(ctx, "d", v.Digest, key); !lastro.Is(err, lastro.ENotFound) {
		t.Fatalf("Report before any check: %v; want not found", err)
	}
	r := data.Report{Dataset: "d", Version: v.Digest, Key: key, At: time.Unix(5, 0).UTC(), Rows: 3,
		Checks: []data.Check{{Name: "a", Status: data.Failed, Bad: []data.ValueCount{{Value: "?", Rows: 2}}}, {Name: "b", Status: data.Passed, Passed: true}, {Name: "c", Status: data.Shown, Passed: true}}}
	for range 2 { // a second check of the same key replaces the first
		if err := s.SaveReport(ctx, r, "user:ana"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Report(ctx, "d", v.Digest, key)
	if err != nil || len(got.Checks) != 3 || got.Checks[0].Bad[0].Value != "?" || got.Total() != 2 {
		t.Errorf("Report = %+v, %v; want what was saved", got, err)
	}
	if all, err := s.Reports(ctx, "d", 0); err != nil || len(all) != 1 {
		t.Errorf("Reports = %d, %v; want 1", len(all), err)
	}
}

// A version that was checked is not checked again: the engine is not even
// there, so a run in which nothing changed starts no worker.
func TestCheckerUsesTheKeptReport(t *testing.T) { Each(t, testCheckerUsesTheKeptReport) }

func testCheckerUsesTheKeptReport(t *testing.T, db *store.DB) {
	ctx := t.Context()
	s := store.NewData(db)
	v := data.Version{Dataset: "d", Digest: lastro.DigestOf([]byte("a")), Rows: 3, SeenAt: time.Unix(1, 0).UTC()}
	if _, _, err := s.RegisterVersion(ctx, v, "user:ana"); err != nil {
		t.Fatal(err)
	}
	contract := &data.Contract{Digest: lastro.DigestOf([]byte("contract"))}
	kept := data.Report{Dataset: "d", Version: v.Digest, Key: data.CheckKey(contract.Digest, []string{"sex"}), At: time.Unix(5, 0).UTC(), Rows: 3}
	if err := s.SaveReport(ctx, kept, "user:ana"); err != nil {
		t.Fatal(err)
	}
	checker := &data.Checker{Store: s, Clock: lastro.SystemClock{}}
	got, err := checker.Ensure(ctx, v, data.Files("a.parquet"), contract, []string{"sex"}, "user:ana")
	if err != nil || got.Rows != 3 || !got.At.Equal(kept.At) {
		t.Errorf("Ensure = %+v, %v; want the kept report", got, err)
	}
}
