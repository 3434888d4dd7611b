// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"
	"time"

	"lastro"
)

// lost is the attempt as it ends when nobody knows how it ended.
func (s StepRun) lost(why string, at time.Time) StepRun {
	s.State, s.Cause, s.EndedAt, s.Reason = Errored, RetryLost, at, "lost: "+why
	s.Error = &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: s.Reason}
	return s
}

// lostTries is how often lost work is tried again without being asked to.
const lostTries = 1

// MaxBackoff is the longest wait between two attempts. What waits for longer
// than that began to wait before the clock was set back, and waits no more.
const MaxBackoff = 10 * time.Minute

// after says whether an attempt that has ended is followed by another one, and
// after how long.
func (r Retry) after(s StepRun) (time.Duration, bool) {
	if s.Cause == "" || s.State.OK() {
		return 0, false
	}
	tries := 0
	if slices.Contains(r.On, s.Cause) || (len(r.On) == 0 && s.Cause == RetryLost) {
		tries = r.Max
	}
	if s.Cause == RetryLost {
		tries = max(tries, lostTries)
	}
	if s.Attempt > tries {
		return 0, false
	}
	wait := r.Backoff
	for range s.Attempt - 1 {
		wait = min(2*wait, MaxBackoff)
	}
	return min(wait, MaxBackoff), true
}
