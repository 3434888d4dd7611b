// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"lastro/pipeline"
)

// runsPage is the list of runs.
type runsPage struct {
	Runs    []pipeline.Run
	Verdict string // about the newest
	Why     []phrase
}

func (p *Pages) runs(r *http.Request, l Lang) (string, page, error) {
	runs, err := p.Runs.Runs(r.Context(), pipeline.RunFilter{Limit: 100})
	body := runsPage{Runs: runs}
	pg := page{Title: l.T("runs.title"), Nav: "runs"}
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
