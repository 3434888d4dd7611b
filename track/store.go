// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"iter"
	"time"

	"lastro"
)

// Store keeps tracking data. Each method is one transaction and commits the
// events given with it. Errors carry lastro.ENotFound for ids that do not
// exist and lastro.EConflict for names that are taken.
type Store interface {
	CreateExperiment(ctx context.Context, e Experiment, events ...lastro.Event) error
	Experiment(ctx context.Context, id string) (Experiment, error)
	ExperimentByName(ctx context.Context, name string) (Experiment, error)
	// UpdateExperiment writes Name, State and UpdatedAt; deleting one deletes its active runs, restoring restores them.
	UpdateExperiment(ctx context.Context, e Experiment, events ...lastro.Event) error
	SetExperimentTag(ctx context.Context, id string, tag Tag) error
	DeleteExperimentTag(ctx context.Context, id, key string) error
	// The searches return one page, and the token of the next one, "" at the end.
	SearchExperiments(ctx context.Context, q Query) (page []Experiment, next string, err error)

	// CreateRun is lastro.ENotFound when there is no such active experiment.
	CreateRun(ctx context.Context, r Run, events ...lastro.Event) error
	// Run returns the whole run with its params, latest metrics, tags, inputs and outputs.
	Run(ctx context.Context, id string) (Run, error)
	// RunInfo is Run without params, metrics, tags, inputs and outputs.
	RunInfo(ctx context.Context, id string) (Run, error)
	// UpdateRun gives a run, as RunInfo does, to change and writes what that has made of Name (with the tag that
	// repeats it), Status, EndedAt, State and DeletedAt, with the events that it returns. Nobody else changes the run
	// meanwhile. change may be called again; it must not call the store.
	UpdateRun(ctx context.Context, id string, change func(*Run) ([]lastro.Event, error)) (Run, error)
	SearchRuns(ctx context.Context, q Query) (page []Run, next string, err error)
	// Activity counts the active runs of these experiments; one without runs is missing.
	Activity(ctx context.Context, experiments []string) (map[string]Activity, error)
	// RunsOf lists the tracked runs that a step of a pipeline run created, oldest first; step "" means every step.
	RunsOf(ctx context.Context, run, step string) ([]Run, error)
	// RunsBy lists the tracked runs that one step and cell of a pipeline run created, oldest first.
	RunsBy(ctx context.Context, o Origin) ([]Run, error)

	// Log writes a batch in one transaction, or nothing. may, unless nil, gets ID, State and Origin of the run and can refuse. A
	// param that exists with another value is lastro.EInvalid. A value of the tag TagRunName is the run's new name.
	Log(ctx context.Context, runID string, b Batch, may func(Run) error) error
	DeleteRunTag(ctx context.Context, runID, key string) error
	LogInputs(ctx context.Context, runID string, in []Input, models []string) error
	LogOutputs(ctx context.Context, runID string, out []ModelOutput) error
	// History returns points of one metric ordered by time, step, value.
	History(ctx context.Context, q HistoryQuery) ([]Metric, error)
	// Points is History one point after the other, with memory that does not grow with their number.
	Points(ctx context.Context, q HistoryQuery) iter.Seq2[Metric, error]

	// Binned lists what was deleted before a time, at most limit of each kind (0 = all); what is in a deleted experiment is.
	Binned(ctx context.Context, before time.Time, limit int) (Bin, error)
	// BinnedIn lists the runs and logged models of an experiment.
	BinnedIn(ctx context.Context, experiment string, limit int) (Bin, error)
	// Purge removes in one transaction what of these is deleted, with its artifacts, and emits an event for each. An
	// experiment goes when no run and no logged model is left in it.
	Purge(ctx context.Context, b Bin, event func(kind, id string) lastro.Event) (Purged, error)

	PutArtifact(ctx context.Context, a Artifact) error
	Artifact(ctx context.Context, path string) (Artifact, error)
	// Artifacts lists every file below dir at any depth, sorted by path; at most limit (0 = all).
	Artifacts(ctx context.Context, dir string, limit int) ([]Artifact, error)
	// DeleteArtifacts forgets the file at path and every file below it.
	DeleteArtifacts(ctx context.Context, path string) (int64, error)

	CreateLoggedModel(ctx context.Context, m LoggedModel, events ...lastro.Event) error
	LoggedModel(ctx context.Context, id string) (LoggedModel, error)
	// UpdateLoggedModel writes Status, StatusText and UpdatedAt.
	UpdateLoggedModel(ctx context.Context, m LoggedModel, events ...lastro.Event) error
	DeleteLoggedModel(ctx context.Context, id string, events ...lastro.Event) error
	LogModelParams(ctx context.Context, id string, params []Param) error
	SetModelTags(ctx context.Context, id string, tags []Tag) error
	DeleteModelTag(ctx context.Context, id, key string) error
	SearchLoggedModels(ctx context.Context, q Query) (page []LoggedModel, next string, err error)
	// Datasets lists what runs of these experiments read, sorted by experiment, name, digest and context, at most limit.
	Datasets(ctx context.Context, experiments []string, limit int) ([]DatasetUse, error)
}

// Batch is what one call reports about one tracked run.
type Batch struct {
	Params  []Param
	Metrics []Metric
	Tags    []Tag
}

// HistoryQuery asks for points of one metric of one tracked run.
type HistoryQuery struct {
	Run   string
	Key   string
	Steps []int64 // nil = every step
	After *Metric // the last point of the page before; nil = from the first
	Limit int     // 0 = all
}
