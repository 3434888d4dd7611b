// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	"lastro"
)

// Service is the registry as every door uses it. It is safe for concurrent use.
type Service struct {
	store Store
	guard Guard
	clock lastro.Clock
}

// NewService returns the registry over s. Without a guard nothing protected moves.
func NewService(s Store, g Guard, c lastro.Clock) *Service {
	return &Service{store: s, guard: g, clock: c}
}

// Registration is what somebody registers.
type Registration struct {
	Version      // Model, Digest, Source, Run, Step, Cell, TrackedRun, LoggedModel, DataVersions, Commit, Lock, Description, Tags, By
	Once    bool // return the version that the same Run already made from the same Digest: a pipeline's retry
}

// Register creates a version, and the model when it does not exist yet. It
// always succeeds for bytes that exist, whoever asks: only aliases need evidence.
func (s *Service) Register(ctx context.Context, r Registration) (v Version, created bool, err error) {
	return Version{}, false, lastro.Errorf(lastro.EUnsupported, "not yet")
}
