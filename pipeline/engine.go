// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"

	"lastro"
)

// Options are what an engine works with. Store, Blobs, Kinds, StateDir and
// Project are needed; the rest may be nil.
type Options struct {
	Store    Store
	Blobs    Blobs
	Kinds    []Kind
	Datasets Datasets
	Runtimes Runtimes
	Tracking Tracking
	Observer Observer
	Clock    lastro.Clock
	Log      *slog.Logger
	StateDir string // absolute; holds work/ and logs/
	Project  string // absolute path of the project's root
	Parallel int    // cells at once; 0 = as many as there are processors
}

// Engine plans and carries out runs. One process at a time may own a state
// directory's engine. It is safe for concurrent use.
type Engine struct{ o Options }

// NewEngine returns an engine.
func NewEngine(o Options) *Engine { return &Engine{o: o} }

// Plan resolves a pipeline: it takes the datasets' versions, digests the code
// and looks up the cache, and changes nothing else. The error is
// lastro.Problems for what is wrong with the declaration.
func (e *Engine) Plan(ctx context.Context, spec Spec, o PlanOptions) (*Plan, error) {
	return nil, errUnfinished
}

// Run carries out a plan to its end and returns the run. A run of an engine
// that died with the same plan goes on instead of a new one; those with
// another plan end errored (lost). The error is about the engine's own
// trouble; a run whose work failed is no error: see Run.Err. When ctx ends,
// steps are stopped and the run ends cancelled, unless the cause is ErrDetach.
func (e *Engine) Run(ctx context.Context, p *Plan) (Run, error) { return Run{}, errUnfinished }

// Unfinished returns the runs that an engine left behind when it died, newest first.
func (e *Engine) Unfinished(ctx context.Context) ([]Run, error) { return nil, errUnfinished }

// Abandon ends the runs that a dead engine left behind as errored (lost),
// except the one with the plan digest keep ("" = none).
func (e *Engine) Abandon(ctx context.Context, keep lastro.Digest) error { return errUnfinished }

// ReadFacts returns what gates may read of a run, also of its cached steps.
func ReadFacts(ctx context.Context, s Store, run int64) (Facts, error) {
	return Facts{}, errUnfinished
}

var errUnfinished = lastro.Errorf(lastro.EUnsupported, "the engine is not built yet")
