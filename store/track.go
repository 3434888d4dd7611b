// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"lastro"
	"lastro/track"
)

// Track keeps experiments, tracked runs, artifacts by name and logged models.
type Track struct{ db *DB }

var _ track.Store = Track{}

// NewTrack returns the tracking store in db.
func NewTrack(db *DB) Track { return Track{db} }

const experimentColumns = `id, name, state, created_at, updated_at, actor`

func scanExperiment(r interface{ Scan(...any) error }) (track.Experiment, error) {
	var e track.Experiment
	var created, updated int64
	err := r.Scan(&e.ID, &e.Name, &e.State, &created, &updated, &e.By)
	e.CreatedAt, e.UpdatedAt, e.Tags = lastro.FromMicros(created), lastro.FromMicros(updated), map[string]string{}
	return e, err
}

// CreateExperiment implements track.Store.
func (s Track) CreateExperiment(ctx context.Context, e track.Experiment, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "experiments"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO experiments (`+experimentColumns+`, number)
			VALUES (?, ?, ?, ?, ?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM experiments))`,
			e.ID, e.Name, string(e.State), lastro.Micros(e.CreatedAt), lastro.Micros(e.UpdatedAt), string(e.By))
		if isUnique(err) {
			return experimentTaken(e.Name)
		}
		if err != nil {
			return err
		}
		return putPairs(ctx, tx, "experiment_tags", "experiment", e.ID, pairsOf(e.Tags))
	}, events...)
}

func experimentTaken(name string) error {
	return &lastro.Error{Code: lastro.EConflict, Msg: fmt.Sprintf("an experiment named %q exists already", name),
		Hint: "use it, or choose another name; a deleted one can be restored"}
}

// Experiment implements track.Store.
func (s Track) Experiment(ctx context.Context, id string) (track.Experiment, error) {
	return s.experiment(ctx, "id", id)
}

// ExperimentByName implements track.Store.
func (s Track) ExperimentByName(ctx context.Context, name string) (track.Experiment, error) {
	return s.experiment(ctx, "name", name)
}

func (s Track) experiment(ctx context.Context, column, value string) (track.Experiment, error) {
	e, err := scanExperiment(s.db.QueryRow(ctx, `SELECT `+experimentColumns+` FROM experiments WHERE `+column+` = ?`, value))
	if err != nil {
		return e, notFound(err, "there is no experiment with %s %q", column, value)
	}
	tags, err := s.db.pairs(ctx, "experiment_tags", "experiment", []string{e.ID})
	e.Tags = tags[e.ID].asMap()
	return e, err
}

// UpdateExperiment implements track.Store.
func (s Track) UpdateExperiment(ctx context.Context, e track.Experiment, events ...lastro.Event) error {
	at := lastro.Micros(e.UpdatedAt)
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "experiment:"+e.ID); err != nil {
			return err
		}
		var before string
		var number int64
		if err := tx.QueryRow(ctx, `SELECT state, number FROM experiments WHERE id = ? FOR UPDATE`, e.ID).Scan(&before, &number); err != nil {
			return notFound(err, "there is no experiment with id %q", e.ID)
		}
		_, err := tx.Exec(ctx, `UPDATE experiments SET name = ?, state = ?, updated_at = ? WHERE id = ?`, e.Name, string(e.State), at, e.ID)
		if isUnique(err) {
			return experimentTaken(e.Name)
		}
		if err != nil || before == string(e.State) {
			return err
		}
		deletedAt := at
		if e.State == track.Active {
			deletedAt = 0
		}
		_, err = tx.Exec(ctx, `UPDATE tracked_runs SET state = ?, deleted_at = ? WHERE experiment = ?`, string(e.State), deletedAt, number)
		return err
	}, events...)
}

// SetExperimentTag implements track.Store.
func (s Track) SetExperimentTag(ctx context.Context, id string, tag track.Tag) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		return putPairs(ctx, tx, "experiment_tags", "experiment", id, pairs{{tag.Key, tag.Value}})
	})
}

// DeleteExperimentTag implements track.Store.
func (s Track) DeleteExperimentTag(ctx context.Context, id, key string) error {
	return s.deletePair(ctx, "experiment_tags", "experiment", id, key)
}
