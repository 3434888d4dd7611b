// SPDX-License-Identifier: Apache-2.0

// Package pipeline turns a declared pipeline into a plan and carries it out:
// order, cache keys, runs and step runs, and the Kind interface through which
// steps do their work. What a kind does lives in step/*, how a process is
// started in exec, rows in store, bytes in blob.
package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lastro"
)

// State is how a run or step run stands (SEMANTICS 28).
type State string

// The states. Failed: the user's work said no. Errored: lastro or its
// surroundings broke.
const (
	Pending   State = "pending"
	Running   State = "running"
	Waiting   State = "waiting" // for a person only
	Cached    State = "cached"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Errored   State = "errored"
)

// Ended reports whether nothing more will happen.
func (s State) Ended() bool { return s != Pending && s != Running && s != Waiting }

// OK reports whether the outputs are there.
func (s State) OK() bool { return s == Succeeded || s == Cached }

// Run is one execution of a plan.
type Run struct {
	Number     int64             `json:"number"` // shown as #142
	Project    string            `json:"project"`
	State      State             `json:"state"`
	Reason     string            `json:"reason,omitempty"` // why it ended so
	PlanDigest lastro.Digest     `json:"plan_digest"`
	Spec       Spec              `json:"spec"`
	Git        Git               `json:"git"`
	Event      map[string]any    `json:"event,omitempty"` // what started it: {"kind": "person"}
	Actor      lastro.Actor      `json:"actor"`
	Params     map[string]any    `json:"params,omitempty"`
	Datasets   []Dataset         `json:"datasets,omitempty"` // the versions it reads
	Code       map[string]string `json:"code,omitempty"`     // content of each code file by path
	StartedAt  time.Time         `json:"started_at"`
	EndedAt    time.Time         `json:"ended_at,omitzero"`
}

// Ref returns "run:142".
func (r Run) Ref() lastro.Ref { return RunRef(r.Number) }

// RunRef returns the reference of a run.
func RunRef(number int64) lastro.Ref { return lastro.NewRef("run", fmt.Sprint(number), "") }

// StepRef returns "step:142/train", or "step:142/train.3" for a cell.
func StepRef(run int64, step string, cell int) lastro.Ref {
	return lastro.NewRef("step", fmt.Sprintf("%d/%s", run, cellName(step, cell)), "")
}

// cellName is "train" or "train.3". Step names have no dot, so it is unique.
func cellName(step string, cell int) string {
	if cell == 0 {
		return step
	}
	return fmt.Sprintf("%s.%d", step, cell)
}

// Git is the commit that a run is of; zero in a folder without git.
type Git struct {
	Commit  string   `json:"commit,omitempty"`
	Branch  string   `json:"branch,omitempty"`
	Author  string   `json:"author,omitempty"` // "Name <mail>" of the commit
	Changed []string `json:"changed,omitempty"`
}

// StepRun is one attempt at one step or cell within a run.
type StepRun struct {
	Run         int64              `json:"run"`
	Step        string             `json:"step"`
	Cell        int                `json:"cell,omitempty"` // 0 = no matrix, else from 1
	Values      map[string]any     `json:"values,omitempty"`
	Attempt     int                `json:"attempt"` // from 1
	Kind        string             `json:"kind"`
	State       State              `json:"state"`
	Reason      string             `json:"reason,omitempty"` // why cached, run again, skipped, failed
	Key         lastro.Digest      `json:"key,omitempty"`
	Ingredients map[string]string  `json:"ingredients,omitempty"` // of Key, by name
	CachedFrom  int64              `json:"cached_from,omitempty"` // number of the run that did the work
	Selected    bool               `json:"selected,omitempty"`    // the cell that goes on; true without a matrix
	Inputs      []JobInput         `json:"inputs,omitempty"`
	Outputs     []Artifact         `json:"outputs,omitempty"`
	Facts       map[string]float64 `json:"facts,omitempty"`
	Report      json.RawMessage    `json:"report,omitempty"`     // of the kind; its form belongs to the kind
	Reports     []Report           `json:"reports,omitempty"`    // of the files under `reports:`, by format
	Plots       []Artifact         `json:"plots,omitempty"`      // kept like outputs, but no step reads them
	Summary     string             `json:"summary,omitempty"`    // Markdown from $LASTRO_SUMMARY, at most MaxSummary bytes
	OutValues   map[string]string  `json:"out_values,omitempty"` // from $LASTRO_OUTPUT: ${{ steps.NAME.values.X }} of later steps
	Log         string             `json:"log,omitempty"`        // path from the state directory; "" = nothing ran
	Error       *lastro.Error      `json:"error,omitempty"`
	CPUSeconds  float64            `json:"cpu_seconds,omitempty"`
	MaxRSSBytes int64              `json:"max_rss_bytes,omitempty"`
	StartedAt   time.Time          `json:"started_at,omitzero"`
	EndedAt     time.Time          `json:"ended_at,omitzero"`
}

// Ref returns the reference of the step or cell.
func (s StepRun) Ref() lastro.Ref { return StepRef(s.Run, s.Step, s.Cell) }

// Output returns the artifact of that name.
func (s StepRun) Output(name string) (Artifact, bool) {
	for _, a := range s.Outputs {
		if a.Name == name {
			return a, true
		}
	}
	return Artifact{}, false
}

// Artifact is an output that was kept.
type Artifact struct {
	Name   string        `json:"name"`
	Path   string        `json:"path"`
	Digest lastro.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes
}

// Store keeps runs and step runs. Each writing method is one transaction that
// also commits the events.
type Store interface {
	// CreateRun stores a run with its first step runs and gives it the next
	// number; the numbers in r, steps and events are filled in by it (events
	// are made by the callback, once the number is known).
	CreateRun(ctx context.Context, r Run, steps []StepRun, events func(number int64) []lastro.Event) (int64, error)
	// Record stores step runs, replacing those of the same run, step, cell and
	// attempt, and the state of the run when r is not nil.
	Record(ctx context.Context, r *Run, steps []StepRun, events ...lastro.Event) error

	// Run returns one run; ENotFound.
	Run(ctx context.Context, number int64) (Run, error)
	// Runs lists runs, newest first, without their Code.
	Runs(ctx context.Context, f RunFilter) ([]Run, error)
	// StepRuns returns all step runs of a run in the order in which they were
	// first recorded, earlier attempts included.
	StepRuns(ctx context.Context, run int64) ([]StepRun, error)
	// Hit returns the newest succeeded step run with this cache key; ok is
	// false when there is none.
	Hit(ctx context.Context, project string, key lastro.Digest) (s StepRun, ok bool, err error)
	// LastKeyed returns the newest ended step run of a step or cell that has a
	// cache key; values are compared as canonical JSON.
	LastKeyed(ctx context.Context, project, step string, values map[string]any) (s StepRun, ok bool, err error)
}

// RunFilter narrows a list of runs; empty fields match everything.
type RunFilter struct {
	Project    string
	Unfinished bool // only pending, running and waiting ones
	Before     int64
	Limit      int // 0 = 50
}

// text writes a value the way a step gets it in a variable: strings as they
// are, everything else as JSON.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// Err returns why a run did not succeed, nil when it did or is not over.
func (r Run) Err() error {
	switch r.State {
	case Failed:
		return &lastro.Error{Code: lastro.EFailed, Msg: r.Reason}
	case Errored:
		return &lastro.Error{Code: lastro.EErrored, Msg: r.Reason}
	case Cancelled:
		return context.Canceled
	}
	return nil
}
