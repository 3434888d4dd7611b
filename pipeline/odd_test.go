// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
)

// works lets an engine work until the end of the test or stop.
func works(t *testing.T, e *pipeline.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Work(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (b *bench) submit(e *pipeline.Engine, spec pipeline.Spec) pipeline.Run {
	b.t.Helper()
	r, err := e.Submit(b.t.Context(), b.plan(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{NoCache: true}}), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) ends(e *pipeline.Engine, run int64) pipeline.Run {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 15*time.Second)
	defer cancel()
	r, err := e.Wait(ctx, run)
	if err != nil {
		b.t.Fatalf("#%d %s: %v", run, r.State, err)
	}
	return r
}

func one(name string) pipeline.Spec {
	return pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{step(name, nil)}}
}

// TestBackoffOverRestart: the engine is restarted while all that is left of a
// run waits for its back-off, and nothing else wakes the next one.
func TestBackoffOverRestart(t *testing.T) {
	b := newBench(t)
	b.do("train", ends("exit:9", 2))
	spec := one("train")
	spec.Steps[0].Retry = pipeline.Retry{Max: 1, On: []pipeline.RetryReason{"exit:9"}, Backoff: time.Second}
	stop := works(t, b.e)
	r := b.submit(b.e, spec)
	for b.steps(r.Number)["train"].Attempt < 2 {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	next := pipeline.NewEngine(b.o)
	works(t, next)
	if end := b.ends(next, r.Number); end.State != pipeline.Succeeded {
		t.Errorf("%s %s", end.State, end.Reason)
	}
}

// TestCancelWhileOpened cancels a run whose first cell is claimed and whose
// workshop is still being opened.
func TestCancelWhileOpened(t *testing.T) {
	b := newBench(t)
	var opening, cancelled = make(chan bool), make(chan bool)
	b.do("train", func(ctx context.Context, _ *pipeline.Job) (pipeline.Result, error) {
		select {
		case <-ctx.Done():
			return pipeline.Result{}, context.Cause(ctx)
		case <-time.After(3 * time.Second):
			return pipeline.Result{}, nil
		}
	})
	r := b.submit(b.e, one("train"))
	o := b.o
	o.Open = func(context.Context, pipeline.Run) (*pipeline.Workshop, error) {
		opening <- true
		<-cancelled
		return b.shop, nil
	}
	next := pipeline.NewEngine(o)
	works(t, next)
	<-opening
	if err := next.Cancel(t.Context(), r.Number, "enough"); err != nil {
		t.Fatal(err)
	}
	close(cancelled)
	if end := b.ends(next, r.Number); end.State != pipeline.Cancelled || end.Reason != "enough" {
		t.Errorf("%s %q", end.State, end.Reason)
	}
}

// TestRetryBesideNewer: a newer run tidies up after an older one that failed,
// but not while the older one is tried again.
func TestRetryBesideNewer(t *testing.T) {
	b := newBench(t)
	b.o.Parallel = 4
	b.e = pipeline.NewEngine(b.o)
	begun, newer := make(chan bool), make(chan bool)
	b.do("train", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
		switch {
		case j.Run == 1 && j.Attempt == 1:
			return pipeline.Result{}, lastro.Errorf(lastro.EFailed, "no")
		case j.Run == 1:
			begun <- true
			<-newer
			_, err := os.Stat(j.Dir)
			return pipeline.Result{}, err
		}
		close(newer)
		return pipeline.Result{}, nil
	})
	hold := make(chan bool)
	b.do("split", func(context.Context, *pipeline.Job) (pipeline.Result, error) { <-hold; return pipeline.Result{}, nil })
	works(t, b.e)
	b.ends(b.e, b.submit(b.e, one("train")).Number)
	spec := one("train")
	spec.Steps[0].Needs = []string{"split"}
	spec.Steps = append(spec.Steps, step("split", nil))
	second := b.submit(b.e, spec)
	if err := b.e.Retry(t.Context(), 1, "user:ana"); err != nil {
		t.Fatal(err)
	}
	<-begun
	close(hold)
	if end := b.ends(b.e, 1); end.State != pipeline.Succeeded {
		t.Errorf("the older one %s: %s", end.State, end.Reason)
	}
	b.ends(b.e, second.Number)
}

// TestRetryAfterCancelElsewhere: an engine that was told to cancel a run, which
// another one ended, can carry it out when it is tried again.
func TestRetryAfterCancelElsewhere(t *testing.T) {
	b := newBench(t)
	var again atomic.Bool
	busy, begun := make(chan bool), make(chan bool, 8)
	kind := &testKind{do: map[string]func(context.Context, *pipeline.Job) (pipeline.Result, error){
		"split": func(context.Context, *pipeline.Job) (pipeline.Result, error) {
			begun <- true
			<-busy
			return pipeline.Result{}, nil
		},
		"train": func(ctx context.Context, _ *pipeline.Job) (pipeline.Result, error) {
			begun <- true
			if again.Load() {
				time.Sleep(50 * time.Millisecond)
			} else {
				<-ctx.Done()
			}
			return pipeline.Result{}, context.Cause(ctx)
		}}}
	b.shop.Kinds = []pipeline.Kind{kind}
	engine := func() *pipeline.Engine {
		o := b.o
		o.Store, o.StateDir, o.Parallel, o.Lease = &gated{Store: b.store}, t.TempDir(), 1, time.Minute
		return pipeline.NewEngine(o)
	}
	first, other := engine(), engine()
	works(t, first)
	b.submit(first, one("split"))
	<-begun // the first one has no room
	stop := works(t, other)
	r := b.submit(first, one("train"))
	<-begun
	if err := first.Cancel(t.Context(), r.Number, "enough"); err != nil {
		t.Fatal(err)
	}
	if end := b.ends(other, r.Number); end.State != pipeline.Cancelled {
		t.Fatalf("%s %s", end.State, end.Reason)
	}
	stop()
	again.Store(true)
	if err := first.Retry(t.Context(), r.Number, "user:ana"); err != nil {
		t.Fatal(err)
	}
	close(busy)
	if end := b.ends(first, r.Number); end.State != pipeline.Succeeded {
		t.Errorf("tried again: %s %s", end.State, end.Reason)
	}
}

// TestReasonIsText: what a step wrote may be anything, PostgreSQL takes UTF-8
// without zero bytes.
func TestReasonIsText(t *testing.T) {
	b := newBench(t)
	b.do("train", func(context.Context, *pipeline.Job) (pipeline.Result, error) {
		return pipeline.Result{}, lastro.Errorf(lastro.EFailed, "no\x00 \xff file")
	})
	r, steps := b.run(one("train"))
	const want = "no\uFFFD \uFFFD file"
	if got := steps["train"].Reason; got != want || r.Reason != "step train failed: "+want {
		t.Errorf("%q, run %q", got, r.Reason)
	}
}

// failing is a store that refuses to write while it is told to.
type failing struct {
	pipeline.Store
	now atomic.Bool
}

func (f *failing) Change(ctx context.Context, fn func(pipeline.Tx) error) error {
	if f.now.Load() {
		return errFault
	}
	return f.Store.Change(ctx, fn)
}

// TestTroubleLetsGo: when the end of one step cannot be recorded, the engine
// stops with that error and lets go of the others: they are not stopped.
func TestTroubleLetsGo(t *testing.T) {
	b := newBench(t)
	s := &failing{Store: b.store}
	b.o.Store, b.o.Parallel = s, 2
	b.e = pipeline.NewEngine(b.o)
	begun, cause := make(chan bool), make(chan error, 1)
	b.do("train", func(ctx context.Context, _ *pipeline.Job) (pipeline.Result, error) {
		begun <- true
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return pipeline.Result{}, context.Cause(ctx)
	})
	b.do("split", func(context.Context, *pipeline.Job) (pipeline.Result, error) {
		<-begun
		s.now.Store(true)
		return pipeline.Result{}, nil
	})
	b.submit(b.e, pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{step("train", nil), step("split", nil)}})
	if err := b.e.Work(t.Context()); !errors.Is(err, errFault) {
		t.Errorf("the engine ended with %v", err)
	}
	if err := <-cause; !errors.Is(err, pipeline.ErrDetach) {
		t.Errorf("the other step was told %v, want ErrDetach", err)
	}
}
