// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"time"

	"lastro"
)

// Retrain is a request to train again, with its reason.
type Retrain struct {
	ID          string     `json:"id"` // one per alert
	Environment string     `json:"environment"`
	Alert       lastro.Ref `json:"alert"`
	Release     lastro.Ref `json:"release"`
	Model       lastro.Ref `json:"model"`
	Reason      string     `json:"reason"`
	NewLabels   int        `json:"new_labels"`
	EventTime   time.Time  `json:"event_time"`    // newest event time at the request; cooldown and max count in it
	At          time.Time  `json:"at"`            // wall clock
	Run         lastro.Ref `json:"run,omitempty"` // "" until the trigger has started one
}

// Retrains lists requests, the newest event time first; limit 0 is 100.
func (s *Service) Retrains(ctx context.Context, environment string, limit int) ([]Retrain, error) {
	return s.Store.Retrains(ctx, environment, limit)
}
