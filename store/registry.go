// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"lastro"
	"lastro/registry"
)

// Registry keeps models, versions and aliases.
type Registry struct{ db *DB }

var _ registry.Store = Registry{}

// NewRegistry returns the registry's store in db.
func NewRegistry(db *DB) Registry { return Registry{db} }

const modelColumns = `name, description, declared, protect, created_at, updated_at, actor`

func scanModel(r interface{ Scan(...any) error }) (registry.Model, error) {
	var m registry.Model
	var created, updated int64
	var protect string
	if err := r.Scan(&m.Name, &m.Description, &m.Declared, &protect, &created, &updated, &m.By); err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt, m.Tags = lastro.FromMicros(created), lastro.FromMicros(updated), map[string]string{}
	return m, json.Unmarshal([]byte(protect), &m.Protect)
}

// CreateModel implements registry.Store.
func (s Registry) CreateModel(ctx context.Context, m registry.Model, events ...lastro.Event) error {
	protect, err := json.Marshal(m.Protect)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO models (`+modelColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			m.Name, m.Description, flag(m.Declared), string(protect), lastro.Micros(m.CreatedAt), lastro.Micros(m.UpdatedAt), string(m.By))
		if isUnique(err) {
			return modelTaken(m.Name)
		}
		if err != nil {
			return err
		}
		return putPairs(ctx, tx, "model_tags", "model", m.Name, pairsOf(m.Tags))
	}, events...)
}

func modelTaken(name string) error {
	return lastro.Errorf(lastro.EConflict, "a model named %q exists already", name)
}

func noModel(name string) error {
	return lastro.Errorf(lastro.ENotFound, "there is no model named %q", name)
}

func noVersion(model string, number int) error {
	return lastro.Errorf(lastro.ENotFound, "model %q has no version %d", model, number)
}

// Model implements registry.Store.
func (s Registry) Model(ctx context.Context, name string) (registry.Model, error) {
	m, err := scanModel(s.db.QueryRow(ctx, `SELECT `+modelColumns+` FROM models WHERE name = ?`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return m, noModel(name)
	}
	if err != nil {
		return m, err
	}
	list := []registry.Model{m}
	err = s.fillModels(ctx, list)
	return list[0], err
}

func (s Registry) fillModels(ctx context.Context, list []registry.Model) error {
	byName := make(map[string]*registry.Model, len(list))
	names := make([]string, len(list))
	for i := range list {
		names[i], byName[list[i].Name] = list[i].Name, &list[i]
	}
	tags, err := s.db.pairs(ctx, "model_tags", "model", names)
	if err != nil {
		return err
	}
	for name, m := range byName {
		m.Tags = tags[name].asMap()
	}
	return s.db.each(ctx, `SELECT model, alias, number, at, actor FROM model_aliases WHERE model IN (%s) ORDER BY model, alias`, names, func(r *sql.Rows) error {
		a, err := scanAlias(r)
		if err == nil {
			byName[a.Model].Aliases = append(byName[a.Model].Aliases, a)
		}
		return err
	})
}

func scanAlias(r interface{ Scan(...any) error }) (registry.Alias, error) {
	var a registry.Alias
	var at int64
	err := r.Scan(&a.Model, &a.Name, &a.Number, &at, &a.By)
	a.At = lastro.FromMicros(at)
	return a, err
}

// UpdateModel implements registry.Store.
func (s Registry) UpdateModel(ctx context.Context, m registry.Model, events ...lastro.Event) error {
	protect, err := json.Marshal(m.Protect)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE models SET description = ?, declared = ?, protect = ?, updated_at = ? WHERE name = ?`,
			m.Description, flag(m.Declared), string(protect), lastro.Micros(m.UpdatedAt), m.Name)
		if err == nil && n == 0 {
			return noModel(m.Name)
		}
		return err
	}, events...)
}

// RenameModel implements registry.Store.
func (s Registry) RenameModel(ctx context.Context, from, to string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		for _, name := range []string{min(from, to), max(from, to)} {
			if err := tx.Lock(ctx, "model:"+name); err != nil {
				return err
			}
		}
		n, err := tx.Exec(ctx, `UPDATE models SET name = ?, updated_at = ? WHERE name = ?`, to, now(), from)
		if isUnique(err) {
			return modelTaken(to)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return noModel(from)
		}
		if _, err := tx.Exec(ctx, `UPDATE alias_moves SET model = ? WHERE model = ?`, to, from); err != nil {
			return err
		}
		// The new name goes on from whichever number is higher, so none comes twice under either name.
		_, err = tx.Exec(ctx, `INSERT INTO model_numbers (model, last) SELECT ?, last FROM model_numbers WHERE model = ?
			ON CONFLICT (model) DO UPDATE SET last = CASE WHEN model_numbers.last > excluded.last THEN model_numbers.last ELSE excluded.last END`, to, from)
		return err
	}, events...)
}

// DeleteModel implements registry.Store.
func (s Registry) DeleteModel(ctx context.Context, name string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "model:"+name); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM models WHERE name = ?`, name)
		if err == nil && n == 0 {
			return noModel(name)
		}
		return err
	}, events...)
}

// SetModelTag implements registry.Store.
func (s Registry) SetModelTag(ctx context.Context, model, key, value string) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		return putPairs(ctx, tx, "model_tags", "model", model, pairs{{key, value}})
	})
}

// DeleteModelTag implements registry.Store.
func (s Registry) DeleteModelTag(ctx context.Context, model, key string) error {
	return s.exec(ctx, `DELETE FROM model_tags WHERE model = ? AND key = ?`, model, key)
}

func (s Registry) exec(ctx context.Context, query string, args ...any) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

const versionColumns = `model, number, digest, source, run, step, cell, tracked_run, logged_model, data, commit_id, lock, description, stage, created_at, updated_at, actor`

func scanVersion(r interface{ Scan(...any) error }) (registry.Version, error) {
	var v registry.Version
	var created, updated int64
	var data string
	if err := r.Scan(&v.Model, &v.Number, &v.Digest, &v.Source, &v.Run, &v.Step, &v.Cell, &v.TrackedRun, &v.LoggedModel, &data,
		&v.Commit, &v.Lock, &v.Description, &v.Stage, &created, &updated, &v.By); err != nil {
		return v, err
	}
	v.CreatedAt, v.UpdatedAt, v.Tags = lastro.FromMicros(created), lastro.FromMicros(updated), map[string]string{}
	return v, json.Unmarshal([]byte(data), &v.DataVersions)
}

// CreateVersion implements registry.Store.
func (s Registry) CreateVersion(ctx context.Context, v registry.Version, once bool, explain func(registry.Version) lastro.Event) (registry.Version, bool, error) {
	data, err := json.Marshal(v.DataVersions)
	if err != nil {
		return v, false, err
	}
	found := 0
	event := make([]lastro.Event, 1) // filled within the transaction, once the number is known
	err = s.db.Write(ctx, func(tx *Tx) error {
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
		if _, err := tx.Exec(ctx, `INSERT INTO model_versions (`+versionColumns+`) VALUES (`+marks(17)+`)`,
			v.Model, v.Number, string(v.Digest), v.Source, v.Run, v.Step, v.Cell, v.TrackedRun, v.LoggedModel, string(data),
			v.Commit, string(v.Lock), v.Description, v.Stage, lastro.Micros(v.CreatedAt), lastro.Micros(v.UpdatedAt), string(v.By)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE models SET updated_at = ? WHERE name = ?`, lastro.Micros(v.CreatedAt), v.Model); err != nil {
			return err
		}
		event[0] = explain(v)
		return putVersionTags(ctx, tx, v.Model, v.Number, v.Tags)
	}, event...)
	if errors.Is(err, errAlreadyThere) {
		v, err = s.Version(ctx, v.Model, found)
		return v, false, err
	}
	return v, err == nil, err
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

// fillVersions adds tags and aliases, model by model.
func (s Registry) fillVersions(ctx context.Context, list []registry.Version) error {
	type key struct {
		model  string
		number int
	}
	byKey := make(map[key]*registry.Version, len(list))
	seen := map[string]bool{}
	var models []string
	for i := range list {
		byKey[key{list[i].Model, list[i].Number}] = &list[i]
		if !seen[list[i].Model] {
			seen[list[i].Model] = true
			models = append(models, list[i].Model)
		}
	}
	err := s.db.each(ctx, `SELECT model, number, key, value FROM version_tags WHERE model IN (%s) ORDER BY model, number, key`, models, func(r *sql.Rows) error {
		var k key
		var name, value string
		err := r.Scan(&k.model, &k.number, &name, &value)
		if v := byKey[k]; v != nil {
			v.Tags[name] = value
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.db.each(ctx, `SELECT model, alias, number, at, actor FROM model_aliases WHERE model IN (%s) ORDER BY model, alias`, models, func(r *sql.Rows) error {
		a, err := scanAlias(r)
		if v := byKey[key{a.Model, a.Number}]; v != nil {
			v.Aliases = append(v.Aliases, a.Name)
		}
		return err
	})
}

// UpdateVersion implements registry.Store.
func (s Registry) UpdateVersion(ctx context.Context, v registry.Version, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE model_versions SET description = ?, stage = ?, updated_at = ? WHERE model = ? AND number = ?`,
			v.Description, v.Stage, lastro.Micros(v.UpdatedAt), v.Model, v.Number)
		if err == nil && n == 0 {
			return noVersion(v.Model, v.Number)
		}
		return err
	}, events...)
}

// DeleteVersion implements registry.Store.
func (s Registry) DeleteVersion(ctx context.Context, model string, number int, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "model:"+model); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM model_versions WHERE model = ? AND number = ?`, model, number)
		if err == nil && n == 0 {
			return noVersion(model, number)
		}
		return err
	}, events...)
}

// SetVersionTag implements registry.Store.
func (s Registry) SetVersionTag(ctx context.Context, model string, number int, key, value string) error {
	return s.db.Write(ctx, func(tx *Tx) error { return putVersionTags(ctx, tx, model, number, map[string]string{key: value}) })
}

// DeleteVersionTag implements registry.Store.
func (s Registry) DeleteVersionTag(ctx context.Context, model string, number int, key string) error {
	return s.exec(ctx, `DELETE FROM version_tags WHERE model = ? AND number = ? AND key = ?`, model, number, key)
}

// HasDigest implements registry.Store.
func (s Registry) HasDigest(ctx context.Context, d lastro.Digest) (bool, error) {
	var n int
	err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM model_versions WHERE digest = ? LIMIT 1) AS one`, string(d)).Scan(&n)
	return n > 0, err
}

// MoveAlias implements registry.Store.
func (s Registry) MoveAlias(ctx context.Context, m registry.AliasMove, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "model:"+m.Model); err != nil {
			return err
		}
		have := 0
		err := tx.QueryRow(ctx, `SELECT number FROM model_aliases WHERE model = ? AND alias = ?`, m.Model, m.Alias).Scan(&have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have != m.From {
			return &lastro.Error{Code: lastro.EConflict, Hint: "look at it again, then try again",
				Msg: fmt.Sprintf("alias %q of model %q was moved to version %d meanwhile", m.Alias, m.Model, have)}
		}
		at := lastro.Micros(m.At)
		if m.To == 0 {
			_, err = tx.Exec(ctx, `DELETE FROM model_aliases WHERE model = ? AND alias = ?`, m.Model, m.Alias)
		} else {
			_, err = tx.Exec(ctx, `INSERT INTO model_aliases (model, alias, number, at, actor) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (model, alias) DO UPDATE SET number = excluded.number, at = excluded.at, actor = excluded.actor`,
				m.Model, m.Alias, m.To, at, string(m.By))
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO alias_moves (model, alias, from_number, to_number, at, actor, why) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			m.Model, m.Alias, m.From, m.To, at, string(m.By), m.Why)
		return err
	}, events...)
}

// Alias implements registry.Store.
func (s Registry) Alias(ctx context.Context, model, name string) (registry.Alias, error) {
	a, err := scanAlias(s.db.QueryRow(ctx, `SELECT model, alias, number, at, actor FROM model_aliases WHERE model = ? AND alias = ?`, model, name))
	return a, notFound(err, "model %q has no alias %q", model, name)
}

// AliasHistory implements registry.Store.
func (s Registry) AliasHistory(ctx context.Context, model, name string) ([]registry.AliasMove, error) {
	rows, err := s.db.Query(ctx, `SELECT model, alias, from_number, to_number, at, actor, why FROM alias_moves
		WHERE model = ? AND (? = '' OR alias = ?) ORDER BY seq LIMIT 10000`, model, name, name)
	return collect(rows, err, func(r *sql.Rows) (registry.AliasMove, error) {
		var m registry.AliasMove
		var at int64
		err := r.Scan(&m.Model, &m.Alias, &m.From, &m.To, &at, &m.By, &m.Why)
		m.At = lastro.FromMicros(at)
		return m, err
	})
}

// Note implements registry.Store.
func (s Registry) Note(ctx context.Context, ev lastro.Event) error {
	return s.db.Write(ctx, func(*Tx) error { return nil }, ev)
}
