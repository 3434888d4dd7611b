// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"slices"
	"strconv"

	"lastro/pipeline"
)

// runsPage is the list of runs.
type runsPage struct {
	Runs    []pipeline.Run
	Causes  map[int64]string // what started a run, unless a person did
	Verdict string           // about the newest
	Why     []phrase
	Earlier string // link to the runs before these; "" = there are none
	Newest  string // link back; "" = these are the newest
}

// causes are the kinds of events that a list of runs names.
var causes = []string{"alert", "api", "data", "pull_request", "push", "schedule", "tag"}

// runsShown is how many runs one page lists.
const runsShown = 100

func (p *Pages) runs(r *http.Request, l Lang) (string, page, error) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	runs, err := p.Runs.Runs(r.Context(), pipeline.RunFilter{Before: max(before, 0), Limit: runsShown + 1})
	var body runsPage
	if len(runs) > runsShown {
		runs = runs[:runsShown]
		body.Earlier = with(r.URL, "before", strconv.FormatInt(runs[runsShown-1].Number, 10))
	}
	if before > 0 {
		body.Newest = "/runs"
	}
	body.Runs, body.Causes = runs, map[int64]string{}
	for _, run := range runs {
		kind, _ := run.Event["kind"].(string)
		if slices.Contains(causes, kind) {
			body.Causes[run.Number] = l.T("cause." + kind)
		}
	}
	pg := page{Title: l.T("runs.title"), Nav: "runs", Scripts: []string{linkScript}}
	if len(runs) > 0 {
		newest := runs[0]
		body.Verdict = runVerdict(l, newest, nil)
		body.Why = []phrase{{Text: l.T("runs.why", l.Count("count.runs", len(runs)))}, {Said: newest.Reason}}
		if !newest.State.Ended() {
			pg.Refresh = 3
		}
	}
	pg.Body = body
	return "runs.html", pg, err
}
