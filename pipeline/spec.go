// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"time"

	"lastro"
)

// Spec is a pipeline as its file declares it, before any input is known.
type Spec struct {
	Project string         // the project's name
	Params  map[string]any // numbers, strings, booleans, nested objects
	Steps   []StepSpec     // in the order of the file
	Python  Python         // the project's default
	NotCode []string       // paths from the root that are never code: lastro.yaml, lastro.lock, the sources of all datasets
}

// Python names a runtime: a version such as "3.11" and the requirements it is
// locked from. The zero value means that no environment is wanted.
type Python struct {
	Version string
	Lock    string // a lock file of the project's own; "" = lastro.lock
}

// StepSpec is one step as declared.
type StepSpec struct {
	Name     string
	Kind     string          // "run", or a built-in such as "lastro/split"
	Shell    string          // kind run: one bash command, with ${{ }} already compiled to $NAME of Vars
	Argv     []string        // kind run: a command without a shell; one of Shell and Argv is set
	Vars     []Var           // the expressions of the command and of env, each an environment variable
	With     json.RawMessage // built-ins: their settings, with ${{ }} inside strings still to be resolved by Expand
	Inputs   []Input
	Outputs  []Output // in the order of the file
	Needs    []string
	Code     []string          // globs from the repository root; nil = the default of SEMANTICS 10, empty = none
	Env      map[string]string // literal values
	Python   *Python           // overrides the project's
	Workdir  string            // from the repository root; "" = root
	Metrics  []string          // JSON files
	Reports  map[string]string // junit, gotest, sarif, coverage: file
	Matrix   []Axis            // in the order of the file
	Include  []map[string]any  // cells added to the matrix, or more values for the cells that agree with them
	Exclude  []map[string]any  // cells left out: those that agree with one of these
	Select   *Select
	Parallel int           // cells at once; 0 = as many as the engine runs
	Timeout  time.Duration // 0 = 24 h
	Sees     []string      // sensitive columns that this step may read
	If       string        // CEL over params, matrix, git, event and facts of earlier steps; "" = always
	Retry    Retry
	Limits   Limits
	Secrets  []string      // names of secrets; each is an environment variable of that name
	Network  Network       // "" = full, or what the policy of the run says
	Services []ServiceSpec // helper processes that run beside the step, in the order of the file
	Plots    []string      // JSON, CSV, SVG or PNG files for people
	Cache    bool
	MaxAge   time.Duration // of a cached result; 0 = any age
	Pos      lastro.Pos
}

// Var is an expression whose value a step gets as an environment variable,
// never as shell text (SECURITY B6).
type Var struct {
	Name string // environment variable, such as LASTRO_EXPR_1
	Expr string // params.depth, matrix.rate, run.id, git.commit, event.kind
}

// Input is a dataset, a step's output, or all outputs of a step.
type Input struct {
	Dataset string // set for a dataset
	Step    string // set for a step ...
	Output  string // ... and one of its outputs; "" = all
	Pos     lastro.Pos
}

// String returns the input as the file spells it: wine, split.train, split.
func (i Input) String() string {
	switch {
	case i.Dataset != "":
		return i.Dataset
	case i.Output == "":
		return i.Step
	}
	return i.Step + "." + i.Output
}

// Output is a file or folder that a step creates, relative to the root.
type Output struct{ Name, Path string }

// Axis is one dimension of a matrix.
type Axis struct {
	Name   string
	Values []any
}

// Select chooses the cell of a matrix that goes on.
type Select struct {
	Best        string // metrics.NAME
	Goal        string // max or min
	AverageOver string // an axis; "" = none (SEMANTICS 20)
}

// Retry says after which ends another attempt is made. Lost work is always
// tried once more, also without it.
type Retry struct {
	Max     int           // further attempts, 0 to 10
	On      []RetryReason // nothing = lost
	Backoff time.Duration // before the first further attempt; it doubles each time up to 10 minutes
}

// RetryReason is lost, oom, timeout or exit:N.
type RetryReason string

// The reasons that are no exit status.
const (
	RetryLost    RetryReason = "lost"
	RetryOOM     RetryReason = "oom"
	RetryTimeout RetryReason = "timeout"
)

// Limits are what a step may use. Zero fields are not limited.
type Limits struct {
	CPU    float64 // processors
	Memory int64   // bytes
}

// Network is what a step may reach.
type Network string

// The networks. Under none a step still reaches tracking.
const (
	NetworkFull Network = "full"
	NetworkNone Network = "none"
)

// ServiceSpec is a process that runs beside a step: a database for its tests,
// the application that they ask.
type ServiceSpec struct {
	Name  string
	Shell string // one bash command, as StepSpec.Shell; ${{ }} is compiled to Vars of the step
	Port  int    // 0 = a free one is chosen; the step finds it in NAME_PORT, and NAME_ADDR is host:port
	Env   map[string]string
	Ready string // "" = its port accepts, "/path" = answers 2xx there, anything else is a bash command that ends with 0
}
