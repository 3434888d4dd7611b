// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/registry"
	"lastro/store"
	"lastro/store/storetest"
)

// guard lets versions move whose digest is in passed, and keeps what it was asked.
type guard struct {
	passed map[lastro.Digest]bool
	asked  []registry.Move
	broken error
}

func (g *guard) MayMove(_ context.Context, m registry.Move) error {
	g.asked = append(g.asked, m)
	if g.broken != nil {
		return g.broken
	}
	if g.passed[m.To.Digest] {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied, Msg: "no passing decision"}
}

const ana = lastro.Actor("user:ana")

func open(t *testing.T, g registry.Guard) (*registry.Service, *store.DB) {
	t.Helper()
	db := storetest.Open(t)
	return registry.NewService(store.NewRegistry(db), g, lastro.SystemClock{}), db
}

func digest(s string) lastro.Digest { return lastro.DigestOf([]byte(s)) }

func register(t *testing.T, s *registry.Service, model, bytes string) registry.Version {
	t.Helper()
	v, created, err := s.Register(t.Context(), registry.Registration{Version: registry.Version{Model: model, Digest: digest(bytes), By: ana,
		Tags: map[string]string{"k": "v"}, DataVersions: []registry.DataVersion{{Dataset: "flights", Digest: digest("data")}}}})
	if err != nil || !created {
		t.Fatalf("Register(%s, %s) = created %v, %v", model, bytes, created, err)
	}
	return v
}

func TestRegister(t *testing.T) {
	s, db := open(t, nil)
	ctx := t.Context()
	for want := 1; want <= 3; want++ {
		if v := register(t, s, "m", "same bytes"); v.Number != want {
			t.Errorf("version %d, want %d: registering always makes a version", v.Number, want)
		}
	}
	once := registry.Registration{Version: registry.Version{Model: "m", Digest: digest("piped"), Run: "7", Step: "train", By: lastro.System("engine")}, Once: true}
	first, created, err := s.Register(ctx, once)
	if err != nil || !created || first.Number != 4 {
		t.Fatalf("Register once = %d, %v, %v", first.Number, created, err)
	}
	if again, created, err := s.Register(ctx, once); err != nil || created || again.Number != 4 {
		t.Errorf("Register once again = %d, created %v, %v; want 4, false", again.Number, created, err)
	}
	once.Run = "8"
	if other, created, err := s.Register(ctx, once); err != nil || !created || other.Number != 5 {
		t.Errorf("the same bytes of another run = %d, created %v, %v; want 5, true", other.Number, created, err)
	}
	if err := s.DeleteVersion(ctx, ana, "m", 5); err != nil {
		t.Fatal(err)
	}
	if v := register(t, s, "m", "x"); v.Number != 6 {
		t.Errorf("after deleting 5 the next is %d, want 6", v.Number)
	}
	if err := s.Delete(ctx, ana, "m"); err != nil {
		t.Fatal(err)
	}
	if v := register(t, s, "m", "x"); v.Number != 7 {
		t.Errorf("after deleting the model the next is %d, want 7", v.Number)
	}
	got, err := s.Version(ctx, "m", 7)
	if err != nil || got.Tags["k"] != "v" || len(got.DataVersions) != 1 || got.DataVersions[0].Dataset != "flights" || got.Stage != "None" {
		t.Errorf("Version = %+v, %v", got, err)
	}
	if ok, err := s.HasDigest(ctx, digest("x")); !ok || err != nil {
		t.Errorf("HasDigest = %v, %v", ok, err)
	}
	if ok, err := s.HasDigest(ctx, digest("never")); ok || err != nil {
		t.Errorf("HasDigest of unknown bytes = %v, %v", ok, err)
	}
	events, err := db.Events(ctx, store.EventFilter{Verb: "version.created", Subject: "model:m@6"})
	if err != nil || len(events) != 1 || events[0].Actor != ana {
		t.Errorf("events of model:m@6 = %+v, %v", events, err)
	}
	for _, bad := range []string{"", " ", "a/b", "a:b", "a@b", "a\nb", string(make([]byte, 257))} {
		if _, _, err := s.Register(ctx, registry.Registration{Version: registry.Version{Model: bad, Digest: digest("x")}}); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("Register(%.20q) = %v, want invalid", bad, err)
		}
	}
}

func TestRegisterConcurrently(t *testing.T) {
	s, _ := open(t, nil)
	var wg sync.WaitGroup
	numbers := make([]int, 20)
	for i := range numbers {
		wg.Go(func() {
			v, _, err := s.Register(context.Background(), registry.Registration{Version: registry.Version{Model: "m", Digest: digest(fmt.Sprint(i)), By: ana}})
			if err != nil {
				t.Error(err)
			}
			numbers[i] = v.Number
		})
	}
	wg.Wait()
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("numbers %v, want 1 to 20 once each", numbers)
		}
	}
}

func TestAliases(t *testing.T) {
	s, _ := open(t, nil)
	ctx := t.Context()
	register(t, s, "free", "1")
	register(t, s, "free", "2")
	for _, to := range []int{1, 2, 2} { // the last one changes nothing
		if err := s.SetAlias(ctx, ana, "free", "champion", to, "because"); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.ByAlias(ctx, "free", "champion"); err != nil || v.Number != 2 || !slices.Equal(v.Aliases, []string{"champion"}) {
		t.Errorf("ByAlias = %+v, %v", v, err)
	}
	if err := s.DeleteAlias(ctx, ana, "free", "champion", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAlias(ctx, ana, "free", "champion", ""); err != nil {
		t.Errorf("deleting an alias that is not there: %v", err)
	}
	moves, err := s.AliasHistory(ctx, "free", "champion")
	var path []int
	for _, m := range moves {
		path = append(path, m.From, m.To)
	}
	if err != nil || !slices.Equal(path, []int{0, 1, 1, 2, 2, 0}) || moves[0].Why != "because" || time.Since(moves[0].At) > time.Minute {
		t.Errorf("AliasHistory = %+v, %v", moves, err)
	}
	for _, bad := range []string{"", "latest", "Latest", "1", "v12", "a/b"} {
		if err := s.SetAlias(ctx, ana, "free", bad, 1, ""); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("SetAlias(%q) = %v, want invalid", bad, err)
		}
	}
	if err := s.SetAlias(ctx, ana, "free", "x", 99, ""); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("SetAlias to a version that is not there = %v", err)
	}
}

// TestProtection tries every way in which something protected could move. The
// guard knows that only the bytes "good" passed.
func TestProtection(t *testing.T) {
	g := &guard{passed: map[lastro.Digest]bool{digest("good"): true}}
	s, db := open(t, g)
	ctx := t.Context()
	if err := s.Declare(ctx, by, []registry.Spec{{Name: "m", Protect: []string{"live"}}}); err != nil {
		t.Fatal(err)
	}
	register(t, s, "m", "good")
	register(t, s, "m", "bad")
	for _, alias := range []string{"candidate", "champion", "challenger", "live"} {
		if err := s.SetAlias(ctx, ana, "m", alias, 2, ""); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("SetAlias(%s, bad) = %v, want denied", alias, err)
		}
		if _, err := s.ByAlias(ctx, "m", alias); !lastro.Is(err, lastro.ENotFound) {
			t.Errorf("a refused alias %s points somewhere (%v)", alias, err)
		}
	}
	if err := s.SetAlias(ctx, ana, "m", "playground", 2, ""); err != nil {
		t.Errorf("an alias that nobody protects: %v", err)
	}
	if err := s.SetAlias(ctx, ana, "m", "champion", 1, "decision:abc"); err != nil {
		t.Fatalf("SetAlias(champion, good) = %v", err)
	}
	last := g.asked[len(g.asked)-1]
	if last.Kind != registry.MoveAlias || last.To.Number != 1 || last.By != ana || last.Why != "decision:abc" {
		t.Errorf("the guard was asked %+v", last)
	}

	attempts := map[string]func() error{
		"alias to bad bytes":      func() error { return s.SetAlias(ctx, ana, "m", "champion", 2, "") },
		"delete the alias":        func() error { return s.DeleteAlias(ctx, ana, "m", "champion", "") },
		"delete its version":      func() error { return s.DeleteVersion(ctx, ana, "m", 1) },
		"delete the model":        func() error { return s.Delete(ctx, ana, "m") },
		"rename the model":        func() error { return second(s.Rename(ctx, ana, "m", "n")) },
		"promote by stage":        func() error { return second(s.SetStage(ctx, ana, "m", 2, "Production", false)) },
		"promote by stage, again": func() error { return second(s.SetStage(ctx, ana, "m", 2, "Staging", true)) },
	}
	for name, attempt := range attempts {
		if err := attempt(); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s = %v, want denied", name, err)
		}
	}
	if v, err := s.ByAlias(ctx, "m", "champion"); err != nil || v.Number != 1 {
		t.Errorf("champion is %d (%v), want 1", v.Number, err)
	}
	refused, err := db.Events(ctx, store.EventFilter{Verb: "alias.refused"})
	if want := 4 + len(attempts); err != nil || len(refused) != want {
		t.Errorf("%d refusals on record (%v), want %d", len(refused), err, want)
	}
	if _, err := s.SetStage(ctx, ana, "m", 1, "Production", false); err != nil {
		t.Errorf("a stage for bytes that passed: %v", err)
	}
	if _, err := s.Rename(ctx, ana, "m", "n"); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("Rename = %v, want denied", err)
	}

	// An unprotected model cannot take the place of a declared one, ...
	register(t, s, "other", "bad")
	if err := s.SetAlias(ctx, ana, "other", "champion", 1, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rename(ctx, ana, "other", "m"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("rename onto a declared name = %v, want conflict", err)
	}
	// ... and taking protect out of the file unlocks nothing.
	if err := s.Declare(ctx, by, []registry.Spec{{Name: "m"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAlias(ctx, ana, "m", "live", 2, ""); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("an alias that the file no longer names = %v, want denied", err)
	}

	// A guard that cannot decide lets nothing move, and says its own fault.
	g.broken = errors.New("database is away")
	if err := s.SetAlias(ctx, ana, "m", "champion", 2, ""); err == nil || lastro.Is(err, lastro.EDenied) {
		t.Errorf("with a broken guard = %v, want its error", err)
	}
	g.broken = nil
}

// TestNoGuard holds that forgetting the guard opens nothing.
func TestNoGuard(t *testing.T) {
	s, _ := open(t, nil)
	if err := s.Declare(t.Context(), by, []registry.Spec{{Name: "m"}}); err != nil {
		t.Fatal(err)
	}
	register(t, s, "m", "good")
	if err := s.SetAlias(t.Context(), ana, "m", "champion", 1, ""); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("SetAlias without a guard = %v, want denied", err)
	}
}

const by = lastro.Actor("system:project")

func second[A any](_ A, err error) error { return err }
