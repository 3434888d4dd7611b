// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"lastro"
)

// DefaultLease is how long an engine may be silent before others take it for dead.
const DefaultLease = 15 * time.Second

// pollEvery is how late an engine hears of what another process did.
const pollEvery = 250 * time.Millisecond

// Options are what an engine works with. Store, Blobs and StateDir are needed;
// the rest may be zero.
type Options struct {
	Store    Store
	Blobs    Blobs
	Tracking Tracking
	Observer Observer // of all runs that have no observer of their own
	Clock    lastro.Clock
	Log      *slog.Logger
	StateDir string // absolute; holds work/ and logs/
	Parallel int    // processors' worth of cells at once; 0 = as many as there are processors

	// Open returns the workshop of a run that this engine did not submit: of
	// another engine, or of before a restart. Its Code is that of the run.
	Open func(ctx context.Context, r Run) (*Workshop, error)

	// Tasks are those of this place's executor; nil = what an engine of before
	// left and nobody goes on with is stopped only where a kind is asked to.
	Tasks Tasks

	Place string        // names StateDir for ever among all engines of the store; "" = StateDir
	Lease time.Duration // silence after which an engine of a shared store is dead; 0 = DefaultLease
}

// Workshop is what the engine needs to work on the runs of one project.
type Workshop struct {
	Kinds    []Kind
	Datasets Datasets                                       // nil = there are none
	Runtimes Runtimes                                       // nil = there are none
	Secrets  Secrets                                        // nil = there are none
	Mask     func(values []string) func(text string) string // hides secrets in what is kept of a step; nil only without Secrets
	Eval     Evaluator
	Code     Code   // the files that are planned, or were
	Project  string // absolute path of the project's root

	once  sync.Once
	kinds map[string]Kind
}

// Engine plans runs and carries them out, with others that use the same store.
// One process at a time may own a state directory's engine. It is safe for
// concurrent use.
type Engine struct {
	o Options
	q *Queue

	mu       sync.Mutex
	active   map[int64]*active
	waiters  map[int64][]chan Run
	working  *worker // nil while nobody works
	draining bool
	used     int           // processors' worth of cells that are being carried out
	wake     chan struct{} // holds one

	opening sync.Mutex // one run is submitted or opened at a time
	prepare sync.Mutex // one environment is built at a time
	hiding  sync.Mutex // one copy without sensitive columns is made at a time
}

// NewEngine returns an engine. It carries out nothing until Work is called.
func NewEngine(o Options) *Engine {
	if o.Clock == nil {
		o.Clock = lastro.SystemClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.NumCPU()
	}
	if o.Place == "" {
		o.Place = o.StateDir
	}
	if o.Lease <= 0 {
		o.Lease = DefaultLease
	}
	return &Engine{o: o, q: NewQueue(o.Store, o.Clock), active: map[int64]*active{}, waiters: map[int64][]chan Run{}, wake: make(chan struct{}, 1)}
}

// Submit stores a run of a plan; whoever works on the queue carries it out. obs
// hears of it when that is this engine; nil = Options.Observer.
func (e *Engine) Submit(ctx context.Context, p *Plan, obs Observer) (Run, error) {
	actor := p.Actor
	if actor == "" {
		actor = engineActor
	}
	r := Run{Project: p.Spec.Project, PlanDigest: p.Digest, Spec: p.Spec, Git: p.Git, Event: p.Event, Actor: actor,
		Params: p.Spec.Params, Datasets: p.Datasets, Code: p.Code, Options: p.Options}
	var code *codeFolder
	if !p.allCached() {
		var err error
		if code, err = e.keepCode(ctx, p); err != nil {
			return Run{}, err
		}
		defer code.discard()
		r.Tree = code.digest
	}
	e.opening.Lock() // nobody opens the run before it is known here
	defer e.opening.Unlock()
	r, changed, err := e.q.Submit(ctx, r, p.Steps)
	if err != nil {
		return Run{}, err
	}
	a := newActive(e, r, p, obs)
	a.tell(r, changed)
	if r.State.Ended() {
		return r, nil
	}
	if err := code.become(a.work.codePath()); err != nil {
		e.o.Log.WarnContext(ctx, "the code of a run is brought anew from the store", "run", r.Ref(), "err", err)
	}
	a.mine = true
	e.add(a)
	e.poke()
	return r, nil
}

// Run carries out a plan to its end, and works itself while nobody else does. A
// run that an engine of this place left behind with the same plan goes on
// instead of a new one; the others of the project end errored (lost). The error
// is about the engine's own trouble; a run whose work failed is no error: see
// Run.Err. When ctx ends the run is cancelled, unless the cause is ErrDetach.
func (e *Engine) Run(ctx context.Context, p *Plan, obs Observer) (Run, error) {
	run, resumed, err := e.resumable(ctx, p)
	if err != nil {
		return Run{}, err
	}
	if resumed {
		err = e.resume(ctx, run, p, obs)
	} else {
		run, err = e.Submit(ctx, p, obs)
	}
	if err != nil || run.State.Ended() {
		return run, err
	}
	defer e.workMeanwhile(ctx)()
	end, err := e.Wait(ctx, run.Number)
	if err == nil || ctx.Err() == nil || errors.Is(context.Cause(ctx), ErrDetach) {
		return end, err
	}
	still := context.WithoutCancel(ctx)
	if err := e.Cancel(still, run.Number, why(ctx)); err != nil && !lastro.Is(err, lastro.EConflict) {
		return run, err
	}
	return e.Wait(still, run.Number)
}

// workMeanwhile works until the function that it returns is called, unless
// somebody works already.
func (e *Engine) workMeanwhile(ctx context.Context) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.working != nil {
		return func() {}
	}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	w := e.newWorker(work)
	detach := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrDetach) {
			cancel(ErrDetach)
		}
	})
	go w.work()
	return func() {
		detach()
		cancel(ErrDetach)
		<-w.gone
	}
}

// Wait returns a run once it has ended. When ctx ends first, or the engine
// stops working, the error is that cause.
func (e *Engine) Wait(ctx context.Context, number int64) (Run, error) {
	ended := make(chan Run, 1)
	e.mu.Lock()
	e.waiters[number] = append(e.waiters[number], ended)
	w := e.working
	e.mu.Unlock()
	defer e.unwait(number, ended)
	var gone <-chan struct{}
	if w != nil {
		gone = w.gone
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for told := false; ; {
		p, err := e.o.Store.Progress(ctx, number)
		if err != nil {
			return Run{}, err
		}
		if p.State.Ended() && (told || e.at(number) == nil) {
			return e.o.Store.Run(ctx, number)
		}
		if p.State.Ended() { // committed a moment ago: the observer has yet to hear of its last steps
			select {
			case <-ended:
			case <-gone:
			case <-time.After(time.Second): // another engine ended it
			}
			told = true
			continue
		}
		select {
		case <-ended:
			continue
		case <-tick.C:
			if !e.o.Store.Shared() {
				tick.Stop() // only this process can end it
			}
			continue
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-gone:
			err = cmp.Or(w.err, ErrDetach)
		}
		run, rerr := e.o.Store.Run(context.WithoutCancel(ctx), number)
		if rerr != nil {
			run = Run{Number: number, State: p.State}
		}
		return run, err
	}
}

func (e *Engine) unwait(number int64, ended chan Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiters[number] = slices.DeleteFunc(e.waiters[number], func(c chan Run) bool { return c == ended })
	if len(e.waiters[number]) == 0 {
		delete(e.waiters, number)
	}
}

// Cancel ends a run: what has not begun is cancelled at once, what runs is
// stopped by the engine that carries it out.
func (e *Engine) Cancel(ctx context.Context, number int64, why string) error {
	changed, err := e.q.Cancel(ctx, number, why)
	if err != nil {
		return err
	}
	e.notice(changed)
	if a := e.at(number); a != nil {
		a.stop(errors.New(why))
	}
	return nil
}

// Retry lets a run that has ended badly go on with the same plan; what ended
// well stays.
func (e *Engine) Retry(ctx context.Context, number int64, by lastro.Actor) error {
	changed, err := e.q.Retry(ctx, number, by)
	if err != nil {
		return err
	}
	e.notice(changed)
	return nil
}

// Unfinished returns the runs that are under way, newest first.
func (e *Engine) Unfinished(ctx context.Context) ([]Run, error) {
	return e.o.Store.Runs(ctx, RunFilter{Unfinished: true, Limit: 1000})
}

// resumable finds the newest run that was left behind with this plan, and ends
// the others of the project.
func (e *Engine) resumable(ctx context.Context, p *Plan) (Run, bool, error) {
	if e.o.Store.Shared() {
		return Run{}, false, nil // others may be at work on them
	}
	left, err := e.Unfinished(ctx)
	if err != nil {
		return Run{}, false, err
	}
	var found *Run
	for i := range left {
		r := &left[i]
		a := e.at(r.Number)
		switch {
		case r.Project != p.Spec.Project || (a != nil && a.mine):
		case found == nil && r.PlanDigest == p.Digest && r.Stop == "":
			found = r
		default:
			if err := e.abandon(ctx, *r); err != nil {
				return Run{}, false, err
			}
		}
	}
	if found == nil {
		return Run{}, false, nil
	}
	return *found, true, nil
}

// abandon ends a run that nobody will resume: its processes are stopped, what
// ran ends errored, what waited is skipped.
func (e *Engine) abandon(ctx context.Context, r Run) error {
	const why = "lost: lastro ended in mid-run, and what came next had another plan"
	rows, err := e.o.Store.StepRuns(ctx, r.Number)
	if err != nil {
		return err
	}
	shop, err := e.open(ctx, r)
	for _, s := range rows {
		if s.State == Running && err == nil {
			shop.end(ctx, s, why, e.o.Log)
		}
	}
	return e.q.Abandon(ctx, r.Number, why)
}

// resume goes on with a run that an engine of this place left behind.
func (e *Engine) resume(ctx context.Context, r Run, p *Plan, obs Observer) error {
	a := newActive(e, r, p, obs)
	a.mine = true
	e.add(a)
	err := e.o.Store.Change(ctx, func(tx Tx) error { tx.Emit(runEvent(r, "run.resumed", e.o.Clock.Now())); return nil })
	if err != nil {
		return err
	}
	rows, err := e.o.Store.StepRuns(ctx, r.Number)
	if err != nil {
		return err
	}
	a.observeRun(r)
	for _, s := range rows {
		if s.State.Ended() {
			a.tidyEnded(ctx, s)
			a.observe(s)
		}
	}
	e.poke()
	return nil
}

// open returns the workshop of a run that this engine did not submit.
func (e *Engine) open(ctx context.Context, r Run) (*Workshop, error) {
	if e.o.Open == nil {
		return nil, lastro.Errorf(lastro.EErrored, "this engine cannot open run #%d of another one", r.Number)
	}
	return e.o.Open(ctx, r)
}

// poke lets the worker look for what may begin.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// notice tells observers and waiters what a transaction changed.
func (e *Engine) notice(c Changed) {
	for _, s := range c.Steps {
		if a := e.at(s.Run); a != nil {
			a.choose(s)
			a.observe(s)
		}
	}
	for _, r := range c.Runs {
		if r.State.Ended() {
			e.retire(r)
		}
	}
	if c.Ready {
		e.poke()
	}
}

func (e *Engine) at(run int64) *active {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[run]
}

func (e *Engine) add(a *active) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active[a.run.Number] = a
}

// retire forgets a run that has ended.
func (e *Engine) retire(r Run) {
	e.mu.Lock()
	a := e.active[r.Number]
	delete(e.active, r.Number)
	waiters := e.waiters[r.Number]
	e.mu.Unlock()
	if a != nil {
		a.ended()
		end := a.run
		end.State, end.Reason, end.EndedAt = r.State, r.Reason, r.EndedAt
		a.observeRun(end)
	}
	for _, c := range waiters {
		select {
		case c <- r:
		default:
		}
	}
}

// LogPath returns the absolute path of a step run's log; "" when there is none.
func (e *Engine) LogPath(s StepRun) string {
	if s.Log == "" {
		return ""
	}
	return filepath.Join(e.o.StateDir, filepath.FromSlash(s.Log))
}

func taskID(run int64, step string, cell, attempt int) string {
	return fmt.Sprintf("%d-%s-%d", run, cellName(step, cell), attempt)
}

// kind returns the kind of a step.
func (w *Workshop) kind(s StepSpec) (Kind, error) {
	w.once.Do(func() {
		w.kinds = map[string]Kind{}
		for _, k := range w.Kinds {
			w.kinds[k.Name()] = k
		}
	})
	if k, ok := w.kinds[s.Kind]; ok {
		return k, nil
	}
	names := slices.Sorted(maps.Keys(w.kinds))
	err := &lastro.Error{Code: lastro.EUnsupported, ID: "L0121", Pos: s.Pos, Msg: fmt.Sprintf("step %q: there is no step kind %q", s.Name, s.Kind),
		Hint: "there are " + strings.Join(names, ", ")}
	if near := lastro.Nearest(s.Kind, names); near != "" {
		err.Hint = "did you mean " + near + "?"
	}
	return nil, err
}

// end stops the work of a step run that an executor may still carry out. A
// built-in may have had a task made by another kind, so all are asked.
func (w *Workshop) end(ctx context.Context, s StepRun, why string, log *slog.Logger) {
	id := taskID(s.Run, s.Step, s.Cell, s.Attempt)
	for _, kind := range w.Kinds {
		k, ok := kind.(Resumable)
		if !ok {
			continue
		}
		if err := k.Stop(ctx, id, why); err != nil {
			log.WarnContext(ctx, "lost step was not stopped", "task", id, "err", err)
		}
		if err := k.Forget(ctx, id); err != nil {
			log.DebugContext(ctx, "lost step was not forgotten", "task", id, "err", err)
		}
	}
}
