// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"time"
)

// Activity is how much an experiment holds and when it was used last.
type Activity struct {
	Runs    int64     // active tracked runs
	Running int64     // of these, not ended
	Last    time.Time // the newest start of an active run; zero without one
}

// Activity counts the runs of these experiments; one without runs is missing.
func (s *Service) Activity(ctx context.Context, experiments []string) (map[string]Activity, error) {
	return s.store.Activity(ctx, experiments)
}
