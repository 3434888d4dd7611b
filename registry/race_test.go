// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/registry"
)

// together calls f(0) to f(n-1) at the same moment and returns their errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { <-start; errs[i] = f(i) })
	}
	close(start)
	group.Wait()
	return errs
}

func won(errs []error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}

// TestRaces: of clients that want one thing at once one gets it, and the others
// hear that they did not.
func TestRaces(t *testing.T) {
	s, _ := open(t, nil)
	ctx := t.Context()
	const clients = 12

	t.Run("one name", func(t *testing.T) {
		errs := together(clients, func(int) error { return second(s.CreateModel(ctx, ana, registry.Model{Name: "one"})) })
		if won(errs) != 1 {
			t.Errorf("%d clients made the model", won(errs))
		}
		for _, err := range errs {
			if err != nil && !lastro.Is(err, lastro.EConflict) {
				t.Errorf("a loser got %v, want conflict", err)
			}
		}
	})
	t.Run("version numbers", func(t *testing.T) {
		var mu sync.Mutex
		var numbers []int
		errs := together(clients, func(i int) error {
			v, _, err := s.Register(ctx, registry.Registration{Version: registry.Version{Model: "numbers", Digest: digest(fmt.Sprint(i)), By: ana}})
			mu.Lock()
			defer mu.Unlock()
			numbers = append(numbers, v.Number)
			return err
		})
		slices.Sort(numbers)
		if won(errs) != clients || len(slices.Compact(slices.Clone(numbers))) != clients || numbers[clients-1] != clients {
			t.Errorf("numbers %v, errors %v", numbers, errs)
		}
	})
	t.Run("one alias", func(t *testing.T) {
		errs := together(clients, func(i int) error { return s.SetAlias(ctx, ana, "numbers", "best", i+1, "") })
		if won(errs) == 0 {
			t.Error("nobody set the alias")
		}
		for _, err := range errs {
			if err != nil && !lastro.Is(err, lastro.EConflict) {
				t.Errorf("a loser got %v, want conflict", err)
			}
		}
		moves, err := s.AliasHistory(ctx, "numbers", "best")
		if err != nil || len(moves) != won(errs) {
			t.Errorf("%d moves of %d that were confirmed, %v", len(moves), won(errs), err)
		}
		at := 0
		for _, m := range moves {
			if m.From != at {
				t.Errorf("history %+v does not go on from %d", m, at)
			}
			at = m.To
		}
		if v, err := s.ByAlias(ctx, "numbers", "best"); err != nil || v.Number != at {
			t.Errorf("the alias points at %d, its history ends at %d, %v", v.Number, at, err)
		}
	})
	t.Run("rename onto a name that is created", func(t *testing.T) {
		for i := range 6 {
			from, to := fmt.Sprint("from", i), fmt.Sprint("to", i)
			if _, err := s.CreateModel(ctx, ana, registry.Model{Name: from}); err != nil {
				t.Fatal(err)
			}
			errs := together(2, func(i int) error {
				if i == 0 {
					return second(s.Rename(ctx, ana, from, to))
				}
				return second(s.CreateModel(ctx, ana, registry.Model{Name: to}))
			})
			if won(errs) != 1 {
				t.Errorf("rename and create of one name: %v", errs)
			}
		}
	})
	t.Run("delete what gets an alias", func(t *testing.T) {
		for i := range 6 {
			v, _, err := s.Register(ctx, registry.Registration{Version: registry.Version{Model: "gone", Digest: digest(fmt.Sprint("gone", i)), By: ana}})
			if err != nil {
				t.Fatal(err)
			}
			errs := together(2, func(i int) error {
				if i == 0 {
					return s.DeleteVersion(ctx, ana, "gone", v.Number)
				}
				return s.SetAlias(ctx, ana, "gone", "x", v.Number, "")
			})
			for _, err := range errs {
				if err != nil && !lastro.Is(err, lastro.ENotFound) && !lastro.Is(err, lastro.EConflict) {
					t.Errorf("delete and alias: %v", errs)
				}
			}
			if errs[0] != nil {
				t.Errorf("the version was not deleted: %v", errs)
			}
			if _, err := s.ByAlias(ctx, "gone", "x"); !lastro.Is(err, lastro.ENotFound) {
				t.Errorf("the alias points at a deleted version: %v", err)
			}
			moves, err := s.AliasHistory(ctx, "gone", "x")
			if err != nil || len(moves) > 0 && moves[len(moves)-1].To != 0 {
				t.Errorf("the history does not end: %+v, %v", moves, err)
			}
		}
	})
	t.Run("declared while it moves", func(t *testing.T) {
		for i := range 6 {
			name := fmt.Sprint("declared", i)
			register(t, s, name, "a")
			register(t, s, name, "b")
			if err := s.SetAlias(ctx, ana, name, "champion", 1, ""); err != nil {
				t.Fatal(err)
			}
			errs := together(3, func(i int) error {
				switch i {
				case 0:
					return s.Declare(ctx, by, []registry.Spec{{Name: name}})
				case 1:
					return s.SetAlias(ctx, ana, name, "champion", 2, "")
				}
				return second(s.Describe(ctx, ana, name, "words"))
			})
			if errs[0] != nil || errs[2] != nil || errs[1] != nil && !lastro.Is(errs[1], lastro.EDenied) {
				t.Errorf("declare, move, describe: %v", errs)
			}
			m, err := s.Model(ctx, name)
			if err != nil || !m.Declared || m.Description != "words" {
				t.Errorf("the model is %+v, %v; a description must not undeclare it", m, err)
			}
			now, err := s.ByAlias(ctx, name, "champion")
			if err != nil || errs[1] == nil && now.Number != 2 || errs[1] != nil && now.Number != 1 {
				t.Errorf("champion is %d after %v", now.Number, errs[1])
			}
			if err := s.SetAlias(ctx, ana, name, "champion", 3-now.Number, ""); !lastro.Is(err, lastro.EDenied) {
				t.Errorf("a move after the declaration = %v, want denied", err)
			}
		}
	})
}

// TestAliasAt: who moved which alias when, and what it was at a time.
func TestAliasAt(t *testing.T) {
	s, _ := open(t, nil)
	ctx := t.Context()
	register(t, s, "m", "a")
	register(t, s, "m", "b")
	before := time.Now()
	steps := []struct {
		by    lastro.Actor
		do    func() error
		to    int
		after time.Time
	}{
		{ana, func() error { return s.SetAlias(ctx, ana, "m", "best", 1, "first") }, 1, time.Time{}},
		{"user:bo", func() error { return s.SetAlias(ctx, "user:bo", "m", "best", 2, "better") }, 2, time.Time{}},
		{ana, func() error { return s.DeleteAlias(ctx, ana, "m", "best", "") }, 0, time.Time{}},
		{"user:bo", func() error { return s.SetAlias(ctx, "user:bo", "m", "best", 1, "") }, 1, time.Time{}},
		{"user:cy", func() error { return s.DeleteVersion(ctx, "user:cy", "m", 1) }, 0, time.Time{}},
		{ana, func() error { return s.SetAlias(ctx, ana, "m", "best", 2, "") }, 2, time.Time{}},
		{ana, func() error { return second(s.Rename(ctx, ana, "m", "n")) }, 2, time.Time{}},
		{"user:cy", func() error { return s.Delete(ctx, "user:cy", "n") }, 0, time.Time{}},
	}
	for i := range steps {
		if err := steps[i].do(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		steps[i].after = time.Now()
		time.Sleep(2 * time.Millisecond)
	}
	if _, err := s.AliasAt(ctx, "n", "best", before); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("before the first move: %v, want not found", err)
	}
	for i, step := range steps {
		m, err := s.AliasAt(ctx, "n", "best", step.after)
		all, aerr := s.AliasesAt(ctx, "n", step.after)
		if aerr != nil || (step.to != 0) != (len(all) == 1) {
			t.Errorf("after step %d the model had aliases %+v, %v", i, all, aerr)
		}
		if step.to == 0 {
			if !lastro.Is(err, lastro.ENotFound) {
				t.Errorf("after step %d the alias was at %d, %v; want nowhere", i, m.To, err)
			}
			continue
		}
		if err != nil || m.To != step.to || m.By != step.by {
			t.Errorf("after step %d: %+v, %v; want version %d by %s", i, m, err, step.to, step.by)
		}
	}
	moves, err := s.AliasHistory(ctx, "n", "best")
	if err != nil || len(moves) != 7 || moves[4].Why != registry.VersionDeleted || moves[6].Why != registry.ModelDeleted || moves[6].By != "user:cy" {
		t.Errorf("history: %+v, %v", moves, err)
	}
}

// TestImport: models and versions come as they were elsewhere, once.
func TestImport(t *testing.T) {
	s, _ := open(t, nil)
	ctx := t.Context()
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	m := registry.Model{Name: "m", Description: "old", Tags: map[string]string{"k": "v", "lastro.digest": "forged"}, CreatedAt: at, UpdatedAt: at.Add(time.Hour)}
	for i, want := range []bool{true, false} {
		if created, err := s.ImportModel(ctx, ana, m); err != nil || created != want {
			t.Errorf("ImportModel no. %d = %v, %v", i+1, created, err)
		}
	}
	v := registry.Version{Model: "m", Number: 5, Digest: digest("x"), Source: "s3://elsewhere/model", Stage: "Production", Description: "d", RunLink: "https://old.example/run",
		Tags: map[string]string{"a": "b", "lastro.run": "forged"}, CreatedAt: at, UpdatedAt: at.Add(time.Minute), By: ana}
	for i, want := range []bool{true, false} {
		if created, err := s.ImportVersion(ctx, v); err != nil || created != want {
			t.Errorf("ImportVersion no. %d = %v, %v", i+1, created, err)
		}
	}
	got, err := s.Version(ctx, "m", 5)
	if err != nil || got.Stage != "Production" || !got.CreatedAt.Equal(at) || !got.UpdatedAt.Equal(at.Add(time.Minute)) || got.Source != v.Source || got.RunLink != v.RunLink ||
		got.Tags["a"] != "b" || got.Tags["lastro.run"] != "" || got.Tags["lastro.digest"] != string(v.Digest) {
		t.Errorf("imported: %+v, %v", got, err)
	}
	other := v
	other.Digest = digest("y")
	if _, err := s.ImportVersion(ctx, other); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("another version 5: %v, want conflict", err)
	}
	if next := register(t, s, "m", "z"); next.Number != 6 {
		t.Errorf("the next version has number %d, want 6", next.Number)
	}
	have, err := s.Model(ctx, "m")
	if err != nil || have.Description != "old" || !have.CreatedAt.Equal(at) || have.Tags["k"] != "v" || len(have.Tags) != 1 {
		t.Errorf("imported model: %+v, %v", have, err)
	}
}
