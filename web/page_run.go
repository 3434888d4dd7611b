// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
)

// runPage is one run: verdict, graph, timeline, the log of the step that
// matters, what it found and what it made.
type runPage struct {
	Run     pipeline.Run
	Verdict string
	Why     []phrase
	Took    string
	Graph   template.HTML
	Rows    []stepRow
	Log     stepLog
	Facts   []factRow
	Made    []madeRow
}

// stepRow is one line of the timeline.
type stepRow struct {
	Name, Cell string
	Title      string
	State      pipeline.State
	Bar        template.HTML
	Took       string
	Reason     string
	Note       string
	Link       string
	Attempt    int
}

// stepLog is the end of what one step printed.
type stepLog struct {
	Step  string
	Lines []logLine
	More  int // earlier lines left out
}

type logLine struct {
	Number int
	Text   string
	Hit    bool
}

type factRow struct{ Step, Name, Value string }

type madeRow struct{ Name, Path, Digest, Size string }

const logTail = 60 // lines of a log that a page shows

func (p *Pages) run(r *http.Request, l Lang) (string, page, error) {
	number, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil {
		return "", page{}, lastro.Errorf(lastro.ENotFound, "there is no run %q", r.PathValue("run"))
	}
	run, err := p.Runs.Run(r.Context(), number)
	if err != nil {
		return "", page{}, err
	}
	steps, err := p.Runs.StepRuns(r.Context(), number)
	if err != nil {
		return "", page{}, err
	}
	body := runPage{Run: run, Verdict: runVerdict(l, run, steps), Why: runWhy(l, run, steps), Took: l.Span(lasted(run.StartedAt, run.EndedAt))}
	body.Graph = runGraph(l, run, steps)
	body.Rows = timeline(l, run, steps)
	body.Facts, body.Made = found(l, steps)
	if body.Log, err = p.logOf(r, steps); err != nil {
		return "", page{}, err
	}
	pg := page{Title: l.T("run.title", run.Number), Nav: "runs", Body: body}
	if !run.State.Ended() {
		pg.Refresh = 2
	}
	return "run.html", pg, nil
}

func lasted(from, to time.Time) time.Duration {
	if from.IsZero() {
		return 0
	}
	if to.IsZero() {
		return time.Since(from)
	}
	return to.Sub(from)
}

// runVerdict is a sentence that a person could say aloud.
func runVerdict(l Lang, run pipeline.Run, steps []pipeline.StepRun) string {
	span := l.Span(lasted(run.StartedAt, run.EndedAt))
	for _, s := range latest(steps) {
		if (s.State == pipeline.Failed || s.State == pipeline.Errored) && run.State.Ended() && run.State != pipeline.Cancelled {
			return l.T("run.failed_in", run.Number, stepTitle(s), span)
		}
	}
	return l.T("run."+string(run.State), run.Number, span)
}

// runWhy says what started the run and, when it ended badly, why.
func runWhy(l Lang, run pipeline.Run, steps []pipeline.StepRun) []phrase {
	now := latest(steps)
	cached := 0
	for _, s := range now {
		if s.State == pipeline.Cached {
			cached++
		}
	}
	count := l.Count("count.steps", len(now))
	why := phrase{Text: l.T("run.by", l.Actor(run.Actor), count, cached)}
	switch run.Event["kind"] {
	case "alert":
		why.Text = l.T("run.by_alert", count, cached)
		if reason, ok := run.Event["reason"].(string); ok {
			why.Said = reason
		}
	case "data":
		why.Text = l.T("run.by_data", count, cached)
	}
	return []phrase{why, {Said: run.Reason}}
}

func stepTitle(s pipeline.StepRun) string {
	if s.Cell == 0 {
		return s.Step
	}
	var values []string
	for _, k := range slices.Sorted(mapKeys(s.Values)) {
		values = append(values, fmt.Sprint(s.Values[k]))
	}
	return s.Step + " " + strings.Join(values, " · ")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// latest keeps the newest attempt of each step and cell, in order.
func latest(steps []pipeline.StepRun) []pipeline.StepRun {
	var out []pipeline.StepRun
	at := map[string]int{}
	for _, s := range steps {
		key := fmt.Sprintf("%s.%d", s.Step, s.Cell)
		if i, ok := at[key]; ok {
			out[i] = s
			continue
		}
		at[key] = len(out)
		out = append(out, s)
	}
	return out
}

// runGraph draws what waited for what.
func runGraph(l Lang, run pipeline.Run, steps []pipeline.StepRun) template.HTML {
	needs := map[string][]string{}
	for _, s := range run.Spec.Steps {
		needs[s.Name] = slices.Clone(s.Needs)
		for _, in := range s.Inputs {
			if in.Step != "" && !slices.Contains(needs[s.Name], in.Step) {
				needs[s.Name] = append(needs[s.Name], in.Step)
			}
		}
	}
	var nodes []node
	byStep := map[string][]int{}
	var words []string
	for _, s := range latest(steps) {
		n := node{Name: stepTitle(s), State: stateClass(s.State), Note: stateSymbol(s.State) + " " + l.T("state."+string(s.State))}
		if s.State == pipeline.Succeeded {
			n.Note = "✓ " + l.Span(lasted(s.StartedAt, s.EndedAt))
		}
		for _, need := range needs[s.Step] {
			n.Needs = append(n.Needs, byStep[need]...)
		}
		byStep[s.Step] = append(byStep[s.Step], len(nodes))
		nodes = append(nodes, n)
		words = append(words, stepTitle(s)+" "+l.T("state."+string(s.State)))
	}
	if len(nodes) == 0 {
		return ""
	}
	return graph("steps", l.T("run.graph", run.Number), strings.Join(words, "; "), nodes)
}

func timeline(l Lang, run pipeline.Run, steps []pipeline.StepRun) []stepRow {
	total := lasted(run.StartedAt, run.EndedAt).Seconds()
	var rows []stepRow
	for _, s := range steps {
		row := stepRow{Name: s.Step, Title: stepTitle(s), State: s.State, Reason: s.Reason, Attempt: s.Attempt, Took: "–",
			Link: fmt.Sprintf("/runs/%d?step=%s&cell=%d#log", run.Number, s.Step, s.Cell)}
		if !s.StartedAt.IsZero() {
			start := s.StartedAt.Sub(run.StartedAt).Seconds()
			took := lasted(s.StartedAt, s.EndedAt)
			row.Took = l.Span(took)
			row.Bar = bar(start, start+took.Seconds(), total, stateClass(s.State))
		}
		if s.MaxRSSBytes > 0 {
			row.Note = l.T("run.memory", l.Int(s.MaxRSSBytes>>20))
		}
		rows = append(rows, row)
	}
	return rows
}

// found lists what steps found out and made, of the cells that go on.
func found(l Lang, steps []pipeline.StepRun) (facts []factRow, made []madeRow) {
	for _, s := range latest(steps) {
		if !s.Selected {
			continue
		}
		for _, k := range slices.Sorted(mapKeys(s.Facts)) {
			facts = append(facts, factRow{stepTitle(s), k, valueOf(l, s.Facts[k])})
		}
		for _, a := range s.Outputs {
			made = append(made, madeRow{s.Step + "." + a.Name, a.Path, a.Digest.Short(), l.Int((a.Size + 1023) / 1024)})
		}
	}
	return facts, made
}

// logOf shows the step that was asked for, else the one that failed or runs,
// else the last that ran.
func (p *Pages) logOf(r *http.Request, steps []pipeline.StepRun) (stepLog, error) {
	var pick *pipeline.StepRun
	rank := 0
	cell, _ := strconv.Atoi(r.URL.Query().Get("cell"))
	for i, s := range steps {
		k := map[pipeline.State]int{pipeline.Succeeded: 1, pipeline.Cached: 1, pipeline.Running: 2, pipeline.Errored: 3, pipeline.Failed: 4}[s.State]
		if s.Step == r.URL.Query().Get("step") && s.Cell == cell {
			k = 9
		}
		if k > 0 && k >= rank {
			pick, rank = &steps[i], k
		}
	}
	if pick == nil {
		return stepLog{}, nil
	}
	text, err := p.wholeLog(r, *pick)
	if err != nil {
		return stepLog{}, err
	}
	log := stepLog{Step: stepTitle(*pick)}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	log.More = max(0, len(lines)-logTail)
	for i, line := range lines[log.More:] {
		log.Lines = append(log.Lines, logLine{Number: log.More + i + 1, Text: plain(line)})
	}
	if n := len(log.Lines); n > 0 && pick.State == pipeline.Failed {
		log.Lines[n-1].Hit = true
	}
	return log, nil
}

// wholeLog reads up to 4 MiB of a log, the end when it is longer.
func (p *Pages) wholeLog(r *http.Request, s pipeline.StepRun) (string, error) {
	var b strings.Builder
	var offset int64
	for b.Len() < 4<<20 {
		text, next, err := p.ReadLog(r.Context(), s.Run, s.Step, s.Cell, offset)
		if err != nil {
			return "", err
		}
		if next <= offset {
			break
		}
		b.Write(text)
		offset = next
	}
	return b.String(), nil
}

// plain drops terminal control sequences and bytes that are no text.
func plain(line string) string {
	line = ansi.ReplaceAllString(line, "")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "·"))
}
