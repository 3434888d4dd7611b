// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/track"
)

// experimentPage is the table of one experiment's tracked runs.
type experimentPage struct {
	Experiment  track.Experiment
	Verdict     string
	Why         string
	Filter      string
	Order       string
	Bad         *failure // what is wrong with the filter
	Columns     []columnHead
	Rows        []trackedRow
	Choice      []columnChoice // what else may be a column
	Next, First string
	CSV         string // link; "" = nothing to export
	Note        string // of the experiment, as its people wrote it
}

// columnHead is the heading of a column.
type columnHead struct {
	Name, Kind string // Kind: metrics or params
	Sort       string // link that sorts by it, the other way round the second time
	Sorted     string // ascending, descending or ""
}

// columnChoice is a check box.
type columnChoice struct {
	Value  string // metrics.auc
	Chosen bool
}

type trackedRow struct {
	track.Run
	Class string // as stateClass takes it
	Link  string
	Took  string
	Cells []cell
}

// cell is a value in a table.
type cell struct {
	Text   string
	Number bool
}

// The sizes of the page.
const (
	trackedShown = 50  // runs
	columnsShown = 5   // metrics, and params, unasked
	choiceShown  = 200 // names to choose columns from
)

func (p *Pages) experiment(r *http.Request, l Lang) (string, page, error) {
	e, err := p.Track.Experiment(r.Context(), r.PathValue("experiment"))
	if err != nil {
		return "", page{}, err
	}
	asked := r.URL.Query()
	body := experimentPage{Experiment: e, Filter: strings.TrimSpace(asked.Get("filter")), Order: asked.Get("order"), Note: e.Tags["mlflow.note.content"]}
	pg := page{Title: e.Name, Nav: "experiments"}
	held, err := p.Track.Activity(r.Context(), []string{e.ID})
	if err != nil {
		return "", pg, err
	}
	body.describe(l, held[e.ID])
	runs, next, err := p.searchTracked(r, e.ID, body)
	if bad := (*lastro.Error)(nil); errors.As(err, &bad) && bad.Code == lastro.EInvalid {
		body.Bad, err = &failure{What: bad.Msg, Hint: bad.Hint}, nil
	}
	if err != nil {
		return "", pg, err
	}
	if next != "" {
		body.Next = with(r.URL, "after", next)
	}
	if asked.Get("after") != "" {
		body.First = with(r.URL, "after", "")
	}
	if len(runs) > 0 && p.ExportRuns != nil {
		u := url.URL{Path: "/experiments/" + e.ID + "/runs.csv", RawQuery: url.Values{"filter": {body.Filter}, "order": {body.Order}}.Encode()}
		body.CSV = u.String()
	}
	body.fill(l, r.URL, runs)
	pg.Body = body
	return "experiment.html", pg, nil
}

func (b *experimentPage) describe(l Lang, held track.Activity) {
	b.Verdict = l.T("xp.holds", b.Experiment.Name, l.Count("count.tracked", int(held.Runs)))
	switch {
	case held.Runs == 0:
		b.Why = l.T("xp.none_why")
	case held.Running > 0:
		b.Why = l.T("xp.last_running", l.Time(held.Last), l.Int(held.Running))
	default:
		b.Why = l.T("xp.last", l.Time(held.Last))
	}
	if b.Experiment.State == track.Deleted {
		b.Why = l.T("xp.deleted") + " " + b.Why
	}
}

// searchTracked reads one page of runs.
func (p *Pages) searchTracked(r *http.Request, experiment string, b experimentPage) ([]track.Run, string, error) {
	q, err := p.trackedQuery(experiment, b.Filter, b.Order)
	if err != nil {
		return nil, "", err
	}
	q.Limit, q.Token = trackedShown, r.URL.Query().Get("after")
	return p.Track.Runs(r.Context(), q)
}

func (p *Pages) trackedQuery(experiment, filter, order string) (track.Query, error) {
	var orders []string
	if order != "" {
		orders = []string{order}
	}
	q, err := p.RunQuery(filter, orders)
	q.Experiments, q.State = []string{experiment}, track.Active
	return q, err
}

// fill makes the table: the columns that were chosen, or the useful ones.
func (b *experimentPage) fill(l Lang, u *url.URL, runs []track.Run) {
	columns := u.Query()["col"]
	if len(columns) == 0 {
		metrics, params := track.Columns(runs, columnsShown)
		for _, key := range metrics {
			columns = append(columns, "metrics."+key)
		}
		for _, key := range params {
			columns = append(columns, "params."+key)
		}
	}
	for _, c := range columns {
		kind, key, _ := strings.Cut(c, ".")
		b.Columns = append(b.Columns, b.head(u, kind, key))
	}
	for _, r := range runs {
		row := trackedRow{Run: r, Class: statusClass(r.Status), Link: trackedLink(r)}
		if !r.EndedAt.IsZero() {
			row.Took = l.Span(max(0, r.EndedAt.Sub(r.StartedAt)).Round(time.Millisecond))
		}
		for _, c := range b.Columns {
			row.Cells = append(row.Cells, cellOf(l, r, c.Kind, c.Name))
		}
		b.Rows = append(b.Rows, row)
	}
	b.choose(runs, columns)
}

// choose lists what may be a column: what the runs of this page have.
func (b *experimentPage) choose(runs []track.Run, chosen []string) {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] && len(names) < choiceShown {
			seen[name], names = true, append(names, name)
		}
	}
	for _, c := range chosen {
		add(c)
	}
	for _, r := range runs {
		for _, m := range r.Metrics {
			add("metrics." + m.Key)
		}
		for _, p := range r.Params {
			add("params." + p.Key)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.Choice = append(b.Choice, columnChoice{Value: name, Chosen: slices.Contains(chosen, name)})
	}
}

// head is a heading whose link sorts: metrics the greatest first, params the
// least first, the other way round when they are sorted so already.
func (b *experimentPage) head(u *url.URL, kind, key string) columnHead {
	h := columnHead{Name: key, Kind: kind}
	name := kind + "." + quotedKey(key)
	order := name + " DESC"
	if kind == "params" {
		order = name + " ASC"
	}
	switch b.Order {
	case name + " DESC":
		h.Sorted, order = "descending", name+" ASC"
	case name + " ASC":
		h.Sorted, order = "ascending", name+" DESC"
	}
	h.Sort = with(without(u, "after"), "order", order)
	return h
}

// without is an address with less in its query.
func without(u *url.URL, keys ...string) *url.URL {
	less, q := *u, u.Query()
	for _, key := range keys {
		q.Del(key)
	}
	less.RawQuery = q.Encode()
	return &less
}

// quotedKey writes a key as a filter reads it.
func quotedKey(key string) string {
	if strings.Contains(key, "`") {
		return `"` + key + `"`
	}
	return "`" + key + "`"
}

// cellOf is a metric or a param of a run.
func cellOf(l Lang, r track.Run, kind, key string) cell {
	if kind == "metrics" {
		if m, ok := r.Metric(key); ok {
			return cell{l.Measured(m.Value), true}
		}
		return cell{Number: true}
	}
	text, _ := r.Param(key)
	return cell{Text: shorten(text, 60)}
}

// exportRuns answers with the table of all runs that fit, as CSV.
func (p *Pages) exportRuns(w http.ResponseWriter, r *http.Request) {
	e, err := p.Track.Experiment(r.Context(), r.PathValue("experiment"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	q, err := p.trackedQuery(e.ID, r.URL.Query().Get("filter"), r.URL.Query().Get("order"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/csv; charset=utf-8")
	head.Set("Content-Disposition", attachment(e.Name+".csv"))
	p.sent(r, p.ExportRuns(r.Context(), q, w))
}
