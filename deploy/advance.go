// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"lastro"
)

// ActionKind says what an action does.
type ActionKind string

// The actions. Each may be done twice without harm.
const (
	Challenge   ActionKind = "challenge"   // point the challenger alias at the candidate
	Unchallenge ActionKind = "unchallenge" // remove it
	Promote     ActionKind = "promote"     // point the followed alias at the candidate
	PutBack     ActionKind = "put_back"    // point the followed alias at the release before
)

// Action is what the service must have done before the rollout's new state is
// written down.
type Action struct{ Kind ActionKind }

// Least requests of a step when the strategy names none: with a hold the time
// is what counts, without one the requests are.
const (
	leastWithHold    = 20
	leastWithoutHold = 100
)

// requests is how many the candidate must answer in a step. Rules are not
// judged on fewer: a spread of two scores says nothing.
func (s Strategy) requests() int64 {
	switch {
	case s.MinRequests > 0:
		return int64(s.MinRequests)
	case s.Hold > 0:
		return leastWithHold
	}
	return leastWithoutHold
}

// Advance is the rollout's state machine: from what the data plane does now to
// the next state, with the actions that go with it. It changes nothing itself
// and is called again with the same rollout when an action failed.
//
// A rule that fires, or a candidate that cannot answer, rolls back. A rule that
// reads a missing fact holds the canary where it is.
func Advance(r Rollout, s Status, eval Evaluator, now time.Time) (Rollout, []Action) {
	switch r.State {
	case Starting:
		return start(r, s, now)
	case Running:
		return watch(r, s, eval, now)
	case Promoting:
		if s.Generation == r.Generation && s.Serving == r.Release {
			r.State, r.EndedAt, r.Reason = Succeeded, now, ""
			return r, nil
		}
		if s.Champion.Release == r.Release && s.Champion.State == failed {
			return abort(r, why(s.Champion), now), []Action{{PutBack}}
		}
	case RollingBack:
		if s.Generation == r.Generation {
			r.State, r.EndedAt = RolledBack, now
			return r, nil
		}
	}
	return r, nil
}

// States of a revision in the data plane.
const (
	ready  = "ready"
	failed = "failed"
)

// start waits until the release is loaded. The first one has nobody to compare
// with, and an all-at-once release no steps: both are promoted at once.
func start(r Rollout, s Status, now time.Time) (Rollout, []Action) {
	side := s.Candidate
	if r.From == 0 {
		side = s.Champion
	}
	switch {
	case side.Release != r.Release || side.State == "":
		r.Reason = "waiting for the data plane"
	case side.State == failed:
		return abort(r, why(side), now), []Action{{Unchallenge}}
	case side.State != ready:
		r.Reason = "the model is loading"
	case r.From == 0 || len(r.Strategy.Steps) == 0:
		return promote(r, now)
	default:
		r.State, r.Step, r.StepAt, r.Reason = Running, 0, now, ""
		r.Generation++
		return r, []Action{{Challenge}}
	}
	return r, nil
}

func promote(r Rollout, now time.Time) (Rollout, []Action) {
	r.State, r.StepAt, r.Reason = Promoting, now, ""
	r.Generation++
	return r, []Action{{Promote}, {Unchallenge}}
}

func abort(r Rollout, reason string, now time.Time) Rollout {
	r.State, r.StepAt, r.Reason = RollingBack, now, reason
	r.Generation++
	return r
}

func why(s RevisionState) string {
	if s.Code == lastro.ETampered {
		return "refused: " + s.Reason
	}
	return s.Reason
}

// watch judges one step of a canary.
func watch(r Rollout, s Status, eval Evaluator, now time.Time) (Rollout, []Action) {
	if s.Candidate.Release == r.Release && s.Candidate.State == failed {
		return abort(r, why(s.Candidate), now), []Action{{Unchallenge}}
	}
	if s.Generation != r.Generation || s.Candidate.Release != r.Release {
		r.Reason = "waiting for the data plane"
		return r, nil
	}
	if s.Candidate.State != ready {
		r.Reason = "the model is loading" // the data plane was started anew
		return r, nil
	}
	ev := Evidence{Candidate: s.Candidate.Step, Champion: Baseline(s.Champion)}
	enough := ev.Candidate.Requests >= r.Strategy.requests()
	var fired, held string
	if enough {
		ev.Rules, fired, held = judge(r.RollbackIf, Facts(ev.Candidate, ev.Champion), eval)
	} else {
		ev.Rules, fired = doomed(r, ev.Candidate, eval)
	}
	r.Now = &ev
	left := r.Strategy.Hold - now.Sub(r.StepAt)
	switch {
	case fired != "":
		r = record(r, ev, false, now)
		return abort(r, fired, now), []Action{{Unchallenge}}
	case !enough:
		r.Reason = fmt.Sprintf("%d of %d requests", ev.Candidate.Requests, r.Strategy.requests())
	case held != "":
		r.Reason = held
	case left > 0:
		r.Reason = fmt.Sprintf("holds for %s more", left.Round(time.Second))
	default:
		return next(record(r, ev, true, now), now)
	}
	return r, nil
}

func record(r Rollout, ev Evidence, held bool, now time.Time) Rollout {
	r.History = append(append([]StepRecord(nil), r.History...),
		StepRecord{Share: r.Share(), StartedAt: r.StepAt, EndedAt: now, Evidence: ev, Held: held})
	return r
}

func next(r Rollout, now time.Time) (Rollout, []Action) {
	if r.Step+1 >= len(r.Strategy.Steps) {
		return promote(r, now)
	}
	r.Step, r.StepAt, r.Reason = r.Step+1, now, ""
	r.Generation++
	return r, nil
}

// judge evaluates every rule; fired names the ones that fire, held the reason
// why one could not be evaluated.
func judge(rules []string, facts map[string]any, eval Evaluator) (out []RuleOutcome, fired, held string) {
	var firing []string
	for _, rule := range rules {
		o := RuleOutcome{Rule: rule}
		fires, err := eval(rule, facts)
		switch {
		case err != nil:
			o.Reason = err.Error()
			held = fmt.Sprintf("held: %s (%s)", rule, message(err))
		case fires:
			o.Fires = true
			firing = append(firing, rule)
		}
		out = append(out, o)
	}
	if len(firing) > 0 {
		fired = strings.Join(firing, ", ")
	}
	return out, fired, held
}

// doomed asks whether the rules will fire whatever comes: it gives them only
// the errors, as if every request still missing from the step's least number
// succeeded. So a candidate that fails outright is not fed the whole step, and
// one unlucky request rolls nothing back.
func doomed(r Rollout, c Counts, eval Evaluator) ([]RuleOutcome, string) {
	if c.Errors == 0 {
		return nil, ""
	}
	facts := map[string]any{"errors.rate": float64(c.Errors) / float64(r.Strategy.requests())}
	outcomes, fired, _ := judge(r.RollbackIf, facts, eval)
	if fired == "" {
		return nil, ""
	}
	return outcomes, fmt.Sprintf("%s (%d of %d requests failed)", fired, c.Errors, c.Requests)
}

func message(err error) string {
	var e *lastro.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return err.Error()
}
