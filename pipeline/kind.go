// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"

	"lastro"
)

// Kind is what one kind of step does. The table of kinds is step/kinds.go.
// Every method may be called concurrently.
type Kind interface {
	// Name is the kind's name in StepSpec.Kind: "run", "lastro/split".
	Name() string

	// Needs says what the engine prepares for this step.
	Needs(s StepSpec) Needs

	// Ingredients returns what identifies the work apart from its inputs, code,
	// runtime, cell and variables, which the engine adds: for a built-in its name
	// and version, s.With (resolved), and whatever else it reads, such as the
	// digest of the champion it compares with. It becomes part of the cache key,
	// so it must encode to the same JSON whenever the result would be the same.
	// It is called while a run is planned and has to be quick.
	Ingredients(ctx context.Context, s StepSpec) (any, error)

	// Run does the work in j.Dir and returns when the declared outputs are there.
	// An error with lastro.EFailed means that the user's work said no; any other
	// one is errored; one that wraps ErrLost is tried once more. When ctx ends,
	// Run stops what it started and returns the cause of ctx.
	Run(ctx context.Context, j *Job) (Result, error)
}

// Needs is what a step wants to find in its workspace and environment.
type Needs struct {
	Code      bool // the project's code at its paths; it is then part of the cache key
	Python    bool // the Python runtime; it is then part of the cache key
	Sensitive bool // datasets with all their sensitive columns (SEMANTICS 19)
}

// Resumable is a Kind whose work goes on when the engine dies. After a crash
// the engine calls Resume with the job as it was; found is false when the work
// was never begun or is no longer known, and then the step runs again.
type Resumable interface {
	Kind
	Resume(ctx context.Context, j *Job) (r Result, found bool, err error)

	// Stop ends work that nobody will resume; work that is not known is no error.
	Stop(ctx context.Context, taskID, why string) error

	// Forget drops what is remembered of a job whose end the engine has committed.
	Forget(ctx context.Context, taskID string) error
}

// ErrLost is wrapped by the errors of a Kind whose work disappeared: nobody
// knows how it ended, and trying again may help.
var ErrLost = errors.New("the work was lost")

// Ended is in the chain of a Kind's error when the way the work ended matters
// for another attempt (StepSpec.Retry):
//
//	if how, ok := errors.AsType[*pipeline.Ended](err); ok { ... how.Reason ... }
type Ended struct {
	Reason   RetryReason // lost, oom, timeout or exit:N; "" = none of them, such as a signal
	ExitCode int         // 0 to 255 when the program exited by itself, else -1
}

// Error is empty: the error around it says in words what happened.
func (e *Ended) Error() string { return "" }

// Is makes lost work be ErrLost.
func (e *Ended) Is(target error) bool { return target == ErrLost && e.Reason == RetryLost }

// ErrDetach is the cause of a context that ends because the engine goes away
// for a while: work that outlives it goes on, and nothing is recorded.
var ErrDetach = errors.New("the engine goes away; the work goes on")

// Job is one attempt at one step or cell.
type Job struct {
	Run     int64          // number of the run
	Step    StepSpec       // With, Env and the rest resolved for this cell
	Cell    int            // 0 = no matrix, else the cell's number from 1
	Values  map[string]any // values of the cell by axis; nil without a matrix
	Attempt int            // from 1
	TaskID  string         // names this attempt for ever: "142-train.3-1"
	Resumed bool           // an engine before this one had begun it

	Dir     string     // absolute: the workspace root, with code and inputs in place
	Scratch string     // absolute: a folder of this attempt's own outside the workspace, for HOME and TMPDIR
	Project string     // absolute: the project's root; never to be written
	Inputs  []JobInput // in the order of the file; "inputs: [split]" gives one per output
	Outputs []Output   // to be written below Dir; their parent folders exist

	Params  map[string]any    // all params of the run, nested
	Vars    map[string]string // values of Step.Vars, by environment variable
	Runtime Runtime           // of Needs.Python; the zero value without
	Env     []string          // NAME=value of tracking, to be given to whatever the step starts
	Secrets map[string]string // values of Step.Secrets by name: for the environment of the work, and for nothing else
	Strict  bool              // the step may write its workspace only and read nothing of Project; kept or refused

	Log     io.Writer // the step's log; nothing is lost, order is kept
	LogPath string    // absolute path of the file behind Log
}

// JobInput is an input where the step finds it.
type JobInput struct {
	Name    string        // "split.train" or the dataset's name
	Path    string        // relative to Job.Dir, with slashes; a file or a folder
	Digest  lastro.Digest // of the bytes there
	Dataset string        // set for a dataset
	Version lastro.Digest // of the dataset; differs from Digest when columns were left out
	Step    string        // set for a step's output
	Output  string        // its name
	From    string        // absolute: the bytes in the store, to be shown at Path read-only; "" = Path holds a copy
}

// Input returns the input of that name.
func (j *Job) Input(name string) (JobInput, bool) {
	for _, in := range j.Inputs {
		if in.Name == name {
			return in, true
		}
	}
	return JobInput{}, false
}

// Output returns the declared output of that name.
func (j *Job) Output(name string) (Output, bool) {
	for _, o := range j.Outputs {
		if o.Name == name {
			return o, true
		}
	}
	return Output{}, false
}

// Path returns the absolute path of a file of the workspace.
func (j *Job) Path(rel string) string { return filepath.Join(j.Dir, filepath.FromSlash(rel)) }

// Ref returns "step:142/train" or "step:142/train.3".
func (j *Job) Ref() lastro.Ref { return StepRef(j.Run, j.Step.Name, j.Cell) }

// Result is what a step found out, apart from its outputs. The engine adds
// metrics and test counts from the files that the step declares.
type Result struct {
	// Facts by their whole name: "compare.auc.diff", "data.flights.checks.failed",
	// "metrics.auc".
	Facts map[string]float64

	// Report is what pages and decisions show of this step; its form belongs to the kind.
	Report json.RawMessage

	// CPUSeconds and MaxRSSBytes are what the work used, when known.
	CPUSeconds  float64
	MaxRSSBytes int64

	// Isolation says what kept the work apart: exec.Exit.Isolation, "" = it ran
	// inside the engine. It is there also when the work failed.
	Isolation string
}

// Runtime is a Python environment that is ready to use.
type Runtime struct {
	Digest lastro.Digest // of the lock, the exact version and the platform; "" = only Prepare can tell
	BinDir string        // to be put first in PATH; "" = there is no environment
	Env    []string      // NAME=value
	Name   string        // for people: "python 3.11.2, 42 packages"
}
