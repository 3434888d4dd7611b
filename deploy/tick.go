// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"reflect"

	"lastro"
)

// mostSteps bounds how far one tick goes: loaded, promoted, finished.
const mostSteps = 4

// tickOne applies what the environment should serve and advances its open
// rollout as far as it goes without waiting.
func (s *Service) tickOne(ctx context.Context, environment string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range mostSteps {
		h, err := s.history(ctx, environment)
		if err != nil {
			return err
		}
		if h.open == nil {
			return s.keep(ctx, h, environment)
		}
		status, err := s.Driver.Apply(ctx, h.open.target(h.releases))
		if err != nil {
			return s.unappliable(ctx, *h.open, err)
		}
		s.seen.Store(environment, status)
		moved, err := s.advance(ctx, *h.open, status)
		if err != nil || !moved {
			return err
		}
	}
	return nil
}

// keep holds the data plane to what is live: it may have been restarted.
func (s *Service) keep(ctx context.Context, h history, environment string) error {
	if h.newest == nil {
		return nil
	}
	t := Target{Environment: environment, Generation: h.generation(), Champion: h.releases[h.live.Release]}
	if t.Champion == nil {
		return nil // the first release never held
	}
	status, err := s.Driver.Apply(ctx, t)
	if err == nil {
		s.seen.Store(environment, status)
	}
	return err
}

// unappliable ends a rollout whose release cannot even be handed to the data
// plane, such as one whose bytes do not verify; everything else is tried again.
func (s *Service) unappliable(ctx context.Context, r Rollout, err error) error {
	permanent := lastro.Is(err, lastro.ETampered) || lastro.Is(err, lastro.ENotFound) || lastro.Is(err, lastro.EInvalid) || lastro.Is(err, lastro.EFailed)
	if r.State == RollingBack || !permanent {
		return err
	}
	next := abort(r, message(err), s.Clock.Now())
	if err := s.do(ctx, next, []Action{{Unchallenge}}); err != nil {
		return err
	}
	return s.Store.UpdateRollout(ctx, next, s.event(lastro.System("deploy"), "rollout.advanced", next))
}

// advance asks the state machine, does its actions and writes the new state down.
func (s *Service) advance(ctx context.Context, r Rollout, status Status) (moved bool, err error) {
	now := s.Clock.Now()
	next, actions := Advance(r, status, s.Eval, now)
	if err := s.do(ctx, next, actions); lastro.Is(err, lastro.EDenied) {
		// The registry says no: the release may not become what it was meant to be.
		next, actions = abort(r, message(err), now), []Action{{Unchallenge}}
		if err := s.do(ctx, next, actions); err != nil {
			return false, err
		}
	} else if err != nil {
		return false, err
	}
	by := lastro.System("deploy")
	switch {
	case next.State == Succeeded:
		live := Live{Environment: r.Environment, Release: r.Release, Generation: next.Generation, Since: now}
		return true, s.Store.Finish(ctx, next, live, s.event(by, "rollout.finished", next))
	case next.State == RolledBack:
		s.Log.WarnContext(ctx, "rollout rolled back", "rollout", next.Ref(), "reason", next.Reason)
		return true, s.Store.UpdateRollout(ctx, next, s.event(by, "rollout.rolled_back", next))
	case next.State != r.State || next.Step != r.Step:
		return true, s.Store.UpdateRollout(ctx, next, s.event(by, "rollout.advanced", next))
	case next.Reason != r.Reason || !reflect.DeepEqual(next.Now, r.Now):
		return false, s.Store.UpdateRollout(ctx, next) // figures are no event
	}
	return false, nil
}
