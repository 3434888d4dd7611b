// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/store"
)

func TestPipeline(t *testing.T) { Each(t, testPipeline) }

func testPipeline(t *testing.T, db *store.DB) {
	ctx := t.Context()
	p := store.NewPipeline(db)
	at := time.Date(2026, 11, 23, 20, 0, 0, 123000, time.UTC)
	run := pipeline.Run{Project: "demo", State: pipeline.Running, PlanDigest: "sha256:1", Actor: "user:ana", StartedAt: at,
		Spec: pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{{Name: "train", With: json.RawMessage(`{"a":1}`)}}},
		Git:  pipeline.Git{Commit: "abc", Changed: []string{"x"}}, Event: map[string]any{"kind": "person"}, Params: map[string]any{"depth": "4"},
		Datasets: []pipeline.Dataset{{Name: "wine", Digest: "sha256:2", Path: "data"}}, Code: map[string]string{"train.py": "sha256:3"}}
	step := pipeline.StepRun{Step: "train", Cell: 2, Values: map[string]any{"rate": "0.1"}, Attempt: 1, Weight: 1, Kind: "run", State: pipeline.Pending}
	for want := int64(1); want <= 2; want++ {
		var n int64
		err := p.Change(ctx, func(tx pipeline.Tx) (err error) {
			n, err = tx.CreateRun(ctx, run, []pipeline.StepProgress{{Step: "train", State: pipeline.Pending, Open: 1}}, []pipeline.StepRun{step})
			tx.Emit(lastro.NewEvent(at, "user:ana", "run.started", pipeline.RunRef(n), nil))
			return err
		})
		if err != nil || n != want {
			t.Fatalf("number %d, %v; want %d", n, err, want)
		}
	}
	run.Number = 2
	got, err := p.Run(ctx, 2)
	if err != nil || !reflect.DeepEqual(got, run) {
		t.Errorf("\n got %+v\nwant %+v (%v)", got, run, err)
	}
	step.Run, step.State, step.Key, step.Selected, step.Reason = 2, pipeline.Succeeded, "sha256:9", true, "it has not run before"
	step.Ingredients, step.Facts, step.Log = map[string]string{"code": "sha256:3"}, map[string]float64{"metrics.auc": 0.1 + 0.2}, "logs/2/train.2-1.log"
	step.Outputs = []pipeline.Artifact{{Name: "model", Path: "work/model", Digest: "sha256:4", Size: 12}}
	step.Inputs = []pipeline.JobInput{{Name: "wine", Path: "data", Digest: "sha256:2", Dataset: "wine"}}
	step.Report, step.CPUSeconds, step.MaxRSSBytes = json.RawMessage(`{"rows":3}`), 1.5, 1<<20
	step.StartedAt, step.EndedAt = at, at.Add(time.Second)
	failed := step
	failed.Attempt, failed.State, failed.EndedAt = 2, pipeline.Failed, at.Add(2*time.Second)
	failed.Error = &lastro.Error{Code: lastro.EFailed, ID: "L0301", Msg: "exit status 1", Notes: []string{"x"}, Pos: lastro.Pos{File: "lastro.yaml", Line: 3}}
	run.State, run.Reason, run.EndedAt = pipeline.Failed, "train failed", failed.EndedAt
	err = p.Change(ctx, func(tx pipeline.Tx) error {
		tx.Emit(lastro.NewEvent(at, "system:engine", "step.failed", failed.Ref(), nil))
		return errors.Join(tx.Put(ctx, step, time.Time{}), tx.Put(ctx, failed, time.Time{}),
			tx.PutProgress(ctx, pipeline.Progress{Run: 2, State: run.State, Reason: run.Reason, EndedAt: run.EndedAt}))
	})
	if err != nil {
		t.Fatal(err)
	}
	steps, err := p.StepRuns(ctx, 2)
	if err != nil || !reflect.DeepEqual(steps, []pipeline.StepRun{step, failed}) {
		t.Errorf("\n got %+v\nwant %+v (%v)", steps, []pipeline.StepRun{step, failed}, err)
	}
	hits := func(project string, scope pipeline.Scope, since time.Time) int {
		found, err := p.Hits(ctx, project, []pipeline.Scope{scope}, []lastro.Digest{"sha256:8", "sha256:9"}, since)
		if err != nil {
			t.Error(err)
		}
		if hit, ok := found["sha256:9"]; ok && hit.Attempt != 1 {
			t.Errorf("hit %+v", hit)
		}
		return len(found)
	}
	if n := hits("demo", pipeline.Shared, time.Time{}); n != 1 {
		t.Errorf("%d hits", n)
	}
	if n := hits("other", pipeline.Shared, time.Time{}) + hits("demo", "pr-1", time.Time{}) + hits("demo", pipeline.Shared, at.Add(time.Hour)); n != 0 {
		t.Errorf("%d hits of another project, scope or time", n)
	}
	if last, ok, err := p.LastKeyed(ctx, "demo", "train", map[string]any{"rate": "0.1"}); err != nil || !ok || last.Attempt != 2 {
		t.Errorf("last %+v, %v, %v", last, ok, err)
	}
	if _, ok, err := p.LastKeyed(ctx, "demo", "train", nil); err != nil || ok {
		t.Errorf("last without a cell: %v, %v", ok, err)
	}
	if runs, err := p.Runs(ctx, pipeline.RunFilter{Project: "demo", Unfinished: true}); err != nil || len(runs) != 1 || runs[0].Number != 1 {
		t.Errorf("unfinished %+v, %v", runs, err)
	}
	if runs, err := p.Runs(ctx, pipeline.RunFilter{Before: 2}); err != nil || len(runs) != 1 {
		t.Errorf("before 2: %+v, %v", runs, err)
	}
	if _, err := p.Run(ctx, 99); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("run 99: %v", err)
	}
	if events, err := db.Events(ctx, store.EventFilter{}); err != nil || fmt.Sprintf("%d %s %s", len(events), events[1].Subject, events[2].Subject) != "3 run:2 step:2/train.2" {
		t.Errorf("events %+v, %v", events, err)
	}
}
