// SPDX-License-Identifier: Apache-2.0

// Package serve is the data plane: an inference gateway that answers Open
// Inference Protocol v2 and MLflow requests, splits them between a champion
// and a candidate, asks the champion when the candidate fails, counts what
// each revision does and keeps every request and answer in a log. It goes on
// by itself, from its routing on disk, while the control plane is away.
//
// How a model is loaded belongs to a Runtime (serve/python, serve/onnx). Why
// traffic moves belongs to deploy.
package serve

import (
	"context"
	"log/slog"
	"time"

	"lastro"
)

// Revision is one running model behind an endpoint.
type Revision struct {
	Name    string        `json:"name"`              // as people see it, such as flight-delay@3
	Version string        `json:"version"`           // as clients name it in /versions/{v}, such as 3
	Digest  lastro.Digest `json:"digest"`            // of the model's tree; checked before the model is loaded
	Runtime string        `json:"runtime,omitempty"` // "" = the first runtime that accepts the folder
	Python  string        `json:"python,omitempty"`  // interpreter of the version's own environment, for the Python runtime
	// Reload, when it changes, loads the revision anew although nothing else of it changed.
	Reload int64 `json:"reload,omitempty"`
}

// Routing is what one endpoint is told to serve.
type Routing struct {
	Endpoint string `json:"endpoint"`
	// Generation ascends: a routing of a lower one is refused, so that a late
	// message of an old control plane changes nothing.
	Generation int64     `json:"generation"`
	Model      string    `json:"model"` // the model's name in URLs
	Champion   *Revision `json:"champion,omitempty"`
	Candidate  *Revision `json:"candidate,omitempty"`
	Share      float64   `json:"share"` // of requests that the candidate answers, 0 to 1
	// JoinKey and EventTime name columns that may be sent beside the model's
	// own; they are logged and not passed to the model (SEMANTICS 23).
	JoinKey   string `json:"join_key,omitempty"`
	EventTime string `json:"event_time,omitempty"`
	// Favourable is the answer that decision.rate counts; nil = no decision.rate.
	Favourable any `json:"favourable,omitempty"`
	// Deadline for a whole request, the repetition on the champion included; 0 = 10 s.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Workers is how many processes a revision gets; 0 = 2.
	Workers int `json:"workers,omitempty"`
}

// Revision states.
const (
	Loading = "loading"
	Ready   = "ready"
	Failed  = "failed"
)

// RevisionStats is what a revision has done. All figures are of requests that
// were routed to it, except that Rescued are requests that it answered because
// the candidate had failed.
type RevisionStats struct {
	Name   string `json:"name"`
	Role   string `json:"role"`  // champion, candidate
	State  string `json:"state"` // loading, ready, failed
	Reason string `json:"reason,omitempty"`
	// Code is the lastro.Code of Reason: tampered when the bytes do not verify.
	Code    lastro.Code   `json:"code,omitempty"`
	Notes   []string      `json:"notes,omitempty"` // the last lines that the model wrote
	Digest  lastro.Digest `json:"digest"`
	Runtime string        `json:"runtime,omitempty"`
	Pids    []int         `json:"pids,omitempty"`
	Since   time.Time     `json:"since"`
	Step    Counts        `json:"step"`    // since the routing's generation
	Rollout Counts        `json:"rollout"` // since a candidate was attached; for a candidate: since it was
	Total   Counts        `json:"total"`   // since it was loaded
}

// Counts are counters over one span.
type Counts struct {
	Since     time.Time `json:"since"`
	Requests  int64     `json:"requests"`
	Errors    int64     `json:"errors"`   // failed, timed out or malformed answers
	Rejected  int64     `json:"rejected"` // requests refused with 4xx; in neither of the others
	Rescued   int64     `json:"rescued"`
	Rows      int64     `json:"rows"`
	P50       float64   `json:"p50"` // seconds; 0 without requests
	P95       float64   `json:"p95"`
	P99       float64   `json:"p99"`
	Scored    int64     `json:"scored"` // rows with a numeric answer
	ScoreMean float64   `json:"score_mean"`
	ScoreSD   float64   `json:"score_sd"` // of a sample (n-1); 0 below two rows
	Decided   int64     `json:"decided"`  // rows compared with Favourable
	Favoured  int64     `json:"favoured"` // of those, rows that equal it
}

// EndpointStats is the state of one endpoint.
type EndpointStats struct {
	Routing   Routing         `json:"routing"` // as told; what is served may lag while a champion loads
	Serving   string          `json:"serving"` // name of the revision that answers as champion now, "" for none
	Revisions []RevisionStats `json:"revisions"`
}

// Stats is the answer of the admin socket's GET /stats.
type Stats struct {
	Pid        int                      `json:"pid"`
	Address    string                   `json:"address"` // host:port of the inference port
	StartedAt  time.Time                `json:"started_at"`
	Draining   bool                     `json:"draining,omitempty"`
	LogDropped int64                    `json:"log_dropped"` // lines that the request log could not keep
	Endpoints  map[string]EndpointStats `json:"endpoints"`
}

// Column is one named column of a batch. Values are float64, int64, string,
// bool or nil for missing, and of one type but for nil once checked against a
// schema.
type Column struct {
	Name   string
	Values []any
}

// Batch is the input of one request: columns of equal length. When the model's
// schema is unnamed it has Matrix instead, row by row.
type Batch struct {
	Rows    int
	Columns []Column
	Matrix  [][]float64
}

// Output is one named output of a model, row-major. Data are float64, int64,
// string, bool or nil, as many as the product of Shape.
type Output struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"` // FP64, INT64, BYTES, BOOL
	Shape    []int64 `json:"shape"`
	Data     []any   `json:"data"`
}

// Answer is what a model says to a batch.
type Answer struct {
	Outputs []Output `json:"outputs"`
	Frame   bool     `json:"frame,omitempty"` // the model answered a data frame: MLflow clients want records
}

// Runtime loads models of one technology. Safe for concurrent use.
type Runtime interface {
	// Name is python or onnx.
	Name() string
	// Accepts says whether the folder holds a model that this runtime loads.
	Accepts(dir string) bool
	// Load starts a model from a folder whose bytes were verified. It returns
	// when the model can answer; its error is a *lastro.Error that names the
	// reason in the model's own words. The caller closes the model.
	Load(ctx context.Context, spec LoadSpec) (Model, error)
}

// LoadSpec is what a runtime is asked to load.
type LoadSpec struct {
	Dir      string // read-only folder of the model
	Revision Revision
	Schema   Schema // of the folder's MLmodel; zero without one
	Workers  int    // processes, at least 1
	Log      *slog.Logger
}

// Model is a loaded model. Predict is safe for concurrent use.
type Model interface {
	// Schema is what the model asks for; Load's or the model's own.
	Schema() Schema
	// Predict answers a batch. A *lastro.Error of code EInvalid says that the
	// input is at fault (4xx); every other error that the model failed.
	Predict(ctx context.Context, b Batch) (Answer, error)
	// Pids are the processes that hold the model now.
	Pids() []int
	// Close ends the model's processes and waits for them. Twice is once.
	Close() error
}
