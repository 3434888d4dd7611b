// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"lastro"
	"lastro/track"
)

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// pointOf is a metric as it is kept.
func pointOf(m track.Metric) point {
	return point{m.At.UnixMilli(), m.Step, m.Value, place{m.LoggedModel, m.DatasetName, m.DatasetDigest}}
}

// entry is a batch with the numbers of its names.
type entry struct {
	run   string
	may   func(track.Run) error
	batch track.Batch
	tags  pairs
	keys  map[string]int64
}

// Log implements track.Store.
func (s Track) Log(ctx context.Context, runID string, b track.Batch, may func(track.Run) error) error {
	e, err := s.entry(ctx, runID, b)
	e.may = may
	if err != nil {
		return err
	}
	var run int64
	err = s.db.WriteTogether(ctx, runID, func(tx *Tx) (err error) {
		run, err = logEntry(ctx, tx, e)
		return err
	})
	if err == nil && len(b.Metrics) > 0 {
		s.added(run, len(b.Metrics))
	}
	return err
}

func (s Track) entry(ctx context.Context, runID string, b track.Batch) (e entry, err error) {
	e = entry{run: runID, batch: b}
	names := make([]string, 0, len(b.Params)+len(b.Metrics)+len(b.Tags)+1)
	for _, p := range b.Params {
		names = append(names, p.Key)
	}
	for _, m := range b.Metrics {
		if len(names) == 0 || names[len(names)-1] != m.Key {
			names = append(names, m.Key)
		}
	}
	for _, t := range b.Tags {
		names = append(names, t.Key)
		e.tags = append(e.tags, pair{t.Key, t.Value})
	}
	e.keys, err = s.keyNumbers(ctx, names)
	return e, err
}

// logEntry writes a batch, or refuses it before it has written anything.
func logEntry(ctx context.Context, tx *Tx, e entry) (number int64, err error) {
	run, err := holdRun(ctx, tx, e.run)
	if err == nil && e.may != nil {
		err = e.may(run.Run)
	}
	if err == nil {
		err = putParams(ctx, tx, run, e)
	}
	if err == nil {
		err = putTags(ctx, tx, run.number, run.experiment, e.tags, e.keys)
	}
	if err != nil {
		return 0, err
	}
	for _, t := range e.tags {
		if t.key != track.TagRunName || t.value == "" {
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE tracked_runs SET name = ? WHERE number = ?`, t.value, run.number); err != nil {
			return 0, err
		}
	}
	return run.number, putMetrics(ctx, tx, run, e)
}

// putParams writes params once; the same value again is fine, another is not.
func putParams(ctx context.Context, tx *Tx, run heldRun, e entry) error {
	if len(e.batch.Params) == 0 {
		return nil
	}
	args := []any{run.number}
	for _, p := range e.batch.Params {
		args = append(args, e.keys[p.Key])
	}
	rows, err := tx.Query(ctx, `SELECT key, value FROM tracked_params WHERE run = ? AND key IN (`+marks(len(args)-1)+`)`, args...)
	have := map[int64]string{}
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var key int64
		var value string
		err := r.Scan(&key, &value)
		have[key] = value
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	for _, p := range e.batch.Params {
		if value, ok := have[e.keys[p.Key]]; ok && value != p.Value {
			return paramTaken(p, e.run, value)
		}
	}
	return putPairRows(ctx, tx, "tracked_params", run.number, run.experiment, missingParams(e.batch.Params, e.keys, have), e.keys)
}

func paramTaken(p track.Param, of, value string) error {
	return &lastro.Error{Code: lastro.EInvalid, Hint: "params are written once; log it under another key, or in a new run",
		Msg: fmt.Sprintf("param %q of %s is %q already and cannot become %q", p.Key, of, value, p.Value)}
}

// putParam writes a param of a logged model once.
func putParam(ctx context.Context, tx *Tx, table, column, id string, p track.Param) error {
	n, err := tx.Exec(ctx, `INSERT INTO `+table+` (`+column+`, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, id, p.Key, p.Value)
	if err != nil || n > 0 {
		return err
	}
	var have string
	if err := tx.QueryRow(ctx, `SELECT value FROM `+table+` WHERE `+column+` = ? AND key = ?`, id, p.Key).Scan(&have); err != nil {
		return err
	}
	if have != p.Value {
		return paramTaken(p, id, have)
	}
	return nil
}

func putMetrics(ctx context.Context, tx *Tx, run heldRun, e entry) error {
	if len(e.batch.Metrics) == 0 {
		return nil
	}
	byKey := map[int64][]point{}
	for _, m := range e.batch.Metrics {
		key := e.keys[m.Key]
		byKey[key] = append(byKey[key], pointOf(m))
	}
	for key, points := range byKey {
		tx.pending.addPoints(run, key, points)
	}
	tx.writes++
	for _, m := range e.batch.Metrics {
		if m.LoggedModel == "" {
			continue
		}
		if err := logModelMetric(ctx, tx, e.run, m); err != nil {
			return err
		}
	}
	return nil
}

// compareLatest orders points by how recent they are: by step, then time, then
// value, as MLflow has it.
func compareLatest(a, b point) int {
	value := func(p point) float64 {
		if math.IsNaN(p.value) {
			return 0
		}
		return p.value
	}
	return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.at, b.at), cmp.Compare(value(a), value(b)))
}

// storedValue is a value as a column keeps it: NaN is 0 with a mark.
func storedValue(v float64) (value float64, nan int) {
	if math.IsNaN(v) {
		return 0, 1
	}
	return v, 0
}

// modelMetricColumns are the columns of logged_model_metrics.
const modelMetricColumns = `run, key, at, step, value, is_nan, model, dataset_name, dataset_digest`

func logModelMetric(ctx context.Context, tx *Tx, runID string, m track.Metric) error {
	value, nan := storedValue(m.Value)
	_, err := tx.Exec(ctx, `INSERT INTO logged_model_metrics (`+modelMetricColumns+`) VALUES (`+marks(9)+`)
		ON CONFLICT (model, key, dataset_name, dataset_digest, run) DO UPDATE SET at = excluded.at, step = excluded.step,
			value = excluded.value, is_nan = excluded.is_nan
		WHERE (excluded.step, excluded.at, excluded.value) >= (logged_model_metrics.step, logged_model_metrics.at, logged_model_metrics.value)`,
		runID, m.Key, m.At.UnixMicro(), m.Step, value, nan, m.LoggedModel, m.DatasetName, m.DatasetDigest)
	return err
}
