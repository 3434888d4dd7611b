// SPDX-License-Identifier: Apache-2.0

// Package monitor watches what is live: it cuts the answers of a release into
// windows of event time, compares their columns with the training data, says
// what harm the scores let one expect, measures the model when labels have
// come, raises and resolves alerts, and asks for a retrain when there is
// something new to learn (SEMANTICS 22 and 23). Where rows come from (Source),
// where results are kept (Store), how a rule is evaluated (Eval), who trains
// (Trigger) and who is told (Notifier) is brought by others.
package monitor

import (
	"context"
	"log/slog"
	"time"

	"lastro"
	"lastro/stats"
)

// Release is one release of an environment, as the monitor sees it: a span of
// event time in which a model version answered.
type Release struct {
	Ref      lastro.Ref         // release:local@2
	Model    lastro.Ref         // model:flight-delay@3
	From     time.Time          // event time of its first answer as champion
	To       time.Time          // event time of the next release's first answer; zero while live
	Baseline map[string]float64 // metrics in the version's decision, without "metrics.": auc -> 0.68
	Trained  time.Time          // when its training data was read (wall clock of the dataset version); label rows newer than the version's data are new
}

// WindowQuery asks for the answers of one release in [Start, End) of event time.
type WindowQuery struct {
	Environment string
	Release     Release
	Start, End  time.Time
	Columns     []string // nil = all that the model reads
}

// Window is what a model read in a window, by column. Rows is the number of
// answers without error.
type Window struct {
	Rows    int
	Columns []stats.Column
}

// LabelQuery asks for the scores of a window joined with their labels.
type LabelQuery struct {
	WindowQuery
	Labels      string // dataset
	Join        string // column of both sides
	ObservedFor string // CEL over an answer's columns; "" = all
}

// Scored are answers of a window with the labels that have come.
type Scored struct {
	Answers     int       // answers in the window, without error
	Observed    int       // those for which a label can ever come (observed_for); = Answers when it is ""
	LabelsUntil time.Time // newest event time in the labels dataset; zero = unknown
	Score       []float64 // by labelled row
	Truth       []float64 // by labelled row; 0 or 1 for a classifier
}

// Source gives the monitor its rows. Calls may be slow (they read the request
// log and the labels); none has an effect.
type Source interface {
	// Releases lists the live release last, those before it in order; at most the newest 5.
	Releases(ctx context.Context, environment string) ([]Release, error)
	// Newest returns the newest event time among the environment's answers; zero when there is none.
	Newest(ctx context.Context, environment string) (time.Time, error)
	// Reference returns the columns of the data that the release's version was trained on (spec.Step, spec.Output).
	Reference(ctx context.Context, release Release, spec DriftSpec) ([]stats.Column, error)
	// Window returns the columns of a window's inputs; a column the reference calls numeric is asked for as numeric.
	Window(ctx context.Context, q WindowQuery, reference []stats.Column) (Window, error)
	// ReferenceScores returns held-out rows of the version's evaluation, scores with truth; nil when there are none.
	ReferenceScores(ctx context.Context, release Release) (truth, score []float64, err error)
	// Scores returns every score of a window, labelled or not.
	Scores(ctx context.Context, q WindowQuery) ([]float64, error)
	// Scored returns the window's scores that have labels.
	Scored(ctx context.Context, q LabelQuery) (Scored, error)
	// NewLabels counts label rows that were not there when the release's version was trained.
	NewLabels(ctx context.Context, labels string, release Release) (int, error)
}

// Eval evaluates a CEL rule over dotted facts; a missing fact is an error.
type Eval func(expr string, facts map[string]float64) (bool, error)

// Trigger starts the retrain that an alert asks for. It returns the run that
// it started; a second call with the same request ID starts nothing and
// returns the same run.
type Trigger interface {
	Retrain(ctx context.Context, r Retrain) (run lastro.Ref, err error)
}

// Notifier tells people. The target "log" needs none: the service logs.
type Notifier interface {
	Notify(ctx context.Context, targets []string, a Alert) error
}

// Changes are what one window, or one decision about an alert, adds to the
// record.
type Changes struct {
	Measurements []Measurement // new; one whose ID is there already is left as it was
	Alerts       []Alert       // new or changed
	Retrains     []Retrain     // new or changed
	Events       []lastro.Event
}

// Store keeps measurements, alerts and retrain requests.
type Store interface {
	// Save keeps all changes and their events in one transaction.
	Save(ctx context.Context, c Changes) error
	// Measurements lists the newest window first, then by kind and name.
	Measurements(ctx context.Context, f Filter) ([]Measurement, error)
	// Alerts lists the newest window first.
	Alerts(ctx context.Context, f AlertFilter) ([]Alert, error)
	// Retrains lists the newest event time first; limit 0 is 100.
	Retrains(ctx context.Context, environment string, limit int) ([]Retrain, error)
}

// Options are what a Service uses. Trigger and Notifier may be nil: then
// retrains stay requested, and only the log is told.
type Options struct {
	Source   Source
	Store    Store
	Eval     Eval
	Trigger  Trigger
	Notifier Notifier
	Log      *slog.Logger
}

// Service evaluates monitors. It is safe for concurrent use; evaluations of
// one environment run one after the other.
type Service struct {
	Options
	busy locks
}

// New makes a service.
func New(o Options) *Service { return &Service{Options: o} }

// Report is what one evaluation did.
type Report struct {
	Newest       time.Time     // newest event time seen
	Measurements []Measurement // new ones
	Alerts       []Alert       // those that changed
	Retrains     []Retrain     // those requested or started now
	Waiting      []string      // windows that are not measured yet, and for what they wait
}
