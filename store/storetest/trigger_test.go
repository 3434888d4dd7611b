// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/store"
	"lastro/trigger"
)

// startRun makes the run of a cause, as an engine does.
func startRun(ctx context.Context, db *store.DB, event map[string]any) (n int64, err error) {
	err = store.NewPipeline(db).Change(ctx, func(tx pipeline.Tx) (err error) {
		n, err = tx.CreateRun(ctx, pipeline.Run{Project: "p", State: pipeline.Running, Event: event, Actor: "user:ana", StartedAt: time.Now()}, nil, nil)
		return err
	})
	return n, err
}

func TestCauses(t *testing.T) { Each(t, testCauses) }

// testCauses: one key is one cause, one cause is one run, however many ask at once.
func testCauses(t *testing.T, db *store.DB) {
	s, ctx, at := store.NewTrigger(db), t.Context(), time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	cause := func(key string, state trigger.State) trigger.Cause {
		return trigger.Cause{Project: "p", Key: key, Kind: trigger.KindPush, State: state, At: at, SeenAt: at, Actor: "user:ana",
			Ref: "refs/heads/ção", Commit: "abc", Trust: trigger.Reviewed, Detail: map[string]any{"title": "'); DROP TABLE causes; --"}}
	}
	const askers = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	added, runs, refused := 0, map[int64]int{}, 0
	for range askers {
		wg.Go(func() {
			for i := range 10 {
				c, fresh, err := s.Add(ctx, cause(fmt.Sprintf("push %d", i), trigger.Pending))
				if err != nil {
					t.Error(err)
					return
				}
				n, err := startRun(ctx, db, c.Event())
				mu.Lock()
				if fresh {
					added++
				}
				switch {
				case err == nil:
					runs[n]++
				case lastro.Is(err, lastro.EConflict):
					refused++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if added != 10 || len(runs) != 10 || refused != 10*(askers-1) {
		t.Errorf("%d causes, %d runs, %d refused; want 10, 10, %d", added, len(runs), refused, 10*(askers-1))
	}
	c, err := s.CauseOf(ctx, "p", "push 3")
	if err != nil || runs[c.Run] != 1 || c.State != trigger.Started || c.Ref != "refs/heads/ção" || c.Trust != trigger.Reviewed || c.Detail["title"] != "'); DROP TABLE causes; --" {
		t.Errorf("cause = %+v, %v", c, err)
	}
	if moved, err := s.Move(ctx, trigger.Cause{Project: "p", Key: "push 3", State: trigger.Failed}, trigger.Started); err != nil || moved {
		t.Errorf("a cause with a run was moved: %v", err)
	}
	copied := c.Event()
	copied["reproduces"] = c.Run
	if _, err := startRun(ctx, db, copied); err != nil {
		t.Errorf("a reproduction: %v", err)
	}
	if now, err := s.CauseOf(ctx, "p", "push 3"); err != nil || now.Run != c.Run {
		t.Errorf("the reproduction took the cause over: %+v, %v", now, err)
	}
	again := c.Event()
	again["again"] = true
	if n, err := startRun(ctx, db, again); err != nil || n == c.Run {
		t.Errorf("a run that a person has done again: %d, %v", n, err)
	}
	if _, err := startRun(ctx, db, map[string]any{"cause": "push nobody"}); err == nil {
		t.Error("a run of a cause that was not recorded")
	}
	if _, err := s.Cause(ctx, "other", c.ID); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("another project's cause: %v", err)
	}
	if list, err := s.Causes(ctx, trigger.Filter{Project: "p", State: trigger.Started, Kind: trigger.KindPush, Limit: 3}); err != nil || len(list) != 3 {
		t.Errorf("%d causes, %v; want 3", len(list), err)
	}
}

func TestMarks(t *testing.T) { Each(t, testMarks) }

// testMarks: of many who move a mark, one does, and only its causes are kept.
func testMarks(t *testing.T, db *store.DB) {
	s, ctx, at := store.NewTrigger(db), t.Context(), time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	tick := func(key string, state trigger.State) trigger.Cause {
		return trigger.Cause{Project: "p", Key: key, Kind: trigger.KindSchedule, State: state, At: at, SeenAt: at}
	}
	mark := ""
	for round := range 5 {
		next := fmt.Sprint(round)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for who := range 6 {
			wg.Go(func() {
				done, err := s.Advance(ctx, "p", "clock", mark, next, []trigger.Cause{tick(fmt.Sprintf("tick %d by %d", round, who), trigger.Pending)})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if done {
					won++
				}
			})
		}
		wg.Wait()
		if got, err := s.Mark(ctx, "p", "clock"); won != 1 || err != nil || got != next {
			t.Errorf("round %d: %d won, the mark is %q, %v", round, won, got, err)
		}
		mark = next
	}
	list, err := s.Causes(ctx, trigger.Filter{Project: "p"})
	if err != nil || len(list) != 5 {
		t.Errorf("%d causes of 5 rounds, %v", len(list), err)
	}
	// Missed, then come after all; and one that has a run stays as it is.
	for _, step := range []struct {
		state, want trigger.State
	}{{trigger.Missed, trigger.Missed}, {trigger.Pending, trigger.Pending}, {trigger.Missed, trigger.Pending}} {
		if done, err := s.Advance(ctx, "p", "clock", mark, mark+"x", []trigger.Cause{tick("late", step.state)}); err != nil || !done {
			t.Fatal(done, err)
		}
		mark += "x"
		if c, err := s.CauseOf(ctx, "p", "late"); err != nil || c.State != step.want {
			t.Errorf("after %s it is %s, %v; want %s", step.state, c.State, err, step.want)
		}
	}
	for i, again := range []bool{false, true} {
		got, err := s.Deliver(ctx, trigger.Delivery{Provider: "github", ID: fmt.Sprint(i), Digest: lastro.DigestOf([]byte("x")), At: at})
		if err != nil || got != again {
			t.Errorf("delivery %d of one body = %v, %v", i, got, err)
		}
	}
}
