// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lastro/pipeline"
)

// stepPanel is one step in detail: its attempts, what they used, read and
// made, what it wrote for people, and the end of its log.
type stepPanel struct {
	Title    string
	Now      pipeline.StepRun // the attempt that is shown
	Attempts []attemptRow
	Used     []pair
	Cause    []pair // of the cache: what the work is identified by
	Inputs   []fileRow
	Outputs  []fileRow
	Values   []pair
	Tracked  []trackedOf
	Params   []pair // that its tracked runs name
	Summary  template.HTML
	Longer   bool // the summary is longer than what is shown
	Plots    []plotView
	Log      stepLog
	Cells    *cellList // of a step with many cells, when none was chosen
}

// pair is a name with a value.
type pair struct{ Name, Value string }

// attemptRow is one attempt at the step.
type attemptRow struct {
	Attempt int
	State   pipeline.State
	Reason  string
	When    string
	Took    string
	Link    string
	Shown   bool
}

// cellList is one page of the cells of a large matrix, the worst first.
type cellList struct {
	Rows       []stepRow
	Counts     []stateCount
	Prev, Next string
	Shown, Of  string
}

// cellRows is how many cells one page lists.
const cellRows = 100

// panel shows the step that was asked for, else the one that failed or runs,
// else the last that ran; nil when nothing has run.
func (p *Pages) panel(r *http.Request, l Lang, run pipeline.Run, groups []*stepGroup) (*stepPanel, error) {
	q := r.URL.Query()
	cell, _ := strconv.Atoi(q.Get("cell"))
	attempt, _ := strconv.Atoi(q.Get("attempt"))
	for _, g := range groups {
		if g.Name == q.Get("step") && cell == 0 && len(g.Now) > manyCells {
			return &stepPanel{Title: g.Name, Now: pipeline.StepRun{Step: g.Name, State: g.state()}, Cells: p.cells(r, l, run, g)}, nil
		}
	}
	g, s := pickStep(groups, q.Get("step"), cell, attempt)
	if g == nil {
		return nil, nil
	}
	out := &stepPanel{Title: stepTitle(s), Now: s, Used: p.used(l, g, s)}
	for _, a := range g.All {
		if a.Cell != s.Cell {
			continue
		}
		row := attemptRow{Attempt: a.Attempt, State: a.State, Reason: a.Reason, When: l.Time(a.StartedAt), Took: "–", Link: stepLink(run.Number, a.Step, a.Cell, a.Attempt), Shown: a.Attempt == s.Attempt}
		if !a.StartedAt.IsZero() && a.State != pipeline.Skipped {
			row.Took = l.Span(p.lasted(a.StartedAt, a.EndedAt))
		}
		out.Attempts = append(out.Attempts, row)
	}
	links := p.mayDownload(r)
	for _, name := range slices.Sorted(mapKeys(s.Ingredients)) {
		out.Cause = append(out.Cause, pair{name, s.Ingredients[name]})
	}
	for _, in := range s.Inputs {
		row := fileOf(l, run.Number, pipeline.Artifact{Name: in.Name, Path: in.Path, Digest: in.Digest}, links && in.Digest != "")
		row.Size = ""
		out.Inputs = append(out.Inputs, row)
	}
	for _, a := range s.Outputs {
		out.Outputs = append(out.Outputs, fileOf(l, run.Number, a, links))
	}
	for _, name := range slices.Sorted(mapKeys(s.OutValues)) {
		out.Values = append(out.Values, pair{name, shorten(s.OutValues[name], 500)})
	}
	out.Summary, out.Longer = summaryHTML(s.Summary)
	out.Plots = p.plotsOf(r.Context(), l, run.Number, s, links)
	var err error
	if out.Tracked, out.Params, err = p.tracked(r.Context(), s); err != nil {
		return nil, err
	}
	out.Log, err = p.logOf(r, l, s)
	return out, err
}

// pickStep finds the attempt to show.
func pickStep(groups []*stepGroup, step string, cell, attempt int) (*stepGroup, pipeline.StepRun) {
	var group *stepGroup
	var pick pipeline.StepRun
	best := 0
	for _, g := range groups {
		for _, s := range g.All {
			k := map[pipeline.State]int{pipeline.Succeeded: 1, pipeline.Cached: 1, pipeline.Running: 2, pipeline.Errored: 3, pipeline.Failed: 4}[s.State]
			if s.Step == step && (s.Cell == cell || cell == 0 && s.Cell == 1) && (attempt == 0 || s.Attempt == attempt) {
				k = 9
			}
			if k > 0 && k >= best {
				group, pick, best = g, s, k
			}
		}
	}
	return group, pick
}

// used are the resources that an attempt took, beside what it was allowed.
func (p *Pages) used(l Lang, g *stepGroup, s pipeline.StepRun) []pair {
	var out []pair
	add := func(key, value string) {
		if value != "" {
			out = append(out, pair{l.T(key), value})
		}
	}
	limits := g.Spec.Limits
	if s.CPUSeconds > 0 {
		cpu := l.Span(spanOf(s.CPUSeconds))
		if s.CPUSeconds < 1 {
			cpu = l.Num(s.CPUSeconds, 2) + " s"
		}
		if took := p.lasted(s.StartedAt, s.EndedAt).Seconds(); took > 0 && s.CPUSeconds >= 1 {
			cpu += " · " + l.T("run.processors", l.Num(s.CPUSeconds/took, 1))
		}
		if limits.CPU > 0 {
			cpu += " " + l.T("run.of_limit", l.Num(limits.CPU, 1))
		}
		add("run.cpu", cpu)
	}
	if s.MaxRSSBytes > 0 {
		memory := bytesWords(l, s.MaxRSSBytes)
		if limits.Memory > 0 {
			memory += " " + l.T("run.of_limit", bytesWords(l, limits.Memory)) + " (" + l.Percent(float64(s.MaxRSSBytes)/float64(limits.Memory), 0) + ")"
		}
		add("run.peak", memory)
	}
	add("run.isolation", s.Isolation)
	add("run.kind", s.Kind)
	if s.CachedFrom > 0 {
		add("run.done_in", fmt.Sprintf("#%d", s.CachedFrom))
	}
	if s.Key != "" {
		add("run.key", s.Key.Short())
	}
	return out
}

// cells lists a step's cells, the worst first, a page at a time.
func (p *Pages) cells(r *http.Request, l Lang, run pipeline.Run, g *stepGroup) *cellList {
	sorted := slices.Clone(g.Now)
	slices.SortStableFunc(sorted, func(a, b pipeline.StepRun) int {
		return slices.Index(badness, b.State) - slices.Index(badness, a.State)
	})
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(sorted))
	to := min(from+cellRows, len(sorted))
	out := &cellList{Counts: g.counts(), Shown: fmt.Sprintf("%s–%s", l.Int(int64(from+1)), l.Int(int64(to))), Of: l.Int(int64(len(sorted)))}
	total := p.lasted(run.StartedAt, run.EndedAt)
	for _, s := range sorted[from:to] {
		row := p.attemptRow(l, run, g, s, s.StartedAt, total)
		row.Title = strings.TrimPrefix(row.Title, g.Name+" ")
		row.Link = stepLink(run.Number, s.Step, s.Cell, 0)
		out.Rows = append(out.Rows, row)
	}
	if from > 0 {
		out.Prev = with(r.URL, "from", pageNumber(from-cellRows)) + "#step"
	}
	if to < len(sorted) {
		out.Next = with(r.URL, "from", pageNumber(to)) + "#step"
	}
	return out
}
