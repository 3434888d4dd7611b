// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lastro/monitor"
)

// unless returns text when there is no better one.
func unless(better, text string) string {
	if better != "" {
		return ""
	}
	return text
}

// loopItem is something that happened, in order.
type loopItem struct {
	at                   time.Time
	Class, Symbol, Title string
	Text, Said, Link     string
	When                 string
}

// loopOf tells rollouts, alerts and retrains, newest first.
func (p *Pages) loopOf(ctx context.Context, l Lang, env string, alerts []monitor.Alert) ([]loopItem, error) {
	rollouts, err := p.Deploys.Store.Rollouts(ctx, env, 10)
	if err != nil {
		return nil, err
	}
	var out []loopItem
	for _, r := range rollouts {
		rel, err := p.Deploys.Store.Release(ctx, env, r.Release)
		if err != nil {
			return nil, err
		}
		at := r.At
		if !r.EndedAt.IsZero() {
			at = r.EndedAt
		}
		item := loopItem{at: at, Class: stateClass(string(r.State)), Symbol: stateSymbol(string(r.State)), Title: rel.Name(), Text: l.T("rollout." + string(r.State)),
			Link: fmt.Sprintf("/models/%s/%d", rel.Model, rel.Version)}
		if rel.EqualTo != 0 {
			item.Text += " (" + l.T("rollout.equal_to", rel.EqualTo) + ")"
		}
		if item.Said = rel.Why; !r.State.Open() && r.Reason != "" {
			item.Said = r.Reason
		}
		out = append(out, item)
	}
	for _, a := range alerts {
		row := alertOf(l, a)
		out = append(out, loopItem{at: a.OpenedAt, Class: row.Class, Symbol: row.Symbol, Title: l.T("loop.alert", row.Kind), Text: row.Short, Said: unless(row.Short, a.Title)})
	}
	retrains, err := p.Monitors.Retrains(ctx, env, 10)
	if err != nil {
		return nil, err
	}
	for _, r := range retrains {
		item := loopItem{at: r.At, Class: "running", Symbol: "↻", Title: l.T("loop.retrain"), Text: l.Count("count.labels", r.NewLabels), Said: r.Reason}
		if _, number, _ := r.Run.Parts(); number != "" {
			item.Title, item.Link = l.T("loop.retrain_run", number), "/runs/"+number
		}
		out = append(out, item)
	}
	slices.SortStableFunc(out, func(a, b loopItem) int { return b.at.Compare(a.at) })
	for i := range out {
		out[i].When = l.Time(out[i].at)
	}
	return out[:min(len(out), 14)], nil
}
