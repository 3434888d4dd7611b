// SPDX-License-Identifier: Apache-2.0

package deploy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/deploy"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// eval knows the three rules of the flights example; gate has the language.
func eval(rule string, facts map[string]any) (bool, error) {
	number := func(name string) (float64, error) {
		v, ok := facts[name].(float64)
		if !ok {
			return 0, &lastro.Error{Code: lastro.ENotFound, Msg: "fact " + name + " is missing"}
		}
		return v, nil
	}
	switch rule {
	case "errors.rate > 2%":
		v, err := number("errors.rate")
		return v > 0.02, err
	case "score.sd < 0.02":
		v, err := number("score.sd")
		return v < 0.02, err
	case "shift(score.mean) > 60%":
		a, err := number("score.mean")
		if err != nil {
			return false, err
		}
		b, err := number("champion.score.mean")
		return math.Abs(a-b)/math.Abs(b) > 0.6, err
	}
	return false, fmt.Errorf("unknown rule %q", rule)
}

var flightRules = []string{"errors.rate > 2%", "shift(score.mean) > 60%", "score.sd < 0.02"}

func canary(change func(*deploy.Rollout)) deploy.Rollout {
	r := deploy.Rollout{Environment: "local", Number: 2, Release: 2, From: 1, State: deploy.Running, Generation: 5, StepAt: noon, Alias: "champion",
		Strategy: deploy.Strategy{Kind: "canary", Steps: []float64{0.1, 0.5, 1}, MinRequests: 200}, RollbackIf: flightRules}
	if change != nil {
		change(&r)
	}
	return r
}

func healthy(n int64) deploy.Counts {
	return deploy.Counts{Requests: n, Scored: n, ScoreMean: 0.2, ScoreSD: 0.1, P95: 0.01}
}

func status(generation int64, candidate deploy.Counts) deploy.Status {
	return deploy.Status{Generation: generation, Serving: 1,
		Champion:  deploy.RevisionState{Release: 1, State: "ready", Rollout: healthy(1000), Total: healthy(5000)},
		Candidate: deploy.RevisionState{Release: 2, State: "ready", Step: candidate}}
}

func TestAdvance(t *testing.T) {
	counts := func(change func(*deploy.Counts)) deploy.Counts {
		c := healthy(200)
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		rollout deploy.Rollout
		status  deploy.Status
		after   time.Duration
		state   deploy.State
		share   float64
		reason  string
		actions string
	}{
		"loading": {canary(func(r *deploy.Rollout) { r.State = deploy.Starting }),
			deploy.Status{Generation: 5, Candidate: deploy.RevisionState{Release: 2, State: "loading"}}, 0, deploy.Starting, 0, "loading", ""},
		"loaded": {canary(func(r *deploy.Rollout) { r.State = deploy.Starting }),
			status(5, deploy.Counts{}), 0, deploy.Running, 0.1, "", "challenge"},
		"does not load": {canary(func(r *deploy.Rollout) { r.State = deploy.Starting }),
			deploy.Status{Generation: 5, Candidate: deploy.RevisionState{Release: 2, State: "failed", Reason: "no such file"}}, 0, deploy.RollingBack, 0, "no such file", "unchallenge"},
		"bytes do not verify": {canary(func(r *deploy.Rollout) { r.State = deploy.Starting }),
			deploy.Status{Generation: 5, Candidate: deploy.RevisionState{Release: 2, State: "failed", Reason: "a.pkl is changed", Code: lastro.ETampered}}, 0, deploy.RollingBack, 0, "refused: a.pkl", "unchallenge"},
		"the first goes all-at-once": {canary(func(r *deploy.Rollout) { r.State, r.From = deploy.Starting, 0 }),
			deploy.Status{Generation: 5, Champion: deploy.RevisionState{Release: 2, State: "ready"}}, 0, deploy.Promoting, 0, "", "promote unchallenge"},
		"all-at-once": {canary(func(r *deploy.Rollout) { r.State, r.Strategy = deploy.Starting, deploy.Strategy{} }),
			status(5, deploy.Counts{}), 0, deploy.Promoting, 0, "", "promote unchallenge"},
		"too few requests":        {canary(nil), status(5, healthy(37)), time.Hour, deploy.Running, 0.1, "37 of 200 requests", ""},
		"figures of another step": {canary(nil), status(4, healthy(500)), time.Hour, deploy.Running, 0.1, "waiting for the data plane", ""},
		"enough":                  {canary(nil), status(5, healthy(200)), 0, deploy.Running, 0.5, "", ""},
		"the last step held":      {canary(func(r *deploy.Rollout) { r.Step = 2 }), status(5, healthy(200)), 0, deploy.Promoting, 0, "", "promote unchallenge"},
		"holds": {canary(func(r *deploy.Rollout) { r.Strategy.Hold = time.Minute }), status(5, healthy(200)), 40 * time.Second,
			deploy.Running, 0.1, "holds for 20s more", ""},
		"held": {canary(func(r *deploy.Rollout) { r.Strategy.Hold = time.Minute }), status(5, healthy(200)), 61 * time.Second, deploy.Running, 0.5, "", ""},
		"a constant score": {canary(nil), status(5, counts(func(c *deploy.Counts) { c.ScoreSD = 0 })), 0,
			deploy.RollingBack, 0, "score.sd < 0.02", "unchallenge"},
		"the mean moved": {canary(nil), status(5, counts(func(c *deploy.Counts) { c.ScoreMean = 0.33 })), 0,
			deploy.RollingBack, 0, "shift(score.mean) > 60%", "unchallenge"},
		"a missing fact holds": {canary(nil), status(5, counts(func(c *deploy.Counts) { c.Scored = 0 })), time.Hour,
			deploy.Running, 0.1, "held: score.sd < 0.02 (fact score.sd is missing)", ""},
		"a rule that fires beats a missing fact": {canary(nil), status(5, counts(func(c *deploy.Counts) { c.Scored, c.Errors = 0, 200 })), 0,
			deploy.RollingBack, 0, "errors.rate > 2%", "unchallenge"},
		// 5 of 200 is 2.5% even when the other 195 succeed; 4 of 200 is 2%.
		"doomed early": {canary(nil), status(5, deploy.Counts{Requests: 5, Errors: 5}), 0,
			deploy.RollingBack, 0, "errors.rate > 2% (5 of 5 requests failed)", "unchallenge"},
		"not doomed yet": {canary(nil), status(5, deploy.Counts{Requests: 4, Errors: 4}), 0, deploy.Running, 0.1, "4 of 200 requests", ""},
		"a quiet champion is compared since it was loaded": {canary(nil), func() deploy.Status {
			s := status(5, healthy(200))
			s.Champion.Rollout = deploy.Counts{Requests: 3, Scored: 3, ScoreMean: 9}
			return s
		}(), 0, deploy.Running, 0.5, "", ""},
		"promoted": {canary(func(r *deploy.Rollout) { r.State = deploy.Promoting }), deploy.Status{Generation: 5, Serving: 2}, 0, deploy.Succeeded, 0, "", ""},
		"promoted, not serving": {canary(func(r *deploy.Rollout) { r.State = deploy.Promoting }),
			deploy.Status{Generation: 5, Serving: 1, Champion: deploy.RevisionState{Release: 2, State: "failed", Reason: "gone"}}, 0, deploy.RollingBack, 0, "gone", "put_back"},
		"rolled back": {canary(func(r *deploy.Rollout) { r.State, r.Reason = deploy.RollingBack, "sick" }), deploy.Status{Generation: 5, Serving: 1}, 0, deploy.RolledBack, 0, "sick", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprint(tc.rollout)
			got, actions := deploy.Advance(tc.rollout, tc.status, eval, noon.Add(tc.after))
			var kinds []string
			for _, a := range actions {
				kinds = append(kinds, string(a.Kind))
			}
			if got.State != tc.state || got.Share() != tc.share || !strings.Contains(got.Reason, tc.reason) || strings.Join(kinds, " ") != tc.actions {
				t.Errorf("got %s share %v reason %q actions %v; want %s %v %q %q", got.State, got.Share(), got.Reason, kinds, tc.state, tc.share, tc.reason, tc.actions)
			}
			if moved := got.State != tc.rollout.State || got.Step != tc.rollout.Step; moved && got.State.Open() != (got.Generation == tc.rollout.Generation+1) {
				t.Errorf("generation %d after %d: another thing to serve needs another generation", got.Generation, tc.rollout.Generation)
			}
			if fmt.Sprint(tc.rollout) != before {
				t.Error("Advance changed what it was given")
			}
		})
	}
}
