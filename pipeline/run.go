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
	Tree       lastro.Digest     `json:"tree,omitempty"`     // of the files that it was planned from: code, lastro.yaml, locks; "" = all was cached
	Options    RunOptions        `json:"options,omitzero"`
	Stop       string            `json:"stop,omitempty"` // why somebody wants it to end
	StartedAt  time.Time         `json:"started_at"`
	EndedAt    time.Time         `json:"ended_at,omitzero"`
}

// RunOptions are what was asked of a run, apart from params.
type RunOptions struct {
	Only      []string `json:"only,omitempty"`      // these steps and what they need
	From      []string `json:"from,omitempty"`      // these steps and all that follow run even if cached
	NoCache   bool     `json:"no_cache,omitempty"`  // everything runs
	Strict    bool     `json:"strict,omitempty"`    // steps write to their workspace only and reach no network but tracking
	Scope     Scope    `json:"scope,omitempty"`     // of cached results
	Untrusted bool     `json:"untrusted,omitempty"` // no secrets, nothing registered or deployed: a pull request from a fork
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
	Weight      int                `json:"-"`       // processors' worth of an engine that it takes, from 1
	Turns       bool               `json:"-"`       // of a row to be stored: it waits for its turn among the cells of its step
	Kind        string             `json:"kind"`
	State       State              `json:"state"`
	Reason      string             `json:"reason,omitempty"` // why cached, run again, skipped, failed
	Cause       RetryReason        `json:"cause,omitempty"`  // lost, oom, timeout, exit:N; "" = it ended well, or for another reason
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
	Isolation   string             `json:"isolation,omitempty"` // what kept the work apart (Result.Isolation); "" = nothing ran, or it ran in lastro itself
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
