// SPDX-License-Identifier: Apache-2.0

package deploy

// target is what an environment should serve while r is open. releases are by number.
func (r Rollout) target(releases map[int]*Release) Target {
	t := Target{Environment: r.Environment, Generation: r.Generation, Champion: releases[r.From]}
	switch r.State {
	case Starting, Running:
		if r.From == 0 {
			t.Champion = releases[r.Release]
			break
		}
		t.Candidate, t.Share = releases[r.Release], r.Share()
	case Promoting, Succeeded:
		t.Champion = releases[r.Release]
	}
	return t
}
