// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lastro"
	"lastro/registry"
)

// MoveAlias implements registry.Store.
func (s Registry) MoveAlias(ctx context.Context, seen registry.Model, m registry.AliasMove, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := steady(ctx, tx, seen); err != nil {
			return err
		}
		have := 0
		err := tx.QueryRow(ctx, `SELECT number FROM model_aliases WHERE model = ? AND alias = ?`, m.Model, m.Alias).Scan(&have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have != m.From {
			return movedMeanwhile(m, have)
		}
		at := lastro.Micros(m.At)
		if m.To == 0 {
			_, err = tx.Exec(ctx, `DELETE FROM model_aliases WHERE model = ? AND alias = ?`, m.Model, m.Alias)
		} else {
			_, err = tx.Exec(ctx, `INSERT INTO model_aliases (model, alias, number, at, actor) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (model, alias) DO UPDATE SET number = excluded.number, at = excluded.at, actor = excluded.actor`,
				m.Model, m.Alias, m.To, at, string(m.By))
		}
		if isForeign(err) {
			return noVersion(m.Model, m.To)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO alias_moves (model, alias, from_number, to_number, at, actor, why) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			m.Model, m.Alias, m.From, m.To, at, string(m.By), m.Why)
		return err
	}, events...)
}

func movedMeanwhile(m registry.AliasMove, have int) error {
	now := fmt.Sprintf("points at version %d now", have)
	if have == 0 {
		now = "is not there any more"
	}
	return &lastro.Error{Code: lastro.EConflict, ID: "L0721", Hint: "look at it, then try again",
		Msg: fmt.Sprintf("alias %q of model %q was moved meanwhile: it %s", m.Alias, m.Model, now)}
}

// endAliases removes the aliases of a condition; their history says by whom and why.
func endAliases(ctx context.Context, tx *Tx, where string, args []any, by lastro.Actor, at time.Time, why string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO alias_moves (model, alias, from_number, to_number, at, actor, why)
		SELECT model, alias, number, 0, CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT) FROM model_aliases WHERE `+where,
		append([]any{lastro.Micros(at), string(by), why}, args...)...); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM model_aliases WHERE `+where, args...)
	return err
}

// Alias implements registry.Store.
func (s Registry) Alias(ctx context.Context, model, name string) (registry.Alias, error) {
	a, err := scanAlias(s.db.QueryRow(ctx, `SELECT model, alias, number, at, actor FROM model_aliases WHERE model = ? AND alias = ?`, model, name))
	return a, notFound(err, "model %q has no alias %q", model, name)
}

// AliasHistory implements registry.Store.
func (s Registry) AliasHistory(ctx context.Context, model, name string, until time.Time, limit int) ([]registry.AliasMove, error) {
	where, args := "model = ?", []any{model}
	if name != "" {
		where, args = where+" AND alias = ?", append(args, name)
	}
	if !until.IsZero() {
		where, args = where+" AND at <= ?", append(args, lastro.Micros(until))
	}
	rows, err := s.db.Query(ctx, `SELECT model, alias, from_number, to_number, at, actor, why FROM alias_moves
		WHERE `+where+` ORDER BY seq DESC LIMIT ?`, append(args, limit)...)
	return collect(rows, err, func(r *sql.Rows) (registry.AliasMove, error) {
		var m registry.AliasMove
		var at int64
		err := r.Scan(&m.Model, &m.Alias, &m.From, &m.To, &at, &m.By, &m.Why)
		m.At = lastro.FromMicros(at)
		return m, err
	})
}
