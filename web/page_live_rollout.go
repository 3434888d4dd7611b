// SPDX-License-Identifier: Apache-2.0

package web

import (
	"html/template"

	"lastro/deploy"
)

// canary is the newest rollout, step by step.
type canary struct {
	Number   int
	Title    string
	State    deploy.State
	Steps    []canaryStep
	Split    template.HTML
	Advances string // when it goes on
	Release  *deploy.Release
}

type canaryStep struct{ State, Share, Note string }

func canaryOf(l Lang, view deploy.View) canary {
	r := view.Rollout
	if r == nil {
		return canary{}
	}
	c := canary{Number: r.Number, State: r.State, Title: l.T("live.rollout", r.Number), Release: view.Candidate}
	for i, share := range r.Strategy.Steps {
		if r.From == 0 {
			break // the first release has nobody to share with
		}
		c.Steps = append(c.Steps, stepOf(l, *r, i, share))
	}
	if r.State == deploy.Running && len(r.Strategy.Steps) > 0 {
		c.Title = l.T("live.step", r.Step+1, len(r.Strategy.Steps))
		c.Advances = l.T("live.when_requests", l.Int(leastRequests(r.Strategy)))
		if r.Strategy.Hold > 0 {
			c.Advances = l.T("live.when_hold", l.Span(r.Strategy.Hold), l.Int(leastRequests(r.Strategy)))
		}
	}
	if r.State.Open() && view.Champion != nil && view.Candidate != nil {
		c.Split = split(l, l.T("live.champion_at", view.Champion.Version), l.T("live.candidate_at", view.Candidate.Version), r.Share())
	}
	return c
}

func stepOf(l Lang, r deploy.Rollout, i int, share float64) canaryStep {
	s := canaryStep{State: "pending", Share: l.Percent(share, 0), Note: l.T("live.then")}
	if i == len(r.Strategy.Steps)-1 {
		s.Note = l.T("live.then_champion")
	}
	switch {
	case i < len(r.History):
		h := r.History[i]
		s.State = "passed"
		if !h.Held {
			s.State = "failed"
		}
		s.Note = l.Count("count.requests", int(h.Evidence.Candidate.Requests)) + ", " + l.Count("count.errors", int(h.Evidence.Candidate.Errors))
	case i == r.Step && r.State == deploy.Running:
		s.State, s.Note = "running", l.T("live.now")
	case !r.State.Open():
		s.State, s.Note = "skipped", l.T("live.not_reached")
	}
	return s
}

// sides puts candidate and champion beside each other.
type sides struct {
	Title     string
	Candidate string // "" = only the champion's figures
	Champion  string
	Rows      []sideRow
	Rules     []ruleState
}

type sideRow struct{ Name, Candidate, Champion string }

// ruleState is one rollback_if rule as it was last judged.
type ruleState struct {
	Rule, State, Word, Said string
}

// sidesOf shows the figures of the open step, else of the last one that
// ended, else what the champion has answered so far.
func sidesOf(l Lang, view deploy.View) sides {
	var s sides
	if view.Champion != nil {
		s.Champion = view.Champion.Name()
	}
	r := view.Rollout
	if r != nil && r.State.Open() && view.Candidate != nil && view.Champion != nil {
		s.Title, s.Candidate = l.T("live.sides"), view.Candidate.Name()
		var now deploy.Evidence
		if r.Now != nil {
			now = *r.Now
		}
		s.Rows = figures(l, now.Candidate, now.Champion)
		s.Rules = rulesOf(l, r.RollbackIf, now.Rules)
		return s
	}
	if r != nil && r.State == deploy.RolledBack && len(r.History) > 0 && view.Candidate != nil && view.Champion != nil {
		last := r.History[len(r.History)-1].Evidence
		s.Title, s.Candidate = l.T("live.sides_then"), view.Candidate.Name()
		s.Rows, s.Rules = figures(l, last.Candidate, last.Champion), rulesOf(l, r.RollbackIf, last.Rules)
		return s
	}
	s.Title = l.T("live.answered")
	if view.Status.Champion.Total.Requests > 0 {
		s.Rows = figures(l, deploy.Counts{}, view.Status.Champion.Total)
	}
	return s
}

func figures(l Lang, candidate, champion deploy.Counts) []sideRow {
	row := func(key string, f func(deploy.Counts) string) sideRow {
		return sideRow{l.T(key), f(candidate), f(champion)}
	}
	none := func(ok bool, text string) string {
		if !ok {
			return "–"
		}
		return text
	}
	latency := func(of func(deploy.Counts) float64) func(deploy.Counts) string {
		return func(c deploy.Counts) string { return none(c.Requests > 0, l.Num(of(c)*1000, 1)+" ms") }
	}
	return []sideRow{
		row("fig.requests", func(c deploy.Counts) string { return l.Int(c.Requests) }),
		row("fig.errors", func(c deploy.Counts) string {
			return none(c.Requests > 0, l.Percent(share(c.Errors, c.Requests), 2))
		}),
		row("fig.rescued", func(c deploy.Counts) string { return l.Int(c.Rescued) }),
		row("fig.p50", latency(func(c deploy.Counts) float64 { return c.P50 })),
		row("fig.p95", latency(func(c deploy.Counts) float64 { return c.P95 })),
		row("fig.p99", latency(func(c deploy.Counts) float64 { return c.P99 })),
		row("fig.mean", func(c deploy.Counts) string { return none(c.Scored > 0, l.Num(c.ScoreMean, 3)) }),
		row("fig.sd", func(c deploy.Counts) string { return none(c.Scored > 1, l.Num(c.ScoreSD, 3)) }),
		row("fig.favoured", func(c deploy.Counts) string {
			return none(c.Decided > 0, l.Percent(share(c.Favoured, c.Decided), 1))
		}),
	}
}

func share(part, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

// rulesOf lists every rule; one without an outcome was not judged yet.
func rulesOf(l Lang, rules []string, outcomes []deploy.RuleOutcome) []ruleState {
	var out []ruleState
	for _, rule := range rules {
		s := ruleState{Rule: rule, State: "pending", Word: l.T("rule.unjudged")}
		for _, o := range outcomes {
			switch {
			case o.Rule != rule:
			case o.Fires:
				s.State, s.Word = "failed", l.T("rule.fires")
			case o.Reason != "":
				s.State, s.Word, s.Said = "warn", l.T("rule.held"), o.Reason
			default:
				s.State, s.Word = "passed", l.T("rule.quiet")
			}
		}
		out = append(out, s)
	}
	return out
}
