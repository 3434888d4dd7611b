// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lastro/pipeline"
	"lastro/store"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "replay one seed of the simulation, with what happened")
	simSeeds = flag.Uint64("sim.seeds", 0, "how many seeds; 0 = 2,000, with LASTRO_TORTURE=1 100,000")
)

// TestSimulation lets several engines work on random pipelines while engines
// crash, come back, are paused for longer than their lease, clocks jump, the
// database fails and messages come twice. Everything follows from the seed: a
// failing one replays with -sim.seed.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if err := simulate(*simSeed, newMemory(), t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	seeds := *simSeeds
	if seeds == 0 {
		seeds = 2000
		if os.Getenv("LASTRO_TORTURE") == "1" {
			seeds = 100_000
		}
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		if err := simulate(seed, newMemory(), func(string, ...any) {}); err != nil {
			t.Fatalf("seed %d: %v\nreplay: go test ./pipeline -run TestSimulation -sim.seed %d -v", seed, err, seed)
		}
	}
}

// TestSimulationSQL does so on the real tables.
func TestSimulationSQL(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
		if err != nil {
			t.Fatal(err)
		}
		err = simulate(seed, &faulty{Store: store.NewPipeline(db)}, func(string, ...any) {})
		db.Close()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// faulty is a store whose transactions fail when they are told to.
type faulty struct {
	pipeline.Store
	fault func() error
}

func (f *faulty) Change(ctx context.Context, fn func(pipeline.Tx) error) error {
	if f.fault != nil {
		if err := f.fault(); err != nil {
			return err
		}
	}
	return f.Store.Change(ctx, fn)
}

const (
	simLease   = 15 * time.Second
	simEngines = 3
	simRuns    = 4
)

// world is one simulation.
type world struct {
	r       *rand.Rand
	say     func(string, ...any)
	store   pipeline.Store
	q       *pipeline.Queue
	now     time.Time // of the queue's clock, which jumps
	passed  time.Duration
	engines []*simEngine
	count   int            // engines so far
	done    map[string]int // how often each cell's work was committed
	steps   int
	faults  bool
}

func (w *world) Now() time.Time { return w.now }

// simEngine is a process with an engine in it; place outlives it.
type simEngine struct {
	place  string
	id     string
	dead   bool
	paused time.Duration // until when
	work   []pipeline.StepRun
	sent   []pipeline.StepRun // ends that were reported, and may be reported again
	seen   map[string]simSight
}

type simSight struct {
	beat int64
	at   time.Duration
}

func simulate(seed uint64, s pipeline.Store, say func(string, ...any)) error {
	w := &world{r: rand.New(rand.NewPCG(seed, seed)), say: say, store: s, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), done: map[string]int{}, faults: true}
	fault := func() error {
		if w.faults && w.r.IntN(20) == 0 {
			return errFault
		}
		return nil
	}
	switch s := s.(type) {
	case *memory:
		s.fault = fault
	case *faulty:
		s.fault = fault
	}
	w.q = pipeline.NewQueue(s, w)
	for i := range simEngines {
		w.engines = append(w.engines, &simEngine{place: fmt.Sprintf("place %d", i), dead: true})
	}
	for n := range 400 {
		if n%100 == 0 && n/100 < simRuns {
			w.submit()
		}
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	// In a world without faults everything comes to its end.
	w.faults = false
	for n := 0; n < 3000 && !w.quiet(); n++ {
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d after the faults: %w", n, err)
		}
	}
	return w.check(true)
}

func (w *world) quiet() bool {
	left, _ := w.store.Runs(context.Background(), pipeline.RunFilter{Unfinished: true})
	return len(left) == 0
}

// submit adds a random pipeline: up to eight steps, some with a matrix.
func (w *world) submit() {
	var spec pipeline.Spec
	var plan []pipeline.PlanStep
	for i := range 1 + w.r.IntN(8) {
		s := pipeline.StepSpec{Name: fmt.Sprintf("s%d", i), Kind: "test"}
		var needs []string
		for j := range i {
			if w.r.IntN(3) == 0 {
				needs = append(needs, fmt.Sprintf("s%d", j))
			}
		}
		s.Needs = needs
		if w.r.IntN(3) == 0 {
			s.Retry = pipeline.Retry{Max: w.r.IntN(3), On: []pipeline.RetryReason{"lost", "oom", "exit:3"}, Backoff: time.Duration(w.r.IntN(20)) * time.Second}
		}
		ps := pipeline.PlanStep{Needs: needs, Cells: []pipeline.PlanCell{{Outlook: pipeline.Miss}}}
		if w.r.IntN(3) == 0 {
			ps.Cells = nil
			s.Matrix, s.Parallel = []pipeline.Axis{{Name: "n"}}, w.r.IntN(3)
			for n := range 1 + w.r.IntN(4) {
				s.Matrix[0].Values = append(s.Matrix[0].Values, n)
				ps.Cells = append(ps.Cells, pipeline.PlanCell{Index: n + 1, Values: map[string]any{"n": n}, Outlook: pipeline.Miss})
			}
		}
		ps.Spec = s
		spec.Steps = append(spec.Steps, s)
		plan = append(plan, ps)
	}
	run, _, err := w.q.Submit(context.Background(), pipeline.Run{Project: "p", Spec: spec}, plan)
	w.say("%v submit #%d of %d steps: %v", w.passed, run.Number, len(plan), err)
}

// step lets one thing happen.
func (w *world) step() error {
	d := time.Duration(w.r.IntN(3000)) * time.Millisecond
	w.passed += d
	w.now = w.now.Add(d)
	e := w.engines[w.r.IntN(len(w.engines))]
	if w.faults && w.r.IntN(60) == 0 {
		w.now = w.now.Add(time.Duration(w.r.IntN(7200)-3600) * time.Second)
	}
	if w.faults && w.r.IntN(80) == 0 {
		w.person()
	}
	if e.paused > w.passed && w.faults {
		return nil
	}
	switch {
	case e.dead:
		w.start(e)
	case w.faults && w.r.IntN(25) == 0:
		w.say("%v %s crashes with %d", w.passed, e.id, len(e.work))
		e.dead, e.work = true, nil
	case w.faults && w.r.IntN(40) == 0:
		e.paused = w.passed + 2*simLease
		w.say("%v %s is paused", w.passed, e.id)
	default:
		w.turn(e)
	}
	if w.steps++; w.steps%8 != 0 {
		return nil
	}
	return w.check(false)
}

// person cancels or retries some run.
func (w *world) person() {
	ctx := context.Background()
	runs, _ := w.store.Runs(ctx, pipeline.RunFilter{})
	if len(runs) == 0 {
		return
	}
	n := runs[w.r.IntN(len(runs))].Number
	var err error
	if w.r.IntN(2) == 0 {
		_, err = w.q.Cancel(ctx, n, "enough")
		w.say("%v cancel #%d: %v", w.passed, n, err)
	} else {
		_, err = w.q.Retry(ctx, n, "user:ana")
		w.say("%v retry #%d: %v", w.passed, n, err)
	}
}

// start brings an engine back at its place: what ran there is found again by
// the supervisor, or is lost with it.
func (w *world) start(e *simEngine) {
	w.count++
	id := fmt.Sprintf("%s/%d", e.place, w.count)
	left, err := w.q.Join(context.Background(), pipeline.EngineRow{ID: id, Place: e.place})
	w.say("%v %s joins with %d: %v", w.passed, id, len(left), err)
	if err == nil {
		e.dead, e.id, e.work, e.seen = false, id, left, map[string]simSight{}
	}
}

// turn is what a living engine does next.
func (w *world) turn(e *simEngine) {
	ctx := context.Background()
	if err := w.q.Beat(ctx, e.id); errors.Is(err, pipeline.ErrFenced) {
		w.say("%v %s hears that it was taken for dead", w.passed, e.id)
		if w.r.IntN(2) == 0 { // what it was doing ends before it heard
			w.end(e)
		}
		e.dead, e.work = true, nil
		return
	}
	w.lookAround(e)
	switch w.r.IntN(3) {
	case 0:
		rows, err := w.q.Claim(ctx, e.id, pipeline.Room{Free: 1 + w.r.IntN(3), All: 3})
		w.say("%v %s claims %d: %v", w.passed, e.id, len(rows), err)
		e.work = append(e.work, rows...)
	case 1:
		w.end(e)
	case 2:
		if len(e.sent) > 0 { // a message that comes twice
			s := e.sent[w.r.IntN(len(e.sent))]
			if _, err := w.q.Complete(ctx, e.id, s); err == nil {
				w.count1(s)
			}
		}
	}
}

// end reports the end of some work.
func (w *world) end(e *simEngine) {
	if len(e.work) == 0 {
		return
	}
	i := w.r.IntN(len(e.work))
	s := e.work[i]
	s.State, s.EndedAt = pipeline.Succeeded, w.now
	s.Selected = s.Cell == 0
	if w.r.IntN(5) == 0 {
		s.State, s.Selected = pipeline.Failed, false
		s.Cause = []pipeline.RetryReason{"", "lost", "oom", "timeout", "exit:3"}[w.r.IntN(5)]
	}
	_, err := w.q.Complete(context.Background(), e.id, s)
	w.say("%v %s ends %s attempt %d as %s %s: %v", w.passed, e.id, s.Ref(), s.Attempt, s.State, s.Cause, err)
	if err == nil {
		w.count1(s)
	}
	if err == nil || errors.Is(err, pipeline.ErrFenced) {
		e.work = slices.Delete(e.work, i, i+1)
		e.sent = append(e.sent, s)
	}
}

func (w *world) count1(s pipeline.StepRun) {
	if s.State == pipeline.Succeeded {
		w.done[string(s.Ref())]++
	}
}

// lookAround declares engines dead that have been silent for the lease.
func (w *world) lookAround(e *simEngine) {
	ctx := context.Background()
	engines, err := w.store.Engines(ctx)
	if err != nil {
		return
	}
	for _, other := range engines {
		last, known := e.seen[other.ID]
		if !known || last.beat != other.Beat {
			e.seen[other.ID] = simSight{other.Beat, w.passed}
			continue
		}
		if other.ID == e.id || w.passed-last.at <= simLease {
			continue
		}
		_, found, err := w.q.Bury(ctx, other.ID, other.Beat)
		w.say("%v %s buries %s: %v %v", w.passed, e.id, other.ID, found, err)
	}
}

// check is what must hold at all times, and in the end.
func (w *world) check(end bool) error {
	ctx := context.Background()
	for ref, n := range w.done {
		if n > 1 {
			return fmt.Errorf("%s was committed %d times", ref, n)
		}
	}
	runs, err := w.store.Runs(ctx, pipeline.RunFilter{Limit: 100})
	if err != nil {
		return err
	}
	for _, r := range runs {
		rows, err := w.store.StepRuns(ctx, r.Number)
		if err != nil {
			return err
		}
		if err := checkRun(r, rows); err != nil {
			return fmt.Errorf("#%d %s: %w", r.Number, r.State, err)
		}
		if end && !r.State.Ended() {
			return fmt.Errorf("#%d never ended: %v", r.Number, rows)
		}
	}
	return nil
}

func checkRun(r pipeline.Run, rows []pipeline.StepRun) error {
	type cell struct {
		step string
		cell int
	}
	newest, good := map[cell]pipeline.StepRun{}, map[string]bool{}
	running := map[string]int{}
	for _, s := range rows {
		k := cell{s.Step, s.Cell}
		if last, ok := newest[k]; ok && (s.Attempt != last.Attempt+1 || !last.State.Ended()) {
			return fmt.Errorf("%s: attempt %d after attempt %d, which is %s", s.Ref(), s.Attempt, last.Attempt, last.State)
		}
		newest[k] = s
		if s.State == pipeline.Running {
			running[s.Step]++
		}
	}
	for _, spec := range r.Spec.Steps {
		good[spec.Name] = true
		for k, s := range newest {
			if k.step == spec.Name && !s.State.OK() {
				good[spec.Name] = false
			}
		}
		if spec.Parallel > 0 && running[spec.Name] > spec.Parallel {
			return fmt.Errorf("%d cells of %s at once, %d may", running[spec.Name], spec.Name, spec.Parallel)
		}
	}
	for _, spec := range r.Spec.Steps {
		for k, s := range newest {
			if k.step != spec.Name {
				continue
			}
			if r.State.Ended() && !s.State.Ended() {
				return fmt.Errorf("it has ended, and %s is %s", s.Ref(), s.State)
			}
			for _, need := range spec.Needs {
				if s.State == pipeline.Running && !good[need] {
					return fmt.Errorf("%s runs before %s ended well", s.Ref(), need)
				}
			}
		}
	}
	if r.State == pipeline.Succeeded {
		for _, s := range newest {
			if !s.State.OK() {
				return fmt.Errorf("it succeeded, and %s is %s", s.Ref(), s.State)
			}
		}
	}
	return nil
}
