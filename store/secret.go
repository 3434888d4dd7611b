// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"

	"lastro"
	"lastro/secret"
)

// Secret keeps sealed secrets.
type Secret struct{ db *DB }

var _ secret.Store = Secret{}

// NewSecret returns the store of secrets in db.
func NewSecret(db *DB) Secret { return Secret{db} }

// PutSecret implements secret.Store.
func (s Secret) PutSecret(ctx context.Context, name string, seal func(version int) (secret.Sealed, []lastro.Event, error)) error {
	var made []lastro.Event
	err := s.db.Write(ctx, func(tx *Tx) error {
		// The upsert takes the row before its number is read, so that two at once get two numbers.
		var version int
		err := tx.QueryRow(ctx, `INSERT INTO secrets (name, version, recipient, box, set_at, set_by) VALUES (?, 1, '', '', 0, '')
			ON CONFLICT (name) DO UPDATE SET version = secrets.version + 1 RETURNING version`, name).Scan(&version)
		if err != nil {
			return err
		}
		v, events, err := seal(version)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE secrets SET recipient = ?, box = ?, set_at = ?, set_by = ? WHERE name = ?`,
			v.Recipient, base64.StdEncoding.EncodeToString(v.Box), lastro.Micros(v.SetAt), string(v.SetBy), name); err != nil {
			return err
		}
		made = events
		for i := range made {
			if err := tx.append(ctx, &made[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.db.bus.publish(made)
	}
	return err
}

// RemoveSecret implements secret.Store.
func (s Secret) RemoveSecret(ctx context.Context, name string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE secrets SET box = '', recipient = '' WHERE name = ? AND box <> ''`, name)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "the secret %s is not set", name)
		}
		return err
	}, events...)
}

// Secrets implements secret.Store.
func (s Secret) Secrets(ctx context.Context, names []string) ([]secret.Sealed, error) {
	query, args := `SELECT name, version, recipient, box, set_at, set_by FROM secrets WHERE box <> ''`, []any{}
	if names != nil {
		query += ` AND name IN (` + marks(len(names)) + `)`
		args = anys(names)
	}
	rows, err := s.db.Query(ctx, query+` ORDER BY name LIMIT 10000`, args...)
	return collect(rows, err, scanSealed)
}

func scanSealed(r *sql.Rows) (secret.Sealed, error) {
	var v secret.Sealed
	var box, by string
	var at int64
	err := r.Scan(&v.Name, &v.Version, &v.Recipient, &box, &at, &by)
	if err != nil {
		return v, err
	}
	v.SetAt, v.SetBy = lastro.FromMicros(at), lastro.Actor(by)
	v.Box, err = base64.StdEncoding.DecodeString(box)
	if err != nil {
		err = errors.Join(lastro.Errorf(lastro.ETampered, "the stored bytes of the secret %s were changed", v.Name), err)
	}
	return v, err
}
