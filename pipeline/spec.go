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
	Reports  map[string]string // junit, gotest: file
	Matrix   []Axis            // in the order of the file
	Select   *Select
	Parallel int           // cells at once; 0 = as many as the engine runs
	Timeout  time.Duration // 0 = 24 h
	Sees     []string      // sensitive columns that this step may read
	Cache    bool
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
