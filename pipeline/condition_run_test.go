// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
)

// thinking is a bench whose engine evaluates expressions.
func thinking(t *testing.T) *bench {
	b := newBench(t)
	b.shop.Eval = gate.Expressions{}
	return b
}

// finds is a step that writes its outputs and found these facts.
func finds(facts map[string]float64) func(context.Context, *pipeline.Job) (pipeline.Result, error) {
	return func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		_, err := writes("x")(ctx, j)
		return pipeline.Result{Facts: facts}, err
	}
}

// A step whose condition does not hold is skipped with the values that it saw,
// so is what follows, and the run succeeds.
func TestConditions(t *testing.T) {
	b := thinking(t)
	spec := pipeline.Spec{Project: "p", Params: map[string]any{"depth": 4}, Steps: []pipeline.StepSpec{
		{Name: "train", Kind: "test", With: json.RawMessage(`"train"`), Cache: true},
		{Name: "good", Kind: "test", With: json.RawMessage(`"good"`), Cache: true, Needs: []string{"train"}, If: "metrics.auc > 60%"},
		{Name: "better", Kind: "test", With: json.RawMessage(`"better"`), Cache: true, Needs: []string{"train"}, If: "steps.train.metrics.auc > 0.7 && params.depth == 4"},
		{Name: "after", Kind: "test", With: json.RawMessage(`"always"`), Cache: true, Needs: []string{"better"}}, // its work is known from another step
		{Name: "never", Kind: "test", With: json.RawMessage(`"never"`), Cache: true, If: `event.kind == "pull_request"`},
		{Name: "always", Kind: "test", With: json.RawMessage(`"always"`), Cache: true, If: `event.kind == "person" && params.depth > 3 && event.branch == ""`},
	}}
	b.do("train", finds(map[string]float64{"metrics.auc": 0.62}))
	for _, again := range []bool{false, true} {
		r, steps := b.run(spec)
		if r.State != pipeline.Succeeded {
			t.Fatalf("the run %s: %s", r.State, r.Reason)
		}
		done := pipeline.Succeeded
		if again {
			done = pipeline.Cached
		}
		for name, want := range map[string]struct {
			state  pipeline.State
			reason string
		}{
			"train": {done, ""}, "good": {done, ""}, "always": {done, ""},
			"better": {pipeline.Skipped, "if: steps.train.metrics.auc > 0.7 && params.depth == 4 is false (params.depth is 4, steps.train.metrics.auc is 0.62)"},
			"after":  {pipeline.Skipped, "better was skipped"},
			"never":  {pipeline.Skipped, `if: event.kind == "pull_request" is false (event.kind is "person")`},
		} {
			if s := steps[name]; s.State != want.state || want.reason != "" && s.Reason != want.reason {
				t.Errorf("again %v: %s is %s (%s), want %+v", again, name, s.State, s.Reason, want)
			}
		}
		took := strings.Join(b.kind.took(), " ")
		if want := map[bool]string{false: "always good train", true: ""}[again]; took != want {
			t.Errorf("again %v: ran %q, want %q", again, took, want)
		}
	}
	p := b.plan(spec, pipeline.PlanOptions{})
	outlooks := map[string]pipeline.Outlook{}
	for _, s := range p.Steps {
		outlooks[s.Spec.Name] = s.Cells[0].Outlook
	}
	for name, want := range map[string]pipeline.Outlook{"train": pipeline.Hit, "good": pipeline.Hit, "better": pipeline.LeftOut, "after": pipeline.LeftOut, "never": pipeline.LeftOut, "always": pipeline.Hit} {
		if outlooks[name] != want {
			t.Errorf("the plan says %s of %s, want %s", outlooks[name], name, want)
		}
	}
}

// A condition whose fact is missing fails its step and says what there is.
func TestConditionWithoutItsFact(t *testing.T) {
	b := thinking(t)
	b.do("train", finds(map[string]float64{"metrics.auc": 0.62}))
	b.do("other", finds(map[string]float64{"metrics.auc": 0.7}))
	r, steps := b.run(pipeline.Spec{Project: "p", Steps: []pipeline.StepSpec{
		{Name: "train", Kind: "test", With: json.RawMessage(`"train"`)}, {Name: "other", Kind: "test", With: json.RawMessage(`"other"`)},
		{Name: "typo", Kind: "test", With: json.RawMessage(`"typo"`), Needs: []string{"train"}, If: "metrics.acu > 0.6"},
		{Name: "both", Kind: "test", With: json.RawMessage(`"both"`), Needs: []string{"train", "other"}, If: "metrics.auc > 0.6"},
		{Name: "asks", Kind: "test", With: json.RawMessage(`"asks"`), Needs: []string{"train"}, If: "has(metrics.nope) || metrics.auc > 0.6"},
		{Name: "kind", Kind: "test", With: json.RawMessage(`"kind"`), Needs: []string{"train"}, If: `metrics.auc + 1`},
	}})
	if r.State != pipeline.Failed || steps["asks"].State != pipeline.Succeeded {
		t.Errorf("the run %s, asks %s: %s", r.State, steps["asks"].State, steps["asks"].Reason)
	}
	for name, want := range map[string]string{
		"typo": "L0334 step \"typo\": if: metrics.acu > 0.6: metrics.acu has no value did you mean metrics.auc?",
		"both": "L0334 step \"both\": if: metrics.auc > 0.6: there are several values of metrics.auc metrics.auc was written by the steps",
		"kind": "L0181 step \"kind\": if: metrics.auc + 1: it gives 1.62, not true or false",
	} {
		s := steps[name]
		if s.State != pipeline.Failed || s.Error == nil || !strings.HasPrefix(s.Error.ID+" "+s.Error.Msg+" "+s.Error.Hint, want) {
			t.Errorf("%s: %s %+v", name, s.State, s.Error)
		}
	}
}

// Cells are asked one by one; those that are left out are no candidates and do
// not keep what follows from running.
func TestConditionOfCells(t *testing.T) {
	b := thinking(t)
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		return finds(map[string]float64{"metrics.auc": float64(j.Values["n"].(int64)) / 10})(ctx, j)
	})
	b.do("use", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		return writes("x")(ctx, j)
	})
	spec := pipeline.Spec{Project: "p", Steps: []pipeline.StepSpec{
		{Name: "train", Kind: "test", With: json.RawMessage(`"train"`), Cache: true, Matrix: []pipeline.Axis{{Name: "n", Values: []any{int64(1), int64(2), int64(3)}}}, If: "matrix.n < 3",
			Select: &pipeline.Select{Best: "metrics.auc", Goal: "max"}, Outputs: []pipeline.Output{{Name: "m", Path: "work/m"}}},
		{Name: "use", Kind: "test", With: json.RawMessage(`"use"`), Cache: true, Inputs: []pipeline.Input{{Step: "train", Output: "m"}}},
	}}
	for range 2 {
		r, steps := b.run(spec)
		if r.State != pipeline.Succeeded || !steps["train.2"].Selected || steps["train.3"].State != pipeline.Skipped || !steps["use"].State.OK() {
			t.Errorf("run %s %s; cells %s %s %s; use %s", r.State, r.Reason, steps["train.1"].State, steps["train.2"].State, steps["train.3"].State, steps["use"].State)
		}
	}
}

// Facts of a step reach the expressions of later steps, and their values count
// in the cache key: when nothing changed nothing runs, and a fact that changed
// without changing the value changes nothing.
func TestExpressionsOverFacts(t *testing.T) {
	b := thinking(t)
	auc := 0.62
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		return finds(map[string]float64{"metrics.auc": auc})(ctx, j)
	})
	var got map[string]string
	b.do("tell", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		got = j.Vars
		return writes("x")(ctx, j)
	})
	spec := func(seed int) pipeline.Spec {
		return pipeline.Spec{Project: "p", Params: map[string]any{"depth": 4, "seed": seed}, Steps: []pipeline.StepSpec{
			{Name: "train", Kind: "test", With: json.RawMessage(`"train"`), Cache: true, Vars: []pipeline.Var{{Name: "S", Expr: "params.seed"}}},
			{Name: "tell", Kind: "test", With: json.RawMessage(`"tell"`), Cache: true, Needs: []string{"train"}, Vars: []pipeline.Var{
				{Name: "A", Expr: "metrics.auc * 100 > 50 ? 'good' : 'bad'"}, {Name: "C", Expr: "params.depth * 2"}, {Name: "D", Expr: `"run-" + string(run.id)`}}}}}
	}
	_, steps := b.run(spec(1))
	if got["A"] != "good" || got["C"] != "8" || got["D"] != "run-1" {
		t.Errorf("variables %v; %v", got, steps["tell"].Error)
	}
	b.kind.took()
	if _, steps = b.run(spec(1)); steps["tell"].State != pipeline.Cached || len(b.kind.took()) > 0 {
		t.Errorf("unchanged: tell is %s, %s", steps["tell"].State, steps["tell"].Reason)
	}
	auc = 0.63
	if _, steps = b.run(spec(2)); steps["train"].State != pipeline.Succeeded || steps["tell"].State != pipeline.Cached {
		t.Errorf("the same value: train %s, tell %s %s", steps["train"].State, steps["tell"].State, steps["tell"].Reason)
	}
	auc = 0.4
	if _, steps = b.run(spec(3)); steps["tell"].State != pipeline.Succeeded || got["A"] != "bad" || !strings.Contains(steps["tell"].Reason, "good → bad") {
		t.Errorf("another value: tell %s %s, %v", steps["tell"].State, steps["tell"].Reason, got)
	}
}

// What a step writes to $LASTRO_OUTPUT reaches later steps too, also from the cache.
func TestExpressionsOverValues(t *testing.T) {
	b := thinking(t)
	tag := "v1"
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		if err := os.WriteFile(j.OutputPath(), []byte("tag="+tag+"\n"), 0o600); err != nil {
			return pipeline.Result{}, err
		}
		return writes("x")(ctx, j)
	})
	var got string
	b.do("tell", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		got = j.Vars["B"]
		return writes("x")(ctx, j)
	})
	spec := func(seed int) pipeline.Spec {
		return pipeline.Spec{Project: "p", Params: map[string]any{"seed": seed}, Steps: []pipeline.StepSpec{
			{Name: "train", Kind: "test", With: json.RawMessage(`"train"`), Cache: true, Vars: []pipeline.Var{{Name: "S", Expr: "params.seed"}}},
			{Name: "tell", Kind: "test", With: json.RawMessage(`"tell"`), Cache: true, Needs: []string{"train"}, Vars: []pipeline.Var{{Name: "B", Expr: "steps.train.values.tag"}}}}}
	}
	_, steps := b.run(spec(1))
	if got != "v1" {
		t.Errorf("B is %q; %v", got, steps["tell"].Error)
	}
	if steps["train"].OutValues == nil {
		t.Skip("the store does not keep them yet")
	}
	if _, steps = b.run(spec(1)); steps["tell"].State != pipeline.Cached {
		t.Errorf("unchanged: tell is %s, %s", steps["tell"].State, steps["tell"].Reason)
	}
	tag = "v2"
	if _, steps = b.run(spec(2)); steps["tell"].State != pipeline.Succeeded || got != "v2" || !strings.Contains(steps["tell"].Reason, "steps.train.values.tag v1 → v2") {
		t.Errorf("another value: tell %s %s, %q", steps["tell"].State, steps["tell"].Reason, got)
	}
}

// A value that no program can be given is an error of the step, in words.
func TestValuesThatCannotBePassed(t *testing.T) {
	b := thinking(t)
	for name, c := range map[string]struct{ value, want string }{
		"nul":  {"a\x00b", "holds a NUL character"},
		"long": {strings.Repeat("a", 1<<20), "has 1048576 bytes"},
	} {
		_, steps := b.run(pipeline.Spec{Project: name, Params: map[string]any{"x": c.value}, Steps: []pipeline.StepSpec{{Name: "s", Kind: "test", With: json.RawMessage(`"s"`), Vars: []pipeline.Var{{Name: "X", Expr: "params.x"}}}}})
		if s := steps["s"]; s.State != pipeline.Failed || s.Error.ID != "L0335" || !strings.Contains(s.Error.Msg, c.want) || !lastro.Is(s.Error, lastro.EInvalid) {
			t.Errorf("%s: %s %+v", name, s.State, s.Error)
		}
	}
}

// A value that looks like an expression stays text, also in settings, which are
// read twice: when the run is planned and when the step starts.
func TestValuesAreNoExpressions(t *testing.T) {
	b := thinking(t)
	var got json.RawMessage
	b.do("s", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		got = j.Step.With
		return pipeline.Result{}, nil
	})
	_, steps := b.run(pipeline.Spec{Project: "p", Params: map[string]any{"x": "${{ params.y }}${{ nonsense", "y": "secret"}, Steps: []pipeline.StepSpec{
		{Name: "s", Kind: "test", With: json.RawMessage(`{"a":"${{ params.x }}","b":"${{ run.id }}"}`)}}})
	if want := `{"a":"${{ params.y }}${{ nonsense","b":1}`; string(got) != want {
		t.Errorf("with is %s, want %s; %v", got, want, steps["s"].Error)
	}
}
