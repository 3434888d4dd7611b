// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"lastro"
	"lastro/data"
)

// Data keeps dataset versions and the reports of their checks.
type Data struct{ db *DB }

var _ data.Store = (*Data)(nil)

// NewData makes the store of datasets.
func NewData(db *DB) *Data { return &Data{db} }

const datasetColumns = `dataset, digest, row_count, bytes, files, seen_at, source, commit_id`

// datasetRow is a row or rows.
type datasetRow interface{ Scan(...any) error }

func scanDataset(r datasetRow) (data.Version, error) {
	var v data.Version
	var at int64
	err := r.Scan(&v.Dataset, &v.Digest, &v.Rows, &v.Bytes, &v.Files, &at, &v.Source, &v.Commit)
	v.SeenAt = lastro.FromMicros(at)
	return v, err
}

// RegisterVersion implements data.Store. A version that is known completely is
// answered without a write, so that a run in which nothing changed stays fast.
func (s *Data) RegisterVersion(ctx context.Context, v data.Version, actor lastro.Actor) (data.Version, bool, error) {
	known, err := s.Version(ctx, v.Dataset, v.Digest)
	if err == nil && (known.Rows >= 0 || v.Rows < 0) {
		return known, false, nil
	}
	if err != nil && !lastro.Is(err, lastro.ENotFound) {
		return data.Version{}, false, err
	}
	if err == nil {
		known.Rows = v.Rows
		return known, false, s.db.Write(ctx, func(tx *Tx) error {
			_, err := tx.Exec(ctx, `UPDATE dataset_versions SET row_count = ? WHERE dataset = ? AND digest = ? AND row_count < 0`, v.Rows, v.Dataset, string(v.Digest))
			return err
		})
	}
	ev := lastro.NewEvent(v.SeenAt, actor, "dataset.version_seen", v.Ref(), map[string]any{
		"rows": v.Rows, "bytes": v.Bytes, "files": v.Files, "source": v.Source, "commit": v.Commit})
	err = s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO dataset_versions (`+datasetColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			v.Dataset, string(v.Digest), v.Rows, v.Bytes, v.Files, lastro.Micros(v.SeenAt), v.Source, v.Commit)
		return err
	}, ev)
	if isUnique(err) { // another process was first
		known, err = s.Version(ctx, v.Dataset, v.Digest)
		return known, false, err
	}
	return v, err == nil, err
}

// Version implements data.Store.
func (s *Data) Version(ctx context.Context, dataset string, digest lastro.Digest) (data.Version, error) {
	v, err := scanDataset(s.db.QueryRow(ctx, `SELECT `+datasetColumns+` FROM dataset_versions WHERE dataset = ? AND digest = ?`, dataset, string(digest)))
	return v, notFound(err, "dataset %s has no version %s", dataset, digest.Short())
}

// Versions implements data.Store.
func (s *Data) Versions(ctx context.Context, dataset string, limit int) ([]data.Version, error) {
	if limit == 0 {
		limit = 100
	}
	rows, err := s.db.Query(ctx, `SELECT `+datasetColumns+` FROM dataset_versions WHERE (? = '' OR dataset = ?)
		ORDER BY seen_at DESC, dataset, digest LIMIT ?`, dataset, dataset, limit)
	return collect(rows, err, func(r *sql.Rows) (data.Version, error) { return scanDataset(r) })
}

// SaveReport implements data.Store.
func (s *Data) SaveReport(ctx context.Context, r data.Report, actor lastro.Actor) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the report of %s: %w", r.Dataset, err)
	}
	total, failed := r.Total(), len(r.Failed())
	ev := lastro.NewEvent(r.At, actor, "dataset.checked", lastro.NewRef("dataset", r.Dataset, string(r.Version)), map[string]any{
		"contract": r.Contract, "total": total, "failed": failed, "rows": r.Rows})
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO dataset_reports (dataset, version, check_key, at, total, failed, report) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (dataset, version, check_key) DO UPDATE SET at = excluded.at, total = excluded.total, failed = excluded.failed, report = excluded.report`,
			r.Dataset, string(r.Version), string(r.Key), lastro.Micros(r.At), total, failed, string(raw))
		return err
	}, ev)
}

func scanCheckReport(r datasetRow) (data.Report, error) {
	var raw string
	var report data.Report
	if err := r.Scan(&raw); err != nil {
		return report, err
	}
	err := json.Unmarshal([]byte(raw), &report)
	return report, err
}

// Report implements data.Store.
func (s *Data) Report(ctx context.Context, dataset string, version, key lastro.Digest) (data.Report, error) {
	r, err := scanCheckReport(s.db.QueryRow(ctx, `SELECT report FROM dataset_reports WHERE dataset = ? AND version = ? AND check_key = ?`, dataset, string(version), string(key)))
	return r, notFound(err, "%s@%s was not checked with this contract", dataset, version.Short())
}

// Reports implements data.Store.
func (s *Data) Reports(ctx context.Context, dataset string, limit int) ([]data.Report, error) {
	if limit == 0 {
		limit = 100
	}
	rows, err := s.db.Query(ctx, `SELECT report FROM dataset_reports WHERE dataset = ? ORDER BY at DESC, version, check_key LIMIT ?`, dataset, limit)
	return collect(rows, err, func(r *sql.Rows) (data.Report, error) { return scanCheckReport(r) })
}
