// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"lastro/pipeline"
)

// runsPage is the list of runs.
type runsPage struct{ Runs []pipeline.Run }

func (p *Pages) runs(r *http.Request, l Lang) (string, page, error) {
	runs, err := p.Runs.Runs(r.Context(), pipeline.RunFilter{Limit: 100})
	pg := page{Title: l.T("runs.title"), Nav: "runs", Body: runsPage{runs}}
	if len(runs) > 0 && !runs[0].State.Ended() {
		pg.Refresh = 3
	}
	return "runs.html", pg, err
}
