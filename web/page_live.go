// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"

	"lastro"
	"lastro/deploy"
	"lastro/monitor"
)

// livePage is one environment: what serves, how a rollout goes, whether the
// model is still good.
type livePage struct {
	Env       string
	Others    []string // further environments, to switch to
	State     string   // css class of the verdict
	Verdict   string
	Why       []phrase
	Next      []string // commands
	Champion  *deploy.Release
	Candidate *deploy.Release
	Status    deploy.Status
	Newest    string // newest event time measured, "" when none
	Canary    canary
	Sides     sides
	Endpoint  endpoint
	Watch     watch
	Loop      []loopItem
}

// phrase is a sentence in the page's language, with words from the record
// (always English) after it.
type phrase struct{ Text, Said string }

// endpoint is how programs reach the model.
type endpoint struct{ Address, Model string }

// livesPage lists environments when there is not exactly one.
type livesPage struct{ Rows []liveRow }

type liveRow struct {
	Env, State, Verdict, Since string
}

// live shows the only environment at once, else the list of them.
func (p *Pages) live(r *http.Request, l Lang) (string, page, error) {
	names, err := p.Deploys.Store.Environments(r.Context())
	if err != nil {
		return "", page{}, err
	}
	if len(names) == 1 {
		return p.environmentPage(r.Context(), l, names[0], nil)
	}
	var body livesPage
	for _, name := range names {
		view, alerts, err := p.lookAt(r.Context(), name)
		if err != nil {
			return "", page{}, err
		}
		v := judge(l, view, alerts, p.now())
		row := liveRow{Env: name, State: v.state, Verdict: v.head}
		if view.Champion != nil {
			row.Since = l.Time(view.Champion.At)
		}
		body.Rows = append(body.Rows, row)
	}
	return "lives.html", page{Title: l.T("nav.live"), Nav: "live", Body: body}, nil
}

func (p *Pages) environment(r *http.Request, l Lang) (string, page, error) {
	names, err := p.Deploys.Store.Environments(r.Context())
	if err != nil {
		return "", page{}, err
	}
	return p.environmentPage(r.Context(), l, r.PathValue("env"), names)
}

// lookAt reads what decides about the verdict of an environment. Candidate is
// the release of the newest rollout, also when that has ended.
func (p *Pages) lookAt(ctx context.Context, env string) (deploy.View, []monitor.Alert, error) {
	view, err := p.Deploys.Current(ctx, env)
	if err != nil {
		return view, nil, err
	}
	if r := view.Rollout; r != nil && view.Candidate == nil { // it is over, and still worth a look
		rel, err := p.Deploys.Store.Release(ctx, env, r.Release)
		if err != nil {
			return view, nil, err
		}
		view.Candidate = &rel
	}
	alerts, err := p.Monitors.Alerts(ctx, monitor.AlertFilter{Environment: env, Limit: 20})
	return view, alerts, err
}

func (p *Pages) environmentPage(ctx context.Context, l Lang, env string, names []string) (string, page, error) {
	view, alerts, err := p.lookAt(ctx, env)
	if err != nil {
		return "", page{}, err
	}
	v := judge(l, view, alerts, p.now())
	body := livePage{Env: env, State: v.state, Verdict: v.head, Why: v.why, Next: v.next, Champion: view.Champion, Candidate: view.Candidate, Status: view.Status}
	for _, n := range names {
		if n != env {
			body.Others = append(body.Others, n)
		}
	}
	body.Canary, body.Sides = canaryOf(l, view), sidesOf(l, view)
	if view.Champion != nil && view.Candidate != nil && view.Champion.Number == view.Candidate.Number {
		body.Candidate = nil
	}
	if view.Champion != nil {
		body.Endpoint = endpoint{view.Status.Address, view.Champion.Model}
	}
	if body.Watch, err = p.watchOf(ctx, l, env, alerts); err != nil {
		return "", page{}, err
	}
	body.Newest = body.Watch.newest
	if body.Loop, err = p.loopOf(ctx, l, env, alerts); err != nil {
		return "", page{}, err
	}
	pg := page{Title: l.T("live.title", env), Nav: "live", Body: body}
	if view.Rollout != nil && view.Rollout.State.Open() {
		pg.Refresh = 2
	}
	return "live.html", pg, nil
}

// watchSpec is what lastro.yaml asks to be watched in an environment.
func (p *Pages) watchSpec(env string) (monitor.Spec, bool) {
	if p.Watched == nil {
		return monitor.Spec{}, false
	}
	specs := p.Watched()
	i := slices.IndexFunc(specs, func(s monitor.Spec) bool { return s.Environment == env })
	if i < 0 {
		return monitor.Spec{}, false
	}
	return specs[i], true
}

// nameOf writes a reference such as model:flight-delay@3 without its kind.
func nameOf(r lastro.Ref) string {
	_, name, version := r.Parts()
	if version == "" {
		return name
	}
	return fmt.Sprintf("%s@%s", name, version)
}

// split draws how requests are shared; share is the candidate's.
func split(l Lang, champion, candidate string, share float64) template.HTML {
	s := newSVG(320, 34)
	at := 320 * (1 - share)
	if share > 0 {
		s.addf(`<rect class="f2" x="%.1f" y="0" width="%.1f" height="10" rx="2"/>`, at+1, max(2, 319-at))
	}
	if share < 1 {
		s.addf(`<rect class="f1" x="0" y="0" width="%.1f" height="10" rx="2"/>`, max(2, at-1))
	}
	s.text(0, 27, "p1", champion+", "+l.Percent(1-share, 0))
	s.text(320, 27, "p2 e", candidate+", "+l.Percent(share, 0))
	return s.figure("split", l.T("live.split"), champion+" "+l.Percent(1-share, 0)+"; "+candidate+" "+l.Percent(share, 0))
}
