// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro/pipeline"
)

// wide is the number of cells from which a matrix is shown as counts.
const wide = 9

// manyEvents is the number of cells from which also plain output counts them
// instead of writing a line for each.
const manyEvents = 100

// view is what is known of a run's steps, for drawing.
type view struct {
	steps []*stepView
	index map[string]*stepView
	width int // of the longest name
}

// stepView is a step with its cells.
type stepView struct {
	spec   pipeline.StepSpec
	cells  map[int]*cellView
	order  []int // cells as they were heard of
	counts map[pipeline.State]int
	began  time.Time // of the first cell
	told   int       // tenths of the cells that plain output has told of
}

// cellView is a step or cell as it is now.
type cellView struct {
	row   pipeline.StepRun
	since time.Time // it runs
	lines []string  // that it printed last
}

// row is a line of the table; state chooses its colour.
type row struct{ state, text string }

// of learns the steps of a pipeline, in the order of the file.
func (v *view) of(spec pipeline.Spec) {
	v.index = map[string]*stepView{}
	for _, s := range spec.Steps {
		v.add(s)
	}
}

func (v *view) add(s pipeline.StepSpec) *stepView {
	if v.index == nil {
		v.index = map[string]*stepView{}
	}
	sv := &stepView{spec: s, cells: map[int]*cellView{}, counts: map[pipeline.State]int{}}
	v.index[s.Name] = sv
	v.steps = append(v.steps, sv)
	v.width = max(v.width, columnsOf(s.Name)+4*min(1, len(s.Matrix)))
	return sv
}

// take notes how a step stands and returns how it stood before ("" = new).
func (v *view) take(s pipeline.StepRun, now time.Time) pipeline.State {
	sv := v.index[s.Step]
	if sv == nil {
		sv = v.add(pipeline.StepSpec{Name: s.Step})
	}
	c := sv.cells[s.Cell]
	var before pipeline.State
	if c == nil {
		c = &cellView{}
		sv.cells[s.Cell], sv.order = c, append(sv.order, s.Cell)
	} else {
		if c.row.Attempt > s.Attempt {
			return s.State // late news of an attempt that has a successor
		}
		before = c.row.State
		sv.counts[before]--
	}
	sv.counts[s.State]++
	if s.State == pipeline.Running && (before != pipeline.Running || c.row.Attempt != s.Attempt) {
		c.since, c.lines = now, nil
		if sv.began.IsZero() {
			sv.began = now
		}
	}
	c.row = s
	return before
}

// line notes what a running step has printed.
func (v *view) line(step string, cell int, line string) {
	if sv := v.index[step]; sv != nil && sv.cells[cell] != nil && line != "" {
		c := sv.cells[cell]
		c.lines = append(c.lines, line)
		c.lines = c.lines[max(0, len(c.lines)-2):]
	}
}

func (v *view) busy() bool {
	return slices.ContainsFunc(v.steps, func(s *stepView) bool { return s.counts[pipeline.Running] > 0 })
}

// event is the line of plain output for a change; "" = none.
func (v *view) event(s pipeline.StepRun, before pipeline.State) string {
	sv := v.index[s.Step]
	if s.State == pipeline.Pending || s.State == before {
		return ""
	}
	bad := s.State == pipeline.Failed || s.State == pipeline.Errored
	if len(sv.order) < manyEvents || bad {
		return v.cellLine(s, took(s))
	}
	over := sv.ended()
	tenth := over * 10 / len(sv.order)
	if tenth <= sv.told && over < len(sv.order) {
		return ""
	}
	if over == len(sv.order) && sv.told > 10 {
		return ""
	}
	sv.told = tenth
	if over == len(sv.order) {
		sv.told = 11
	}
	return v.stepLine(sv, time.Now())
}

func (s *stepView) ended() int {
	n := 0
	for state, k := range s.counts {
		if state.Ended() {
			n += k
		}
	}
	return n
}

// state is how a step stands as a whole: the worst of its cells once all have
// ended, running before.
func (s *stepView) state() pipeline.State {
	switch {
	case s.counts[pipeline.Running] > 0:
		return pipeline.Running
	case s.counts[pipeline.Waiting] > 0:
		return pipeline.Waiting
	case s.ended() > 0 && s.ended() < len(s.order):
		return pipeline.Running
	case s.ended() == 0:
		return pipeline.Pending
	}
	for _, state := range []pipeline.State{pipeline.Failed, pipeline.Errored, pipeline.Cancelled, pipeline.Skipped, pipeline.Succeeded} {
		if s.counts[state] > 0 {
			return state
		}
	}
	return pipeline.Cached
}

func took(s pipeline.StepRun) string {
	if s.EndedAt.IsZero() || s.StartedAt.IsZero() {
		return ""
	}
	return seconds(s.EndedAt.Sub(s.StartedAt))
}

// cellLine is the line of a step or cell.
func (v *view) cellLine(s pipeline.StepRun, took string) string {
	text := detail(s)
	if s.State == pipeline.Pending {
		text = v.waitsFor(s.Step)
	}
	if s.Attempt > 1 {
		text = strings.TrimRight(fmt.Sprintf("attempt %d  %s", s.Attempt, text), " ")
	}
	if wait, again := v.next(s); again {
		text = strings.TrimLeft(text+"; tried again "+soon(wait), "; ")
	}
	return v.format(string(s.State), cellTitle(s), took, text)
}

// next says whether an attempt is followed by another one.
func (v *view) next(s pipeline.StepRun) (time.Duration, bool) {
	sv := v.index[s.Step]
	if sv == nil {
		return 0, false
	}
	return sv.spec.Retry.Next(s)
}

// soon writes a wait: at once, in 500ms, in 2m0s.
func soon(wait time.Duration) string {
	if wait == 0 {
		return "at once"
	}
	return "in " + wait.String()
}

func (v *view) format(state, name, took, text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	return strings.TrimRight(fmt.Sprintf("  %s %s  %-9s %7s  %s", symbol(state), pad(name, v.width), state, took, text), " ")
}

// waitsFor names the steps that have not ended yet.
func (v *view) waitsFor(step string) string {
	var on []string
	for _, n := range needsOf(v.index[step].spec) {
		if need := v.index[n]; need != nil && len(need.order) > 0 && need.ended() < len(need.order) {
			on = append(on, n)
		}
	}
	if len(on) == 0 {
		return ""
	}
	return "on " + strings.Join(on, ", ")
}

// stepLine is the line of a matrix as counts.
func (v *view) stepLine(s *stepView, now time.Time) string {
	state := string(s.state())
	parts := []string{fmt.Sprintf("%d of %d done", s.ended(), len(s.order))}
	for _, st := range []pipeline.State{pipeline.Running, pipeline.Waiting, pipeline.Failed, pipeline.Errored, pipeline.Cached, pipeline.Skipped, pipeline.Cancelled} {
		if n := s.counts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, st))
		}
	}
	long := ""
	if !s.began.IsZero() {
		long = seconds(s.lasted(now))
	}
	return v.format(state, s.spec.Name, long, strings.Join(parts, " · "))
}

// lasted is from the first cell's begin to the last one's end, or now.
func (s *stepView) lasted(now time.Time) time.Duration {
	if s.ended() < len(s.order) {
		return now.Sub(s.began)
	}
	var first, last time.Time
	for _, c := range s.cells {
		if r := c.row; !r.StartedAt.IsZero() && (first.IsZero() || r.StartedAt.Before(first)) {
			first = r.StartedAt
		}
		if c.row.EndedAt.After(last) {
			last = c.row.EndedAt
		}
	}
	return last.Sub(first)
}

// rows are the lines of all steps, matrices of many cells as counts.
func (v *view) rows(now time.Time) []row {
	var out []row
	for _, s := range v.steps {
		if len(s.order) >= wide {
			out = append(out, row{string(s.state()), v.stepLine(s, now)})
			continue
		}
		for _, i := range s.order {
			c := s.cells[i]
			long := took(c.row)
			if c.row.State == pipeline.Running {
				long = seconds(now.Sub(c.since))
			}
			out = append(out, row{string(c.row.State), v.cellLine(c.row, long)})
		}
	}
	return out
}

// table is what fits into so many lines while the run goes on: the steps, and
// what the running ones have printed last.
func (v *view) table(now time.Time, height int) []row {
	logs := v.logs(max(0, min(6, height/3)))
	room := max(3, height-len(logs)-1)
	out := shorten(v.rows(now), room)
	if len(logs) > 0 {
		out = append(append(out, row{}), logs...)
	}
	return out
}

// logs are the last lines of running steps, of those that began last when
// there are many.
func (v *view) logs(room int) []row {
	var talking []*cellView
	for _, s := range v.steps {
		if s.counts[pipeline.Running] == 0 {
			continue
		}
		for _, c := range s.cells {
			if c.row.State == pipeline.Running && len(c.lines) > 0 {
				talking = append(talking, c)
			}
		}
	}
	slices.SortFunc(talking, func(a, b *cellView) int {
		if d := b.since.Compare(a.since); d != 0 {
			return d
		}
		return strings.Compare(cellTitle(a.row), cellTitle(b.row))
	})
	talking = talking[:min(len(talking), max(1, room/2))]
	slices.Reverse(talking)
	var out []row
	for _, c := range talking {
		for _, line := range c.lines {
			if len(out) < room {
				out = append(out, row{"muted", fmt.Sprintf("  %s │ %s", pad(cellTitle(c.row), v.width), line)})
			}
		}
	}
	return out
}

// shorten leaves lines out until the rest fits: first what came from the cache
// or is still to come, then what went well. A last line says what is missing.
func shorten(rows []row, room int) []row {
	if len(rows) <= room {
		return rows
	}
	rank := map[string]int{"failed": 0, "errored": 0, "running": 1, "waiting": 1, "cancelled": 2, "succeeded": 3, "skipped": 4, "pending": 5, "cached": 6}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank[rows[a].state] - rank[rows[b].state] })
	keep := slices.Clone(order[:room-1])
	slices.Sort(keep)
	left := map[string]int{}
	for _, i := range order[room-1:] {
		left[rows[i].state]++
	}
	out := make([]row, 0, room)
	for _, i := range keep {
		out = append(out, rows[i])
	}
	var parts []string
	for _, state := range []string{"failed", "errored", "running", "waiting", "cancelled", "succeeded", "skipped", "pending", "cached"} {
		if left[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", left[state], state))
		}
	}
	return append(out, row{"muted", fmt.Sprintf("  … %d more: %s", len(rows)-len(out), strings.Join(parts, ", "))})
}

// maxResult bounds what stays on the screen after a run.
const maxResult = 60

// result is what stays on the screen: the table, and of a matrix shown as
// counts the first cells that ended badly.
func (v *view) result() []row {
	var out []row
	for _, s := range v.steps {
		if len(s.order) < wide {
			continue
		}
		bad := 0
		for _, i := range s.order {
			c := s.cells[i].row
			if c.State != pipeline.Failed && c.State != pipeline.Errored {
				continue
			}
			if bad++; bad > 5 {
				break
			}
			out = append(out, row{string(c.State), v.cellLine(c, took(c))})
		}
	}
	return append(shorten(v.rows(time.Now()), maxResult), out...)
}
