// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"

	"lastro/deploy"
	"lastro/registry"
)

// place is where a version is in an environment.
type place struct {
	env       string
	champion  bool
	candidate bool
	share     float64
	rollout   *deploy.Rollout // the newest of this version
}

// placesOf says in which environments a version is or was.
func (p *Pages) placesOf(ctx context.Context, v registry.Version) ([]place, error) {
	names, err := p.Deploys.Store.Environments(ctx)
	if err != nil {
		return nil, err
	}
	var out []place
	for _, env := range names {
		view, err := p.Deploys.Current(ctx, env)
		if err != nil {
			return nil, err
		}
		pl := place{env: env}
		open := view.Rollout != nil && view.Rollout.State.Open()
		if isVersion(view.Champion, v) {
			pl.champion, pl.share = true, 1
			if open {
				pl.share = 1 - view.Rollout.Share()
			}
		} else if open && isVersion(view.Candidate, v) {
			pl.candidate, pl.share = true, view.Rollout.Share()
		}
		if pl.rollout, err = p.newestRollout(ctx, env, v); err != nil {
			return nil, err
		}
		if pl.champion || pl.candidate || pl.rollout != nil {
			out = append(out, pl)
		}
	}
	return out, nil
}

func isVersion(r *deploy.Release, v registry.Version) bool {
	return r != nil && r.Model == v.Model && r.Version == v.Number
}

func (p *Pages) newestRollout(ctx context.Context, env string, v registry.Version) (*deploy.Rollout, error) {
	rollouts, err := p.Deploys.Store.Rollouts(ctx, env, 50)
	if err != nil {
		return nil, err
	}
	for i := range rollouts {
		rel, err := p.Deploys.Store.Release(ctx, env, rollouts[i].Release)
		if err != nil {
			return nil, err
		}
		if isVersion(&rel, v) {
			return &rollouts[i], nil
		}
	}
	return nil, nil
}

// rolloutsOf tells how the version went out, by environment.
func rolloutsOf(l Lang, places []place) []loopItem {
	var out []loopItem
	for _, pl := range places {
		r := pl.rollout
		if r == nil {
			continue
		}
		state := string(r.State)
		item := loopItem{Class: stateClass(state), Symbol: stateSymbol(state), Title: pl.env, Link: "/live/" + pl.env, Text: l.T("rollout." + state), When: l.Time(r.At)}
		if !r.State.Open() {
			item.Said = r.Reason
		}
		if n := len(r.History); n > 0 {
			var requests, errors int
			for _, s := range r.History {
				requests, errors = requests+int(s.Evidence.Candidate.Requests), errors+int(s.Evidence.Candidate.Errors)
			}
			item.Text += ": " + l.Count("count.steps", n) + ", " + l.Count("count.requests", requests) + ", " + l.Count("count.errors", errors)
		}
		out = append(out, item)
	}
	return out
}
