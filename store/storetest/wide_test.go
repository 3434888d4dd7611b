// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"testing"
	"time"

	"lastro/pipeline"
	"lastro/store"
)

// TestWideRun: many rows are stored together, in their order, and taken in it.
func TestWideRun(t *testing.T) { Each(t, testWideRun) }

func testWideRun(t *testing.T, db *store.DB) {
	p := store.NewPipeline(db)
	const cells = 103
	run := pipeline.Run{Project: "demo", State: pipeline.Running, StartedAt: time.Now()}
	var steps []pipeline.StepProgress
	var rows []pipeline.StepRun
	for i := range cells {
		name := fmt.Sprintf("s%03d", i)
		steps = append(steps, pipeline.StepProgress{Step: name, State: pipeline.Pending, Open: 1})
		rows = append(rows, pipeline.StepRun{Step: name, Attempt: 1, Weight: 1 + i%3, Kind: "run", State: pipeline.Pending, Reason: fmt.Sprint("reason ", i)})
	}
	var number int64
	var taken []pipeline.StepRun
	err := p.Change(t.Context(), func(tx pipeline.Tx) (err error) {
		if number, err = tx.CreateRun(t.Context(), run, steps, rows); err != nil {
			return err
		}
		if err := tx.Join(t.Context(), pipeline.EngineRow{ID: "e", Place: "here", StartedAt: time.Now()}); err != nil {
			return err
		}
		for _, s := range rows[:50] {
			if err := tx.Ready(t.Context(), number, s.Step, -1); err != nil {
				return err
			}
		}
		taken, err = tx.Take(t.Context(), "e", time.Now(), pipeline.Room{Free: 80, All: 80})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	weight := 0
	for i, s := range taken {
		weight += s.Weight
		if s.Step != rows[i].Step || s.Weight != rows[i].Weight {
			t.Errorf("taken %d: %s of weight %d", i, s.Step, s.Weight)
		}
	}
	if weight > 80 || weight+taken[len(taken)-1].Weight < 77 {
		t.Errorf("%d cells of weight %d for 80 processors", len(taken), weight)
	}
	got, err := p.StepRuns(t.Context(), number)
	if err != nil || len(got) != cells {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	running := 0
	for i, s := range got {
		if s.Step != rows[i].Step || s.Reason != rows[i].Reason || s.Weight != rows[i].Weight {
			t.Errorf("row %d: %+v", i, s)
		}
		if s.State == pipeline.Running {
			running++
		}
	}
	if running != len(taken) {
		t.Errorf("%d run, %d were taken", running, len(taken))
	}
	var owned []pipeline.StepRun
	err = p.Change(t.Context(), func(tx pipeline.Tx) (err error) {
		owned, err = tx.Owned(t.Context(), "e")
		return err
	})
	if err != nil || len(owned) != len(taken) {
		t.Errorf("%d owned, %v", len(owned), err)
	}
}
