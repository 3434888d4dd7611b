// SPDX-License-Identifier: Apache-2.0

// Package track holds what training code reports: experiments, tracked runs,
// params, metrics, tags, artifacts by name, and logged models. It knows no
// wire format (api/mlflow speaks MLflow's) and decides nothing about
// promotion: gates do.
package track

import (
	"time"

	"lastro"
)

// Lifecycle says whether a thing is visible or in the bin.
type Lifecycle string

// The lifecycles, as MLflow spells them.
const (
	Active  Lifecycle = "active"
	Deleted Lifecycle = "deleted"
)

// Experiment groups tracked runs. ID is decimal digits, unique for ever; "0"
// is the experiment that always exists.
type Experiment struct {
	ID        string
	Name      string // unique among all experiments, deleted ones too
	State     Lifecycle
	CreatedAt time.Time
	UpdatedAt time.Time
	By        lastro.Actor
	Tags      map[string]string
}

// Ref returns "experiment:ID".
func (e Experiment) Ref() lastro.Ref { return lastro.NewRef("experiment", e.ID, "") }

// Status is how far a tracked run is.
type Status string

// The statuses, as MLflow spells them.
const (
	Running   Status = "RUNNING"
	Scheduled Status = "SCHEDULED"
	Finished  Status = "FINISHED"
	Failed    Status = "FAILED"
	Killed    Status = "KILLED"
)

// Terminal reports whether a run with this status has ended.
func (s Status) Terminal() bool { return s == Finished || s == Failed || s == Killed }

// Known reports whether s is one of the statuses.
func (s Status) Known() bool { return s.Terminal() || s == Running || s == Scheduled }

// Origin says which step of which lastro run created a thing. It comes from
// the caller's token, never from what the caller writes. The zero Origin is a
// client outside any step.
type Origin struct {
	Run  string // pipeline run, such as "142"
	Step string // step name
	Cell string // matrix cell, "" outside a matrix
}

// Run is a tracked run. ID is 32 lower-case hex digits.
type Run struct {
	ID           string
	ExperimentID string
	Name         string
	Status       Status
	State        Lifecycle
	User         string // as the client says
	By           lastro.Actor
	Origin       Origin
	StartedAt    time.Time
	EndedAt      time.Time // zero while it runs
	DeletedAt    time.Time // zero unless deleted
	Params       []Param   // sorted by key
	Metrics      []Metric  // the latest point of each key, sorted by key
	Tags         map[string]string
	Inputs       []Input
	ModelInputs  []string // logged models that it read
	ModelOutputs []ModelOutput
}

// Ref returns "trackedrun:ID".
func (r Run) Ref() lastro.Ref { return lastro.NewRef("trackedrun", r.ID, "") }

// Param is one setting of a tracked run; written once.
type Param struct{ Key, Value string }

// Metric is one point of a metric. Value may be NaN or infinite.
type Metric struct {
	Key   string
	Value float64
	Step  int64
	At    time.Time // as the client says, to the millisecond
	Run   string    // the tracked run that measured it; filled only on a logged model's metrics
	// Where the value was measured, "" when the client does not say.
	LoggedModel   string
	DatasetName   string
	DatasetDigest string
}

// Tag is one key and value on an experiment, a tracked run or a logged model.
type Tag struct{ Key, Value string }

// Input is a dataset that a tracked run read, as the client describes it.
// Digest is the client's own (not a lastro.Digest).
type Input struct {
	Name, Digest, SourceType, Source, Schema, Profile string
	Tags                                              map[string]string
}

// TagContext is the tag of an Input that says what it was used for.
const TagContext = "mlflow.data.context"

// ModelOutput is a logged model that a tracked run wrote.
type ModelOutput struct {
	ModelID string
	Step    int64
}

// Artifact is one file by name: Path is relative to the artifact root
// ("EXPERIMENT/RUN/artifacts/model/MLmodel"), Digest names its bytes.
type Artifact struct {
	Path   string
	Digest lastro.Digest
	Size   int64 // bytes
	At     time.Time
}

// ModelStatus is how far a logged model is.
type ModelStatus string

// The statuses of a logged model.
const (
	ModelPending ModelStatus = "PENDING"
	ModelReady   ModelStatus = "READY"
	ModelFailed  ModelStatus = "UPLOAD_FAILED"
)

// LoggedModel is a model as MLflow 3 logs it, before any registration. ID is
// "m-" and 32 lower-case hex digits.
type LoggedModel struct {
	ID           string
	ExperimentID string
	Name         string
	Type         string // such as "sklearn"; may be empty
	SourceRun    string // tracked run, may be empty
	Status       ModelStatus
	StatusText   string
	By           lastro.Actor
	Origin       Origin
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Params       []Param
	Metrics      []Metric
	Tags         map[string]string
}

// RunRoot is the artifact root of a tracked run.
func RunRoot(experimentID, runID string) string { return experimentID + "/" + runID + "/artifacts" }

// ModelRoot is the artifact root of a logged model.
func ModelRoot(experimentID, modelID string) string {
	return experimentID + "/models/" + modelID + "/artifacts"
}
