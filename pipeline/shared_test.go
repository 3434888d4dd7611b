// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
)

// gated is a store that others share; while the gate is held, its owner's
// transactions wait, as in a process that was stopped.
type gated struct {
	pipeline.Store
	gate sync.RWMutex
}

func (*gated) Shared() bool { return true }

func (g *gated) Change(ctx context.Context, fn func(pipeline.Tx) error) error {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Store.Change(ctx, fn)
}

// place is an engine with a state directory of its own.
type place struct {
	e     *pipeline.Engine
	shop  *pipeline.Workshop
	store *gated
	took  atomic.Int64
	ended chan error
	stop  context.CancelFunc
}

// places are n engines on the database and blobs of b that carry out one kind
// of step; work is what a step does beside writing its outputs.
func places(b *bench, n int, work func(p *place, j *pipeline.Job)) []*place {
	b.t.Helper()
	var out []*place
	for range n {
		p := &place{store: &gated{Store: b.store}, ended: make(chan error, 1)}
		kind := &testKind{do: map[string]func(context.Context, *pipeline.Job) (pipeline.Result, error){}}
		for _, s := range []string{"split", "train", "evaluate"} {
			kind.do[s] = func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
				p.took.Add(1)
				work(p, j)
				return writes("by "+j.Step.Name)(ctx, j)
			}
		}
		shop := &pipeline.Workshop{Kinds: []pipeline.Kind{kind}, Project: b.dir}
		p.shop = shop
		p.e = pipeline.NewEngine(pipeline.Options{Store: p.store, Blobs: b.blobs, StateDir: b.t.TempDir(), Parallel: 2, Lease: 400 * time.Millisecond,
			Open: func(context.Context, pipeline.Run) (*pipeline.Workshop, error) { return shop, nil }})
		p.start(b.t)
		out = append(out, p)
	}
	return out
}

func (p *place) start(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.ended <- p.e.Work(ctx) }()
	t.Cleanup(stop)
}

// TestEnginesShare: runs that one engine was given are carried out by all.
func TestEnginesShare(t *testing.T) {
	b := newBench(t)
	all := places(b, 3, func(*place, *pipeline.Job) { time.Sleep(100 * time.Millisecond) })
	var numbers []int64
	for i := range 12 {
		spec := chain()
		spec.Params["depth"] = i
		p, err := all[0].e.Plan(t.Context(), all[0].shop, spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{NoCache: true}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := all[0].e.Submit(t.Context(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, r.Number)
	}
	for _, n := range numbers {
		r, err := all[0].e.Wait(t.Context(), n)
		if err != nil || r.State != pipeline.Succeeded {
			t.Errorf("#%d %s %s, %v", n, r.State, r.Reason, err)
		}
	}
	sum := int64(0)
	for i, p := range all {
		sum += p.took.Load()
		if p.took.Load() == 0 {
			t.Errorf("engine %d did nothing", i)
		}
	}
	if sum != 36 {
		t.Errorf("%d steps were carried out, want 36", sum)
	}
}

// TestFenced stops an engine in mid-step for longer than its lease (R14): the
// other one takes its step over, and what the first one says later is dropped.
func TestFenced(t *testing.T) {
	b := newBench(t)
	var begun, release = make(chan *place, 8), make(chan struct{})
	all := places(b, 2, func(p *place, j *pipeline.Job) {
		if j.Step.Name == "train" && j.Attempt == 1 {
			begun <- p
			<-release
		}
	})
	p, err := all[0].e.Plan(t.Context(), all[0].shop, chain(), pipeline.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := all[0].e.Submit(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	stopped := <-begun
	stopped.store.gate.Lock() // no beat, no commit
	other := all[0]
	if stopped == all[0] {
		other = all[1]
	}
	end, err := other.e.Wait(t.Context(), r.Number)
	if err != nil || end.State != pipeline.Succeeded {
		t.Fatalf("the other engine ended #%d %s %s, %v", r.Number, end.State, end.Reason, err)
	}
	close(release)
	time.Sleep(50 * time.Millisecond) // its step has ended, and waits to be committed
	stopped.store.gate.Unlock()
	if err := <-stopped.ended; !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("the engine that was stopped ended with %v, want ErrFenced", err)
	}
	rows, err := b.store.StepRuns(t.Context(), r.Number)
	if err != nil {
		t.Fatal(err)
	}
	var train []pipeline.StepRun
	for _, s := range rows {
		if s.Step == "train" {
			train = append(train, s)
		}
	}
	if len(train) != 2 || train[0].State != pipeline.Errored || train[0].Cause != pipeline.RetryLost || train[1].State != pipeline.Succeeded || train[1].Attempt != 2 {
		t.Errorf("train: %+v", train)
	}
	stopped.start(t) // it joins again under another name
	p, err = stopped.e.Plan(t.Context(), stopped.shop, chain(), pipeline.PlanOptions{RunOptions: pipeline.RunOptions{NoCache: true}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err = stopped.e.Submit(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	other.stop()
	if end, err = stopped.e.Wait(t.Context(), r.Number); err != nil || end.State != pipeline.Succeeded {
		t.Errorf("after it joined again: %s %s, %v", end.State, end.Reason, err)
	}
}

// TestCancelElsewhere cancels a run through an engine that does not carry it out.
func TestCancelElsewhere(t *testing.T) {
	b := newBench(t)
	begun := make(chan *place, 1)
	var stopped atomic.Bool
	all := places(b, 2, func(*place, *pipeline.Job) {})
	kind := &testKind{do: map[string]func(context.Context, *pipeline.Job) (pipeline.Result, error){
		"split": func(ctx context.Context, _ *pipeline.Job) (pipeline.Result, error) {
			begun <- all[0]
			<-ctx.Done()
			stopped.Store(true)
			return pipeline.Result{}, context.Cause(ctx)
		}}}
	all[0].stop()
	<-all[0].ended
	shop := &pipeline.Workshop{Kinds: []pipeline.Kind{kind}, Project: b.dir}
	all[1].stop()
	<-all[1].ended
	first := pipeline.NewEngine(pipeline.Options{Store: all[0].store, Blobs: b.blobs, StateDir: t.TempDir(), Lease: time.Second,
		Open: func(context.Context, pipeline.Run) (*pipeline.Workshop, error) { return shop, nil }})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = first.Work(ctx) }()
	p, err := first.Plan(t.Context(), shop, chain(), pipeline.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := first.Submit(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := all[1].e.Cancel(t.Context(), r.Number, "enough"); err != nil {
		t.Fatal(err)
	}
	end, err := first.Wait(t.Context(), r.Number)
	if err != nil || end.State != pipeline.Cancelled || end.Reason != "enough" || !stopped.Load() {
		t.Errorf("%s %q, %v; the step was stopped: %v", end.State, end.Reason, err, stopped.Load())
	}
	if err := all[1].e.Cancel(t.Context(), r.Number, "again"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("cancelled twice: %v", err)
	}
}

// ends is a step that ends for a reason until its attempt.
func ends(reason pipeline.RetryReason, until int) func(context.Context, *pipeline.Job) (pipeline.Result, error) {
	return func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		if j.Attempt < until {
			return pipeline.Result{}, errors.Join(lastro.Errorf(lastro.EFailed, "it ended as %s", reason), &pipeline.Ended{Reason: reason, ExitCode: -1})
		}
		return writes("at last")(ctx, j)
	}
}

func TestRetry(t *testing.T) {
	for _, tc := range []struct {
		name     string
		retry    pipeline.Retry
		reason   pipeline.RetryReason
		until    int // the attempt that ends well
		attempts int
		state    pipeline.State
	}{
		{"lost, without asking", pipeline.Retry{}, pipeline.RetryLost, 2, 2, pipeline.Succeeded},
		{"lost twice", pipeline.Retry{}, pipeline.RetryLost, 3, 2, pipeline.Failed},
		{"lost twice, two more", pipeline.Retry{Max: 2}, pipeline.RetryLost, 3, 3, pipeline.Succeeded},
		{"oom, not asked for", pipeline.Retry{Max: 2}, pipeline.RetryOOM, 2, 1, pipeline.Failed},
		{"oom", pipeline.Retry{Max: 1, On: []pipeline.RetryReason{"oom"}}, pipeline.RetryOOM, 2, 2, pipeline.Succeeded},
		{"exit status", pipeline.Retry{Max: 3, On: []pipeline.RetryReason{"timeout", "exit:75"}}, "exit:75", 4, 4, pipeline.Succeeded},
		{"another exit status", pipeline.Retry{Max: 3, On: []pipeline.RetryReason{"exit:75"}}, "exit:1", 4, 1, pipeline.Failed},
		{"too often", pipeline.Retry{Max: 1, On: []pipeline.RetryReason{"timeout"}, Backoff: time.Millisecond}, pipeline.RetryTimeout, 5, 2, pipeline.Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.do("train", ends(tc.reason, tc.until))
			s := step("train", nil, "model")
			s.Retry = tc.retry
			r, steps := b.run(pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{s}})
			if got := steps["train"]; r.State != tc.state || got.Attempt != tc.attempts {
				t.Errorf("%s after %d attempts (%s), want %s after %d", r.State, got.Attempt, got.Reason, tc.state, tc.attempts)
			}
		})
	}
}

// TestBackoff: the pause before an attempt doubles, and another step goes on meanwhile.
func TestBackoff(t *testing.T) {
	b := newBench(t)
	b.do("train", ends("exit:9", 3))
	s := step("train", nil, "model")
	s.Retry = pipeline.Retry{Max: 2, On: []pipeline.RetryReason{"exit:9"}, Backoff: 200 * time.Millisecond}
	began := time.Now()
	if r, _ := b.run(pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{s, step("split", nil)}}); r.State != pipeline.Succeeded {
		t.Fatal(r.Reason)
	}
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("three attempts with pauses of 0.2 and 0.4 s took %s", took)
	}
}

func TestMaxAge(t *testing.T) {
	b := newBench(t)
	clock := &movable{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	b.o.Clock = clock
	b.e = pipeline.NewEngine(b.o)
	s := step("split", nil)
	s.MaxAge = time.Hour
	spec := pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{s}}
	b.run(spec)
	clock.at = clock.at.Add(59 * time.Minute)
	if _, steps := b.run(spec); steps["split"].State != pipeline.Cached {
		t.Errorf("after 59 minutes it is %s", steps["split"].State)
	}
	clock.at = clock.at.Add(2 * time.Minute)
	if _, steps := b.run(spec); steps["split"].State != pipeline.Succeeded || steps["split"].Reason != "its result of #1 is older than max_age" {
		t.Errorf("after 61 minutes it is %s, %s", steps["split"].State, steps["split"].Reason)
	}
}

type movable struct{ at time.Time }

func (c *movable) Now() time.Time { return c.at }

// TestScopes: a pull request reads what trusted runs computed, and they do not
// read what it computed (SEMANTICS 11).
func TestScopes(t *testing.T) {
	b := newBench(t)
	run := func(depth int, scope pipeline.Scope) pipeline.State {
		spec := pipeline.Spec{Project: "demo", Params: map[string]any{"depth": depth}, Steps: []pipeline.StepSpec{step("split", nil)}}
		spec.Steps[0].Vars = []pipeline.Var{{Name: "X", Expr: "params.depth"}}
		r, err := b.e.Run(t.Context(), b.plan(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{Scope: scope}}), nil)
		if err != nil {
			t.Fatal(err)
		}
		return b.steps(r.Number)["split"].State
	}
	for i, want := range []struct {
		depth int
		scope pipeline.Scope
		state pipeline.State
	}{
		{1, pipeline.Shared, pipeline.Succeeded}, {1, "pr-7", pipeline.Cached}, {2, "pr-7", pipeline.Succeeded}, {2, "pr-7", pipeline.Cached},
		{2, "pr-8", pipeline.Succeeded}, {2, pipeline.Shared, pipeline.Succeeded},
	} {
		if got := run(want.depth, want.scope); got != want.state {
			t.Errorf("%d: depth %d in scope %q is %s, want %s", i, want.depth, want.scope, got, want.state)
		}
	}
}

// TestRetryRun: what ended well stays, the rest gets another attempt.
func TestRetryRun(t *testing.T) {
	b := newBench(t)
	b.do("split", writes("by split"))
	b.do("evaluate", writes("by evaluate"))
	b.do("train", func(context.Context, *pipeline.Job) (pipeline.Result, error) {
		return pipeline.Result{}, lastro.Errorf(lastro.EFailed, "no")
	})
	r, steps := b.run(chain())
	if r.State != pipeline.Failed || steps["evaluate"].State != pipeline.Skipped {
		t.Fatalf("%s, evaluate %s", r.State, steps["evaluate"].State)
	}
	b.kind.took()
	b.do("train", writes("by train"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = b.e.Work(ctx) }()
	if err := b.e.Retry(t.Context(), r.Number, "user:ana"); err != nil {
		t.Fatal(err)
	}
	end, err := b.e.Wait(t.Context(), r.Number)
	if err != nil || end.State != pipeline.Succeeded {
		t.Fatalf("%s %s, %v", end.State, end.Reason, err)
	}
	if took := b.kind.took(); !slices.Equal(took, []string{"evaluate", "train"}) {
		t.Errorf("tried again: %v", took)
	}
	if err := b.e.Retry(t.Context(), r.Number, "user:ana"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("retry of a run that succeeded: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(b.dir, "work"))
	for range 100 { // tidying up comes after the end
		if len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		left, err = os.ReadDir(filepath.Join(b.dir, "work"))
	}
	if err != nil || len(left) != 0 {
		t.Errorf("workspaces are left: %v, %v", left, err)
	}
}
