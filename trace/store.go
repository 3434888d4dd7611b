// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"time"

	"lastro"
)

// Store keeps traces, assessments and evaluation datasets. Each method is one
// transaction. Errors carry lastro.ENotFound for ids that do not exist,
// lastro.EInvalid for an experiment that is deleted, and lastro.EDenied from
// Caller.MayWrite.
type Store interface {
	// Start records a whole trace. One that its spans have made before takes what
	// t says and keeps what t leaves out.
	Start(ctx context.Context, c Caller, t Trace) (Trace, error)
	// End is the second half of the older protocol: it changes state, duration,
	// and adds to metadata and tags.
	End(ctx context.Context, c Caller, id string, end Ending) (Trace, error)
	// AddSpans records spans of several traces of one experiment, all or none.
	AddSpans(ctx context.Context, c Caller, experiment string, batches []Batch) error
	// Traces returns those of the ids that exist, in their order; experiments nil = all.
	Traces(ctx context.Context, ids, experiments []string) ([]Trace, error)
	// Bodies calls fn with the encoded spans of traces, by trace in the order of writing.
	Bodies(ctx context.Context, traces []int64, fn func(trace int64, b Body) error) error
	// Search returns candidates: what a clause of Inexact says is not looked at.
	Search(ctx context.Context, q Query) ([]Row, error)
	SetTag(ctx context.Context, c Caller, id, key, value string) error
	DeleteTag(ctx context.Context, c Caller, id, key string) error
	// Delete removes traces for ever, with their spans, assessments and artifacts.
	Delete(ctx context.Context, c Caller, d Deletion, event func(n int) lastro.Event) (int, error)
	// LinkRun ties traces to a tracked run; ids that do not exist are left out.
	LinkRun(ctx context.Context, c Caller, ids []string, run string) error
	LinkPrompts(ctx context.Context, c Caller, id string, prompts []string) error
	// Metrics returns the values of a metric query by group, ungrouped ones under "".
	Metrics(ctx context.Context, q MetricQuery) ([]Group, error)
	// Count counts the traces that every clause of all given lists holds for.
	Count(ctx context.Context, experiments []string, where ...[]Clause) (int64, error)

	AddAssessment(ctx context.Context, c Caller, a Assessment) (Assessment, error)
	Assessment(ctx context.Context, trace, id string) (Assessment, error)
	UpdateAssessment(ctx context.Context, c Caller, trace, id string, change func(*Assessment) error) (Assessment, error)
	DeleteAssessment(ctx context.Context, c Caller, trace, id string) error

	// PutArtifact names bytes that are stored already.
	PutArtifact(ctx context.Context, path string, digest lastro.Digest, size int64, at time.Time) error

	Datasets
}

// Datasets is the part of the store that keeps evaluation datasets.
type Datasets interface {
	CreateDataset(ctx context.Context, d EvaluationDataset, events ...lastro.Event) error
	Dataset(ctx context.Context, id string) (EvaluationDataset, error)
	// SearchDatasets returns one page and the token of the next one, "" at the end.
	SearchDatasets(ctx context.Context, q DatasetQuery) ([]EvaluationDataset, string, error)
	// ChangeDataset runs change on the dataset within a transaction and writes what
	// it says.
	ChangeDataset(ctx context.Context, c Caller, id string, change func(DatasetTx, *EvaluationDataset) error, events ...lastro.Event) (EvaluationDataset, error)
	DeleteDataset(ctx context.Context, c Caller, id string, events ...lastro.Event) error
	Records(ctx context.Context, q RecordQuery) ([]Record, string, error)
}

// Ending is how a trace of the older protocol ends.
type Ending struct {
	State    State
	At       time.Time
	Metadata map[string]string
	Tags     map[string]string
}

// Batch is what one request tells of one trace.
type Batch struct {
	ID    string
	Facts SpanFacts
	Spans []SpanRow
	Body  Body
}

// Body is a number of spans, encoded: bytes, or where they are in the content store.
type Body struct {
	Hash  string // of the spans, hex: the same batch sent again is kept once
	Bytes []byte
	Blob  lastro.Digest // "" = Bytes
}

// Row is one trace that a search found, with the token of a page that begins after it.
type Row struct {
	Trace
	Token string
}

// Deletion says which traces of an experiment go: those with the ids, or the
// oldest.
type Deletion struct {
	Experiment string
	IDs        []string
	Until      *time.Time // began at or before
	Most       *int
}
