// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"lastro"
	"lastro/monitor"
)

// Monitor keeps measurements, alerts and retrain requests; it implements
// monitor.Store. What is searched has a column, the rest is in the body.
type Monitor struct{ db *DB }

// NewMonitor returns the store of the monitor room.
func NewMonitor(db *DB) Monitor { return Monitor{db} }

var _ monitor.Store = Monitor{}

// Save keeps all changes and their events in one transaction.
func (s Monitor) Save(ctx context.Context, c monitor.Changes) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		for _, m := range c.Measurements {
			if err := put(ctx, tx, m, `INSERT INTO measurements (id, environment, release, kind, name, starts_at, ends_at, value, state, body)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
				m.ID, m.Environment, string(m.Release), string(m.Kind), m.Name, lastro.Micros(m.Start), lastro.Micros(m.End), m.Value, string(m.State)); err != nil {
				return err
			}
		}
		for _, a := range c.Alerts {
			if err := put(ctx, tx, a, `INSERT INTO alerts (id, environment, release, kind, state, starts_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET state = excluded.state, starts_at = excluded.starts_at, body = excluded.body`,
				a.ID, a.Environment, string(a.Release), string(a.Kind), string(a.State), lastro.Micros(a.Start)); err != nil {
				return err
			}
		}
		for _, r := range c.Retrains {
			if err := put(ctx, tx, r, `INSERT INTO retrains (id, environment, event_time, body) VALUES (?, ?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET event_time = excluded.event_time, body = excluded.body`,
				r.ID, r.Environment, lastro.Micros(r.EventTime)); err != nil {
				return err
			}
		}
		return nil
	}, c.Events...)
}

// put runs a statement whose last parameter is the JSON body of v.
func put(ctx context.Context, tx *Tx, v any, query string, args ...any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, query, append(args, string(body))...)
	return err
}

func scanBody[T any](r *sql.Rows) (T, error) {
	var v T
	var body string
	if err := r.Scan(&body); err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(body), &v)
}

// Measurements lists the newest window first, then by kind and name.
func (s Monitor) Measurements(ctx context.Context, f monitor.Filter) ([]monitor.Measurement, error) {
	rows, err := s.db.Query(ctx, `SELECT body FROM measurements
		WHERE environment = ? AND (? = '' OR release = ?) AND (? = '' OR kind = ?) AND (? = '' OR name = ?)
		ORDER BY starts_at DESC, kind, name, id LIMIT ?`,
		f.Environment, string(f.Release), string(f.Release), string(f.Kind), string(f.Kind), f.Name, f.Name, orDefault(f.Limit, 10_000))
	return collect(rows, err, scanBody[monitor.Measurement])
}

// Alerts lists the newest window first.
func (s Monitor) Alerts(ctx context.Context, f monitor.AlertFilter) ([]monitor.Alert, error) {
	rows, err := s.db.Query(ctx, `SELECT body FROM alerts
		WHERE environment = ? AND (? = '' OR release = ?) AND (? = '' OR kind = ?) AND (? = 0 OR state <> 'resolved')
		ORDER BY starts_at DESC, id LIMIT ?`,
		f.Environment, string(f.Release), string(f.Release), string(f.Kind), string(f.Kind), flag(f.Open), orDefault(f.Limit, 100))
	return collect(rows, err, scanBody[monitor.Alert])
}

// Retrains lists the newest event time first.
func (s Monitor) Retrains(ctx context.Context, environment string, limit int) ([]monitor.Retrain, error) {
	rows, err := s.db.Query(ctx, `SELECT body FROM retrains WHERE environment = ? ORDER BY event_time DESC, id LIMIT ?`, environment, orDefault(limit, 100))
	return collect(rows, err, scanBody[monitor.Retrain])
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
