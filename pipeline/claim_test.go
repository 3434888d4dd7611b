// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
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
	"lastro/pipeline"
)

// TestWeight: cells that are claimed together never take more processors than
// the engine has, and a heavy one gets its turn.
func TestWeight(t *testing.T) {
	b := newBench(t)
	b.o.Parallel = 4
	b.e = pipeline.NewEngine(b.o)
	spec := pipeline.Spec{Project: "demo"}
	var used, most, ran atomic.Int64
	for i := range 24 {
		s := step(fmt.Sprintf("s%d", i), nil)
		s.Limits.CPU = []float64{1, 3, 0.5, 2, 64}[i%5] // 64: all that the engine has
		takes := int64([]int{1, 3, 1, 2, 4}[i%5])
		b.do(s.Name, func(context.Context, *pipeline.Job) (pipeline.Result, error) {
			now := used.Add(takes)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			time.Sleep(3 * time.Millisecond)
			used.Add(-takes)
			ran.Add(1)
			return pipeline.Result{}, nil
		})
		spec.Steps = append(spec.Steps, s)
	}
	if r, _ := b.run(spec); r.State != pipeline.Succeeded || ran.Load() != 24 {
		t.Errorf("%s: %s, %d steps ran", r.State, r.Reason, ran.Load())
	}
	if most.Load() > 4 || most.Load() < 3 {
		t.Errorf("%d processors' worth of cells at a time, want at most 4", most.Load())
	}
}

// TestStrictTrustsStrict: what was made with more rights than a strict run has
// is no result of it; what a strict run made is one of the next.
func TestStrictTrustsStrict(t *testing.T) {
	b := newBench(t)
	b.kind.needs = pipeline.Needs{Code: true}
	spec := pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{step("train", nil, "model")}}
	b.do("train", writes("model"))
	for i, c := range []struct {
		strict bool
		want   pipeline.State
	}{{false, pipeline.Succeeded}, {true, pipeline.Succeeded}, {true, pipeline.Cached}, {false, pipeline.Cached}} {
		p := b.plan(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{Strict: c.strict}})
		if i == 1 && p.Steps[0].Cells[0].Why != "isolation is new" {
			t.Errorf("it runs because %q", p.Steps[0].Cells[0].Why)
		}
		r, err := b.e.Run(t.Context(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s := b.steps(r.Number)["train"]; s.State != c.want {
			t.Errorf("run %d, strict %v: %s (%s), want %s", i, c.strict, s.State, s.Reason, c.want)
		}
	}
	spec.Steps[0].Network = pipeline.NetworkNone
	if p := b.plan(spec, pipeline.PlanOptions{}); p.Steps[0].Cells[0].Why != "network is new" {
		t.Errorf("off the network it runs because %q", p.Steps[0].Cells[0].Why)
	}
}

// tasks is an executor's memory.
type tasks struct {
	mu    sync.Mutex
	known []string
	ended []string
}

func (t *tasks) Tasks(context.Context) ([]string, error) { return t.known, nil }
func (t *tasks) End(_ context.Context, id, _ string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = append(t.ended, id)
	return nil
}

// TestForeignTasks: an engine that comes back ends what still runs at its place
// and was given to others, and what it inherits and cannot open.
func TestForeignTasks(t *testing.T) {
	b := newBench(t)
	var hold atomic.Bool
	hold.Store(true)
	begun := make(chan struct{})
	b.do("train", func(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
		if hold.Load() {
			close(begun)
			<-ctx.Done()
			return pipeline.Result{}, context.Cause(ctx)
		}
		return pipeline.Result{}, nil
	})
	stop := works(t, b.e)
	r := b.submit(b.e, one("train"))
	<-begun
	stop() // the row stays running, and is inherited

	seen := &tasks{known: []string{"99-gone-1", fmt.Sprintf("%d-train-1", r.Number)}}
	o := b.o
	o.Tasks = seen
	o.Open = func(context.Context, pipeline.Run) (*pipeline.Workshop, error) {
		return nil, &lastro.Error{Code: lastro.ENotFound, Msg: "its project is not here"}
	}
	e := pipeline.NewEngine(o)
	works(t, e)
	if end := b.ends(e, r.Number); end.State != pipeline.Errored {
		t.Errorf("%s: %s", end.State, end.Reason)
	}
	for range 200 {
		seen.mu.Lock()
		got := slices.Sorted(slices.Values(seen.ended))
		seen.mu.Unlock()
		if slices.Equal(got, []string{fmt.Sprintf("%d-train-1", r.Number), "99-gone-1"}) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("ended %v", seen.ended)
}

// TestRetryOfNothing says what to do instead.
func TestRetryOfNothing(t *testing.T) {
	b := newBench(t)
	var number int64
	err := b.store.Change(t.Context(), func(tx pipeline.Tx) (err error) {
		number, err = tx.CreateRun(t.Context(), pipeline.Run{Project: "demo", State: pipeline.Failed}, nil, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var e *lastro.Error
	if err := b.e.Retry(t.Context(), number, "user:ana"); !errors.As(err, &e) || e.ID != "L0319" || e.Hint == "" {
		t.Errorf("%v", err)
	}
}

// TestFileNames: a produced file whose name would break a list is refused, with
// the step's place.
func TestFileNames(t *testing.T) {
	b := newBench(t)
	for i, name := range []string{"a\nb", "tab\there", "esc\x1b[31m", "bytes\xff", "fine näme"} {
		spec := pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{step("split", nil, "parts")}}
		b.do("split", func(_ context.Context, j *pipeline.Job) (pipeline.Result, error) {
			dir := filepath.Join(j.Path(j.Outputs[0].Path), "inner")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return pipeline.Result{}, err
			}
			return pipeline.Result{}, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600)
		})
		r, err := b.e.Run(t.Context(), b.plan(spec, pipeline.PlanOptions{RunOptions: pipeline.RunOptions{NoCache: true}}), nil)
		if err != nil {
			t.Fatal(err)
		}
		s := b.steps(r.Number)["split"]
		if good := i == 4; good != (s.State == pipeline.Succeeded) || !good && (s.Error.ID != "L0314" || s.Error.Pos.Line != 3 || strings.ContainsAny(s.Error.Msg, "\n\x1b")) {
			t.Errorf("%q: %s %+v", name, s.State, s.Error)
		}
	}
}
