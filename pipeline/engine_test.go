// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
	"lastro/blob/file"
	"lastro/pipeline"
	"lastro/store"
)

// testKind does what a function of the test says, by step name.
type testKind struct {
	mu    sync.Mutex
	do    map[string]func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error)
	calls []string // "train", "train.2" in the order in which they began
	needs pipeline.Needs
}

func (k *testKind) Name() string                           { return "test" }
func (k *testKind) Needs(pipeline.StepSpec) pipeline.Needs { return k.needs }
func (k *testKind) Ingredients(_ context.Context, s pipeline.StepSpec) (any, error) {
	return map[string]any{"work": "test@1", "with": s.With}, nil
}

func (k *testKind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	name := j.Step.Name
	if j.Cell > 0 {
		name = fmt.Sprintf("%s.%d", name, j.Cell)
	}
	k.mu.Lock()
	k.calls = append(k.calls, name)
	do := k.do[j.Step.Name]
	k.mu.Unlock()
	if do == nil {
		return pipeline.Result{}, nil
	}
	return do(ctx, j)
}

func (k *testKind) took() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := k.calls
	k.calls = nil
	slices.Sort(calls)
	return calls
}

// watcher remembers what an observer hears.
type watcher struct {
	mu    sync.Mutex
	lines []string
	steps []string
}

func (w *watcher) RunChanged(r pipeline.Run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, fmt.Sprintf("#%d %s", r.Number, r.State))
}
func (w *watcher) StepChanged(s pipeline.StepRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s.Step+" "+string(s.State))
}
func (w *watcher) LogLine(_ int64, step string, _ int, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, step+": "+line)
}

// datasets are versions by name.
type datasets map[string]pipeline.Dataset

func (d datasets) Snapshot(_ context.Context, name string) (pipeline.Dataset, error) {
	if v, ok := d[name]; ok {
		return v, nil
	}
	return pipeline.Dataset{}, lastro.Errorf(lastro.ENotFound, "no dataset %s", name)
}

func (d datasets) Without(_ context.Context, v pipeline.Dataset, hidden []string) (lastro.Digest, error) {
	return d[v.Name+" without "+strings.Join(hidden, ",")].Digest, nil
}

func (d datasets) With(_ context.Context, _ pipeline.Dataset, table lastro.Digest, _ string, _ []string) (lastro.Digest, error) {
	return table, nil
}

type bench struct {
	t     *testing.T
	dir   string
	db    *store.DB
	store *store.Pipeline
	blobs *file.Store
	kind  *testKind
	seen  *watcher
	o     pipeline.Options
	shop  *pipeline.Workshop
	e     *pipeline.Engine
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), kind: &testKind{do: map[string]func(context.Context, *pipeline.Job) (pipeline.Result, error){}}, seen: &watcher{}}
	var err error
	if b.db, err = store.Open(t.Context(), filepath.Join(b.dir, "lastro.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.db.Close() })
	b.store = store.NewPipeline(b.db)
	if b.blobs, err = file.Open(filepath.Join(b.dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	b.o = pipeline.Options{Store: b.store, Blobs: b.blobs, Observer: b.seen, StateDir: b.dir}
	b.shop = &pipeline.Workshop{Kinds: []pipeline.Kind{b.kind}, Project: b.dir}
	b.o.Open = func(context.Context, pipeline.Run) (*pipeline.Workshop, error) { return b.shop, nil }
	b.e = pipeline.NewEngine(b.o)
	return b
}

func (b *bench) do(step string, f func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error)) {
	b.kind.do[step] = f
}

// writes is a step that writes a text to each output.
func writes(text string) func(context.Context, *pipeline.Job) (pipeline.Result, error) {
	return func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		for _, o := range j.Outputs {
			if err := os.WriteFile(j.Path(o.Path), []byte(text), 0o600); err != nil {
				return pipeline.Result{}, err
			}
		}
		return pipeline.Result{}, nil
	}
}

func (b *bench) plan(spec pipeline.Spec, o pipeline.PlanOptions) *pipeline.Plan {
	b.t.Helper()
	p, err := b.e.Plan(b.t.Context(), b.shop, spec, o)
	if err != nil {
		b.t.Fatalf("plan: %v", err)
	}
	return p
}

func (b *bench) run(spec pipeline.Spec) (pipeline.Run, map[string]pipeline.StepRun) {
	b.t.Helper()
	r, err := b.e.Run(b.t.Context(), b.plan(spec, pipeline.PlanOptions{}), nil)
	if err != nil {
		b.t.Fatalf("run: %v", err)
	}
	return r, b.steps(r.Number)
}

// steps are the newest rows by name, cells as train.2.
func (b *bench) steps(run int64) map[string]pipeline.StepRun {
	b.t.Helper()
	rows, err := b.store.StepRuns(b.t.Context(), run)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]pipeline.StepRun{}
	for _, s := range rows {
		name := s.Step
		if s.Cell > 0 {
			name = fmt.Sprintf("%s.%d", s.Step, s.Cell)
		}
		out[name] = s
	}
	return out
}

func step(name string, inputs []string, outputs ...string) pipeline.StepSpec {
	s := pipeline.StepSpec{Name: name, Kind: "test", Cache: true, Pos: lastro.Pos{File: "lastro.yaml", Line: 3, Col: 3}}
	for _, in := range inputs {
		from, output, _ := strings.Cut(in, ".")
		s.Inputs = append(s.Inputs, pipeline.Input{Step: from, Output: output})
	}
	for _, o := range outputs {
		s.Outputs = append(s.Outputs, pipeline.Output{Name: o, Path: "work/" + name + "-" + o})
	}
	return s
}

func chain() pipeline.Spec {
	return pipeline.Spec{Project: "demo", Params: map[string]any{"depth": 6, "model": map[string]any{"rate": 0.1}}, Steps: []pipeline.StepSpec{
		step("evaluate", []string{"train.model", "split.test"}, "report"),
		step("split", nil, "train", "test"),
		step("train", []string{"split.train"}, "model"),
	}}
}

func TestRunAndCache(t *testing.T) {
	b := newBench(t)
	for _, s := range []string{"split", "train", "evaluate"} {
		b.do(s, writes("by "+s))
	}
	b.do("evaluate", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		fmt.Fprintln(j.Log, "evaluating")
		model, err := os.ReadFile(j.Path("work/train-model"))
		if err != nil || string(model) != "by train" {
			return pipeline.Result{}, lastro.Errorf(lastro.EFailed, "model is %q, %v", model, err)
		}
		if err := os.WriteFile(j.Path("work/undeclared"), nil, 0o600); err != nil {
			return pipeline.Result{}, err
		}
		r, err := writes("ok")(ctx, j)
		r.Facts = map[string]float64{"metrics.auc": 0.7}
		return r, err
	})
	r, steps := b.run(chain())
	if r.Number != 1 || r.State != pipeline.Succeeded {
		t.Fatalf("first run: %+v", r)
	}
	if got := b.kind.took(); !slices.Equal(got, []string{"evaluate", "split", "train"}) {
		t.Errorf("carried out %v", got)
	}
	if got := steps["evaluate"]; got.Attempt != 1 || len(got.Inputs) != 2 || len(got.Outputs) != 1 || !got.Selected || got.Key == "" {
		t.Errorf("evaluate: %+v", got)
	}
	if !slices.Contains(b.seen.lines, "evaluate: evaluating") {
		t.Errorf("the observer heard %q", b.seen.lines)
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, "work")); len(left) != 0 {
		t.Errorf("workspaces are left: %v", left)
	}

	want := "#1 running, split pending, train pending, evaluate pending, split running, split succeeded, train running, train succeeded, evaluate running, evaluate succeeded, #1 succeeded"
	if got := strings.Join(b.seen.steps, ", "); got != want {
		t.Errorf("the observer heard\n %s\nwant %s", got, want)
	}
	b.seen.steps = nil

	r, steps = b.run(chain())
	want = "#2 succeeded, split cached, train cached, evaluate cached"
	if got := strings.Join(b.seen.steps, ", "); got != want {
		t.Errorf("the observer heard\n %s\nwant %s", got, want)
	}
	if r.Number != 2 || r.State != pipeline.Succeeded || len(b.kind.took()) != 0 {
		t.Fatalf("second run: %+v", r)
	}
	for name, s := range steps {
		if s.State != pipeline.Cached || s.CachedFrom != 1 || s.Reason != "from #1" {
			t.Errorf("%s: %s %s", name, s.State, s.Reason)
		}
	}
	facts, err := pipeline.ReadFacts(t.Context(), b.store, 2)
	if err != nil || facts.Values["metrics.auc"] != 0.7 || facts.Values["steps.evaluate.metrics.auc"] != 0.7 {
		t.Errorf("facts of a cached run: %+v, %v", facts, err)
	}
	var verbs []string
	events, err := b.db.Events(t.Context(), store.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		verbs = append(verbs, ev.Verb+" "+string(ev.Subject))
	}
	want = "run.started run:1, step.started step:1/split, step.succeeded step:1/split, step.started step:1/train, step.succeeded step:1/train, " +
		"step.started step:1/evaluate, step.succeeded step:1/evaluate, run.finished run:1, run.started run:2, step.cached step:2/split, " +
		"step.cached step:2/train, step.cached step:2/evaluate, run.finished run:2"
	if got := strings.Join(verbs, ", "); got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}

func TestReasons(t *testing.T) {
	b := newBench(t)
	for _, s := range []string{"split", "train", "evaluate"} {
		b.do(s, writes("by "+s))
	}
	spec := chain()
	spec.Steps[2].With = json.RawMessage(`{"depth": "${{ params.depth }}", "name": "run ${{ run.id }}"}`)
	outlook := func(spec pipeline.Spec, o pipeline.PlanOptions) string {
		var parts []string
		for _, s := range b.plan(spec, o).Steps {
			c := s.Cells[0]
			parts = append(parts, fmt.Sprintf("%s %s: %s", s.Spec.Name, c.Outlook, c.Why))
		}
		return strings.Join(parts, "\n")
	}
	check := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	check("before", outlook(spec, pipeline.PlanOptions{}), "split miss: it has not run before\ntrain depends: depends on split\nevaluate depends: depends on split, train")
	b.run(spec)
	check("after", outlook(spec, pipeline.PlanOptions{}), "split hit: from #1\ntrain hit: from #1\nevaluate hit: from #1")
	check("param", outlook(spec, pipeline.PlanOptions{Params: map[string]any{"depth": 8}}),
		"split hit: from #1\ntrain miss: params.depth 6 → 8; with.depth 6 → 8\nevaluate depends: depends on train")
	check("unused param", outlook(spec, pipeline.PlanOptions{Params: map[string]any{"model.rate": 0.2}}), "split hit: from #1\ntrain hit: from #1\nevaluate hit: from #1")
	check("no cache", outlook(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{NoCache: true, Only: []string{"split"}}}), "split miss: the cache was not asked (--no-cache)")
	check("from", outlook(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{From: []string{"train"}}}),
		"split hit: from #1\ntrain miss: asked for (--from)\nevaluate depends: depends on train")
	timeout := spec
	timeout.Steps = slices.Clone(spec.Steps)
	timeout.Steps[1].Timeout = time.Hour
	timeout.Steps[1].Pos.Line = 99
	check("timeout and place are no ingredients", outlook(timeout, pipeline.PlanOptions{}), "split hit: from #1\ntrain hit: from #1\nevaluate hit: from #1")

	// A step that runs again but writes the same lets those after it be cached.
	b.kind.took()
	split := spec
	split.Steps = slices.Clone(spec.Steps)
	split.Steps[1].Env = map[string]string{"X": "1"}
	r, steps := b.run(split)
	if got := b.kind.took(); r.State != pipeline.Succeeded || !slices.Equal(got, []string{"split"}) || steps["train"].State != pipeline.Cached {
		t.Errorf("same outputs: %s, carried out %v, train %s", r.State, got, steps["train"].State)
	}
	if _, err := b.e.Plan(t.Context(), b.shop, spec, pipeline.PlanOptions{Params: map[string]any{"dept": 1}}); err == nil || !strings.Contains(err.(*lastro.Error).Hint, "depth") {
		t.Errorf("unknown param: %v", err)
	}
}

func TestFailedAndErrored(t *testing.T) {
	b := newBench(t)
	b.do("split", writes("x"))
	b.do("train", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		return pipeline.Result{}, lastro.Errorf(lastro.EFailed, "exit status 3")
	})
	r, steps := b.run(chain())
	if r.State != pipeline.Failed || !strings.Contains(r.Reason, "step train failed: exit status 3") || !lastro.Is(r.Err(), lastro.EFailed) {
		t.Errorf("run: %s %q", r.State, r.Reason)
	}
	if s := steps["evaluate"]; s.State != pipeline.Skipped || s.Reason != "train failed" {
		t.Errorf("evaluate: %s %q", s.State, s.Reason)
	}
	kept := filepath.Join(b.dir, "work", "1", "train-1")
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the failed workspace is gone: %v", err)
	}
	b.do("train", func(context.Context, *pipeline.Job) (pipeline.Result, error) { panic("our own fault") })
	r, steps = b.run(chain())
	if r.State != pipeline.Errored || steps["train"].State != pipeline.Errored || steps["split"].State != pipeline.Cached {
		t.Errorf("run: %s, train %s: %s", r.State, steps["train"].State, steps["train"].Reason)
	}
	if _, err := os.Stat(kept); err == nil {
		t.Error("the workspace is still there after the next run of the step")
	}
	b.do("train", writes("model"))
	b.do("evaluate", writes("report"))
	if r, _ = b.run(chain()); r.State != pipeline.Succeeded {
		t.Errorf("after mending: %s %s", r.State, r.Reason)
	}
}

func TestMissingOutput(t *testing.T) {
	b := newBench(t)
	b.do("split", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		return pipeline.Result{}, os.WriteFile(j.Path("work/other.csv"), nil, 0o600)
	})
	_, steps := b.run(chain())
	s := steps["split"]
	if s.State != pipeline.Failed || s.Error == nil || s.Error.ID != "L0305" || !strings.Contains(s.Error.Msg, "work/split-train") || !strings.Contains(s.Error.Hint, "work/other.csv") {
		t.Errorf("%s: %+v", s.State, s.Error)
	}
	b.do("split", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		for _, o := range j.Outputs {
			if err := os.Symlink("/etc/passwd", j.Path(o.Path)); err != nil {
				return pipeline.Result{}, err
			}
		}
		return pipeline.Result{}, nil
	})
	_, steps = b.run(chain())
	if s := steps["split"]; s.State != pipeline.Failed || s.Error.ID != "L0308" {
		t.Errorf("a link out of the workspace: %s %+v", s.State, s.Error)
	}
}

func TestLostIsTriedOnceMore(t *testing.T) {
	b := newBench(t)
	tries := 0
	b.do("split", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		if tries++; tries == 1 {
			return pipeline.Result{}, fmt.Errorf("the supervisor forgot it: %w", pipeline.ErrLost)
		}
		return writes(fmt.Sprint(j.Attempt))(ctx, j)
	})
	b.do("train", func(context.Context, *pipeline.Job) (pipeline.Result, error) {
		tries++
		return pipeline.Result{}, fmt.Errorf("again: %w", pipeline.ErrLost)
	})
	_, steps := b.run(chain())
	if s := steps["split"]; s.State != pipeline.Succeeded || s.Attempt != 2 {
		t.Errorf("split: %+v", s)
	}
	if s := steps["train"]; s.State != pipeline.Errored || s.Attempt != 2 || tries != 4 {
		t.Errorf("train: %s, attempt %d, %d tries", s.State, s.Attempt, tries)
	}
}

func matrixSpec(sel *pipeline.Select) pipeline.Spec {
	train := step("train", nil, "model")
	train.Matrix = []pipeline.Axis{{Name: "depth", Values: []any{4, 8}}, {Name: "seed", Values: []any{1, 2}}}
	train.Metrics = []string{"work/m.json"}
	train.Select = sel
	return pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{train, step("use", []string{"train"}, "copy")}}
}

func TestMatrix(t *testing.T) {
	b := newBench(t)
	// depth 8 is better on average, though one cell of depth 4 is the luckiest.
	auc := map[string]float64{"4/1": 0.90, "4/2": 0.50, "8/1": 0.79, "8/2": 0.81}
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		key := fmt.Sprintf("%v/%v", j.Values["depth"], j.Values["seed"])
		text := fmt.Sprintf(`{"auc": {"value": %v, "ci_low": 0.1, "ci_high": 0.9}, "by": {"class": {"a": 1}}, "name": "x"}`, auc[key])
		if err := os.WriteFile(j.Path("work/m.json"), []byte(text), 0o600); err != nil {
			return pipeline.Result{}, err
		}
		return writes(key)(ctx, j)
	})
	b.do("use", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		in, ok := j.Input("train.model")
		if !ok {
			return pipeline.Result{}, errors.New("no input")
		}
		raw, err := os.ReadFile(j.Path(in.Path))
		if err != nil {
			return pipeline.Result{}, err
		}
		return pipeline.Result{}, os.WriteFile(j.Path(j.Outputs[0].Path), raw, 0o600)
	})
	for name, tc := range map[string]struct {
		sel  *pipeline.Select
		want string
	}{
		"best":         {&pipeline.Select{Best: "metrics.auc", Goal: "max"}, "4/1"},
		"worst":        {&pipeline.Select{Best: "metrics.auc", Goal: "min"}, "4/2"},
		"average":      {&pipeline.Select{Best: "metrics.auc", Goal: "max", AverageOver: "seed"}, "8/1"},
		"average axis": {&pipeline.Select{Best: "metrics.auc", Goal: "max", AverageOver: "depth"}, "4/1"},
	} {
		r, steps := b.run(matrixSpec(tc.sel))
		if r.State != pipeline.Succeeded {
			t.Fatalf("%s: %s %s", name, r.State, r.Reason)
		}
		d := steps["use"].Outputs[0].Digest
		if d != lastro.DigestOf([]byte(tc.want)) {
			t.Errorf("%s: another cell than %s went on", name, tc.want)
		}
		facts, _ := pipeline.ReadFacts(t.Context(), b.store, r.Number)
		if facts.Values["metrics.auc"] != auc[tc.want] || facts.Values["metrics.auc.ci_low"] != 0.1 || facts.Values["metrics.by.class.a"] != 1 {
			t.Errorf("%s: facts %v", name, facts.Values)
		}
	}
	if got := b.kind.took(); len(got) != 4+3 { // four cells once; use for 4/1, 4/2 and 8/1
		t.Errorf("carried out %v", got)
	}
	r, _ := b.run(matrixSpec(&pipeline.Select{Best: "metrics.acu", Goal: "max"}))
	if r.State != pipeline.Failed || !strings.Contains(r.Reason, "metrics.acu") {
		t.Errorf("a metric that is not there: %s %s", r.State, r.Reason)
	}
}

func TestSensitiveColumns(t *testing.T) {
	b := newBench(t)
	put := func(s string) lastro.Digest {
		d, _, err := b.blobs.Put(t.Context(), strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	all := put("all columns")
	b.shop.Datasets = datasets{
		"people":                  {Name: "people", Digest: all, Path: "data/people.csv", Sensitive: []string{"sex", "race"}},
		"people without race,sex": {Digest: put("neither")},
		"people without race":     {Digest: put("with sex")},
	}
	b.e = pipeline.NewEngine(b.o)
	read := map[string]string{}
	for _, name := range []string{"blind", "sees"} {
		b.do(name, func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
			raw, err := os.ReadFile(j.Path("data/people.csv"))
			b.kind.mu.Lock()
			defer b.kind.mu.Unlock()
			read[name] = string(raw)
			return pipeline.Result{}, err
		})
	}
	blind, sees := step("blind", nil), step("sees", nil)
	blind.Inputs = []pipeline.Input{{Dataset: "people"}}
	sees.Inputs, sees.Sees = blind.Inputs, []string{"sex"}
	r, steps := b.run(pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{blind, sees}})
	if r.State != pipeline.Succeeded || read["blind"] != "neither" || read["sees"] != "with sex" {
		t.Errorf("%s: %v", r.State, read)
	}
	if in := steps["blind"].Inputs[0]; in.Version != all || in.Digest == all {
		t.Errorf("blind's input: %+v", in)
	}
	if r, _ := b.run(pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{blind, sees}}); r.State != pipeline.Succeeded || len(b.kind.took()) != 2 {
		t.Error("not cached")
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	b.do("split", writes("x"))
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		cancel(errors.New("stopped by ctrl-C"))
		<-ctx.Done()
		return pipeline.Result{}, context.Cause(ctx)
	})
	r, err := b.e.Run(ctx, b.plan(chain(), pipeline.PlanOptions{}), nil)
	steps := b.steps(r.Number)
	if err != nil || r.State != pipeline.Cancelled || r.Reason != "stopped by ctrl-C" || steps["train"].State != pipeline.Cancelled || steps["evaluate"].State != pipeline.Cancelled || steps["split"].State != pipeline.Succeeded {
		t.Errorf("%v, %s %q, %s, %s", err, r.State, r.Reason, steps["train"].State, steps["evaluate"].State)
	}
	if left, err := b.e.Unfinished(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("unfinished: %v, %v", left, err)
	}
}

// TestDeadEngine: what a built-in was doing when its engine died is done
// again, what had ended is not, and the run keeps its number.
func TestDeadEngine(t *testing.T) {
	b := newBench(t)
	ctx, die := context.WithCancelCause(t.Context())
	b.do("split", writes("x"))
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		die(pipeline.ErrDetach)
		<-ctx.Done()
		return pipeline.Result{}, context.Cause(ctx)
	})
	b.do("evaluate", writes("z"))
	if _, err := b.e.Run(ctx, b.plan(chain(), pipeline.PlanOptions{}), nil); !errors.Is(err, pipeline.ErrDetach) {
		t.Fatal(err)
	}
	b.kind.took()
	b.do("train", writes("y"))
	b.e = pipeline.NewEngine(b.o)
	r, steps := b.run(chain())
	if r.Number != 1 || r.State != pipeline.Succeeded || !slices.Equal(b.kind.took(), []string{"evaluate", "train"}) {
		t.Errorf("#%d %s %s", r.Number, r.State, r.Reason)
	}
	if s := steps["train"]; s.Attempt != 2 || s.State != pipeline.Succeeded {
		t.Errorf("train: attempt %d %s", s.Attempt, s.State)
	}
	rows, _ := b.store.StepRuns(t.Context(), 1)
	if len(rows) != 4 {
		t.Errorf("%d rows, want split, train twice, evaluate", len(rows))
	}
}

// TestDiskFull: whichever write is the first that does not fit, the run stops,
// and with space again it goes on to the same end.
func TestDiskFull(t *testing.T) {
	for n := 0; ; n++ {
		b := newBench(t)
		for _, s := range []string{"split", "train", "evaluate"} {
			b.do(s, writes("by "+s))
		}
		full := &fullStore{Store: b.store}
		full.after.Store(int64(n))
		b.o.Store = full
		b.e = pipeline.NewEngine(b.o)
		_, err := b.e.Run(t.Context(), b.plan(chain(), pipeline.PlanOptions{}), nil)
		if err == nil {
			if n < 7 { // three starts, three ends, the run
				t.Errorf("a run wrote %d times only", n)
			}
			return
		}
		var e *lastro.Error
		if !errors.As(err, &e) || e.ID != "L0410" {
			t.Fatalf("full at write %d: %v", n, err)
		}
		full.after.Store(1000)
		r, steps := b.run(chain())
		if r.Number != 1 || r.State != pipeline.Succeeded || len(steps) != 3 {
			t.Errorf("full at write %d, with space again: #%d %s %s", n, r.Number, r.State, r.Reason)
		}
		if events, err := b.db.Events(t.Context(), store.EventFilter{Verb: "step.succeeded"}); err != nil || len(events) != 3 {
			t.Errorf("full at write %d: %d steps succeeded, %v", n, len(events), err)
		}
	}
}

// fullStore fails like a full disk after some records.
type fullStore struct {
	pipeline.Store
	after atomic.Int64
}

func (s *fullStore) Change(ctx context.Context, fn func(pipeline.Tx) error) error {
	if s.after.Add(-1) < 0 {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full"}
	}
	return s.Store.Change(ctx, fn)
}

func TestTimeout(t *testing.T) {
	b := newBench(t)
	b.do("split", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		<-ctx.Done()
		return pipeline.Result{}, context.Cause(ctx)
	})
	spec := chain()
	spec.Steps[1].Timeout = 20 * time.Millisecond
	_, steps := b.run(spec)
	if s := steps["split"]; s.State != pipeline.Failed || s.Error.ID != "L0303" {
		t.Errorf("%s: %+v", s.State, s.Error)
	}
}

func TestBadDeclarations(t *testing.T) {
	b := newBench(t)
	for name, tc := range map[string]struct {
		steps []pipeline.StepSpec
		want  string
	}{
		"cycle":           {[]pipeline.StepSpec{step("a", []string{"b.x"}, "x"), step("b", []string{"a.x"}, "x")}, "wait for each other: a → b → a"},
		"unknown step":    {[]pipeline.StepSpec{step("train", nil, "x"), step("b", []string{"trian.x"})}, "did you mean train?"},
		"unknown output":  {[]pipeline.StepSpec{step("train", nil, "x"), step("b", []string{"train.y"})}, "declares no such output"},
		"escaping path":   {[]pipeline.StepSpec{{Name: "a", Kind: "test", Outputs: []pipeline.Output{{Name: "x", Path: "../x"}}}}, "not a path inside the workspace"},
		"whole workspace": {[]pipeline.StepSpec{{Name: "a", Kind: "test", Outputs: []pipeline.Output{{Name: "x", Path: "./"}}}}, "not a path inside the workspace"},
		"unknown kind":    {[]pipeline.StepSpec{{Name: "a", Kind: "tset"}}, "did you mean test?"},
		"no select":       {matrixSpec(nil).Steps, "nothing says which cell goes on"},
	} {
		_, err := b.e.Plan(t.Context(), b.shop, pipeline.Spec{Project: "demo", Steps: tc.steps}, pipeline.PlanOptions{})
		said := fmt.Sprint(err)
		var e *lastro.Error
		var many lastro.Problems
		if errors.As(err, &many) {
			e = many[0]
		}
		if e != nil || errors.As(err, &e) {
			said += " " + e.Hint
		}
		if !strings.Contains(said, tc.want) {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// BenchmarkCachedRun is a whole run of ten cached steps.
func BenchmarkCachedRun(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "lastro.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	dir := b.TempDir()
	blobs, err := file.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		b.Fatal(err)
	}
	kind := &testKind{do: map[string]func(context.Context, *pipeline.Job) (pipeline.Result, error){}}
	spec := pipeline.Spec{Project: "demo"}
	for i := range 10 {
		name := fmt.Sprintf("s%d", i)
		var in []string
		if i > 0 {
			in = []string{fmt.Sprintf("s%d.out", i-1)}
		}
		spec.Steps = append(spec.Steps, step(name, in, "out"))
		kind.do[name] = writes(name)
	}
	e := pipeline.NewEngine(pipeline.Options{Store: store.NewPipeline(db), Blobs: blobs, StateDir: dir})
	shop := &pipeline.Workshop{Kinds: []pipeline.Kind{kind}, Project: dir}
	for b.Loop() {
		p, err := e.Plan(b.Context(), shop, spec, pipeline.PlanOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if r, err := e.Run(b.Context(), p, nil); err != nil || r.State != pipeline.Succeeded {
			b.Fatal(r.State, r.Reason, err)
		}
	}
}
