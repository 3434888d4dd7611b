// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lastro"
)

// Looked compares all branches and tags of the repository, commits by full
// name, with what was seen last, and records what the changes start. What was
// seen and its causes are one transaction. The first look starts nothing: the
// commits were there before anybody watched.
func (s *Service) Looked(ctx context.Context, spec Spec, refs map[string]string) error {
	const name = "git watched"
	mark, err := s.store.Mark(ctx, s.project, name)
	if err != nil {
		return err
	}
	next, err := json.Marshal(refs) // names in order
	if err != nil || string(next) == mark {
		return err
	}
	var causes []Cause
	if mark != "" {
		seen := map[string]string{}
		if err := json.Unmarshal([]byte(mark), &seen); err != nil {
			return fmt.Errorf("read what was seen of the repository: %w", err)
		}
		recent, err := s.store.Causes(ctx, Filter{Project: s.project, Limit: recentCauses})
		if err != nil {
			return err
		}
		now := s.clock.Now()
		for _, ref := range slices.Sorted(maps.Keys(refs)) {
			c := Change{Ref: ref, Before: seen[ref], After: refs[ref], Actor: lastro.System("git")}
			if c.Before == c.After {
				continue
			}
			c.Before = toldSince(recent, c)
			if kind, why := spec.starts(c); why == "" {
				cause := causeOfChange(kind, c)
				cause.Project, cause.State, cause.At, cause.SeenAt = s.project, Pending, now, now
				causes = append(causes, cause)
			}
		}
	}
	// Where another server was quicker it has recorded the same.
	_, err = s.store.Advance(ctx, s.project, name, mark, string(next), causes)
	return err
}

// recentCauses is how many causes are looked through for pushes that were told.
const recentCauses = 1000

// toldSince is the commit that the changes of a push count from: a hook or
// webhook may have told of pushes since the look before, whose changes are not
// this one's.
func toldSince(recent []Cause, c Change) string {
	at := c.Before
	for _, told := range slices.Backward(recent) { // the oldest first
		if told.Ref == c.Ref && told.Before == at && told.Before != "" && told.Commit != c.After {
			at = told.Commit
		}
	}
	return at
}
