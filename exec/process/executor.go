// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"

	"lastro"
	"lastro/exec"
)

// Executor is an engine's connection to its supervisor.
type Executor struct{ exec.Executor }

// TrackURL is the base address that steps reach tracking by,
// "http://127.0.0.1:PORT". It stays the same while the supervisor lives.
func (e *Executor) TrackURL() string { return "" }

// Open connects to the living supervisor of opts.Dir, or starts one.
func Open(ctx context.Context, opts Options) (*Executor, error) { return nil, errUnfinished }

// RunSupervisor is the supervisor process: it returns when it has been idle
// for a while, when ctx ends, or at once with a nil error when another
// supervisor holds opts.Dir.
func RunSupervisor(ctx context.Context, opts SupervisorOptions) error { return errUnfinished }

var errUnfinished = lastro.Errorf(lastro.EUnsupported, "the supervisor is not built yet")
