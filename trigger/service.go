// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"context"
	"fmt"
	"time"

	"lastro"
)

// Service records what happened as causes. Starting their runs is the work of
// whoever lists the pending ones. It is safe for concurrent use, also by
// several servers on one database.
type Service struct {
	store   Store
	project string
	clock   lastro.Clock
}

// NewService returns the service of one project.
func NewService(store Store, project string, clock lastro.Clock) *Service {
	return &Service{store: store, project: project, clock: clock}
}

// Store gives what the service writes to, for reading.
func (s *Service) Store() Store { return s.store }

// Record adds a cause as it is, once; kept is the one that was there before
// when added is false.
func (s *Service) Record(ctx context.Context, c Cause) (kept Cause, added bool, err error) {
	c.Project, c.SeenAt = s.project, s.clock.Now()
	if c.At.IsZero() {
		c.At = c.SeenAt
	}
	if c.State == "" {
		c.State = Pending
	}
	if c.Key == "" || len(c.Key) > maxKey {
		return c, false, lastro.Errorf(lastro.EInvalid, "the key of a cause has %d bytes; it takes 1 to %d", len(c.Key), maxKey)
	}
	return s.store.Add(ctx, c)
}

// maxKey bounds the key of a cause, in bytes: a ref of 4 KiB and a commit fit.
const maxKey = 5000

// Changed records what a change of a ref starts. When it starts nothing, why
// says so and the cause is zero.
func (s *Service) Changed(ctx context.Context, spec Spec, c Change) (cause Cause, added bool, why string, err error) {
	kind, why := spec.starts(c)
	if why != "" {
		return Cause{}, false, why, nil
	}
	cause, added, err = s.Record(ctx, causeOfChange(kind, c))
	return cause, added, "", err
}

// causeOfChange names a push by ref and commit, so that a look, a hook and a
// webhook that see the same push find the same cause.
func causeOfChange(kind Kind, c Change) Cause {
	return Cause{Key: "push " + c.Ref + " " + c.After, Kind: kind, Actor: c.Actor, Ref: c.Ref, Commit: c.After, Before: c.Before, Detail: detail("author", c.Author)}
}

// detail makes a map of the texts that are not empty.
func detail(pairs ...string) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out[pairs[i]] = pairs[i+1]
		}
	}
	return out
}

// Proposal is a pull request, or a merge request, at one commit.
type Proposal struct {
	Number int64
	Title  string
	Head   string // commit
	Base   string // name of the branch that it wants to go into
	Branch string // name of its own branch
	From   string // repository that it comes from, when that is another one
	Fork   bool   // it comes from another repository, or nobody knows from where
	Author string
	Actor  lastro.Actor
}

// Proposed records what a pull request starts, like Changed. One from a fork
// waits until a person lets it run.
func (s *Service) Proposed(ctx context.Context, spec Spec, p Proposal) (cause Cause, added bool, why string, err error) {
	switch {
	case spec.PullRequest == nil:
		return Cause{}, false, "lastro.yaml has no on.pull_request", nil
	case !Matches(spec.PullRequest.Branches, p.Base):
		return Cause{}, false, fmt.Sprintf("branch %s is not one of on.pull_request.branches", p.Base), nil
	}
	c := Cause{Key: fmt.Sprintf("pull_request %d %s", p.Number, p.Head), Kind: KindPullRequest, Actor: p.Actor, Commit: p.Head, Base: p.Base, Trust: Reviewed,
		Detail: detail("title", clip(p.Title, 200), "head", clip(p.Branch, 200), "from", clip(p.From, 200), "author", clip(p.Author, 200))}
	c.Detail["number"] = p.Number
	if p.Fork {
		c.Trust, c.State, c.Reason = Fork, Waiting, "a fork's code runs when a person has approved it: lastro trigger approve "+CauseID(s.project, c.Key)
		if spec.PullRequest.Forks == ForksNever {
			c.State, c.Reason = Skipped, "on.pull_request.forks is never"
		}
	}
	cause, added, err = s.Record(ctx, c)
	return cause, added, "", err
}

// clip bounds a text that a stranger wrote, in bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 { // not inside a character
		n--
	}
	return s[:n] + "…"
}

// Approve lets the run of a waiting cause start. who must be a person with the
// right to approve; the caller checks that.
func (s *Service) Approve(ctx context.Context, id string, who lastro.Actor) (Cause, error) {
	return s.decide(ctx, id, who, Pending, "", "cause.approved")
}

// Refuse ends a waiting cause without a run.
func (s *Service) Refuse(ctx context.Context, id string, who lastro.Actor, why string) (Cause, error) {
	return s.decide(ctx, id, who, Skipped, fmt.Sprintf("%s said no: %s", who, clip(why, 500)), "cause.refused")
}

func (s *Service) decide(ctx context.Context, id string, who lastro.Actor, to State, reason, verb string) (Cause, error) {
	c, err := s.store.Cause(ctx, s.project, id)
	if err != nil {
		return c, err
	}
	c.State, c.Reason = to, reason
	ev := lastro.NewEvent(s.clock.Now(), who, verb, CauseRef(c.ID), map[string]string{"key": c.Key, "commit": c.Commit, "reason": reason})
	moved, err := s.store.Move(ctx, c, Waiting, ev)
	if err == nil && !moved {
		return c, &lastro.Error{Code: lastro.EConflict, ID: "L0237", Msg: fmt.Sprintf("cause %s does not wait for anybody", id), Hint: "lastro trigger ls shows how it stands"}
	}
	return c, err
}

// Tried notes that no run could be started. The cause stays pending for another
// try unless final, or it has been tried too often.
func (s *Service) Tried(ctx context.Context, c Cause, why string, final bool) error {
	c.Tries++
	c.State, c.Reason = Pending, clip(why, 1000)
	var events []lastro.Event
	if final || c.Tries >= maxTries {
		c.State = Failed
		events = append(events, lastro.NewEvent(s.clock.Now(), lastro.System("trigger"), "cause.failed", CauseRef(c.ID), map[string]string{"reason": c.Reason}))
	}
	_, err := s.store.Move(ctx, c, Pending, events...)
	return err
}

// maxTries bounds how often a run is tried to be started; with the pauses of
// RetryAfter it takes about an hour.
const maxTries = 12

// RetryAfter is the pause before the next try of a cause: 1 s, doubled each
// time up to 10 minutes.
func RetryAfter(tries int) time.Duration {
	if tries > 9 {
		return 10 * time.Minute
	}
	return time.Second << max(0, tries-1)
}

// Skip ends a pending cause without a run.
func (s *Service) Skip(ctx context.Context, c Cause, why string) error {
	c.State, c.Reason = Skipped, clip(why, 1000)
	_, err := s.store.Move(ctx, c, Pending)
	return err
}

// Pending lists causes whose runs are to be started, oldest first.
func (s *Service) Pending(ctx context.Context) ([]Cause, error) {
	list, err := s.store.Causes(ctx, Filter{Project: s.project, State: Pending, Limit: 1000})
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, err
}
