// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"lastro"
	"lastro/auth"
)

// Auth keeps users and tokens.
type Auth struct{ db *DB }

var _ auth.Store = Auth{}

// NewAuth returns the store of users and tokens in db.
func NewAuth(db *DB) Auth { return Auth{db} }

func scanUser(r interface{ Scan(...any) error }) (auth.User, error) {
	var u auth.User
	var created int64
	err := r.Scan(&u.Name, &u.Role, &created, &u.Disabled)
	u.CreatedAt = lastro.FromMicros(created)
	return u, err
}

// CreateUser implements auth.Store.
func (s Auth) CreateUser(ctx context.Context, u auth.User, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO users (name, role, created_at, disabled) VALUES (?, ?, ?, ?)`,
			u.Name, string(u.Role), lastro.Micros(u.CreatedAt), flag(u.Disabled))
		if isUnique(err) {
			return lastro.Errorf(lastro.EConflict, "there is a user %q already", u.Name)
		}
		return err
	}, events...)
}

// UpdateUser implements auth.Store.
func (s Auth) UpdateUser(ctx context.Context, u auth.User, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE users SET role = ?, disabled = ? WHERE name = ?`, string(u.Role), flag(u.Disabled), u.Name)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "there is no user %q", u.Name)
		}
		return err
	}, events...)
}

// User implements auth.Store.
func (s Auth) User(ctx context.Context, name string) (auth.User, error) {
	u, err := scanUser(s.db.QueryRow(ctx, `SELECT name, role, created_at, disabled FROM users WHERE name = ?`, name))
	return u, notFound(err, "there is no user %q", name)
}

// Users implements auth.Store.
func (s Auth) Users(ctx context.Context) ([]auth.User, error) {
	rows, err := s.db.Query(ctx, `SELECT name, role, created_at, disabled FROM users ORDER BY name LIMIT 10000`)
	return collect(rows, err, func(r *sql.Rows) (auth.User, error) { return scanUser(r) })
}

const tokenColumns = `id, hash, kind, user_name, permissions, created_at, expires_at, revoked_at`

func scanToken(r interface{ Scan(...any) error }) (auth.Token, error) {
	var t auth.Token
	var permissions string
	var created, expires, revoked int64
	if err := r.Scan(&t.ID, &t.Hash, &t.Kind, &t.User, &permissions, &created, &expires, &revoked); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt, t.RevokedAt = lastro.FromMicros(created), lastro.FromMicros(expires), lastro.FromMicros(revoked)
	return t, json.Unmarshal([]byte(permissions), &t.Permissions)
}

// CreateToken implements auth.Store. Tokens that ended more than a day ago go
// with it, so that the table stays as large as what is in use.
func (s Auth) CreateToken(ctx context.Context, t auth.Token, events ...lastro.Event) error {
	permissions, err := json.Marshal(t.Permissions)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM tokens WHERE expires_at < ? AND kind <> 'user'`, lastro.Micros(t.CreatedAt.Add(-24*time.Hour))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO tokens (`+tokenColumns+`) VALUES (`+marks(8)+`)`,
			t.ID, t.Hash, string(t.Kind), t.User, string(permissions),
			lastro.Micros(t.CreatedAt), lastro.Micros(t.ExpiresAt), lastro.Micros(t.RevokedAt))
		return err
	}, events...)
}

// TokenByHash implements auth.Store.
func (s Auth) TokenByHash(ctx context.Context, hash string) (auth.Token, error) {
	t, err := scanToken(s.db.QueryRow(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash))
	return t, notFound(err, "there is no such token")
}

// TakeToken implements auth.Store.
func (s Auth) TakeToken(ctx context.Context, hash string, at time.Time) (t auth.Token, err error) {
	err = s.db.Write(ctx, func(tx *Tx) error {
		t, err = scanToken(tx.QueryRow(ctx, `UPDATE tokens SET revoked_at = ? WHERE hash = ? AND revoked_at = 0 AND kind = 'login' RETURNING `+tokenColumns,
			lastro.Micros(at), hash))
		return notFound(err, "there is no such token")
	})
	return t, err
}

// Tokens implements auth.Store.
func (s Auth) Tokens(ctx context.Context, user string) ([]auth.Token, error) {
	rows, err := s.db.Query(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE user_name = ? AND kind = 'user' ORDER BY created_at DESC, id LIMIT 1000`, user)
	return collect(rows, err, func(r *sql.Rows) (auth.Token, error) { return scanToken(r) })
}

// RevokeToken implements auth.Store.
func (s Auth) RevokeToken(ctx context.Context, id string, at time.Time, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, lastro.Micros(at), id)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "there is no token %q that could be revoked", id)
		}
		return err
	}, events...)
}
