// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"log/slog"

	"lastro"
)

// Request asks for a version to go live.
type Request struct {
	Environment string
	Model       string
	Version     int
	Digest      lastro.Digest
	Settings    Settings
	By          lastro.Actor
	Why         string
}

// Service deploys to environments. Safe for concurrent use within a process;
// one process holds a project's environments (SEMANTICS 2).
type Service struct {
	Store   Store
	Driver  Driver
	Aliases Aliases
	Eval    Evaluator
	// Spec returns what lastro.yaml declares for an environment, false when it
	// does not; an undeclared environment named local is all-at-once.
	Spec  func(environment string) (Spec, bool)
	Clock lastro.Clock
	Log   *slog.Logger
	state serviceState
}

// Deploy makes a release of the version and starts its rollout: the first one
// all-at-once, later ones by the environment's strategy. The same version as
// the open rollout's or as the champion's is returned as it is. An open
// rollout of another version is superseded.
func (s *Service) Deploy(ctx context.Context, req Request) (Release, Rollout, error) {
	return s.deploy(ctx, req)
}

// Rollback ends the open rollout with all requests on the champion or, when
// none is open, makes a release equal to the one before and serves it at once.
func (s *Service) Rollback(ctx context.Context, environment, reason string, by lastro.Actor) (Release, error) {
	return s.rollback(ctx, environment, reason, by)
}

// Tick drives every environment by one step: it applies what should be served,
// reads the figures and advances open rollouts. Call it each second.
func (s *Service) Tick(ctx context.Context) error { return s.tick(ctx) }

// View is what is live in an environment.
type View struct {
	Environment string   `json:"environment"`
	Champion    *Release `json:"champion,omitempty"`
	Rollout     *Rollout `json:"rollout,omitempty"` // the open one, else the newest
	Candidate   *Release `json:"candidate,omitempty"`
	Status      Status   `json:"status"` // as the last Tick saw it
}

// Current says what an environment serves; ENotFound for one without releases.
func (s *Service) Current(ctx context.Context, environment string) (View, error) {
	return s.current(ctx, environment)
}
