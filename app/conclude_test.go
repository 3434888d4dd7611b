// SPDX-License-Identifier: Apache-2.0

package app

import (
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/project"
	"lastro/store"
	"lastro/store/storetest"
)

// TestConcludedOnce: two servers on one database know of the end of a run, or
// the one that followed it has died; its model is decided on once.
func TestConcludedOnce(t *testing.T) {
	url := storetest.Postgres(t)
	concludeLease = 300 * time.Millisecond
	t.Cleanup(func() { concludeLease = 15 * time.Second })
	f := newFolder(t, smallProject)
	at := func(f folder) *House {
		p, err := project.Load(f.paths.Project)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Open(t.Context(), OpenOptions{Project: p, Paths: f.paths, Command: "up", DB: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.close(h) })
		return h
	}
	one, other := at(f), at(newFolder(t, smallProject))
	decisions := func() int {
		list, err := one.Gates.List(t.Context(), gate.Filter{Model: "small-model"})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}

	// Both follow it.
	promoteUntil(t, one, 0)
	run, err := one.Runs.Run(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	outs := make([]RunResult, 2)
	for i, h := range []*House{one, other} {
		both.Go(func() {
			out := &outs[i]
			out.Run = run
			if err := h.decideOnce(t.Context(), out, h.Project(), "user:ana"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if n := decisions(); n != 1 || outs[0].Decision == nil || outs[1].Decision == nil || outs[0].Decision.ID != outs[1].Decision.ID || outs[0].elsewhere == outs[1].elsewhere {
		t.Errorf("%d decisions: %+v", n, outs)
	}

	// A server that is gone had begun with the next one.
	if _, err := one.Run(t.Context(), RunRequest{Actor: "user:ana", NoCache: true}); err != nil {
		t.Fatal(err)
	}
	err = one.DB.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE run_conclusions SET owner = 'gone', done = 0 WHERE run = 2`)
		return err
	}, lastro.NewEvent(time.Now(), "system:test", "test.died", "run:2", nil))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(other, "")
	for range 100 {
		if err := s.settleOthers(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := store.NewPipeline(one.DB).Unconcluded(t.Context(), one.Project().Name, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if c, err := store.NewPipeline(one.DB).Conclude(t.Context(), 2, "nobody"); err != nil || !c.Done || c.Owner != other.place() {
		t.Errorf("%+v, %v", c, err)
	}
	if n := decisions(); n != 1 { // the same bytes, rules and facts: nothing new to decide
		t.Errorf("%d decisions", n)
	}
}
