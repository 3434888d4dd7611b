// SPDX-License-Identifier: Apache-2.0

// Package registry holds models, their versions and the aliases on them. A
// version is immutable bytes with a number; an alias is a name that moves.
// Every door comes through Service, which asks a Guard before anything moves
// on a protected model (SEMANTICS 16). Why a move is allowed is decided by
// gates, not here.
package registry

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// Model is a registered model.
type Model struct {
	Name        string
	Description string
	Declared    bool     // some lastro.yaml declares it: it has protected aliases
	Protect     []string // the protected aliases, sorted; empty unless declared
	CreatedAt   time.Time
	UpdatedAt   time.Time
	By          lastro.Actor
	Tags        map[string]string
	Aliases     []Alias   // sorted by name
	Latest      []Version // the newest version of each stage; filled by Service.Model and Search
}

// tagIsPrompt is MLflow's: its clients keep prompts as models with this tag.
const tagIsPrompt = "mlflow.prompt.is_prompt"

// IsPrompt reports whether a model holds the versions of a prompt.
func (m Model) IsPrompt() bool { return isPrompt(m.Tags) }

// IsPrompt reports whether a version holds a prompt's text.
func (v Version) IsPrompt() bool { return isPrompt(v.Tags) }

func isPrompt(tags map[string]string) bool { return strings.EqualFold(tags[tagIsPrompt], "true") }

// Ref returns "model:NAME".
func (m Model) Ref() lastro.Ref { return lastro.NewRef("model", m.Name, "") }

// DataVersion is a dataset version that went into a model.
type DataVersion struct {
	Dataset string        `json:"dataset"`
	Digest  lastro.Digest `json:"digest"`
}

// Version is one immutable version of a model. Number counts from 1 within its
// model and is never used again.
type Version struct {
	Model        string
	Number       int
	Digest       lastro.Digest // blob tree of the model's folder
	Source       string        // where the registering client said it comes from; "" from a pipeline
	RunLink      string        // where its run can be looked at, as the client says; never followed
	Run          string        // pipeline run that made it, "" if none
	Step         string        // and its step
	Cell         string        // and its matrix cell
	TrackedRun   string        // tracked run, "" if none
	LoggedModel  string        // MLflow 3 logged model, "" if none
	DataVersions []DataVersion
	Commit       string        // git commit, "" without git
	Lock         lastro.Digest // digest of the dependency lock, "" if none
	Description  string
	Stage        string // a word of the MLflow protocol, kept for its clients only; "None" at first
	CreatedAt    time.Time
	UpdatedAt    time.Time
	By           lastro.Actor
	Tags         map[string]string
	Aliases      []string // names that point here now, sorted
}

// Ref returns "model:NAME@NUMBER".
func (v Version) Ref() lastro.Ref { return lastro.NewRef("model", v.Model, strconv.Itoa(v.Number)) }

// Alias is a name on a version.
type Alias struct {
	Model  string
	Name   string
	Number int
	At     time.Time
	By     lastro.Actor
}

// AliasMove is one entry of an alias's history: From or To is 0 when the alias
// did not exist before or does not after.
type AliasMove struct {
	Model    string
	Alias    string
	From, To int
	At       time.Time
	By       lastro.Actor
	Why      string // a reference to what allowed it, such as a decision; may be empty
}

// StageMove is a version that goes from one stage to another.
type StageMove struct {
	Number   int
	From, To string
}

// ErrChanged is in the chain of a store's error when a model is not any more
// what a change was decided on: what it protects, where its aliases point, the
// stages of its versions. Nothing was written; who looks again may decide again.
var ErrChanged = errors.New("the model was changed meanwhile")

// MoveKind says through which operation something protected would move.
type MoveKind string

// The kinds of moves that a guard is asked about.
const (
	MoveAlias     MoveKind = "alias.set"
	RemoveAlias   MoveKind = "alias.delete"
	MoveStage     MoveKind = "stage"
	RenameModel   MoveKind = "model.rename"
	DeleteModel   MoveKind = "model.delete"
	DeleteVersion MoveKind = "version.delete"
)

// Move is what somebody wants to do to something protected.
type Move struct {
	Kind  MoveKind
	Model string
	Alias string  // alias kinds: the alias; MoveStage: the stage; DeleteVersion: the protected alias that it holds
	From  Version // where the alias points now; the zero Version if nowhere
	To    Version // where it would point; the zero Version when it would go
	Name  string  // RenameModel: the new name
	By    lastro.Actor
	Why   string
}

// Guard says whether something protected may move. It returns nil to allow,
// or a *lastro.Error of code lastro.EDenied that says why not and what to do
// next. It is asked before the change and must not change anything itself.
type Guard interface {
	MayMove(ctx context.Context, m Move) error
}
