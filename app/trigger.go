// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"lastro"
	"lastro/api"
	"lastro/pipeline"
	"lastro/project"
	"lastro/store"
	"lastro/trigger"
)

// Watching says where a server looks for causes of runs, and how often.
type Watching struct {
	Repository string        // URL or path of the repository whose changes start runs; "" = the one that holds the project
	Poll       time.Duration // between looks at the repository; 0 = 2 s here, 1 min for one that is somewhere else
	Look       time.Duration // between looks at datasets of on.data; 0 = 2 s
	Quiet      time.Duration // how long a dataset must be left alone before it is read; 0 = 10 s
}

// or is d, or the default when it is 0.
func or(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}

// errNotManual refuses what a person asks for where lastro.yaml says no.
var errNotManual = &lastro.Error{Code: lastro.EDenied, ID: "L0239", Msg: "lastro.yaml says on.manual: false: nobody starts runs here by hand",
	Hint: "push, wait for the next tick, or take the line out"}

// triggers records what happened in the name of a project.
func (h *House) triggers(p *project.Project) *trigger.Service {
	return trigger.NewService(store.NewTrigger(h.DB), p.Name, h.Clock)
}

// triggerLoops look for causes and start their runs.
func (s *server) triggerLoops() []func(context.Context) error {
	return []func(context.Context) error{s.scheduleLoop, s.gitLoop, s.dataLoop,
		func(ctx context.Context) error { return s.dispatchLoop(ctx, "causes", false) },
		func(ctx context.Context) error { return s.dispatchLoop(ctx, "causes of git", true) }}
}

func (s *server) scheduleLoop(ctx context.Context) error {
	return s.every(ctx, time.Second, 30*time.Second, "schedules", func(ctx context.Context) error {
		p := s.house.Project()
		if p == nil || len(p.Trigger.Schedules) == 0 {
			return nil
		}
		return s.house.triggers(p).Tick(ctx, p.Trigger, s.house.Clock.Now())
	})
}

// dispatchLoop starts the runs of causes that wait for one, also of those that
// another server, or this one before a crash, has recorded. Those of git have a
// loop of their own: a repository that does not answer holds nothing else up.
func (s *server) dispatchLoop(ctx context.Context, what string, git bool) error {
	next := map[string]time.Time{} // when a cause is tried again, by ID
	return s.every(ctx, time.Second, 30*time.Second, what, func(ctx context.Context) error {
		p := s.house.Project()
		if p == nil {
			return nil
		}
		list, err := s.house.triggers(p).Pending(ctx)
		for _, c := range list {
			if ctx.Err() != nil {
				return nil
			}
			if ofGit(c) != git || next[c.ID].After(time.Now()) {
				continue
			}
			if _, err := s.start(ctx, p, c); err != nil && ctx.Err() == nil {
				s.house.Log.Warn("a run could not be started", "cause", c.Key, "err", err)
				next[c.ID] = time.Now().Add(jittered(trigger.RetryAfter(c.Tries + 1)))
				continue
			}
			delete(next, c.ID)
		}
		return err
	})
}

// jittered is d, or up to a quarter more, so that servers that failed together
// do not come back together.
func jittered(d time.Duration) time.Duration { return d + rand.N(d/4+1) }

// start starts the run of a pending cause and returns its number; 0 when none
// is to start. What goes wrong is noted with the cause.
func (s *server) start(ctx context.Context, p *project.Project, c trigger.Cause) (int64, error) {
	turn := &s.starting
	if ofGit(c) {
		turn = &s.startingGit
	}
	turn.Lock()
	defer turn.Unlock()
	t := s.house.triggers(p)
	c, err := t.Store().Cause(ctx, p.Name, c.ID)
	if err != nil || c.State != trigger.Pending {
		return c.Run, err // started while this one waited
	}
	run, skip, err := s.startNow(ctx, p, c)
	switch {
	case skip != "":
		return 0, t.Skip(ctx, c, skip)
	case err == nil:
		return run, nil
	}
	// It may have started all the same: by another server, or as a run that its contract ended.
	if now, readErr := t.Store().Cause(ctx, p.Name, c.ID); readErr == nil && now.State != trigger.Pending {
		if lastro.Is(err, lastro.EConflict) {
			err = nil
		}
		return now.Run, err
	}
	if ctx.Err() != nil {
		return 0, err
	}
	return 0, errors.Join(err, t.Tried(ctx, c, err.Error(), final(c, err)))
}

// final reports whether another try would end alike: the project says no, and
// who asked over the API hears of it at once.
func final(c trigger.Cause, err error) bool {
	switch lastro.CodeOf(err) {
	case lastro.EInvalid, lastro.EUnsupported, lastro.EDenied, lastro.EFailed:
		return true
	}
	return c.Kind == trigger.KindAPI
}

// ofGit reports whether a cause names a commit that may have to be fetched.
func ofGit(c trigger.Cause) bool {
	return c.Kind == trigger.KindPush || c.Kind == trigger.KindTag || c.Kind == trigger.KindPullRequest
}

// startNow submits the run of a cause. skip says why none is to start.
func (s *server) startNow(ctx context.Context, p *project.Project, c trigger.Cause) (run int64, skip string, err error) {
	req, err := requestOfCause(c)
	if err != nil {
		return 0, "", err
	}
	if ofGit(c) {
		if req, skip, err = s.house.requestOfChange(ctx, p, c, req); skip != "" || err != nil {
			return 0, skip, err
		}
	}
	run, err = s.submit(ctx, req)
	return run, "", err
}

// requestOfCause is what a cause asks for, as far as it says so itself.
func requestOfCause(c trigger.Cause) (RunRequest, error) {
	req := RunRequest{Actor: c.Actor, Commit: c.Commit, Event: c.Event()}
	if c.Kind != trigger.KindAPI {
		return req, nil
	}
	raw, err := json.Marshal(c.Detail["request"])
	if err != nil {
		return req, err
	}
	var asked api.RunRequest
	if err := json.Unmarshal(raw, &asked); err != nil {
		return req, fmt.Errorf("read the request of %s: %w", c.Key, err)
	}
	req.Only, req.From, req.NoCache, req.Params = asked.Only, asked.From, asked.NoCache, asked.Params
	delete(req.Event, "request")
	return req, nil
}

// scopeOf is the part of the cache that a cause's run writes to.
func scopeOf(c trigger.Cause) pipeline.Scope {
	switch c.Trust {
	case trigger.Reviewed:
		return pipeline.Scope(fmt.Sprintf("pr-%d", c.Number()))
	case trigger.Fork:
		return pipeline.Scope(fmt.Sprintf("fork-%d", c.Number()))
	}
	return pipeline.Shared
}

// startKeyed starts a run that a program asked for with a key: the same key
// gives the same run, also after a crash.
func (s *server) startKeyed(ctx context.Context, p *project.Project, key string, r api.RunRequest, by lastro.Actor) (int64, error) {
	t := s.house.triggers(p)
	c, added, err := t.Asked(ctx, by, key, map[string]any{"request": r})
	if err != nil {
		return 0, err
	}
	if !added {
		same, err := sameRequest(c.Detail["request"], r)
		if err != nil {
			return 0, err
		}
		if !same {
			return 0, &lastro.Error{Code: lastro.EConflict, ID: "L0246", Msg: fmt.Sprintf("the Idempotency-Key %q came with another request before", key), Hint: "a new request takes a new key"}
		}
		if c.Run != 0 {
			return c.Run, nil
		}
		if c.State == trigger.Failed { // the caller may have mended what was wrong
			again := c
			again.State = trigger.Pending
			if _, err := t.Store().Move(ctx, again, trigger.Failed); err != nil {
				return 0, err
			}
		}
	}
	return s.start(ctx, p, c)
}

// sameRequest compares what was kept of a request with one that has come.
func sameRequest(kept any, r api.RunRequest) (bool, error) {
	a, err := lastro.CanonicalJSON(kept)
	if err != nil {
		return false, err
	}
	b, err := lastro.CanonicalJSON(r)
	return string(a) == string(b), err
}
