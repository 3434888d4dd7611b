// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"time"

	"lastro"
)

// Store keeps runs, step runs and the queue of what is to be done.
type Store interface {
	// Change runs fn in one transaction, which is committed with the events that
	// it emits, or not at all. fn may be called again after a conflict between
	// two processes, so it must not keep anything of a call that failed.
	Change(ctx context.Context, fn func(Tx) error) error
	// Shared reports whether engines of other processes may use the same tables.
	Shared() bool

	// Run returns one run; ENotFound.
	Run(ctx context.Context, number int64) (Run, error)
	// Progress returns how a run stands, without its plan; ENotFound.
	Progress(ctx context.Context, number int64) (Progress, error)
	// Runs lists runs, newest first, without their Code.
	Runs(ctx context.Context, f RunFilter) ([]Run, error)
	// StepRuns returns all step runs of a run in the order in which they were
	// first recorded, earlier attempts included.
	StepRuns(ctx context.Context, run int64) ([]StepRun, error)
	// Chosen returns the row of a step whose outputs go on; ok is false while
	// there is none.
	Chosen(ctx context.Context, run int64, step string) (s StepRun, ok bool, err error)
	// Hits returns for each cache key that has one the newest step run that
	// succeeded with it in one of the scopes, and ended at or after since.
	Hits(ctx context.Context, project string, scopes []Scope, keys []lastro.Digest, since time.Time) (map[lastro.Digest]StepRun, error)
	// HasKeyed reports whether a step of that name ever had a cache key.
	HasKeyed(ctx context.Context, project, step string) (bool, error)
	// LastKeyed returns the newest ended step run of a step or cell that has a
	// cache key; values are compared as canonical JSON.
	LastKeyed(ctx context.Context, project, step string, values map[string]any) (s StepRun, ok bool, err error)
	// Engines returns the engines that have not gone.
	Engines(ctx context.Context) ([]EngineRow, error)
	// Stopping returns the unfinished runs that somebody wants to end, with why.
	Stopping(ctx context.Context) (map[int64]string, error)
}

// Tx is one transaction on the queue.
type Tx interface {
	// Lock makes transactions on the same run wait for each other and returns
	// how the run stands; ENotFound.
	Lock(ctx context.Context, run int64) (Progress, error)
	// CreateRun stores a run with its steps and cells and gives it the next number.
	CreateRun(ctx context.Context, r Run, steps []StepProgress, cells []StepRun) (int64, error)
	// PutProgress replaces what Lock returned.
	PutProgress(ctx context.Context, p Progress) error

	// Steps returns how the steps of a run stand, in the order of the plan.
	Steps(ctx context.Context, run int64) ([]StepProgress, error)
	// PutStep replaces how a step stands.
	PutStep(ctx context.Context, s StepProgress) error
	// Close notes that n cells of a step have ended and returns how many are left.
	Close(ctx context.Context, run int64, step string, n int) (left int, err error)
	// Release notes that one need of a step has ended well and returns how many
	// are left; found is false when the run does not have that step, or it is over.
	Release(ctx context.Context, run int64, step string) (waits int, found bool, err error)

	// Ready lets at most n cells that wait for their step or their turn begin, the
	// first ones first; n < 0: all, of a step whose cells do not take turns.
	Ready(ctx context.Context, run int64, step string, n int) error
	// Take gives the cells that may begin now to an engine: they are running
	// then. The oldest run comes first, and the first cell for which there is no
	// room is the last one looked at, so that a heavy one is not passed by for
	// ever. What may begin more than MaxBackoff from now may begin: the clock was
	// set back meanwhile.
	Take(ctx context.Context, engine string, now time.Time, room Room) ([]StepRun, error)
	// Note replaces what is stored of an attempt that the engine owns and that
	// is running; false when it is not.
	Note(ctx context.Context, engine string, s StepRun) (bool, error)
	// Put stores an attempt as it is, ready to begin at from unless that is zero.
	Put(ctx context.Context, s StepRun, from time.Time) error
	// Newest returns the newest attempt of each cell of a step, in the order of the cells.
	Newest(ctx context.Context, run int64, step string) ([]StepRun, error)
	// EndPending ends all cells of a step that have not begun, and returns them.
	EndPending(ctx context.Context, run int64, step string, s State, reason string, at time.Time) ([]StepRun, error)

	// Join adds an engine.
	Join(ctx context.Context, e EngineRow) error
	// Alive reports whether an engine has not gone, and keeps it so until the
	// end of the transaction.
	Alive(ctx context.Context, engine string) (bool, error)
	// Beat counts one beat of an engine; false when it has gone.
	Beat(ctx context.Context, engine string) (bool, error)
	// Leave removes an engine when its beat still is the one seen (beat < 0:
	// whatever it is); false when it is not, or had gone already. Whoever calls it
	// ends what the engine owns in the same transaction.
	Leave(ctx context.Context, engine string, beat int64) (bool, error)
	// Inherit gives the running attempts of the gone engines of a place to
	// another engine and returns them.
	Inherit(ctx context.Context, place, engine string) ([]StepRun, error)
	// Owned returns the running attempts of an engine, those of a run together.
	Owned(ctx context.Context, engine string) ([]StepRun, error)

	// Emit commits events with the transaction.
	Emit(events ...lastro.Event)
}

// Progress is what changes of a run.
type Progress struct {
	Run     int64
	State   State
	Reason  string
	Stop    string // why somebody wants it to end; "" = nobody does
	Open    int    // steps that have not ended
	EndedAt time.Time
}

// StepProgress is how a step of a run stands.
type StepProgress struct {
	Run    int64
	Step   string
	State  State // pending until all its cells have ended
	Reason string
	Open   int // cells that have not ended
	Waits  int // needs that have not ended
}

// EngineRow is an engine that works on the queue.
type EngineRow struct {
	ID        string
	Place     string // its state directory: engines of one place share a supervisor
	Beat      int64  // counts up while it lives
	StartedAt time.Time
}
