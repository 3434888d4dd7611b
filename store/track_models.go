// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"lastro"
	"lastro/track"
)

// PutArtifact implements track.Store.
func (s Track) PutArtifact(ctx context.Context, a track.Artifact) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		top, _, _ := strings.Cut(a.Path, "/")
		if err := tx.Lock(ctx, "artifacts:"+top); err != nil {
			return err
		}
		// A name is a file or a folder, never both, or the folder could not be written to a disk.
		var clash string
		err := tx.QueryRow(ctx, `SELECT path FROM artifacts WHERE (path >= ? AND path < ?) OR path IN (`+marks(len(parents(a.Path)))+`) LIMIT 1`,
			append([]any{a.Path + "/", a.Path + "0"}, anys(parents(a.Path))...)...).Scan(&clash)
		if err == nil {
			return lastro.Errorf(lastro.EInvalid, "%q cannot be a file, because %q exists", a.Path, clash)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO artifacts (path, digest, size, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at`,
			a.Path, string(a.Digest), a.Size, lastro.Micros(a.At))
		return err
	})
}

// parents lists the folders above a path.
func parents(path string) []string {
	out := []string{""}
	for i, r := range path {
		if r == '/' {
			out = append(out, path[:i])
		}
	}
	return out
}

func scanArtifact(r interface{ Scan(...any) error }) (track.Artifact, error) {
	var a track.Artifact
	var at int64
	err := r.Scan(&a.Path, &a.Digest, &a.Size, &at)
	a.At = lastro.FromMicros(at)
	return a, err
}

// Artifact implements track.Store.
func (s Track) Artifact(ctx context.Context, path string) (track.Artifact, error) {
	a, err := scanArtifact(s.db.QueryRow(ctx, `SELECT path, digest, size, at FROM artifacts WHERE path = ?`, path))
	return a, notFound(err, "there is no artifact %q", path)
}

// Artifacts implements track.Store. "0" is the character after "/", so the
// range is everything below dir.
func (s Track) Artifacts(ctx context.Context, dir string, limit int) ([]track.Artifact, error) {
	if limit == 0 {
		limit = 1 << 30
	}
	dir = strings.TrimSuffix(dir, "/")
	rows, err := s.db.Query(ctx, `SELECT path, digest, size, at FROM artifacts WHERE path >= ? AND path < ? ORDER BY path LIMIT ?`, dir+"/", dir+"0", limit)
	return collect(rows, err, func(r *sql.Rows) (track.Artifact, error) { return scanArtifact(r) })
}

// DeleteArtifacts implements track.Store.
func (s Track) DeleteArtifacts(ctx context.Context, path string) (n int64, err error) {
	path = strings.TrimSuffix(path, "/")
	err = s.db.Write(ctx, func(tx *Tx) error {
		n, err = tx.Exec(ctx, `DELETE FROM artifacts WHERE path = ? OR (path >= ? AND path < ?)`, path, path+"/", path+"0")
		return err
	})
	return n, err
}

const loggedModelColumns = `id, experiment, name, type, source_run, status, status_text, actor, origin_run, origin_step, origin_cell, created_at, updated_at`

func scanLoggedModel(r interface{ Scan(...any) error }) (track.LoggedModel, error) {
	var m track.LoggedModel
	var created, updated int64
	err := r.Scan(&m.ID, &m.ExperimentID, &m.Name, &m.Type, &m.SourceRun, &m.Status, &m.StatusText, &m.By,
		&m.Origin.Run, &m.Origin.Step, &m.Origin.Cell, &created, &updated)
	m.CreatedAt, m.UpdatedAt = lastro.FromMicros(created), lastro.FromMicros(updated)
	return m, err
}

// CreateLoggedModel implements track.Store.
func (s Track) CreateLoggedModel(ctx context.Context, m track.LoggedModel, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO logged_models (`+loggedModelColumns+`, state) VALUES (`+marks(13)+`, 'active')`,
			m.ID, m.ExperimentID, m.Name, m.Type, m.SourceRun, string(m.Status), m.StatusText, string(m.By),
			m.Origin.Run, m.Origin.Step, m.Origin.Cell, lastro.Micros(m.CreatedAt), lastro.Micros(m.UpdatedAt))
		if err != nil {
			return err
		}
		for _, p := range m.Params {
			if err := putParam(ctx, tx, "logged_model_params", "model", m.ID, p); err != nil {
				return err
			}
		}
		return putPairs(ctx, tx, "logged_model_tags", "model", m.ID, pairsOf(m.Tags))
	}, events...)
}

// LoggedModel implements track.Store.
func (s Track) LoggedModel(ctx context.Context, id string) (track.LoggedModel, error) {
	m, err := scanLoggedModel(s.db.QueryRow(ctx, `SELECT `+loggedModelColumns+` FROM logged_models WHERE id = ? AND state = 'active'`, id))
	if err != nil {
		return m, notFound(err, "there is no logged model with id %q", id)
	}
	list := []track.LoggedModel{m}
	err = s.fillLoggedModels(ctx, list)
	return list[0], err
}

func (s Track) fillLoggedModels(ctx context.Context, list []track.LoggedModel) error {
	byID := make(map[string]*track.LoggedModel, len(list))
	ids := make([]string, len(list))
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID, &list[i]
	}
	params, err := s.db.pairs(ctx, "logged_model_params", "model", ids)
	if err != nil {
		return err
	}
	tags, err := s.db.pairs(ctx, "logged_model_tags", "model", ids)
	if err != nil {
		return err
	}
	for id, m := range byID {
		m.Params, m.Tags = params[id].asParams(), tags[id].asMap()
	}
	return s.db.each(ctx, `SELECT run, key, at, step, value, is_nan, model, dataset_name, dataset_digest FROM logged_model_metrics WHERE model IN (%s) ORDER BY model, key, run`, ids, func(r *sql.Rows) error {
		var run string
		metric, err := scanMetric(r, &run)
		if err != nil {
			return err
		}
		m := byID[metric.LoggedModel]
		metric.Run = run
		m.Metrics = append(m.Metrics, metric)
		return nil
	})
}

// UpdateLoggedModel implements track.Store.
func (s Track) UpdateLoggedModel(ctx context.Context, m track.LoggedModel, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE logged_models SET status = ?, status_text = ?, updated_at = ? WHERE id = ? AND state = 'active'`,
			string(m.Status), m.StatusText, lastro.Micros(m.UpdatedAt), m.ID)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "there is no logged model with id %q", m.ID)
		}
		return err
	}, events...)
}

// DeleteLoggedModel implements track.Store.
func (s Track) DeleteLoggedModel(ctx context.Context, id string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE logged_models SET state = 'deleted', updated_at = ? WHERE id = ? AND state = 'active'`, now(), id)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "there is no logged model with id %q", id)
		}
		return err
	}, events...)
}

// LogModelParams implements track.Store.
func (s Track) LogModelParams(ctx context.Context, id string, params []track.Param) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		for _, p := range params {
			if err := putParam(ctx, tx, "logged_model_params", "model", id, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetModelTags implements track.Store.
func (s Track) SetModelTags(ctx context.Context, id string, tags []track.Tag) error {
	list := make(pairs, len(tags))
	for i, t := range tags {
		list[i] = pair{t.Key, t.Value}
	}
	return s.db.Write(ctx, func(tx *Tx) error { return putPairs(ctx, tx, "logged_model_tags", "model", id, list) })
}

// DeleteModelTag implements track.Store.
func (s Track) DeleteModelTag(ctx context.Context, id, key string) error {
	return s.deletePair(ctx, "logged_model_tags", "model", id, key)
}
