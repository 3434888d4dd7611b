// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"lastro"
	"lastro/deploy"
)

// Deploy keeps releases, rollouts and what is live.
type Deploy struct{ db *DB }

var _ deploy.Store = Deploy{}

// NewDeploy returns the deployments' store in db.
func NewDeploy(db *DB) Deploy { return Deploy{db} }

const releaseColumns = `environment, number, model, version, digest, settings, equal_to, why, actor, at`

func scanRelease(r interface{ Scan(...any) error }) (deploy.Release, error) {
	var rel deploy.Release
	var settings string
	var at int64
	if err := r.Scan(&rel.Environment, &rel.Number, &rel.Model, &rel.Version, &rel.Digest, &settings, &rel.EqualTo, &rel.Why, &rel.By, &at); err != nil {
		return rel, err
	}
	rel.At = lastro.FromMicros(at)
	return rel, json.Unmarshal([]byte(settings), &rel.Settings)
}

func scanRollout(r interface{ Scan(...any) error }) (deploy.Rollout, error) {
	var body string
	var out deploy.Rollout
	if err := r.Scan(&body); err != nil {
		return out, err
	}
	return out, json.Unmarshal([]byte(body), &out)
}

// CreateRelease implements deploy.Store.
func (s Deploy) CreateRelease(ctx context.Context, rel deploy.Release, rollout *deploy.Rollout, closed []deploy.Rollout, explain func(deploy.Release, *deploy.Rollout) []lastro.Event) (deploy.Release, *deploy.Rollout, error) {
	settings, err := json.Marshal(rel.Settings)
	if err != nil {
		return rel, nil, err
	}
	var started *deploy.Rollout
	if rollout != nil {
		r := *rollout
		started = &r
	}
	// Filled within the transaction, once the numbers are known; how many there
	// are does not depend on them.
	events := make([]lastro.Event, len(explain(rel, started)))
	err = s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "environment:"+rel.Environment); err != nil {
			return err
		}
		for _, r := range closed {
			if err := updateRollout(ctx, tx, r); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `INSERT INTO releases (`+releaseColumns+`)
			SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM releases WHERE environment = ? RETURNING number`,
			rel.Environment, rel.Model, rel.Version, string(rel.Digest), string(settings), rel.EqualTo, rel.Why, string(rel.By), lastro.Micros(rel.At), rel.Environment).Scan(&rel.Number); err != nil {
			return err
		}
		if started != nil {
			started.Release = rel.Number
			if err := insertRollout(ctx, tx, started); err != nil {
				return err
			}
		}
		copy(events, explain(rel, started))
		return nil
	}, events...)
	return rel, started, err
}

func insertRollout(ctx context.Context, tx *Tx, r *deploy.Rollout) error {
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) + 1 FROM rollouts WHERE environment = ?`, r.Environment).Scan(&r.Number); err != nil {
		return err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO rollouts (environment, number, release, state, body, at) VALUES (?, ?, ?, ?, ?, ?)`,
		r.Environment, r.Number, r.Release, string(r.State), string(body), lastro.Micros(r.At))
	if isUnique(err) {
		return lastro.Errorf(lastro.EConflict, "environment %s has an open rollout already", r.Environment)
	}
	return err
}

// updateRollout writes an open rollout; one that is closed never changes.
func updateRollout(ctx context.Context, tx *Tx, r deploy.Rollout) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE rollouts SET state = ?, body = ? WHERE environment = ? AND number = ?
		AND state IN ('starting', 'running', 'promoting', 'rolling_back')`, string(r.State), string(body), r.Environment, r.Number)
	if err == nil && n == 0 {
		err = lastro.Errorf(lastro.EConflict, "rollout %d of %s is not open", r.Number, r.Environment)
	}
	return err
}

// UpdateRollout implements deploy.Store.
func (s Deploy) UpdateRollout(ctx context.Context, r deploy.Rollout, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error { return updateRollout(ctx, tx, r) }, events...)
}

// Finish implements deploy.Store.
func (s Deploy) Finish(ctx context.Context, r deploy.Rollout, live deploy.Live, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := updateRollout(ctx, tx, r); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO live (environment, release, generation, since) VALUES (?, ?, ?, ?)
			ON CONFLICT (environment) DO UPDATE SET release = excluded.release, generation = excluded.generation, since = excluded.since`,
			live.Environment, live.Release, live.Generation, lastro.Micros(live.Since))
		return err
	}, events...)
}

// Release implements deploy.Store.
func (s Deploy) Release(ctx context.Context, environment string, number int) (deploy.Release, error) {
	rel, err := scanRelease(s.db.QueryRow(ctx, `SELECT `+releaseColumns+` FROM releases WHERE environment = ? AND number = ?`, environment, number))
	return rel, notFound(err, "environment %q has no release %d", environment, number)
}

// Releases implements deploy.Store.
func (s Deploy) Releases(ctx context.Context, environment string, limit int) ([]deploy.Release, error) {
	rows, err := s.db.Query(ctx, `SELECT `+releaseColumns+` FROM releases WHERE environment = ? ORDER BY number DESC LIMIT ?`, environment, orHundred(limit))
	return collect(rows, err, func(r *sql.Rows) (deploy.Release, error) { return scanRelease(r) })
}

// Rollout implements deploy.Store.
func (s Deploy) Rollout(ctx context.Context, environment string, number int) (deploy.Rollout, error) {
	r, err := scanRollout(s.db.QueryRow(ctx, `SELECT body FROM rollouts WHERE environment = ? AND number = ?`, environment, number))
	return r, notFound(err, "environment %q has no rollout %d", environment, number)
}

// Rollouts implements deploy.Store.
func (s Deploy) Rollouts(ctx context.Context, environment string, limit int) ([]deploy.Rollout, error) {
	rows, err := s.db.Query(ctx, `SELECT body FROM rollouts WHERE environment = ? ORDER BY number DESC LIMIT ?`, environment, orHundred(limit))
	return collect(rows, err, func(r *sql.Rows) (deploy.Rollout, error) { return scanRollout(r) })
}

// Current implements deploy.Store.
func (s Deploy) Current(ctx context.Context, environment string) (deploy.Live, error) {
	live := deploy.Live{Environment: environment}
	var since int64
	err := s.db.QueryRow(ctx, `SELECT release, generation, since FROM live WHERE environment = ?`, environment).Scan(&live.Release, &live.Generation, &since)
	live.Since = lastro.FromMicros(since)
	return live, notFound(err, "nothing is live in environment %q yet", environment)
}

// Environments implements deploy.Store.
func (s Deploy) Environments(ctx context.Context) ([]string, error) {
	rows, err := s.db.Query(ctx, `SELECT DISTINCT environment FROM releases ORDER BY environment LIMIT 1000`)
	return collect(rows, err, func(r *sql.Rows) (string, error) {
		var name string
		err := r.Scan(&name)
		return name, err
	})
}

func orHundred(limit int) int {
	if limit <= 0 {
		return 100
	}
	return limit
}
