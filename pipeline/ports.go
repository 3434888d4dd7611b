// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"

	"lastro"
)

// Blobs keeps outputs by content; blob.Store is one.
type Blobs interface {
	// PutPath stores a file or a folder and returns its digest and size in bytes.
	PutPath(ctx context.Context, path string) (lastro.Digest, int64, error)
	// Has reports whether the store holds a file or folder of that digest.
	Has(ctx context.Context, d lastro.Digest) (bool, error)
	// Materialise writes a private copy to dest, which must not exist.
	Materialise(ctx context.Context, d lastro.Digest, dest string) error
}

// Code is the tree of files that a plan is made for; source.Tree is one.
type Code interface {
	// Select returns the content of files by path from the root: those below
	// the folder under ("" = root), matched by one of the globs (nil = all) and
	// not at or below an excluded path.
	Select(ctx context.Context, under string, globs, exclude []string) (map[string]string, error)
	// Copy writes those files below dest. A file that has changed since Select
	// is EConflict.
	Copy(ctx context.Context, files map[string]string, dest string) error
}

// Datasets takes versions of datasets.
type Datasets interface {
	// Snapshot stores the content that a dataset has now and names it. A second
	// call within one plan is not made.
	Snapshot(ctx context.Context, name string) (Dataset, error)
	// Without returns the digest of a stored copy of d that lacks the hidden
	// columns; it is made when first asked for.
	Without(ctx context.Context, d Dataset, hidden []string) (lastro.Digest, error)
	// With returns the digest of a stored copy of a table that was made from d,
	// with sensitive columns of d joined back by its key; path tells the table's
	// format (SEMANTICS 19).
	With(ctx context.Context, d Dataset, table lastro.Digest, path string, columns []string) (lastro.Digest, error)
}

// Dataset is a version of a dataset as steps find it.
type Dataset struct {
	Name      string        `json:"name"`
	Digest    lastro.Digest `json:"digest"`
	Path      string        `json:"path"`                // where steps find it, from the workspace root
	Sensitive []string      `json:"sensitive,omitempty"` // columns kept from steps that do not see them
}

// Runtimes gives Python environments.
type Runtimes interface {
	// Find names an environment without building it; quick. The Digest is ""
	// when it is not built or locked yet.
	Find(ctx context.Context, p Python) (Runtime, error)
	// Prepare builds what is missing.
	Prepare(ctx context.Context, p Python) (Runtime, error)
}

// Tracking connects steps with MLflow tracking.
type Tracking interface {
	// Begin returns the environment variables through which a step reaches
	// tracking. A second call for the same attempt returns working ones again.
	Begin(ctx context.Context, j *Job) ([]string, error)
	// End closes the door and returns the facts that were tracked
	// ("metrics.auc"); state is how the step ended, and found are the facts that
	// its files hold.
	End(ctx context.Context, j *Job, state State, found map[string]float64) (map[string]float64, error)
}

// Secrets gives steps the named secrets that they ask for.
type Secrets interface {
	// Versions returns the number of the newest version of each name; a name
	// that is not set is left out. Numbers never come again, not even after a
	// secret was removed. Quick: it is asked while a run is planned.
	Versions(ctx context.Context, names []string) (map[string]int, error)
	// Values returns the newest values by name, to be asked for when a task
	// starts and to be kept nowhere. A name that is not set is EInvalid.
	Values(ctx context.Context, names []string) (map[string]string, error)
}

// Observer hears about progress, for people. Its methods are called one at a
// time for one run and must not block for long.
type Observer interface {
	RunChanged(r Run)
	StepChanged(s StepRun)
	LogLine(run int64, step string, cell int, line string)
}

// Scope is the part of the cache that a run writes to (SEMANTICS 11, SECURITY
// B7 and B8). A result is found by runs of the scope that wrote it, and those
// of Shared are found by every run; so what a pull request or a fork made is
// never an input of a trusted run.
//
//	run of                        reads             writes
//	a branch, a folder, a person  Shared            Shared
//	pull request 12               Shared, "pr-12"   "pr-12"
//	pull request 12 from a fork   Shared, "fork-12" "fork-12"
//
// The scope is part of the run, so that who takes it over keeps to it.
type Scope string

// Shared is the scope of trusted runs.
const Shared Scope = ""

// Reproduction is the scope of runs that do an earlier one again, to compare.
const Reproduction Scope = "reproduction"

// Reads reports whether a run of this scope may use what a run of the other wrote.
func (s Scope) Reads(other Scope) bool { return other == Shared || other == s }

// readable are the scopes in which a run of this one looks for results.
func (s Scope) readable() []Scope {
	if s == Shared {
		return []Scope{Shared}
	}
	return []Scope{s, Shared}
}
