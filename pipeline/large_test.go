// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"lastro/pipeline"
)

// A matrix of 10,000 cells plans in a moment and stays small in memory; so do
// 10,000 steps in a row.
func TestPlanLarge(t *testing.T) {
	b := thinking(t)
	hundred := make([]any, 100)
	for i := range hundred {
		hundred[i] = int64(i)
	}
	matrix := pipeline.Spec{Project: "p", Params: map[string]any{"seed": 1, "rate": 0.1, "nested": map[string]any{"a": 1, "b": "x"}}, Steps: []pipeline.StepSpec{
		{Name: "train", Kind: "test", With: json.RawMessage(`{"seed":"${{ params.seed }}"}`), Cache: true, Matrix: []pipeline.Axis{{Name: "a", Values: hundred}, {Name: "b", Values: hundred}},
			Vars:    []pipeline.Var{{Name: "A", Expr: "matrix.a"}, {Name: "B", Expr: "matrix.b * 2"}, {Name: "C", Expr: "params.seed"}},
			Outputs: []pipeline.Output{{Name: "m", Path: "work/m"}}, Select: &pipeline.Select{Best: "metrics.auc"}},
		{Name: "use", Kind: "test", Cache: true, Inputs: []pipeline.Input{{Step: "train", Output: "m"}}}}}
	var row []pipeline.StepSpec
	for i := range 10_000 {
		s := pipeline.StepSpec{Name: fmt.Sprint("s", i), Kind: "test", Cache: true, Outputs: []pipeline.Output{{Name: "o", Path: fmt.Sprint("work/", i)}}}
		if i > 0 {
			s.Inputs = []pipeline.Input{{Step: fmt.Sprint("s", i-1), Output: "o"}}
		}
		row = append(row, s)
	}
	for name, spec := range map[string]pipeline.Spec{"10,000 cells": matrix, "10,000 steps": {Project: "p", Steps: row}} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		p := b.plan(spec, pipeline.PlanOptions{})
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %v, heap grew by %d MB, %d MB allocated", name, took, (after.HeapAlloc-before.HeapAlloc)>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
		if n := p.Count(pipeline.Miss) + p.Count(pipeline.Depends); n < 10_000 || took > 15*time.Second { // well under one second; a busy machine is not to fail this
			t.Errorf("%s: %d cells in %v", name, n, took)
		}
		if grew := after.TotalAlloc - before.TotalAlloc; grew > 300<<20 {
			t.Errorf("%s: %d MB were allocated", name, grew>>20)
		}
		runtime.KeepAlive(p)
	}
}
