// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"

	"lastro"
	"lastro/track"
)

// changeRun runs fn for an active tracked run that nobody else changes meanwhile.
func (s Track) changeRun(ctx context.Context, id string, fn func(*Tx, heldRun) error) error {
	return s.db.WriteTogether(ctx, id, func(tx *Tx) error {
		run, err := holdRun(ctx, tx, id)
		if err != nil {
			return err
		}
		if run.State != track.Active {
			return track.RunDeleted(id)
		}
		return fn(tx, run)
	})
}

// DeleteRunTag implements track.Store.
func (s Track) DeleteRunTag(ctx context.Context, id, key string) error {
	return s.changeRun(ctx, id, func(tx *Tx, run heldRun) error {
		n, err := tx.Exec(ctx, `DELETE FROM tracked_tags WHERE run = ? AND key = (SELECT number FROM tracked_keys WHERE key = ?)`, run.number, key)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "tracked run %s has no tag %q", id, key)
		}
		return err
	})
}

// putInputs writes what a run read; of a dataset that it has already, the context
// and the tags.
func putInputs(ctx context.Context, tx *Tx, run heldRun, in []track.Input) error {
	for _, i := range in {
		tags, err := json.Marshal(i.Tags)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO tracked_inputs (run, name, digest, experiment, source_type, source, schema_json, profile, context, tags)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, name, digest) DO UPDATE SET context = excluded.context, tags = excluded.tags`,
			run.number, i.Name, i.Digest, run.experiment, i.SourceType, i.Source, i.Schema, i.Profile, i.Tags[track.TagContext], string(tags)); err != nil {
			return err
		}
	}
	return nil
}

// LogInputs implements track.Store.
func (s Track) LogInputs(ctx context.Context, id string, in []track.Input, models []string) error {
	return s.changeRun(ctx, id, func(tx *Tx, run heldRun) error {
		if err := putInputs(ctx, tx, run, in); err != nil {
			return err
		}
		for _, m := range models {
			if err := putRunModel(ctx, tx, run, "in", track.ModelOutput{ModelID: m}); err != nil {
				return err
			}
		}
		return nil
	})
}

// LogOutputs implements track.Store.
func (s Track) LogOutputs(ctx context.Context, id string, out []track.ModelOutput) error {
	return s.changeRun(ctx, id, func(tx *Tx, run heldRun) error {
		for _, o := range out {
			if err := putRunModel(ctx, tx, run, "out", o); err != nil {
				return err
			}
		}
		return nil
	})
}

func putRunModel(ctx context.Context, tx *Tx, run heldRun, direction string, o track.ModelOutput) error {
	_, err := tx.Exec(ctx, `INSERT INTO tracked_models (run, direction, model, step) VALUES (?, ?, ?, ?)
		ON CONFLICT (run, direction, model) DO UPDATE SET step = excluded.step`, run.number, direction, o.ModelID, o.Step)
	return err
}
