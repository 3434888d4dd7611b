// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"time"

	"lastro/deploy"
	"lastro/monitor"
)

// verdict is the first thing that the page of an environment says.
type verdict struct {
	state string // css class
	head  string
	why   []phrase
	next  []string
}

// judge says how an environment is doing, in one sentence with its reason.
func judge(l Lang, view deploy.View, alerts []monitor.Alert, now time.Time) verdict {
	if r := view.Rollout; r != nil && r.State.Open() && view.Candidate != nil {
		return judgeOpen(l, view, *r, view.Candidate.Name(), now)
	}
	return judgeSettled(l, view, alerts)
}

func judgeOpen(l Lang, view deploy.View, r deploy.Rollout, candidate string, now time.Time) verdict {
	rest := phrase{Text: l.T("live.nobody")}
	back := []string{fmt.Sprintf(`lastro rollback %s --reason "..."`, view.Environment)}
	if view.Champion != nil {
		rest = phrase{Text: l.T("live.rest", view.Champion.Name())}
	}
	switch r.State {
	case deploy.Starting:
		return verdict{"running", l.T("live.starting", candidate, view.Environment), []phrase{rest}, nil}
	case deploy.Promoting:
		return verdict{"running", l.T("live.promoting", candidate, view.Environment), nil, nil}
	case deploy.RollingBack:
		return verdict{"failed", l.T("live.rolling_back", candidate, view.Environment), []phrase{{Said: r.Reason}}, nil}
	}
	share, needed := l.Percent(r.Share(), 0), leastRequests(r.Strategy)
	var seen deploy.Counts
	if r.Now != nil {
		seen = r.Now.Candidate
	}
	if seen.Requests < needed {
		return verdict{"running", l.T("live.collecting", candidate, share, l.Int(seen.Requests), l.Int(needed)),
			[]phrase{{Text: l.T("live.collecting_why")}, rest}, back}
	}
	for _, rule := range r.Now.Rules {
		if rule.Reason != "" {
			return verdict{"warn", l.T("live.held", candidate, share), []phrase{{l.T("live.held_why", rule.Rule), rule.Reason}, rest}, back}
		}
	}
	why := l.T("live.safe_why", l.Int(seen.Requests), l.Int(needed), l.Count("count.errors", int(seen.Errors)))
	if left := r.Strategy.Hold - now.Sub(r.StepAt); r.Strategy.Hold > 0 && left > time.Second {
		why += " " + l.T("live.holds_for", l.Span(left.Round(time.Second)))
	}
	return verdict{"passed", l.T("live.safe", candidate, share), []phrase{{Text: why}}, back}
}

func judgeSettled(l Lang, view deploy.View, alerts []monitor.Alert) verdict {
	r := view.Rollout
	if view.Champion == nil {
		v := verdict{state: "failed", head: l.T("live.nothing", view.Environment)}
		if r != nil {
			v.why = []phrase{{Said: r.Reason}}
		}
		return v
	}
	name := view.Champion.Name()
	var back []string
	if view.Champion.Number > 1 {
		back = []string{fmt.Sprintf(`lastro rollback %s --reason "..."`, view.Environment)}
	}
	since := phrase{Text: l.T("live.since", l.Time(view.Champion.At), view.Champion.Number)}
	for _, a := range alerts {
		if a.State == monitor.Firing {
			return verdict{"failed", l.T("live.firing", name, view.Environment, alertWord(l, a)), []phrase{alertPhrase(l, a), since}, back}
		}
	}
	if r != nil && r.State == deploy.RolledBack && view.Candidate != nil {
		return verdict{"warn", l.T("live.rolled_back", name, view.Environment, view.Candidate.Name()), []phrase{{Said: r.Reason}, since}, nil}
	}
	for _, a := range alerts {
		if a.State == monitor.Pending {
			return verdict{"warn", l.T("live.pending", name, view.Environment, alertWord(l, a)), []phrase{alertPhrase(l, a), since}, back}
		}
	}
	return verdict{"passed", l.T("live.serves", name, view.Environment), []phrase{since}, back}
}

func alertWord(l Lang, a monitor.Alert) string { return l.T("kind." + string(a.Kind)) }

func alertPhrase(l Lang, a monitor.Alert) phrase {
	if short := alertTitle(l, a); short != "" {
		return phrase{Text: short + "."}
	}
	return phrase{Said: a.Title}
}

// leastRequests is how many requests a step needs, as deploy.Strategy says.
func leastRequests(s deploy.Strategy) int64 {
	switch {
	case s.MinRequests > 0:
		return int64(s.MinRequests)
	case s.Hold > 0:
		return 20
	}
	return 100
}
