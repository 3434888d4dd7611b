// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"context"
	"strings"
	"time"

	"lastro"
)

// Kind says what a cause is; it is event.kind of the run.
type Kind string

// The kinds.
const (
	KindPush        Kind = "push"
	KindTag         Kind = "tag"
	KindPullRequest Kind = "pull_request"
	KindSchedule    Kind = "schedule"
	KindData        Kind = "data"
	KindAlert       Kind = "alert"
	KindAPI         Kind = "api"
)

// State is how a cause stands.
type State string

// The states. Pending ends in started or failed; waiting in pending, by a person.
const (
	Pending State = "pending" // a run will start
	Waiting State = "waiting" // for a person: the run of a fork
	Started State = "started" // Run is its number
	Skipped State = "skipped" // no run starts, Reason says why
	Missed  State = "missed"  // a tick that passed while no server was up, and was not the last one
	Failed  State = "failed"  // no run could be started, Reason says why
)

// Trust is how far the code of a run is trusted. It is event.trust of the run,
// so that who takes the run over treats it alike.
type Trust string

// The degrees.
const (
	Trusted  Trust = ""             // a branch of the repository, or this folder
	Reviewed Trust = "pull_request" // a branch of the repository that nobody merged yet
	Fork     Trust = "fork"         // anybody's
)

// CauseID is the short name of a cause.
func CauseID(project, key string) string {
	return lastro.DigestOf([]byte(project + "\x00" + key)).Hex()[:12]
}

// CauseRef returns "cause:4f0c9a1b2d3e".
func CauseRef(id string) lastro.Ref { return lastro.NewRef("cause", id, "") }

// Cause is one reason for one run.
type Cause struct {
	ID      string         `json:"id"` // 12 hex digits, made of project and key
	Project string         `json:"project"`
	Key     string         `json:"key"` // unique in a project: what makes two causes the same
	Kind    Kind           `json:"kind"`
	State   State          `json:"state"`
	Reason  string         `json:"reason,omitempty"`
	Run     int64          `json:"run,omitempty"` // 0 = none yet
	Tries   int            `json:"tries,omitempty"`
	At      time.Time      `json:"at"`      // when it happened
	SeenAt  time.Time      `json:"seen_at"` // when it was recorded
	Actor   lastro.Actor   `json:"actor"`   // who started it
	Ref     string         `json:"ref,omitempty"`
	Commit  string         `json:"commit,omitempty"` // whose code runs; "" = the folder as it is
	Before  string         `json:"before,omitempty"` // the commit of Ref until then
	Base    string         `json:"base,omitempty"`   // pull request: the branch it wants to go into
	Trust   Trust          `json:"trust,omitempty"`
	Detail  map[string]any `json:"detail,omitempty"` // more for event: schedule, tick, dataset, version, number, title
}

// Event is the cause as Run.Event has it: kind, cause (its key), ref, branch,
// commit, before, base, trust, who, and the detail.
func (c Cause) Event() map[string]any {
	out := map[string]any{}
	for k, v := range c.Detail {
		out[k] = v
	}
	for k, v := range map[string]string{"kind": string(c.Kind), "cause": c.Key, "ref": c.Ref, "branch": branchOf(c), "commit": c.Commit,
		"before": c.Before, "base": c.Base, "trust": string(c.Trust), "who": string(c.Actor)} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// Number is the number of the pull request; 0 = it is none.
func (c Cause) Number() int64 {
	switch n := c.Detail["number"].(type) {
	case int64:
		return n
	case float64: // it went through JSON
		return int64(n)
	}
	return 0
}

// Filter narrows a list of causes; empty fields match everything.
type Filter struct {
	Project string
	State   State
	Kind    Kind
	Limit   int // 0 = 50
}

// Delivery is one webhook that was received and whose sender is known.
type Delivery struct {
	Provider string // github, gitlab, gitea
	ID       string
	Digest   lastro.Digest // of the body
	At       time.Time
}

// Store keeps causes and how far was looked. Each writing method is one transaction.
type Store interface {
	// Add records a cause unless one with its key is there, which is then
	// returned with added = false.
	Add(ctx context.Context, c Cause) (kept Cause, added bool, err error)
	// Cause returns one; ENotFound.
	Cause(ctx context.Context, project, id string) (Cause, error)
	// CauseOf returns the one with a key; ENotFound.
	CauseOf(ctx context.Context, project, key string) (Cause, error)
	// Causes lists causes, newest first.
	Causes(ctx context.Context, f Filter) ([]Cause, error)
	// Move changes state, reason and tries of a cause that is still in the state
	// from and has no run; moved tells.
	Move(ctx context.Context, c Cause, from State, events ...lastro.Event) (moved bool, err error)

	// Mark returns how far was looked under a name; "" at first.
	Mark(ctx context.Context, project, name string) (string, error)
	// Advance sets a mark from one value to the next and adds causes with it;
	// done is false, and nothing changes, when the mark is not from any more.
	// Causes whose keys are there stay, but that a missed one may become pending.
	Advance(ctx context.Context, project, name, from, to string, causes []Cause) (done bool, err error)

	// Delivered reports whether a webhook's delivery, by its ID or its body, was
	// recorded before.
	Delivered(ctx context.Context, d Delivery) (bool, error)
	// Deliver records a delivery; again is true when it was there already.
	Deliver(ctx context.Context, d Delivery) (again bool, err error)
}

// branchOf is the name of the branch that a cause is about; "" when it is none.
func branchOf(c Cause) string {
	b, ok := strings.CutPrefix(c.Ref, "refs/heads/")
	if !ok {
		return ""
	}
	return b
}
