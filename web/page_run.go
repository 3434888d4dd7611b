// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/pipeline"
	"lastro/registry"
)

// runPage is one run: verdict, graph, timeline, what tests and tools said, one
// step in detail, what was found and what was made.
type runPage struct {
	Run     pipeline.Run
	Verdict string
	Why     []phrase
	Took    string
	Actions []runAction
	Graph   template.HTML
	Time    timeline
	Reports []stepReport
	Step    *stepPanel
	Facts   []factRow
	Made    []fileRow
	More    int // facts and files that were left out
	Trouble trouble
	Became  []versionRow
	Follow  string // link that stops or starts asking again; "" when the run is over
	Follows bool
}

// maxFound bounds the facts and the files that a run's page lists.
const maxFound = 200

// trouble is why a run ended badly, with what to do next.
type trouble struct {
	What, Hint, Command string
	Last                []logLine // what the step printed last
	step                string
	cell                int
}

// lastWords is how many lines of the log stand beside the trouble.
const lastWords = 6

type factRow struct{ Step, Name, Value string }

func (p *Pages) run(r *http.Request, l Lang) (string, page, error) {
	number, err := runNumber(r)
	if err != nil {
		return "", page{}, err
	}
	run, err := p.Runs.Run(r.Context(), number)
	if err != nil {
		return "", page{}, err
	}
	steps, err := p.Runs.StepRuns(r.Context(), number)
	if err != nil {
		return "", page{}, err
	}
	groups := grouped(run, steps)
	now := latest(steps)
	body := runPage{Run: run, Verdict: runVerdict(l, run, steps), Why: runWhy(l, run, steps), Took: l.Span(p.lasted(run.StartedAt, run.EndedAt))}
	body.Graph = p.runGraph(l, run, groups)
	body.Time = p.timeline(r, l, run, groups)
	body.Reports = reportsOf(l, run, now)
	body.Facts, body.Made, body.More = found(l, run, now, p.mayDownload(r))
	body.Trouble = troubleOf(run, steps)
	if body.Step, err = p.panel(r, l, run, groups); err != nil {
		return "", page{}, err
	}
	if s := body.Step; s != nil && s.Now.Step == body.Trouble.step && s.Now.Cell == body.Trouble.cell {
		body.Trouble.Last = s.Log.Lines[max(0, len(s.Log.Lines)-lastWords):]
	}
	if body.Became, err = p.versionsOf(r.Context(), run.Number); err != nil {
		return "", page{}, err
	}
	body.Actions = p.actionsOf(auth.IdentityOf(r.Context()), run)
	pg := page{Title: l.T("run.title", run.Number), Nav: "runs"}
	if !run.State.Ended() {
		body.Follows = r.URL.Query().Get("follow") != "0"
		body.Follow = with(r.URL, "follow", map[bool]string{true: "0", false: ""}[body.Follows])
		if body.Follows {
			pg.Refresh = 2 + len(steps)/1000 // a large matrix is a large answer
		}
	}
	pg.Body = body
	return "run.html", pg, nil
}

// runNumber reads the number of the path.
func runNumber(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil {
		return 0, lastro.Errorf(lastro.ENotFound, "there is no run %.40q", r.PathValue("run"))
	}
	return n, nil
}

func lasted(from, to time.Time) time.Duration { return between(from, to, time.Now()) }

// lasted is by the pages' own clock.
func (p *Pages) lasted(from, to time.Time) time.Duration { return between(from, to, p.now()) }

// between is how long something took, or takes until now.
func between(from, to, now time.Time) time.Duration {
	if from.IsZero() {
		return 0
	}
	if to.IsZero() {
		to = now
	}
	return max(to.Sub(from), 0)
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
	why := causeOf(l, run)
	why = append(why, phrase{Text: l.T("run.counts", l.Count("count.steps", len(now)), l.Int(int64(cached)))})
	return append(why, phrase{Said: run.Reason})
}

// causeOf says who or what started a run.
func causeOf(l Lang, run pipeline.Run) []phrase {
	e := func(key string) string {
		s, _ := run.Event[key].(string)
		return s
	}
	commit := fmt.Sprintf("%.7s", firstOf(e("commit"), run.Git.Commit))
	switch e("kind") {
	case "alert":
		return []phrase{{Text: l.T("run.by_alert"), Said: e("reason")}}
	case "data":
		return []phrase{{Text: l.T("run.by_data"), Said: firstOf(e("reason"), e("dataset"))}}
	case "push":
		return []phrase{{Text: l.T("run.by_push", firstOf(e("branch"), run.Git.Branch), commit)}}
	case "tag":
		return []phrase{{Text: l.T("run.by_tag", e("ref"), commit)}}
	case "pull_request":
		why := phrase{Text: l.T("run.by_pull_request", firstOf(e("base"), "–"), commit)}
		if e("trust") == "fork" {
			why.Text += " " + l.T("run.by_fork")
		}
		return []phrase{why, {Said: e("title")}}
	case "schedule":
		return []phrase{{Text: l.T("run.by_schedule"), Said: e("schedule")}}
	}
	return []phrase{{Text: l.T("run.by", l.Actor(run.Actor))}}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// troubleOf is the error of the first step that ended badly.
func troubleOf(run pipeline.Run, steps []pipeline.StepRun) trouble {
	for _, s := range latest(steps) {
		if s.State != pipeline.Failed && s.State != pipeline.Errored || !run.State.Ended() {
			continue
		}
		t := trouble{Command: fmt.Sprintf("lastro logs %d %s", run.Number, s.Step), step: s.Step, cell: s.Cell}
		if s.Cell > 0 {
			t.Command += fmt.Sprintf("[%d]", s.Cell)
		}
		if s.Error != nil {
			t.What, t.Hint = s.Error.Msg, s.Error.Hint
			if strings.Contains(t.Hint, t.Command) {
				t.Hint = "" // the command stands below
			}
		}
		return t
	}
	return trouble{}
}

// versionsOf lists the model versions that a run made, with the gate's verdict.
func (p *Pages) versionsOf(ctx context.Context, run int64) ([]versionRow, error) {
	versions, _, err := p.Registry.Versions(ctx, registry.Query{Limit: 500, Order: []registry.Order{{Key: "creation_timestamp", Desc: true}}})
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
func found(l Lang, run pipeline.Run, now []pipeline.StepRun, links bool) (facts []factRow, made []fileRow, more int) {
	for _, s := range now {
		if !s.Selected {
			continue
		}
		for _, k := range slices.Sorted(mapKeys(s.Facts)) {
			if len(facts) >= maxFound {
				more++
				continue
			}
			facts = append(facts, factRow{stepTitle(s), k, valueOf(l, s.Facts[k])})
		}
		for _, a := range s.Outputs {
			if len(made) >= maxFound {
				more++
				continue
			}
			row := fileOf(l, run.Number, a, links)
			row.Name = s.Step + "." + a.Name
			made = append(made, row)
		}
	}
	return facts, made, more
}
