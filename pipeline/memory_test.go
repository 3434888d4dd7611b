// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lastro"
	"lastro/pipeline"
)

// memory is a Store for simulations: transactions one after the other, each on
// a copy that replaces the state when it succeeds. fault, when set, decides
// whether a transaction fails before it begins.
type memory struct {
	state memoryState
	fault func() error
}

type memoryState struct {
	runs    []pipeline.Run
	open    map[int64]pipeline.Progress
	steps   map[int64][]pipeline.StepProgress
	cells   []memoryCell
	engines []memoryEngine
}

type memoryCell struct {
	pipeline.StepRun
	owner string
	ready time.Time
}

type memoryEngine struct {
	pipeline.EngineRow
	gone bool
}

var errFault = errors.New("the database did not answer")

func newMemory() *memory {
	return &memory{state: memoryState{open: map[int64]pipeline.Progress{}, steps: map[int64][]pipeline.StepProgress{}}}
}

func (m *memory) Shared() bool { return true }

func (m *memory) Change(_ context.Context, fn func(pipeline.Tx) error) error {
	if m.fault != nil {
		if err := m.fault(); err != nil {
			return err
		}
	}
	s := m.state
	s.cells, s.engines = slices.Clone(s.cells), slices.Clone(s.engines)
	s.open, s.steps = maps.Clone(s.open), maps.Clone(s.steps)
	for run, list := range s.steps {
		s.steps[run] = slices.Clone(list)
	}
	if err := fn(memoryTx{&s}); err != nil {
		return err
	}
	m.state = s
	return nil
}

func (m *memory) Run(_ context.Context, number int64) (pipeline.Run, error) {
	if number < 1 || number > int64(len(m.state.runs)) {
		return pipeline.Run{}, lastro.Errorf(lastro.ENotFound, "no run #%d", number)
	}
	r, p := m.state.runs[number-1], m.state.open[number]
	r.State, r.Reason, r.Stop, r.EndedAt = p.State, p.Reason, p.Stop, p.EndedAt
	return r, nil
}

func (m *memory) Progress(ctx context.Context, number int64) (pipeline.Progress, error) {
	return memoryTx{&m.state}.Lock(ctx, number)
}

func (m *memory) Runs(ctx context.Context, f pipeline.RunFilter) (out []pipeline.Run, err error) {
	for n := int64(len(m.state.runs)); n > 0; n-- {
		if r, _ := m.Run(ctx, n); !f.Unfinished || !r.State.Ended() {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) StepRuns(_ context.Context, run int64) (out []pipeline.StepRun, err error) {
	for _, c := range m.state.cells {
		if c.Run == run {
			out = append(out, c.StepRun)
		}
	}
	return out, nil
}

func (m *memory) Chosen(context.Context, int64, string) (s pipeline.StepRun, ok bool, err error) {
	return s, false, nil
}
func (m *memory) Hits(context.Context, string, []pipeline.Scope, []lastro.Digest, time.Time) (map[lastro.Digest]pipeline.StepRun, error) {
	return nil, nil
}
func (m *memory) HasKeyed(context.Context, string, string) (bool, error) { return false, nil }
func (m *memory) LastKeyed(context.Context, string, string, map[string]any) (s pipeline.StepRun, ok bool, err error) {
	return s, false, nil
}

func (m *memory) Engines(context.Context) (out []pipeline.EngineRow, err error) {
	for _, e := range m.state.engines {
		if !e.gone {
			out = append(out, e.EngineRow)
		}
	}
	return out, nil
}

func (m *memory) Stopping(context.Context) (map[int64]string, error) {
	out := map[int64]string{}
	for n, p := range m.state.open {
		if p.Stop != "" && !p.State.Ended() {
			out[n] = p.Stop
		}
	}
	return out, nil
}

// memoryTx works on the copy that a transaction makes.
type memoryTx struct{ s *memoryState }

func (t memoryTx) Lock(_ context.Context, run int64) (pipeline.Progress, error) {
	p, ok := t.s.open[run]
	if !ok {
		return p, lastro.Errorf(lastro.ENotFound, "no run #%d", run)
	}
	return p, nil
}

func (t memoryTx) CreateRun(_ context.Context, r pipeline.Run, steps []pipeline.StepProgress, cells []pipeline.StepRun) (int64, error) {
	r.Number = int64(len(t.s.runs)) + 1
	t.s.runs = append(slices.Clip(t.s.runs), r)
	p := pipeline.Progress{Run: r.Number, State: r.State, Reason: r.Reason, EndedAt: r.EndedAt}
	for _, s := range steps {
		s.Run = r.Number
		t.s.steps[r.Number] = append(t.s.steps[r.Number], s)
		if !s.State.Ended() {
			p.Open++
		}
	}
	t.s.open[r.Number] = p
	for _, c := range cells {
		c.Run = r.Number
		t.s.cells = append(t.s.cells, memoryCell{StepRun: c})
	}
	return r.Number, nil
}

func (t memoryTx) PutProgress(_ context.Context, p pipeline.Progress) error {
	t.s.open[p.Run] = p
	return nil
}

func (t memoryTx) Steps(_ context.Context, run int64) ([]pipeline.StepProgress, error) {
	return slices.Clone(t.s.steps[run]), nil
}

func (t memoryTx) step(run int64, name string) *pipeline.StepProgress {
	for i := range t.s.steps[run] {
		if s := &t.s.steps[run][i]; s.Step == name {
			return s
		}
	}
	return nil
}

func (t memoryTx) PutStep(_ context.Context, s pipeline.StepProgress) error {
	*t.step(s.Run, s.Step) = s
	return nil
}

func (t memoryTx) Close(_ context.Context, run int64, step string, n int) (int, error) {
	s := t.step(run, step)
	s.Open -= n
	return s.Open, nil
}

func (t memoryTx) Release(_ context.Context, run int64, step string) (int, bool, error) {
	s := t.step(run, step)
	if s == nil || s.State != pipeline.Pending {
		return 0, false, nil
	}
	s.Waits--
	return s.Waits, true, nil
}

func (t memoryTx) Ready(_ context.Context, run int64, step string, n int) error {
	for i := range t.s.cells {
		if c := &t.s.cells[i]; n != 0 && c.Run == run && c.Step == step && c.State == pipeline.Pending && c.ready.IsZero() {
			c.ready = time.UnixMicro(1)
			n--
		}
	}
	return nil
}

func (t memoryTx) Take(_ context.Context, engine string, now time.Time, room pipeline.Room) (out []pipeline.StepRun, err error) {
	for i := range t.s.cells {
		c := &t.s.cells[i]
		if c.State == pipeline.Pending && !c.ready.IsZero() && (!c.ready.After(now) || c.ready.After(now.Add(pipeline.MaxBackoff))) {
			n, fits := room.Takes(c.Weight)
			if !fits {
				break
			}
			room.Free -= n
			c.State, c.owner, c.StartedAt = pipeline.Running, engine, now
			out = append(out, c.StepRun)
		}
	}
	return out, nil
}

func (t memoryTx) at(s pipeline.StepRun) *memoryCell {
	for i := range t.s.cells {
		if c := &t.s.cells[i]; c.Run == s.Run && c.Step == s.Step && c.Cell == s.Cell && c.Attempt == s.Attempt {
			return c
		}
	}
	return nil
}

func (t memoryTx) Note(_ context.Context, engine string, s pipeline.StepRun) (bool, error) {
	c := t.at(s)
	if c == nil || c.owner != engine || c.State != pipeline.Running {
		return false, nil
	}
	c.StepRun = s
	return true, nil
}

func (t memoryTx) Put(_ context.Context, s pipeline.StepRun, from time.Time) error {
	if c := t.at(s); c != nil {
		c.StepRun, c.ready = s, from
		return nil
	}
	t.s.cells = append(t.s.cells, memoryCell{StepRun: s, ready: from})
	return nil
}

func (t memoryTx) Newest(_ context.Context, run int64, step string) (out []pipeline.StepRun, err error) {
	newest := map[int]pipeline.StepRun{}
	for _, c := range t.s.cells {
		if c.Run == run && c.Step == step && c.Attempt > newest[c.Cell].Attempt {
			newest[c.Cell] = c.StepRun
		}
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b pipeline.StepRun) int { return cmp.Compare(a.Cell, b.Cell) }), nil
}

func (t memoryTx) EndPending(_ context.Context, run int64, step string, s pipeline.State, reason string, at time.Time) (out []pipeline.StepRun, err error) {
	for i := range t.s.cells {
		if c := &t.s.cells[i]; c.Run == run && c.Step == step && c.State == pipeline.Pending {
			c.State, c.Reason, c.EndedAt, c.ready = s, reason, at, time.Time{}
			out = append(out, c.StepRun)
		}
	}
	return out, nil
}

func (t memoryTx) Join(_ context.Context, e pipeline.EngineRow) error {
	t.s.engines = append(t.s.engines, memoryEngine{EngineRow: e})
	return nil
}

func (t memoryTx) engine(id string) *memoryEngine {
	for i := range t.s.engines {
		if e := &t.s.engines[i]; e.ID == id && !e.gone {
			return e
		}
	}
	return nil
}

func (t memoryTx) Alive(_ context.Context, engine string) (bool, error) {
	return t.engine(engine) != nil, nil
}

func (t memoryTx) Beat(_ context.Context, engine string) (bool, error) {
	e := t.engine(engine)
	if e == nil {
		return false, nil
	}
	e.Beat++
	return true, nil
}

func (t memoryTx) Leave(_ context.Context, engine string, beat int64) (bool, error) {
	e := t.engine(engine)
	if e == nil || (beat >= 0 && e.Beat != beat) {
		return false, nil
	}
	e.gone = true
	return true, nil
}

func (t memoryTx) Inherit(_ context.Context, place, engine string) (out []pipeline.StepRun, err error) {
	old := map[string]bool{}
	for i := range t.s.engines {
		if e := &t.s.engines[i]; e.Place == place && e.ID != engine && !e.gone {
			old[e.ID], e.gone = true, true
		}
	}
	for i := range t.s.cells {
		if c := &t.s.cells[i]; c.State == pipeline.Running && old[c.owner] {
			c.owner = engine
			out = append(out, c.StepRun)
		}
	}
	return out, nil
}

func (t memoryTx) Owned(_ context.Context, engine string) (out []pipeline.StepRun, err error) {
	for _, c := range t.s.cells {
		if c.State == pipeline.Running && c.owner == engine {
			out = append(out, c.StepRun)
		}
	}
	return out, nil
}

func (t memoryTx) Emit(...lastro.Event) {}
