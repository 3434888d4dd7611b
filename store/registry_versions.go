// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"lastro"
	"lastro/registry"
)

const versionColumns = `model, number, digest, source, run_link, run, step, cell, tracked_run, logged_model, data, commit_id, lock, description, stage, created_at, updated_at, actor`

func scanVersion(r interface{ Scan(...any) error }) (registry.Version, error) {
	var v registry.Version
	var created, updated int64
	var data string
	if err := r.Scan(&v.Model, &v.Number, &v.Digest, &v.Source, &v.RunLink, &v.Run, &v.Step, &v.Cell, &v.TrackedRun, &v.LoggedModel, &data,
		&v.Commit, &v.Lock, &v.Description, &v.Stage, &created, &updated, &v.By); err != nil {
		return v, err
	}
	v.CreatedAt, v.UpdatedAt, v.Tags = lastro.FromMicros(created), lastro.FromMicros(updated), map[string]string{}
	return v, json.Unmarshal([]byte(data), &v.DataVersions)
}

// CreateVersion implements registry.Store.
func (s Registry) CreateVersion(ctx context.Context, v registry.Version, once bool, explain func(registry.Version) lastro.Event) (registry.Version, bool, error) {
	found := 0
	event := make([]lastro.Event, 1) // filled within the transaction, once the number is known
	err := s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "model:"+v.Model); err != nil {
			return err
		}
		if once {
			err := tx.QueryRow(ctx, `SELECT number FROM model_versions WHERE model = ? AND digest = ? AND run = ? ORDER BY number LIMIT 1`,
				v.Model, string(v.Digest), v.Run).Scan(&found)
			if err == nil {
				return errAlreadyThere
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `INSERT INTO model_numbers (model, last) VALUES (?, 1)
			ON CONFLICT (model) DO UPDATE SET last = model_numbers.last + 1 RETURNING last`, v.Model).Scan(&v.Number); err != nil {
			return err
		}
		if err := putVersion(ctx, tx, v, v.CreatedAt); err != nil {
			return err
		}
		event[0] = explain(v)
		return nil
	}, event...)
	if errors.Is(err, errAlreadyThere) {
		v, err = s.Version(ctx, v.Model, found)
		return v, false, err
	}
	return v, err == nil, err
}

// putVersion writes a version with its tags.
func putVersion(ctx context.Context, tx *Tx, v registry.Version, at time.Time) error {
	data, err := json.Marshal(v.DataVersions)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE models SET updated_at = CASE WHEN updated_at > ? THEN updated_at ELSE ? END WHERE name = ?`, lastro.Micros(at), lastro.Micros(at), v.Model)
	if err == nil && n == 0 {
		return noModel(v.Model)
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO model_versions (`+versionColumns+`) VALUES (`+marks(18)+`)`,
		v.Model, v.Number, string(v.Digest), v.Source, v.RunLink, v.Run, v.Step, v.Cell, v.TrackedRun, v.LoggedModel, string(data),
		v.Commit, string(v.Lock), v.Description, v.Stage, lastro.Micros(v.CreatedAt), lastro.Micros(v.UpdatedAt), string(v.By)); err != nil {
		return err
	}
	return putVersionTags(ctx, tx, v.Model, v.Number, v.Tags)
}

// PutVersion implements registry.Store.
func (s Registry) PutVersion(ctx context.Context, v registry.Version, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "model:"+v.Model); err != nil {
			return err
		}
		there := 0
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM model_versions WHERE model = ? AND number = ?`, v.Model, v.Number).Scan(&there); err != nil {
			return err
		}
		if there > 0 {
			return lastro.Errorf(lastro.EConflict, "model %q has a version %d", v.Model, v.Number)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO model_numbers (model, last) VALUES (?, ?)
			ON CONFLICT (model) DO UPDATE SET last = CASE WHEN model_numbers.last > excluded.last THEN model_numbers.last ELSE excluded.last END`, v.Model, v.Number); err != nil {
			return err
		}
		return putVersion(ctx, tx, v, v.UpdatedAt)
	}, events...)
}

// errAlreadyThere ends a transaction that has nothing to write.
var errAlreadyThere = errors.New("already there")

func putVersionTags(ctx context.Context, tx *Tx, model string, number int, tags map[string]string) error {
	for _, kv := range pairsOf(tags) {
		if _, err := tx.Exec(ctx, `INSERT INTO version_tags (model, number, key, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (model, number, key) DO UPDATE SET value = excluded.value`, model, number, kv.key, kv.value); err != nil {
			return err
		}
	}
	return nil
}

// Version implements registry.Store.
func (s Registry) Version(ctx context.Context, model string, number int) (registry.Version, error) {
	v, err := scanVersion(s.db.QueryRow(ctx, `SELECT `+versionColumns+` FROM model_versions WHERE model = ? AND number = ?`, model, number))
	if errors.Is(err, sql.ErrNoRows) {
		return v, noVersion(model, number)
	}
	if err != nil {
		return v, err
	}
	list := []registry.Version{v}
	err = s.fillVersions(ctx, list)
	return list[0], err
}

// DescribeVersion implements registry.Store.
func (s Registry) DescribeVersion(ctx context.Context, model string, number int, description string, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE model_versions SET description = ?, updated_at = ? WHERE model = ? AND number = ?`, description, lastro.Micros(at), model, number)
		if err == nil && n == 0 {
			return noVersion(model, number)
		}
		return err
	}, events...)
}

// MoveStages implements registry.Store.
func (s Registry) MoveStages(ctx context.Context, seen registry.Model, moves []registry.StageMove, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		for _, m := range moves {
			n, err := tx.Exec(ctx, `UPDATE model_versions SET stage = ?, updated_at = ? WHERE model = ? AND number = ? AND stage = ?`,
				m.To, lastro.Micros(at), seen.Name, m.Number, m.From)
			if err == nil && n == 0 {
				return registry.ErrChanged
			}
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE models SET updated_at = ? WHERE name = ?`, lastro.Micros(at), seen.Name)
		return err
	}, events...)
}

// DeleteVersion implements registry.Store.
func (s Registry) DeleteVersion(ctx context.Context, seen registry.Model, v registry.Version, by lastro.Actor, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT alias FROM model_aliases WHERE model = ? AND number = ? ORDER BY alias`, v.Model, v.Number)
		aliases, err := collect(rows, err, func(r *sql.Rows) (alias string, err error) { err = r.Scan(&alias); return alias, err })
		if err != nil {
			return err
		}
		slices.Sort(aliases)
		if !slices.Equal(aliases, slices.Sorted(slices.Values(v.Aliases))) {
			return registry.ErrChanged
		}
		if err := endAliases(ctx, tx, `model = ? AND number = ?`, []any{v.Model, v.Number}, by, at, registry.VersionDeleted); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM model_versions WHERE model = ? AND number = ? AND stage = ?`, v.Model, v.Number, v.Stage)
		if err == nil && n == 0 {
			return registry.ErrChanged
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE models SET updated_at = ? WHERE name = ?`, lastro.Micros(at), v.Model)
		return err
	}, events...)
}

// SetVersionTag implements registry.Store.
func (s Registry) SetVersionTag(ctx context.Context, model string, number int, key, value string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		err := putVersionTags(ctx, tx, model, number, map[string]string{key: value})
		if isForeign(err) {
			return noVersion(model, number)
		}
		return err
	}, events...)
}

// DeleteVersionTag implements registry.Store.
func (s Registry) DeleteVersionTag(ctx context.Context, model string, number int, key string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM version_tags WHERE model = ? AND number = ? AND key = ?`, model, number, key)
		return err
	}, events...)
}

// HasDigest implements registry.Store.
func (s Registry) HasDigest(ctx context.Context, d lastro.Digest) (bool, error) {
	var n int
	err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM model_versions WHERE digest = ? LIMIT 1) AS one`, string(d)).Scan(&n)
	return n > 0, err
}
