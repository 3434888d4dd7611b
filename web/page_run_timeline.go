// SPDX-License-Identifier: Apache-2.0

package web

import (
	"html/template"
	"net/http"
	"strconv"
	"time"

	"lastro/pipeline"
)

// timelineRows is how many rows of a timeline one page shows.
const timelineRows = 200

// timeline is when each attempt waited, ran and ended.
type timeline struct {
	Rows       []stepRow
	Scale      []string // what the lines of the bars stand for
	Prev, Next string   // links to other pages of rows
	Shown, Of  string
}

// stepRow is one line of the timeline: an attempt, or a step of many cells.
type stepRow struct {
	Title   string
	State   pipeline.State
	Counts  []stateCount // of many cells
	Bar     template.HTML
	Took    string
	Waited  string // "" when it was not worth a word
	Reason  string
	Note    string
	Link    string
	Attempt int
}

func (p *Pages) timeline(r *http.Request, l Lang, run pipeline.Run, groups []*stepGroup) timeline {
	total := p.lasted(run.StartedAt, run.EndedAt)
	var t timeline
	for _, part := range []float64{0, 0.25, 0.5, 0.75} {
		t.Scale = append(t.Scale, l.Span(time.Duration(part*float64(total))))
	}
	rows, count := 0, 0
	from, _ := strconv.Atoi(r.URL.Query().Get("rows"))
	from = max(from, 0)
	ends := map[string]time.Time{} // when a step's last cell had ended
	for _, g := range groups {
		ready := run.StartedAt
		for _, need := range g.Needs {
			if end, ok := ends[need]; ok && end.After(ready) {
				ready = end
			}
		}
		for _, s := range g.Now {
			if s.EndedAt.After(ends[g.Name]) {
				ends[g.Name] = s.EndedAt
			}
		}
		many := len(g.Now) > manyCells
		for i, s := range g.All {
			if many && i > 0 {
				break
			}
			count++
			if count <= from || rows >= timelineRows {
				continue
			}
			rows++
			if many {
				t.Rows = append(t.Rows, p.groupRow(l, run, g, ready, total))
				continue
			}
			before := ready
			if s.Attempt > 1 {
				before = endOf(g.All[:i], s)
			}
			t.Rows = append(t.Rows, p.attemptRow(l, run, g, s, before, total))
		}
	}
	if count > len(t.Rows) {
		t.Shown, t.Of = l.Int(int64(len(t.Rows))), l.Int(int64(count))
		if from > 0 {
			t.Prev = with(r.URL, "rows", pageNumber(from-timelineRows))
		}
		if from+len(t.Rows) < count {
			t.Next = with(r.URL, "rows", pageNumber(from+timelineRows))
		}
	}
	return t
}

// pageNumber writes where a page of rows begins; the first one has no number.
func pageNumber(from int) string {
	if from <= 0 {
		return ""
	}
	return strconv.Itoa(from)
}

// endOf is when the attempt before s ended.
func endOf(earlier []pipeline.StepRun, s pipeline.StepRun) time.Time {
	for i := len(earlier) - 1; i >= 0; i-- {
		if earlier[i].Cell == s.Cell && earlier[i].Attempt < s.Attempt {
			return earlier[i].EndedAt
		}
	}
	return s.StartedAt
}

func (p *Pages) attemptRow(l Lang, run pipeline.Run, g *stepGroup, s pipeline.StepRun, ready time.Time, total time.Duration) stepRow {
	row := stepRow{Title: stepTitle(s), State: s.State, Reason: s.Reason, Attempt: s.Attempt, Took: "–", Link: stepLink(run.Number, s.Step, s.Cell, attemptOf(g, s))}
	if s.StartedAt.IsZero() || s.State == pipeline.Skipped {
		row.Bar = gantt(0, 0, 0, 0, "")
		return row
	}
	took := p.lasted(s.StartedAt, s.EndedAt)
	row.Took = l.Span(took)
	at := func(t time.Time) float64 { return t.Sub(run.StartedAt).Seconds() }
	start := at(s.StartedAt)
	wait := start
	if !ready.IsZero() && ready.Before(s.StartedAt) && s.State != pipeline.Cached {
		wait = at(ready)
	}
	if waited := s.StartedAt.Sub(ready); wait < start && waited >= time.Second {
		row.Waited = l.T("run.waited", l.Span(waited))
	}
	row.Bar = gantt(wait, start, start+took.Seconds(), total.Seconds(), stateClass(s.State))
	if s.MaxRSSBytes > 0 {
		row.Note = l.T("run.memory", bytesWords(l, s.MaxRSSBytes))
	}
	return row
}

// attemptOf is 0 for the newest attempt, which needs no number in a link.
func attemptOf(g *stepGroup, s pipeline.StepRun) int {
	for _, n := range g.Now {
		if n.Cell == s.Cell && n.Attempt == s.Attempt {
			return 0
		}
	}
	return s.Attempt
}

// groupRow is a step of many cells in one line.
func (p *Pages) groupRow(l Lang, run pipeline.Run, g *stepGroup, ready time.Time, total time.Duration) stepRow {
	row := stepRow{Title: g.Name + " ×" + l.Int(int64(len(g.Now))), State: g.state(), Counts: g.counts(), Took: "–", Link: stepLink(run.Number, g.Name, 0, 0)}
	var first, last time.Time
	for _, s := range g.All {
		if s.StartedAt.IsZero() || s.State == pipeline.Skipped {
			continue
		}
		if first.IsZero() || s.StartedAt.Before(first) {
			first = s.StartedAt
		}
		end := s.EndedAt
		if end.IsZero() {
			end = p.now()
		}
		if end.After(last) {
			last = end
		}
	}
	if first.IsZero() {
		row.Bar = gantt(0, 0, 0, 0, "")
		return row
	}
	row.Took = l.Span(last.Sub(first))
	at := func(t time.Time) float64 { return t.Sub(run.StartedAt).Seconds() }
	if ready.After(first) {
		ready = first
	}
	row.Bar = gantt(at(ready), at(first), at(last), total.Seconds(), stateClass(row.State))
	return row
}

// gantt draws how long something waited (a thin line) and took (a bar) between
// 0 and total.
func gantt(ready, start, end, total float64, state string) template.HTML {
	s := newSVG(400, 22)
	s.path("ax", "M0 0V22M100 0V22M200 0V22M300 0V22")
	if total > 0 && end >= start {
		x := func(v float64) float64 { return min(max(v/total, 0), 1) * 398 }
		if ready < start {
			s.addf(`<path class="gwait" d="M%.1f 11H%.1f"/>`, x(ready), x(start))
		}
		s.addf(`<rect class="gbar" x="%.1f" y="6" width="%.1f" height="10"/>`, min(x(start), 396), max(2, x(end)-x(start)))
	}
	return s.decoration("row " + state)
}
