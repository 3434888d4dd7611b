// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"time"

	"lastro"
)

// Store keeps models, versions and aliases. Each method is one transaction
// and commits the events given with it. Errors carry lastro.ENotFound for what
// does not exist and lastro.EConflict for names that are taken.
//
// What moves something protected takes the model as it was when that was
// decided: when it protects other aliases by now, or the versions named are not
// as they were, the error is ErrChanged.
type Store interface {
	CreateModel(ctx context.Context, m Model, events ...lastro.Event) error
	// Model returns the model with tags and aliases, without Latest.
	Model(ctx context.Context, name string) (Model, error)
	// DescribeModel writes the description.
	DescribeModel(ctx context.Context, name, description string, at time.Time, events ...lastro.Event) error
	// DeclareModel makes a model declared, with these protected aliases.
	DeclareModel(ctx context.Context, seen Model, protect []string, at time.Time, events ...lastro.Event) error
	// RenameModel gives a model another name, with its versions, aliases and their history.
	RenameModel(ctx context.Context, seen Model, to string, at time.Time, events ...lastro.Event) error
	// DeleteModel removes a model with its versions and aliases. The history of
	// the aliases stays, and ends with by.
	DeleteModel(ctx context.Context, seen Model, by lastro.Actor, at time.Time, events ...lastro.Event) error
	// SearchModels returns one page, without Latest, and the token of the next one, "" at the end.
	SearchModels(ctx context.Context, q Query) (page []Model, next string, err error)
	// LatestVersions returns the newest version of each stage of these models, sorted by model and stage.
	LatestVersions(ctx context.Context, models []string) ([]Version, error)
	SetModelTag(ctx context.Context, model, key, value string, events ...lastro.Event) error
	DeleteModelTag(ctx context.Context, model, key string, events ...lastro.Event) error

	// CreateVersion gives v the model's next number and commits the event that
	// explain makes of the result. With once it returns the version that the
	// same run made from the same digest, if there is one, and created false.
	CreateVersion(ctx context.Context, v Version, once bool, explain func(Version) lastro.Event) (got Version, created bool, err error)
	// PutVersion keeps a version under the number that it has; lastro.EConflict
	// when there is or was another one of that number.
	PutVersion(ctx context.Context, v Version, events ...lastro.Event) error
	Version(ctx context.Context, model string, number int) (Version, error)
	// DescribeVersion writes the description.
	DescribeVersion(ctx context.Context, model string, number int, description string, at time.Time, events ...lastro.Event) error
	// MoveStages writes the stages of versions.
	MoveStages(ctx context.Context, seen Model, moves []StageMove, at time.Time, events ...lastro.Event) error
	// DeleteVersion removes a version and the aliases on it, whose history ends with by.
	DeleteVersion(ctx context.Context, seen Model, v Version, by lastro.Actor, at time.Time, events ...lastro.Event) error
	// SearchVersions returns one page and the token of the next one, "" at the end.
	SearchVersions(ctx context.Context, q Query) (page []Version, next string, err error)
	SetVersionTag(ctx context.Context, model string, number int, key, value string, events ...lastro.Event) error
	DeleteVersionTag(ctx context.Context, model string, number int, key string, events ...lastro.Event) error
	// HasDigest reports whether any version is made of these bytes.
	HasDigest(ctx context.Context, d lastro.Digest) (bool, error)

	// MoveAlias points m.Alias at version m.To, or removes it when m.To is 0,
	// if it still points at m.From; otherwise lastro.EConflict. It keeps m in the history.
	MoveAlias(ctx context.Context, seen Model, m AliasMove, events ...lastro.Event) error
	Alias(ctx context.Context, model, name string) (Alias, error)
	// AliasHistory lists the moves of one alias, or of every alias of the model
	// when name is "", up to a time (zero = now), newest first, at most limit.
	AliasHistory(ctx context.Context, model, name string, until time.Time, limit int) ([]AliasMove, error)
	// Note commits an event that changes no row, such as a refusal.
	Note(ctx context.Context, ev lastro.Event) error
}

// Query narrows, orders and pages a search of models or versions. All clauses
// must hold.
type Query struct {
	Where []Clause
	// Order is completed by the store, so that no two rows are equal: models by
	// name, versions by model and number (highest first); without any Order
	// versions come by change, newest first.
	Order []Order
	// Token is the next that the page before came with, "" for the first page; a
	// token of another Where or Order is lastro.EInvalid.
	Token string
	Limit int // at least 1
}

// Clause is one comparison: Key "name", "version_number", "run_id",
// "source_path", "model_id", "digest", "current_stage" or "tags.K"; Op "=", "!=", "<", "<=", ">", ">=",
// "LIKE", "ILIKE", "IN", or for tags "LACKS": no such tag has the value Text.
type Clause struct {
	Key    string
	Op     string
	Text   string
	Values []string
}

// Order sorts by "name", "version_number", "last_updated_timestamp" or "creation_timestamp".
type Order struct {
	Key  string
	Desc bool
}
