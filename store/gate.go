// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro"
	"lastro/gate"
)

// Gate keeps decisions, frozen, and the waivers granted on them.
type Gate struct{ db *DB }

// NewGate returns the gate's part of a database.
func NewGate(db *DB) *Gate { return &Gate{db} }

var _ gate.Store = (*Gate)(nil)

// CreateDecision implements gate.Store.
func (g *Gate) CreateDecision(ctx context.Context, freeze func(number int) (gate.Decision, lastro.Event, error)) (gate.Decision, error) {
	var d gate.Decision
	events := make([]lastro.Event, 1) // its number is known only within the transaction
	err := g.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "decisions"); err != nil {
			return err
		}
		var number int
		if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(number), 0) + 1 FROM decisions`).Scan(&number); err != nil {
			return err
		}
		var err error
		if d, events[0], err = freeze(number); err != nil {
			return err
		}
		frozen, err := d.Frozen()
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO decisions (number, id, model, version, subject, verdict, run, at, actor, digest, frozen)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			number, d.ID, d.Subject.Model(), d.Subject.Version(), string(d.Subject.Digest), string(d.Verdict), d.Subject.Run,
			lastro.Micros(d.At), string(d.Actor), string(d.Digest), string(frozen))
		return err
	}, events...)
	return d, err
}

// Decision implements gate.Store.
func (g *Gate) Decision(ctx context.Context, id string) (gate.Decision, error) {
	var frozen, digest string
	err := g.db.QueryRow(ctx, `SELECT frozen, digest FROM decisions WHERE id = ?`, id).Scan(&frozen, &digest)
	if err != nil {
		return gate.Decision{}, notFound(err, "there is no decision %s", id)
	}
	return gate.Thaw([]byte(frozen), lastro.Digest(digest))
}

// Decisions implements gate.Store.
func (g *Gate) Decisions(ctx context.Context, f gate.Filter) ([]gate.Decision, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	rows, err := g.db.Query(ctx, `SELECT frozen, digest FROM decisions
		WHERE (? = '' OR model = ?) AND (? = '' OR version = ?) AND (? = '' OR subject = ?) AND (? = '' OR verdict = ?)
		ORDER BY number DESC LIMIT ?`,
		f.Model, f.Model, f.Version, f.Version, string(f.Digest), string(f.Digest), string(f.Verdict), string(f.Verdict), f.Limit)
	return collect(rows, err, func(r *sql.Rows) (gate.Decision, error) {
		var frozen, digest string
		if err := r.Scan(&frozen, &digest); err != nil {
			return gate.Decision{}, err
		}
		return gate.Thaw([]byte(frozen), lastro.Digest(digest))
	})
}

// CreateWaiver implements gate.Store.
func (g *Gate) CreateWaiver(ctx context.Context, w gate.Waiver, ev lastro.Event) (gate.Waiver, error) {
	err := g.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "waivers"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO waivers (id, decision, bundle, rule, reason, until, actor, at, seen)
			VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM waivers), ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			w.Decision, string(w.Bundle), w.Rule, w.Reason, lastro.Micros(w.Until), string(w.Actor), lastro.Micros(w.At), string(w.Seen)).Scan(&w.ID)
	}, ev)
	return w, err
}

const waiverColumns = `w.id, w.decision, w.bundle, w.rule, w.reason, w.until, w.actor, w.at, w.seen`

// Waivers implements gate.Store.
func (g *Gate) Waivers(ctx context.Context, decision string) ([]gate.Waiver, error) {
	rows, err := g.db.Query(ctx, `SELECT `+waiverColumns+` FROM waivers w WHERE w.decision = ? ORDER BY w.id LIMIT 1000`, decision)
	return collect(rows, err, scanWaiver)
}

// WaiversFor implements gate.Store.
func (g *Gate) WaiversFor(ctx context.Context, model string, digest lastro.Digest) ([]gate.Waiver, error) {
	rows, err := g.db.Query(ctx, `SELECT `+waiverColumns+` FROM waivers w JOIN decisions d ON d.id = w.decision
		WHERE d.model = ? AND d.subject = ? ORDER BY w.id LIMIT 1000`, model, string(digest))
	return collect(rows, err, scanWaiver)
}

func scanWaiver(r *sql.Rows) (gate.Waiver, error) {
	var w gate.Waiver
	var until, at int64
	err := r.Scan(&w.ID, &w.Decision, &w.Bundle, &w.Rule, &w.Reason, &until, &w.Actor, &at, &w.Seen)
	w.Until, w.At = lastro.FromMicros(until), lastro.FromMicros(at)
	return w, err
}
