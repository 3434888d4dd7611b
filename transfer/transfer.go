// SPDX-License-Identifier: Apache-2.0

// Package transfer moves the content of tracking servers: in from MLflow's
// database file or from a server that speaks MLflow's REST protocol (MLflow's
// own, or another lastro), and out into a database file that MLflow opens. Ids
// stay the same. Whatever is moved is compared with its source afterwards.
package transfer

import (
	"context"
	"io"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

// Source is content that can be read. What a callback returns ends the reading
// with that error. Entities come in an order that stays the same from one
// reading to the next. It is safe for one reader at a time, and Open beside it.
type Source interface {
	// About says what this is, without secrets.
	About() About
	// Experiments calls fn for every experiment, deleted ones too.
	Experiments(ctx context.Context, fn func(track.Experiment) error) error
	// Runs calls fn for every run of an experiment, deleted ones too, with the
	// latest point of each metric; of Origin it knows nothing.
	Runs(ctx context.Context, experiment string, fn func(Run) error) error
	// Points calls fn with all points of a run, by key, then time, step and
	// value; a call has points of one key.
	Points(ctx context.Context, r Run, fn func([]track.Metric) error) error
	// LoggedModels calls fn for every logged model of an experiment.
	LoggedModels(ctx context.Context, experiment string, fn func(LoggedModel) error) error
	// Models calls fn for every registered model, by name, with its aliases.
	Models(ctx context.Context, fn func(registry.Model) error) error
	// Versions calls fn for every version of a model, by number.
	Versions(ctx context.Context, model string, fn func(Version) error) error
	// Traces calls fn for every trace of an experiment.
	Traces(ctx context.Context, experiment string, fn func(Trace) error) error
	// Files calls fn for every file below an artifact root, by path. A root
	// without files, or one that is not there, has none.
	Files(ctx context.Context, root string, fn func(File) error) error
	// Open reads one file below an artifact root.
	Open(ctx context.Context, root, path string) (io.ReadCloser, error)
	Close() error
}

// About is what a source says of itself.
type About struct {
	Where    string   `json:"where"`           // for people: a path, or an address without user and password
	Software string   `json:"software"`        // such as "MLflow 3.17.2"; without a version where the source does not say
	Left     []Left   `json:"left,omitempty"`  // what is there that no transfer moves
	Notes    []string `json:"notes,omitempty"` // what to know before
}

// Left is something that stays behind, with the reason.
type Left struct {
	Kind  string `json:"kind"` // such as "evaluation datasets"
	Count int    `json:"count"`
	Why   string `json:"why"`
}

// Run is a tracked run and where its artifacts are.
type Run struct {
	track.Run
	Root string // artifact root as the source writes it
}

// LoggedModel is a logged model and where its files are.
type LoggedModel struct {
	track.LoggedModel
	Root string
}

// Version is a version of a registered model and where its files are; Root is
// "" for one without files (a prompt). By is not known: User is who the source
// says registered it.
type Version struct {
	registry.Version
	Root string
	User string
	// Unready is why the source never got its files, "" for a version that is ready.
	Unready string
}

// File is one artifact.
type File struct {
	Path string // below its root
	Size int64  // bytes
	// digest is known without reading where the bytes are this lastro's own.
	digest lastro.Digest
}
