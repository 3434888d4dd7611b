// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"time"

	"lastro"
)

// AlertState is where an alert stands.
type AlertState string

// The states of an alert.
const (
	Pending  AlertState = "pending"  // a warning: over warn, or an estimate that labels have not confirmed
	Firing   AlertState = "firing"   // over the limit
	Resolved AlertState = "resolved" // a later window is within limits, or the release was replaced
)

// Moved is one column of a drift alert.
type Moved struct {
	Column string  `json:"column"`
	Value  float64 `json:"value"`
	Noise  float64 `json:"noise"`
	State  State   `json:"state"`
}

// Alert says what a monitor found, in words that need no explanation.
type Alert struct {
	ID          string             `json:"id"` // one per environment, release, kind and first window
	Environment string             `json:"environment"`
	Release     lastro.Ref         `json:"release"`
	Model       lastro.Ref         `json:"model"`
	Kind        Kind               `json:"kind"` // drift or performance
	Name        string             `json:"name"` // metric; "" for drift
	State       AlertState         `json:"state"`
	Title       string             `json:"title"` // one line
	Detail      string             `json:"detail"`
	Harm        string             `json:"harm,omitempty"` // the expected or measured harm, in words
	Action      string             `json:"action"`         // what was done about it and what may be done next
	Rule        string             `json:"rule,omitempty"` // the CEL text
	Facts       map[string]float64 `json:"facts,omitempty"`
	Moved       []Moved            `json:"moved,omitempty"` // largest first
	Start       time.Time          `json:"start"`           // window, event time
	End         time.Time          `json:"end"`
	EventTime   time.Time          `json:"event_time"` // newest event time when it last changed
	OpenedAt    time.Time          `json:"opened_at"`  // wall clock
	FiredAt     time.Time          `json:"fired_at,omitzero"`
	ResolvedAt  time.Time          `json:"resolved_at,omitzero"`
}

// Ref names the alert.
func (a Alert) Ref() lastro.Ref { return lastro.NewRef("alert", a.ID, "") }

// AlertFilter narrows a list of alerts; empty fields match everything.
type AlertFilter struct {
	Environment string
	Release     lastro.Ref
	Kind        Kind
	Open        bool // pending and firing only
	Limit       int  // 0 = 100
}

// Alerts lists alerts, the newest window first.
func (s *Service) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	return s.Store.Alerts(ctx, f)
}
