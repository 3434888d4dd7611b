// SPDX-License-Identifier: Apache-2.0

// Package trigger decides what starts a run: a push, a pull request, a tag,
// a schedule, new data, an alert, the API or a person. Each cause has a key of
// its own and starts at most one run, whatever is restarted, delivered twice or
// seen by two servers on one database. What a run then does lives in pipeline;
// how a repository is read in source.
package trigger

import "lastro"

// Spec is the on: section of lastro.yaml. The zero value starts nothing.
type Spec struct {
	Push        *Push         // nil = pushes start nothing
	PullRequest *PullRequest  // nil = pull requests start nothing
	Tag         *Tag          // nil = tags start nothing
	Schedules   []Schedule    // in the order of the file
	Data        []DatasetNews // datasets whose new versions start a run
	Manual      bool          // people and the API may start runs
	Pos         lastro.Pos
}

// Push is on.push: a commit that becomes the head of a branch.
type Push struct {
	Branches []string // globs of branch names (see Glob); nil = every branch
	Tags     []string // globs of tag names; nil = tags start nothing here
	Paths    []string // globs of paths from the repository root; a push that changes none of them starts nothing; nil = all
	Pos      lastro.Pos
}

// PullRequest is on.pull_request. Its runs test only: no secret, no promotion,
// no release. One from a fork also takes lastro.yaml and what it names from the
// base branch, and waits for a person.
type PullRequest struct {
	Branches []string // globs of the branch that it wants to go into; nil = every branch
	Paths    []string // as in Push
	Forks    Forks
	Pos      lastro.Pos
}

// Forks says what a pull request from a fork does.
type Forks string

// The answers.
const (
	ForksAsk   Forks = ""      // it waits until a person approves it
	ForksNever Forks = "never" // it is recorded and starts nothing
)

// Tag is on.tag: a new tag.
type Tag struct {
	Names []string // globs; nil = every tag
	Pos   lastro.Pos
}

// DatasetNews is one name of on.data.
type DatasetNews struct {
	Name string
	Pos  lastro.Pos
}

// Schedule is one entry of on.schedule.
type Schedule struct {
	Cron     string // minute hour day-of-month month day-of-week, or @hourly, @daily, @weekly, @monthly, @yearly
	Timezone string // IANA name such as America/Sao_Paulo; "" = UTC
	Pos      lastro.Pos
}
