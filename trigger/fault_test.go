// SPDX-License-Identifier: Apache-2.0

package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/store"
	"lastro/trigger"
)

// faulty is a store whose n-th call fails, before or after it has happened: the
// answer of a database may be lost with what it says done.
type faulty struct {
	trigger.Store
	left  *int
	after bool
}

var errFault = errors.New("the disk is gone")

// fails counts down and reports whether this call is the one.
func (f faulty) fails() bool { *f.left--; return *f.left == 0 }

func faultyCall[T any](f faulty, call func() (T, error)) (T, error) {
	var zero T
	bad := f.fails()
	if bad && !f.after {
		return zero, errFault
	}
	v, err := call()
	if bad {
		return zero, errFault
	}
	return v, err
}

func (f faulty) Add(ctx context.Context, c trigger.Cause) (trigger.Cause, bool, error) {
	added := false
	kept, err := faultyCall(f, func() (k trigger.Cause, err error) { k, added, err = f.Store.Add(ctx, c); return k, err })
	return kept, added, err
}

func (f faulty) Causes(ctx context.Context, x trigger.Filter) ([]trigger.Cause, error) {
	return faultyCall(f, func() ([]trigger.Cause, error) { return f.Store.Causes(ctx, x) })
}

func (f faulty) Move(ctx context.Context, c trigger.Cause, from trigger.State, events ...lastro.Event) (bool, error) {
	return faultyCall(f, func() (bool, error) { return f.Store.Move(ctx, c, from, events...) })
}

func (f faulty) Mark(ctx context.Context, project, name string) (string, error) {
	return faultyCall(f, func() (string, error) { return f.Store.Mark(ctx, project, name) })
}

func (f faulty) Advance(ctx context.Context, project, name, from, to string, causes []trigger.Cause) (bool, error) {
	return faultyCall(f, func() (bool, error) { return f.Store.Advance(ctx, project, name, from, to, causes) })
}

// TestEveryCallFails lets the n-th call to the store fail for every n there is
// (R2), before and after it has happened, in a day of pushes, ticks, data,
// alerts and requests. What failed is told again, as loops and senders do. In
// the end each cause has one run, and none is missing.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	db := newHouse(t, "2026-11-23T10:17:00Z").db
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			at := &clock{at: time.Date(2026, 11, 23, 10, 17, 0, 0, time.UTC)}
			left, project := n, fmt.Sprintf("p-%d-%v", n, after)
			day(t, trigger.NewService(faulty{store.NewTrigger(db), &left, after}, project, at), db, at)
			runs, err := store.NewPipeline(db).Runs(t.Context(), pipeline.RunFilter{Project: project, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[any]int{}
			for _, r := range runs {
				seen[r.Event["cause"]]++
			}
			if len(runs) != 10 || len(seen) != 10 {
				t.Errorf("call %d failed (after it had happened: %v): %d runs of %d causes, want 10 of 10: %v", n, after, len(runs), len(seen), seen)
			}
			if left > 0 { // the day has fewer calls
				if n < 20 {
					t.Errorf("only %d calls were tried", n)
				}
				break
			}
		}
	}
}

// day is a day in the life of a server; each thing is told until it was heard.
func day(t *testing.T, s *trigger.Service, db *store.DB, at *clock) {
	t.Helper()
	ctx := t.Context()
	told := func(tell func() error) {
		t.Helper()
		for try := 0; ; try++ {
			err := tell()
			if err == nil {
				return
			}
			if !errors.Is(err, errFault) || try > 3 {
				t.Fatal(err)
			}
		}
	}
	spec := trigger.Spec{Push: &trigger.Push{}, Schedules: []trigger.Schedule{{Cron: "@hourly"}}}
	look := func() { told(func() error { return s.Tick(ctx, spec, at.Now()) }) }
	look()
	for _, v := range []string{"1", "2", "3"} {
		told(func() error { _, err := s.Saw(ctx, "wine", lastro.DigestOf([]byte(v)), 0); return err })
	}
	for i := range 3 {
		told(func() error {
			_, _, _, err := s.Changed(ctx, spec, trigger.Change{Ref: fmt.Sprintf("refs/heads/b%d", i), After: a})
			return err
		})
		at.set(at.Now().Add(time.Hour))
		look()
	}
	told(func() error { _, err := s.Alerted(ctx, "x", "alert:x", "it fell", a); return err })
	told(func() error { _, _, err := s.Asked(ctx, "user:ana", "k", nil); return err })
	told(func() error {
		list, err := s.Pending(ctx)
		if err != nil {
			return err
		}
		for _, c := range list {
			if _, err := run(ctx, db, c, at.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}
