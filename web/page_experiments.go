// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"

	"lastro/track"
)

// experimentsPage lists experiments.
type experimentsPage struct {
	Find        string // part of a name that was asked for
	Rows        []experimentRow
	Verdict     string
	Next, First string // links to the next page and back to the first; "" = there is none
}

type experimentRow struct {
	track.Experiment
	Held track.Activity
}

// experimentsShown is how many experiments one page lists.
const experimentsShown = 100

func (p *Pages) experiments(r *http.Request, l Lang) (string, page, error) {
	body := experimentsPage{Find: r.URL.Query().Get("find")}
	q := track.Query{State: track.Active, Limit: experimentsShown, Token: r.URL.Query().Get("after")}
	if body.Find != "" {
		q.Where = []track.Clause{{Field: track.Attribute, Key: "name", Op: track.ILike, Text: "%" + body.Find + "%"}}
	}
	list, next, err := p.Track.Experiments(r.Context(), q)
	if err != nil {
		return "", page{}, err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	held, err := p.Track.Activity(r.Context(), ids)
	if err != nil {
		return "", page{}, err
	}
	runs := int64(0)
	for _, e := range list {
		body.Rows = append(body.Rows, experimentRow{e, held[e.ID]})
		runs += held[e.ID].Runs
	}
	body.Verdict = l.Count("count.experiments", len(list))
	switch {
	case next != "" || q.Token != "":
		body.Verdict = l.T("xp.many")
	case runs > 0:
		body.Verdict = l.T("xp.verdict", body.Verdict, l.Count("count.tracked", int(runs)))
	}
	if next != "" {
		body.Next = with(r.URL, "after", next)
	}
	if q.Token != "" {
		body.First = with(r.URL, "after", "")
	}
	return "experiments.html", page{Title: l.T("xp.title"), Nav: "experiments", Body: body}, nil
}

// trackedLink is the address of a tracked run: the one that MLflow's clients
// print, behind its #.
func trackedLink(r track.Run) string {
	return "/experiments/" + url.PathEscape(r.ExperimentID) + "/runs/" + r.ID
}

// statusClass maps the status of a tracked run to the words that classes know.
func statusClass(s track.Status) string {
	switch s {
	case track.Finished:
		return "succeeded"
	case track.Failed:
		return "failed"
	case track.Killed:
		return "cancelled"
	case track.Running:
		return "running"
	}
	return "pending"
}
