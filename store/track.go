// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"lastro"
	"lastro/track"
)

// Track keeps experiments, tracked runs, artifacts by name and logged models.
type Track struct{ db *DB }

var _ track.Store = Track{}

// NewTrack returns the tracking store in db.
func NewTrack(db *DB) Track { return Track{db} }

const experimentColumns = `id, name, state, created_at, updated_at, actor`

func scanExperiment(r interface{ Scan(...any) error }) (track.Experiment, error) {
	var e track.Experiment
	var created, updated int64
	err := r.Scan(&e.ID, &e.Name, &e.State, &created, &updated, &e.By)
	e.CreatedAt, e.UpdatedAt, e.Tags = lastro.FromMicros(created), lastro.FromMicros(updated), map[string]string{}
	return e, err
}

// CreateExperiment implements track.Store.
func (s Track) CreateExperiment(ctx context.Context, e track.Experiment, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO experiments (`+experimentColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
			e.ID, e.Name, string(e.State), lastro.Micros(e.CreatedAt), lastro.Micros(e.UpdatedAt), string(e.By))
		if isUnique(err) {
			return experimentTaken(e.Name)
		}
		if err != nil {
			return err
		}
		return putPairs(ctx, tx, "experiment_tags", "experiment", e.ID, pairsOf(e.Tags))
	}, events...)
}

func experimentTaken(name string) error {
	return &lastro.Error{Code: lastro.EConflict, Msg: fmt.Sprintf("an experiment named %q exists already", name),
		Hint: "use it, or choose another name; a deleted one can be restored"}
}

// Experiment implements track.Store.
func (s Track) Experiment(ctx context.Context, id string) (track.Experiment, error) {
	return s.experiment(ctx, "id", id)
}

// ExperimentByName implements track.Store.
func (s Track) ExperimentByName(ctx context.Context, name string) (track.Experiment, error) {
	return s.experiment(ctx, "name", name)
}

func (s Track) experiment(ctx context.Context, column, value string) (track.Experiment, error) {
	e, err := scanExperiment(s.db.QueryRow(ctx, `SELECT `+experimentColumns+` FROM experiments WHERE `+column+` = ?`, value))
	if err != nil {
		return e, notFound(err, "there is no experiment with %s %q", column, value)
	}
	tags, err := s.db.pairs(ctx, "experiment_tags", "experiment", []string{e.ID})
	e.Tags = tags[e.ID].asMap()
	return e, err
}

// UpdateExperiment implements track.Store.
func (s Track) UpdateExperiment(ctx context.Context, e track.Experiment, events ...lastro.Event) error {
	at := lastro.Micros(e.UpdatedAt)
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "experiment:"+e.ID); err != nil {
			return err
		}
		var before string
		if err := tx.QueryRow(ctx, `SELECT state FROM experiments WHERE id = ?`, e.ID).Scan(&before); err != nil {
			return notFound(err, "there is no experiment with id %q", e.ID)
		}
		_, err := tx.Exec(ctx, `UPDATE experiments SET name = ?, state = ?, updated_at = ? WHERE id = ?`, e.Name, string(e.State), at, e.ID)
		if isUnique(err) {
			return experimentTaken(e.Name)
		}
		if err != nil || before == string(e.State) {
			return err
		}
		deletedAt := at
		if e.State == track.Active {
			deletedAt = 0
		}
		_, err = tx.Exec(ctx, `UPDATE tracked_runs SET state = ?, deleted_at = ? WHERE experiment = ?`, string(e.State), deletedAt, e.ID)
		return err
	}, events...)
}

// SetExperimentTag implements track.Store.
func (s Track) SetExperimentTag(ctx context.Context, id string, tag track.Tag) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		return putPairs(ctx, tx, "experiment_tags", "experiment", id, pairs{{tag.Key, tag.Value}})
	})
}

// DeleteExperimentTag implements track.Store.
func (s Track) DeleteExperimentTag(ctx context.Context, id, key string) error {
	return s.deletePair(ctx, "experiment_tags", "experiment", id, key)
}

const runColumns = `id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at`

func scanRun(r interface{ Scan(...any) error }) (track.Run, error) {
	var run track.Run
	var started, ended, deleted int64
	err := r.Scan(&run.ID, &run.ExperimentID, &run.Name, &run.Status, &run.State, &run.User, &run.By,
		&run.Origin.Run, &run.Origin.Step, &run.Origin.Cell, &started, &ended, &deleted)
	run.StartedAt, run.EndedAt, run.DeletedAt = lastro.FromMicros(started), lastro.FromMicros(ended), lastro.FromMicros(deleted)
	return run, err
}

// CreateRun implements track.Store.
func (s Track) CreateRun(ctx context.Context, r track.Run, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO tracked_runs (`+runColumns+`) VALUES (`+marks(13)+`)`,
			r.ID, r.ExperimentID, r.Name, string(r.Status), string(r.State), r.User, string(r.By),
			r.Origin.Run, r.Origin.Step, r.Origin.Cell, lastro.Micros(r.StartedAt), lastro.Micros(r.EndedAt), lastro.Micros(r.DeletedAt))
		if err != nil {
			return err
		}
		return putPairs(ctx, tx, "tracked_tags", "run", r.ID, pairsOf(r.Tags))
	}, events...)
}

// Run implements track.Store.
func (s Track) Run(ctx context.Context, id string) (track.Run, error) {
	r, err := scanRun(s.db.QueryRow(ctx, `SELECT `+runColumns+` FROM tracked_runs WHERE id = ?`, id))
	if err != nil {
		return r, notFound(err, "there is no tracked run with id %q", id)
	}
	list := []track.Run{r}
	err = s.fillRuns(ctx, list)
	return list[0], err
}

// UpdateRun implements track.Store.
func (s Track) UpdateRun(ctx context.Context, r track.Run, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE tracked_runs SET name = ?, status = ?, ended_at = ?, state = ?, deleted_at = ? WHERE id = ?`,
			r.Name, string(r.Status), lastro.Micros(r.EndedAt), string(r.State), lastro.Micros(r.DeletedAt), r.ID)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "there is no tracked run with id %q", r.ID)
		}
		return err
	}, events...)
}

// RunsOf implements track.Store.
func (s Track) RunsOf(ctx context.Context, run, step string) ([]track.Run, error) {
	return s.runs(ctx, ` WHERE r.origin_run = ? AND (? = '' OR r.origin_step = ?) AND r.state = 'active'
		ORDER BY r.started_at, r.id LIMIT 10000`, run, step, step)
}

func (s Track) runs(ctx context.Context, tail string, args ...any) ([]track.Run, error) {
	rows, err := s.db.Query(ctx, `SELECT `+prefixed("r", runColumns)+` FROM tracked_runs r`+tail, args...)
	list, err := collect(rows, err, func(r *sql.Rows) (track.Run, error) { return scanRun(r) })
	if err != nil {
		return nil, err
	}
	return list, s.fillRuns(ctx, list)
}

// fillRuns adds params, latest metrics, tags, inputs and outputs.
func (s Track) fillRuns(ctx context.Context, list []track.Run) error {
	byID := make(map[string]*track.Run, len(list))
	ids := make([]string, len(list))
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID, &list[i]
	}
	params, err := s.db.pairs(ctx, "tracked_params", "run", ids)
	if err != nil {
		return err
	}
	tags, err := s.db.pairs(ctx, "tracked_tags", "run", ids)
	if err != nil {
		return err
	}
	for id, r := range byID {
		r.Params, r.Tags = params[id].asParams(), tags[id].asMap()
	}
	return errors.Join(s.fillMetrics(ctx, ids, byID), s.fillInputs(ctx, ids, byID), s.fillModels(ctx, ids, byID))
}

const pointColumns = `run, key, at, step, value, is_nan, model, dataset_name, dataset_digest`

func scanPoint(r interface{ Scan(...any) error }) (run string, m track.Metric, err error) {
	var at int64
	var nan bool
	err = r.Scan(&run, &m.Key, &at, &m.Step, &m.Value, &nan, &m.LoggedModel, &m.DatasetName, &m.DatasetDigest)
	m.At = time.UnixMicro(at).UTC()
	if nan {
		m.Value = math.NaN()
	}
	return run, m, err
}

func (s Track) fillMetrics(ctx context.Context, ids []string, byID map[string]*track.Run) error {
	return s.db.each(ctx, `SELECT `+pointColumns+` FROM latest_metrics WHERE run IN (%s) ORDER BY run, key`, ids, func(r *sql.Rows) error {
		id, m, err := scanPoint(r)
		if err == nil {
			byID[id].Metrics = append(byID[id].Metrics, m)
		}
		return err
	})
}

func (s Track) fillInputs(ctx context.Context, ids []string, byID map[string]*track.Run) error {
	q := `SELECT run, name, digest, source_type, source, schema_json, profile, tags FROM tracked_inputs WHERE run IN (%s) ORDER BY run, name, digest`
	return s.db.each(ctx, q, ids, func(r *sql.Rows) error {
		var id, tags string
		var in track.Input
		if err := r.Scan(&id, &in.Name, &in.Digest, &in.SourceType, &in.Source, &in.Schema, &in.Profile, &tags); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(tags), &in.Tags); err != nil {
			return fmt.Errorf("tags of input %s of %s: %w", in.Name, id, err)
		}
		byID[id].Inputs = append(byID[id].Inputs, in)
		return nil
	})
}

func (s Track) fillModels(ctx context.Context, ids []string, byID map[string]*track.Run) error {
	q := `SELECT run, direction, model, step FROM tracked_models WHERE run IN (%s) ORDER BY run, direction, step, model`
	return s.db.each(ctx, q, ids, func(r *sql.Rows) error {
		var id, direction string
		var out track.ModelOutput
		if err := r.Scan(&id, &direction, &out.ModelID, &out.Step); err != nil {
			return err
		}
		if run := byID[id]; direction == "in" {
			run.ModelInputs = append(run.ModelInputs, out.ModelID)
		} else {
			run.ModelOutputs = append(run.ModelOutputs, out)
		}
		return nil
	})
}

// Log implements track.Store. One batch of a run at a time: batches with the
// same keys in another order would wait for each other's rows for ever.
func (s Track) Log(ctx context.Context, runID string, b track.Batch) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "trackedrun:"+runID); err != nil {
			return err
		}
		for _, p := range b.Params {
			if err := putParam(ctx, tx, "tracked_params", "run", runID, p); err != nil {
				return err
			}
		}
		tags := make(pairs, len(b.Tags))
		for i, t := range b.Tags {
			tags[i] = pair{t.Key, t.Value}
		}
		if err := putPairs(ctx, tx, "tracked_tags", "run", runID, tags); err != nil {
			return err
		}
		return logMetrics(ctx, tx, runID, b.Metrics)
	})
}

// putParam writes a param once; the same value again is fine, another is not.
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
		return &lastro.Error{Code: lastro.EInvalid, Hint: "params are written once; log it under another key, or in a new run",
			Msg: fmt.Sprintf("param %q of %s is %q already and cannot become %q", p.Key, id, have, p.Value)}
	}
	return nil
}

// pointsPerInsert keeps a multi-row insert below SQLite's limit of arguments.
const pointsPerInsert = 100

func logMetrics(ctx context.Context, tx *Tx, runID string, metrics []track.Metric) error {
	latest := map[string]track.Metric{}
	for start := 0; start < len(metrics); start += pointsPerInsert {
		part := metrics[start:min(start+pointsPerInsert, len(metrics))]
		args := make([]any, 0, 9*len(part))
		for _, m := range part {
			args = append(args, pointArgs(runID, m)...)
			if have, ok := latest[m.Key]; !ok || !later(have, m) {
				latest[m.Key] = m
			}
		}
		values := strings.TrimSuffix(strings.Repeat("("+marks(9)+"), ", len(part)), ", ")
		if _, err := tx.Exec(ctx, `INSERT INTO metric_points (`+pointColumns+`) VALUES `+values+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	for _, m := range latest {
		if err := logLatest(ctx, tx, runID, m); err != nil {
			return err
		}
	}
	for _, m := range metrics {
		if m.LoggedModel == "" {
			continue
		}
		if err := logModelMetric(ctx, tx, runID, m); err != nil {
			return err
		}
	}
	return nil
}

// later reports whether a counts as more recent than b: by step, then time,
// then value, as MLflow has it.
func later(a, b track.Metric) bool {
	switch {
	case a.Step != b.Step:
		return a.Step > b.Step
	case !a.At.Equal(b.At):
		return a.At.After(b.At)
	}
	return a.Value > b.Value
}

func pointArgs(runID string, m track.Metric) []any {
	value, nan := m.Value, 0
	if math.IsNaN(value) {
		value, nan = 0, 1
	}
	return []any{runID, m.Key, m.At.UnixMicro(), m.Step, value, nan, m.LoggedModel, m.DatasetName, m.DatasetDigest}
}

func logLatest(ctx context.Context, tx *Tx, runID string, m track.Metric) error {
	_, err := tx.Exec(ctx, `INSERT INTO latest_metrics (`+pointColumns+`) VALUES (`+marks(9)+`)
		ON CONFLICT (run, key) DO UPDATE SET at = excluded.at, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan,
			model = excluded.model, dataset_name = excluded.dataset_name, dataset_digest = excluded.dataset_digest
		WHERE (excluded.step, excluded.at, excluded.value) >= (latest_metrics.step, latest_metrics.at, latest_metrics.value)`,
		pointArgs(runID, m)...)
	return err
}

func logModelMetric(ctx context.Context, tx *Tx, runID string, m track.Metric) error {
	_, err := tx.Exec(ctx, `INSERT INTO logged_model_metrics (`+pointColumns+`) VALUES (`+marks(9)+`)
		ON CONFLICT (model, key, dataset_name, dataset_digest, run) DO UPDATE SET at = excluded.at, step = excluded.step,
			value = excluded.value, is_nan = excluded.is_nan
		WHERE (excluded.step, excluded.at, excluded.value) >= (logged_model_metrics.step, logged_model_metrics.at, logged_model_metrics.value)`,
		pointArgs(runID, m)...)
	return err
}

// DeleteRunTag implements track.Store.
func (s Track) DeleteRunTag(ctx context.Context, runID, key string) error {
	return s.deletePair(ctx, "tracked_tags", "run", runID, key)
}

// LogInputs implements track.Store.
func (s Track) LogInputs(ctx context.Context, runID string, in []track.Input, models []string) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		for _, i := range in {
			tags, err := json.Marshal(i.Tags)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO tracked_inputs (run, name, digest, source_type, source, schema_json, profile, context, tags)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, name, digest) DO UPDATE SET context = excluded.context, tags = excluded.tags`,
				runID, i.Name, i.Digest, i.SourceType, i.Source, i.Schema, i.Profile, i.Tags[track.TagContext], string(tags)); err != nil {
				return err
			}
		}
		for _, m := range models {
			if err := putRunModel(ctx, tx, runID, "in", track.ModelOutput{ModelID: m}); err != nil {
				return err
			}
		}
		return nil
	})
}

// LogOutputs implements track.Store.
func (s Track) LogOutputs(ctx context.Context, runID string, out []track.ModelOutput) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		for _, o := range out {
			if err := putRunModel(ctx, tx, runID, "out", o); err != nil {
				return err
			}
		}
		return nil
	})
}

func putRunModel(ctx context.Context, tx *Tx, runID, direction string, o track.ModelOutput) error {
	_, err := tx.Exec(ctx, `INSERT INTO tracked_models (run, direction, model, step) VALUES (?, ?, ?, ?)
		ON CONFLICT (run, direction, model) DO UPDATE SET step = excluded.step`, runID, direction, o.ModelID, o.Step)
	return err
}

// History implements track.Store.
func (s Track) History(ctx context.Context, q track.HistoryQuery) ([]track.Metric, error) {
	var w where
	w.add("run = ? AND key = ?", q.Run, q.Key)
	if q.Steps != nil {
		if len(q.Steps) == 0 {
			return nil, nil
		}
		w.add("step IN ("+marks(len(q.Steps))+")", anys(q.Steps)...)
	}
	limit := q.Limit
	if limit == 0 {
		limit = math.MaxInt32
	}
	rows, err := s.db.Query(ctx, `SELECT `+pointColumns+` FROM metric_points`+w.sql()+` ORDER BY at, step, value, is_nan LIMIT ? OFFSET ?`,
		append(w.args, limit, q.Offset)...)
	return collect(rows, err, func(r *sql.Rows) (track.Metric, error) {
		_, m, err := scanPoint(r)
		return m, err
	})
}
