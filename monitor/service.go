// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"sync"
	"time"

	"lastro"
)

// locks serialises the evaluations of one environment.
type locks struct {
	mu sync.Mutex
	by map[string]*sync.Mutex
}

// Evaluate measures every window that is complete and not measured yet, moves
// alerts, and asks for a retrain where the spec says so. now is the wall
// clock, for the record only: windows, cooldown and max go by event time. It
// is idempotent: a window is measured once, an alert asks for one retrain.
func (s *Service) Evaluate(ctx context.Context, spec Spec, now time.Time) (Report, error) {
	return Report{}, lastro.Errorf(lastro.EErrored, "the monitor of %s is not built yet", spec.Environment)
}

// Series groups the measurements of one kind by column or metric, oldest
// window first, over all releases of the environment.
func (s *Service) Series(ctx context.Context, environment string, kind Kind) ([]Series, error) {
	return nil, nil
}
