// SPDX-License-Identifier: Apache-2.0

// Package deploy holds environments, releases and rollouts: which model
// version serves where, and how traffic moves to another one. Advance is the
// rollout's state machine, a pure function; Service drives it. How requests
// are answered belongs to a Driver's data plane; whether a version may be
// promoted at all belongs to gates, through the registry that Aliases stands for.
package deploy

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lastro"
)

// Release is a model version with its settings for one environment. It never
// changes. A rollback makes a new release equal to an old one.
type Release struct {
	Environment string        `json:"environment"`
	Number      int           `json:"number"` // counts from 1 within the environment
	Model       string        `json:"model"`
	Version     int           `json:"version"`
	Digest      lastro.Digest `json:"digest"` // of the model's tree
	Settings    Settings      `json:"settings"`
	EqualTo     int           `json:"equal_to,omitempty"` // the release that a rollback repeats
	Why         string        `json:"why,omitempty"`
	By          lastro.Actor  `json:"by"`
	At          time.Time     `json:"at"`
}

// Ref returns "release:ENVIRONMENT@NUMBER".
func (r Release) Ref() lastro.Ref {
	return lastro.NewRef("release", r.Environment, strconv.Itoa(r.Number))
}

// Name returns "model@version", as requests and logs name the revision.
func (r Release) Name() string { return fmt.Sprintf("%s@%d", r.Model, r.Version) }

// Settings are what an environment tells the data plane beside the model.
type Settings struct {
	JoinKey    string        `json:"join_key,omitempty"`   // column logged, not passed to the model
	EventTime  string        `json:"event_time,omitempty"` // the same, and the row's time
	Favourable any           `json:"favourable,omitempty"` // the answer that decision.rate counts
	Lock       lastro.Digest `json:"lock,omitempty"`       // dependency lock that the version was trained with
	Run        string        `json:"run,omitempty"`        // pipeline run that made the version
}

// State of a rollout.
type State string

// The states. A rollout is open until one of the last three.
const (
	Starting    State = "starting"     // the candidate loads; it gets no requests
	Running     State = "running"      // a share of the requests goes to it
	Promoting   State = "promoting"    // every step held: it becomes the champion
	RollingBack State = "rolling_back" // all requests go to the champion; the alias is put back
	Succeeded   State = "succeeded"
	RolledBack  State = "rolled_back"
	Superseded  State = "superseded" // a newer release came before it was done
)

// Open reports whether the rollout goes on.
func (s State) Open() bool {
	return s == Starting || s == Running || s == Promoting || s == RollingBack
}

// Rollout is the shifting of traffic to a release, step by step.
type Rollout struct {
	Environment string    `json:"environment"`
	Number      int       `json:"number"`  // counts from 1 within the environment
	Release     int       `json:"release"` // the candidate
	From        int       `json:"from"`    // the release that served before; 0 for the first
	Strategy    Strategy  `json:"strategy"`
	RollbackIf  []string  `json:"rollback_if,omitempty"`
	State       State     `json:"state"`
	Step        int       `json:"step"` // index into Strategy.Steps
	StepAt      time.Time `json:"step_at"`
	// Generation of the data plane's routing; it ascends within the environment.
	Generation int64        `json:"generation"`
	Reason     string       `json:"reason,omitempty"` // why it waits, was rolled back or superseded
	History    []StepRecord `json:"history,omitempty"`
	Alias      string       `json:"alias"` // that the environment follows
	By         lastro.Actor `json:"by"`
	At         time.Time    `json:"at"`
	EndedAt    time.Time    `json:"ended_at,omitzero"`
	Now        *Evidence    `json:"now,omitempty"` // the newest figures, for people
}

// Ref returns "rollout:ENVIRONMENT@NUMBER".
func (r Rollout) Ref() lastro.Ref {
	return lastro.NewRef("rollout", r.Environment, strconv.Itoa(r.Number))
}

// Share is the share of requests that the candidate gets now.
func (r Rollout) Share() float64 {
	if r.State != Running || r.Step >= len(r.Strategy.Steps) {
		return 0
	}
	return r.Strategy.Steps[r.Step]
}

// StepRecord is what a finished step saw.
type StepRecord struct {
	Share     float64   `json:"share"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Evidence  Evidence  `json:"evidence"`
	Held      bool      `json:"held"`
}

// Evidence is the figures of both sides with the rules' outcomes.
type Evidence struct {
	Candidate Counts        `json:"candidate"`
	Champion  Counts        `json:"champion"`
	Rules     []RuleOutcome `json:"rules,omitempty"`
}

// RuleOutcome is one rollback_if rule as it was last evaluated.
type RuleOutcome struct {
	Rule   string `json:"rule"`
	Fires  bool   `json:"fires"`
	Reason string `json:"reason,omitempty"` // such as a missing fact, which holds the canary
}

// Counts are what one side did over the span that rules read: the candidate
// in this step, the champion since the rollout began.
type Counts struct {
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"`
	Rescued   int64   `json:"rescued,omitempty"`
	P50       float64 `json:"p50"` // seconds
	P95       float64 `json:"p95"`
	P99       float64 `json:"p99"`
	Scored    int64   `json:"scored"`
	ScoreMean float64 `json:"score_mean"`
	ScoreSD   float64 `json:"score_sd"`
	Decided   int64   `json:"decided"`
	Favoured  int64   `json:"favoured"`
}

// Target is what an environment should serve. Candidate is nil outside a
// rollout, Champion is nil only before the first release.
type Target struct {
	Environment string
	Generation  int64
	Champion    *Release
	Candidate   *Release
	Share       float64
}

// RevisionState is how one release is doing in the data plane.
type RevisionState struct {
	Release int
	State   string // loading, ready, failed
	Reason  string
	Code    lastro.Code // of Reason: tampered when bytes do not verify
	Step    Counts      // since the target's generation
	Rollout Counts      // since the rollout began
	Total   Counts      // since it was loaded
}

// Status is what the data plane does now.
type Status struct {
	Generation int64  // that the figures belong to
	Address    string // URL of the endpoint, such as http://127.0.0.1:7071
	Serving    int    // release that answers as champion; 0 = none
	Champion   RevisionState
	Candidate  RevisionState
	Pid        int
}

// Driver makes a data plane serve. Safe for concurrent use.
type Driver interface {
	// Apply makes the environment serve the target and says what it does now.
	// It starts the data plane when none is alive, and it does not wait until
	// a release is loaded. Applying the same target again only reads.
	Apply(ctx context.Context, t Target) (Status, error)
}

// Aliases moves names of the registry. A move may be refused with code EDenied;
// moving to where the alias points already does nothing.
type Aliases interface {
	// Point sets alias of model to version; version 0 removes it.
	Point(ctx context.Context, model, alias string, version int, by lastro.Actor, why string) error
}

// Evaluator evaluates a rule of rollback_if over facts with dotted names. It
// returns a *lastro.Error of code ENotFound when the rule reads a fact that is
// not there. shift(x) reads the fact "shift.x".
type Evaluator func(rule string, facts map[string]any) (bool, error)

// Store keeps releases and rollouts; each method is one transaction and
// commits the events with it.
type Store interface {
	// CreateRelease gives rel the next number and, when rollout is not nil,
	// starts it with that release. Open rollouts given in closed are updated
	// in the same transaction. explain makes the events of the numbered rows.
	CreateRelease(ctx context.Context, rel Release, rollout *Rollout, closed []Rollout, explain func(Release, *Rollout) []lastro.Event) (Release, *Rollout, error)
	Release(ctx context.Context, environment string, number int) (Release, error)
	// Releases lists the newest first; limit 0 = 100.
	Releases(ctx context.Context, environment string, limit int) ([]Release, error)
	UpdateRollout(ctx context.Context, r Rollout, events ...lastro.Event) error
	Rollout(ctx context.Context, environment string, number int) (Rollout, error)
	// Rollouts lists the newest first; limit 0 = 100.
	Rollouts(ctx context.Context, environment string, limit int) ([]Rollout, error)
	// Current returns what the environment serves as champion; ENotFound before the first release held.
	Current(ctx context.Context, environment string) (Live, error)
	// Finish closes a rollout and makes live the environment's champion.
	Finish(ctx context.Context, r Rollout, live Live, events ...lastro.Event) error
	// Environments lists the names that have releases, sorted.
	Environments(ctx context.Context) ([]string, error)
}

// Live is the champion of an environment.
type Live struct {
	Environment string    `json:"environment"`
	Release     int       `json:"release"`
	Generation  int64     `json:"generation"`
	Since       time.Time `json:"since"`
}
