// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/registry"
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
	Trouble trouble
	Became  []versionRow
}

// trouble is why a run ended badly, with what to do next.
type trouble struct{ What, Hint, Command string }

type factRow struct{ Step, Name, Value string }

type madeRow struct{ Name, Path, Digest, Size string }

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
	body.Trouble = troubleOf(run, steps)
	if body.Became, err = p.versionsOf(r.Context(), run.Number); err != nil {
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

// troubleOf is the error of the first step that ended badly.
func troubleOf(run pipeline.Run, steps []pipeline.StepRun) trouble {
	for _, s := range latest(steps) {
		if s.State != pipeline.Failed && s.State != pipeline.Errored || !run.State.Ended() {
			continue
		}
		t := trouble{Command: fmt.Sprintf("lastro logs %d %s", run.Number, s.Step)}
		if s.Cell > 0 {
			t.Command += fmt.Sprintf("[%d]", s.Cell)
		}
		if s.Error != nil {
			t.What, t.Hint = s.Error.Msg, s.Error.Hint
		}
		return t
	}
	return trouble{}
}

// versionsOf lists the model versions that a run made, with the gate's verdict.
func (p *Pages) versionsOf(ctx context.Context, run int64) ([]versionRow, error) {
	versions, err := p.Registry.Versions(ctx, registry.Query{Limit: 500, Order: []registry.Order{{Key: "creation_timestamp", Desc: true}}})
	if err != nil {
		return nil, err
	}
	var out []versionRow
	for _, v := range versions {
		if v.Run != strconv.FormatInt(run, 10) {
			continue
		}
		row, err := p.decided(ctx, v)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
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
