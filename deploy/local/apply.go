// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"lastro"
	"lastro/deploy"
	"lastro/serve"
)

func (d *Driver) apply(ctx context.Context, t deploy.Target) (deploy.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	stats, err := d.alive(ctx)
	if err != nil {
		return deploy.Status{}, err
	}
	champion, candidate := d.prepare(t.Champion), d.prepare(t.Candidate)
	have, routed := stats.Endpoints[t.Environment]
	if !champion.done() || !candidate.done() {
		// What serves goes on; nothing is told before everything is at hand.
		return d.status(t, have, stats, champion, candidate), nil
	}
	if champion.failed() || candidate.failed() {
		return d.status(t, have, stats, champion, candidate), nil
	}
	want := d.routing(t, champion, candidate)
	if routed && sameBut(have.Routing, want) {
		if have.Routing.Generation >= want.Generation {
			// Told already, perhaps by an earlier life of the control plane's state.
			st := d.status(t, have, stats, champion, candidate)
			st.Generation = t.Generation
			return st, nil
		}
	} else if routed && have.Routing.Generation >= want.Generation {
		want.Generation = have.Routing.Generation + 1 // the data plane remembers more than the control plane
	}
	have, err = serve.Admin{Socket: d.Socket}.Route(ctx, want)
	if err != nil {
		return deploy.Status{}, err
	}
	st := d.status(t, have, stats, champion, candidate)
	st.Generation = t.Generation
	return st, nil
}

func (d *Driver) routing(t deploy.Target, champion, candidate *preparation) serve.Routing {
	r := serve.Routing{Endpoint: t.Environment, Generation: t.Generation, Model: t.Environment, Share: t.Share, Workers: d.Workers}
	for _, rel := range []*deploy.Release{t.Candidate, t.Champion} { // the champion's settings win
		if rel != nil {
			r.Model, r.JoinKey, r.EventTime, r.Favourable = rel.Model, rel.Settings.JoinKey, rel.Settings.EventTime, rel.Settings.Favourable
		}
	}
	r.Champion, r.Candidate = champion.revision(), candidate.revision()
	return r
}

// sameBut compares routings but for their generation.
func sameBut(a, b serve.Routing) bool {
	a.Generation, b.Generation = 0, 0
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// status translates what the data plane says into releases.
func (d *Driver) status(t deploy.Target, have serve.EndpointStats, stats serve.Stats, champion, candidate *preparation) deploy.Status {
	st := deploy.Status{Generation: -1, Address: "http://" + stats.Address, Pid: stats.Pid}
	st.Champion, st.Candidate = stateOf(t.Champion, champion, have), stateOf(t.Candidate, candidate, have)
	for _, rel := range []*deploy.Release{t.Champion, t.Candidate} {
		if rel != nil && have.Serving == rel.Name() {
			st.Serving = rel.Number
		}
	}
	return st
}

func stateOf(rel *deploy.Release, p *preparation, have serve.EndpointStats) deploy.RevisionState {
	if rel == nil {
		return deploy.RevisionState{}
	}
	s := deploy.RevisionState{Release: rel.Number, State: serve.Loading}
	if p.failed() {
		s.State, s.Reason, s.Code = serve.Failed, p.err.Error(), lastro.CodeOf(p.err)
		return s
	}
	for _, r := range have.Revisions {
		if r.Name != rel.Name() || r.Digest != rel.Digest {
			continue
		}
		s.State, s.Reason, s.Code = r.State, r.Reason, r.Code
		if n := len(r.Notes); n > 0 && !strings.HasSuffix(s.Reason, r.Notes[n-1]) { // the model's last words are the reason already
			s.Reason = fmt.Sprintf("%s (%s)", s.Reason, r.Notes[n-1])
		}
		s.Step, s.Rollout, s.Total = countsOf(r.Step), countsOf(r.Rollout), countsOf(r.Total)
	}
	return s
}

func countsOf(c serve.Counts) deploy.Counts {
	return deploy.Counts{Requests: c.Requests, Errors: c.Errors, Rescued: c.Rescued, P50: c.P50, P95: c.P95, P99: c.P99,
		Scored: c.Scored, ScoreMean: c.ScoreMean, ScoreSD: c.ScoreSD, Decided: c.Decided, Favoured: c.Favoured}
}
