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

// DescribeModel implements registry.Store.
func (s Registry) DescribeModel(ctx context.Context, name, description string, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE models SET description = ?, updated_at = ? WHERE name = ?`, description, lastro.Micros(at), name)
		if err == nil && n == 0 {
			return noModel(name)
		}
		return err
	}, events...)
}

// DeclareModel implements registry.Store.
func (s Registry) DeclareModel(ctx context.Context, seen registry.Model, protect []string, at time.Time, events ...lastro.Event) error {
	aliases, err := json.Marshal(protect)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE models SET declared = 1, protect = ?, updated_at = ? WHERE name = ?`, string(aliases), lastro.Micros(at), seen.Name)
		return err
	}, events...)
}

// steady takes the lock of a model and sees that it still protects what it did
// when it was read.
func steady(ctx context.Context, tx *Tx, seen registry.Model) error {
	if err := tx.Lock(ctx, "model:"+seen.Name); err != nil {
		return err
	}
	m, err := scanModel(tx.QueryRow(ctx, `SELECT `+modelColumns+` FROM models WHERE name = ?`, seen.Name))
	if errors.Is(err, sql.ErrNoRows) {
		return noModel(seen.Name)
	}
	if err == nil && (m.Declared != seen.Declared || !slices.Equal(m.Protect, seen.Protect)) {
		err = registry.ErrChanged
	}
	return err
}

// RenameModel implements registry.Store.
func (s Registry) RenameModel(ctx context.Context, seen registry.Model, to string, at time.Time, events ...lastro.Event) error {
	from := seen.Name
	return s.db.Write(ctx, func(tx *Tx) error {
		if to < from { // locks are taken in one order
			if err := tx.Lock(ctx, "model:"+to); err != nil {
				return err
			}
		}
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		if to > from {
			if err := tx.Lock(ctx, "model:"+to); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE models SET name = ?, updated_at = ? WHERE name = ?`, to, lastro.Micros(at), from)
		if isUnique(err) {
			return modelTaken(to)
		}
		if err != nil || to == from {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE model_versions SET updated_at = ? WHERE model = ?`, lastro.Micros(at), to); err != nil {
			return err
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
func (s Registry) DeleteModel(ctx context.Context, seen registry.Model, by lastro.Actor, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		if err := endAliases(ctx, tx, `model = ?`, []any{seen.Name}, by, at, registry.ModelDeleted); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM models WHERE name = ?`, seen.Name)
		return err
	}, events...)
}

// SetModelTag implements registry.Store.
func (s Registry) SetModelTag(ctx context.Context, model, key, value string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		err := putPairs(ctx, tx, "model_tags", "model", model, pairs{{key, value}})
		if isForeign(err) {
			return noModel(model)
		}
		return err
	}, events...)
}

// DeleteModelTag implements registry.Store.
func (s Registry) DeleteModelTag(ctx context.Context, model, key string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM model_tags WHERE model = ? AND key = ?`, model, key)
		return err
	}, events...)
}

// Note implements registry.Store.
func (s Registry) Note(ctx context.Context, ev lastro.Event) error {
	return s.db.Write(ctx, func(*Tx) error { return nil }, ev)
}
