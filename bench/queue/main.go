// SPDX-License-Identifier: Apache-2.0

// Command queue measures how many steps a second pass through the queue: engines
// that do nothing but claim and complete, each with a connection of its own as
// in a process of its own. It prints one JSON object.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/store"
)

func main() {
	target := flag.String("db", "", "SQLite file or postgres:// URL; empty tables")
	engines := flag.Int("engines", 4, "engines that work at a time")
	runs := flag.Int("runs", 8, "runs at a time, of wide times deep steps each")
	wide := flag.Int("wide", 10, "steps beside each other")
	deep := flag.Int("deep", 10, "steps one after another")
	flag.Parse()
	out, err := measure(context.Background(), *target, *engines, *runs, *wide, *deep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func measure(ctx context.Context, target string, engines, runs, wide, deep int) (map[string]float64, error) {
	db, err := store.Open(ctx, target)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	q := pipeline.NewQueue(store.NewPipeline(db), lastro.SystemClock{})
	spec, plan := graph(wide, deep)
	began := time.Now()
	for range runs {
		if _, _, err := q.Submit(ctx, pipeline.Run{Project: "bench", Spec: spec, Actor: "user:bench"}, plan); err != nil {
			return nil, err
		}
	}
	submitted := time.Since(began)
	var left atomic.Int64
	left.Store(int64(runs * wide * deep))
	began = time.Now()
	errs := make([]error, engines)
	var wg sync.WaitGroup
	for i := range engines {
		wg.Go(func() { errs[i] = engine(ctx, target, fmt.Sprint("engine-", i), &left) })
	}
	wg.Wait()
	took := time.Since(began)
	unfinished, err := store.NewPipeline(db).Runs(ctx, pipeline.RunFilter{Unfinished: true})
	if err == nil && len(unfinished) > 0 {
		err = fmt.Errorf("%d runs have not ended", len(unfinished))
	}
	return map[string]float64{"steps_per_second": float64(runs*wide*deep) / took.Seconds(),
		"submit_ms": submitted.Seconds() * 1000 / float64(runs)}, errors.Join(append(errs, err)...)
}

// engine claims and completes until nothing is left.
func engine(ctx context.Context, target, id string, left *atomic.Int64) error {
	db, err := store.Open(ctx, target)
	if err != nil {
		return err
	}
	defer db.Close()
	q := pipeline.NewQueue(store.NewPipeline(db), lastro.SystemClock{})
	if _, err := q.Join(ctx, pipeline.EngineRow{ID: id, Place: id}); err != nil {
		return err
	}
	for left.Load() > 0 {
		rows, err := q.Claim(ctx, id, pipeline.Room{Free: 4, All: 4})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			time.Sleep(time.Millisecond)
		}
		for _, s := range rows {
			s.State, s.EndedAt = pipeline.Succeeded, time.Now()
			if _, err := q.Complete(ctx, id, s); err != nil {
				return err
			}
			left.Add(-1)
		}
	}
	return nil
}

// graph is wide chains of deep steps.
func graph(wide, deep int) (spec pipeline.Spec, plan []pipeline.PlanStep) {
	spec.Project = "bench"
	for d := range deep {
		for w := range wide {
			s := pipeline.StepSpec{Name: fmt.Sprintf("s%d-%d", w, d), Kind: "run"}
			if d > 0 {
				s.Needs = []string{fmt.Sprintf("s%d-%d", w, d-1)}
			}
			spec.Steps = append(spec.Steps, s)
			plan = append(plan, pipeline.PlanStep{Spec: s, Needs: s.Needs, Cells: []pipeline.PlanCell{{Outlook: pipeline.Miss}}})
		}
	}
	return spec, plan
}
