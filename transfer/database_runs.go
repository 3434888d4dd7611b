// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"lastro/track"
)

// runsAtOnce is how many runs a page of the database has.
const runsAtOnce = 200

// Experiments implements Source.
func (d *Database) Experiments(ctx context.Context, fn func(track.Experiment) error) error {
	where := ""
	if d.has("experiments.workspace") {
		where = ` WHERE workspace = 'default'`
	}
	list, err := whole(ctx, d, `SELECT CAST(experiment_id AS TEXT), name, COALESCE(lifecycle_stage, 'active'), creation_time, last_update_time
		FROM experiments`+where+` ORDER BY experiment_id`, nil, func(r *sql.Rows) (e track.Experiment, err error) {
		var created, updated sql.NullInt64
		err = r.Scan(&e.ID, &e.Name, &e.State, &created, &updated)
		e.CreatedAt, e.UpdatedAt, e.Tags = millis(created), millis(updated), map[string]string{}
		return e, err
	})
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := d.texts(ctx, `SELECT key, COALESCE(value, '') FROM experiment_tags WHERE experiment_id = ?`, e.Tags, e.ID); err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// texts reads keys and values into a map.
func (d *Database) texts(ctx context.Context, query string, into map[string]string, args ...any) error {
	return d.each(ctx, query, args, func(r *sql.Rows) error {
		var k, v string
		err := r.Scan(&k, &v)
		into[k] = v
		return err
	})
}

// Runs implements Source.
func (d *Database) Runs(ctx context.Context, experiment string, fn func(Run) error) error {
	after := ""
	for {
		list, err := whole(ctx, d, `SELECT run_uuid, COALESCE(name, ''), COALESCE(user_id, ''), COALESCE(status, 'FINISHED'), start_time, end_time,
			deleted_time, COALESCE(lifecycle_stage, 'active'), COALESCE(artifact_uri, '')
			FROM runs WHERE experiment_id = ? AND run_uuid > ? ORDER BY run_uuid LIMIT ?`, []any{experiment, after, runsAtOnce}, scanRun)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].ID
		for i := range list {
			list[i].ExperimentID = experiment
		}
		if err := d.fill(ctx, list); err != nil {
			return err
		}
		for _, r := range list {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
}

func scanRun(rows *sql.Rows) (r Run, err error) {
	var started, ended, deleted sql.NullInt64
	err = rows.Scan(&r.ID, &r.Name, &r.User, &r.Status, &started, &ended, &deleted, &r.State, &r.Root)
	r.StartedAt, r.EndedAt, r.DeletedAt, r.Tags = millis(started), millis(ended), millis(deleted), map[string]string{}
	return r, err
}

// fill adds what hangs on runs.
func (d *Database) fill(ctx context.Context, list []Run) error {
	ids := make([]any, len(list))
	byID := map[string]*Run{}
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID, &list[i]
	}
	in := ` WHERE run_uuid IN (` + marked(len(ids)) + `)`
	err := d.each(ctx, `SELECT run_uuid, key, value FROM params`+in+` ORDER BY run_uuid, key`, ids, func(r *sql.Rows) error {
		var id string
		var p track.Param
		err := r.Scan(&id, &p.Key, &p.Value)
		byID[id].Params = append(byID[id].Params, p)
		return err
	})
	if err != nil {
		return err
	}
	err = d.each(ctx, `SELECT run_uuid, key, COALESCE(value, '') FROM tags`+in, ids, func(r *sql.Rows) error {
		var id, k, v string
		err := r.Scan(&id, &k, &v)
		byID[id].Tags[k] = v
		return err
	})
	if err != nil {
		return err
	}
	err = d.each(ctx, `SELECT run_uuid, key, timestamp, step, value, is_nan FROM latest_metrics`+in+` ORDER BY run_uuid, key`, ids, func(r *sql.Rows) error {
		var id string
		m, err := scanPoint(r, &id)
		byID[id].Metrics = append(byID[id].Metrics, m)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.fillInputs(ctx, ids, byID); err != nil {
		return err
	}
	return d.fillModels(ctx, ids, byID)
}

func scanPoint(r *sql.Rows, more ...any) (m track.Metric, err error) {
	var at sql.NullInt64
	var nan bool
	err = r.Scan(append(more, &m.Key, &at, &m.Step, &m.Value, &nan)...)
	m.At = time.UnixMilli(at.Int64).UTC()
	if nan {
		m.Value = math.NaN()
	}
	return m, err
}

// fillInputs adds the datasets that runs read; there are none before 2.4.
func (d *Database) fillInputs(ctx context.Context, ids []any, byID map[string]*Run) error {
	if !d.has("inputs.input_uuid") {
		return nil
	}
	type key struct{ input string }
	tags := map[key]map[string]string{}
	of := ` FROM inputs i JOIN datasets s ON s.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN'
		AND i.destination_id IN (` + marked(len(ids)) + `)`
	err := d.each(ctx, `SELECT t.input_uuid, t.name, t.value FROM input_tags t WHERE t.input_uuid IN (SELECT i.input_uuid`+of+`)`, ids, func(r *sql.Rows) error {
		var input, k, v string
		err := r.Scan(&input, &k, &v)
		if tags[key{input}] == nil {
			tags[key{input}] = map[string]string{}
		}
		tags[key{input}][k] = v
		return err
	})
	if err != nil {
		return err
	}
	return d.each(ctx, `SELECT i.destination_id, i.input_uuid, s.name, s.digest, s.dataset_source_type, s.dataset_source,
		COALESCE(s.dataset_schema, ''), COALESCE(s.dataset_profile, '')`+of+` ORDER BY i.destination_id, s.name, s.digest`, ids, func(r *sql.Rows) error {
		var id, input string
		var in track.Input
		err := r.Scan(&id, &input, &in.Name, &in.Digest, &in.SourceType, &in.Source, &in.Schema, &in.Profile)
		in.Tags = tags[key{input}]
		byID[id].Inputs = append(byID[id].Inputs, in)
		return err
	})
}

// fillModels adds the logged models that runs read and wrote; there are none before 3.0.
func (d *Database) fillModels(ctx context.Context, ids []any, byID map[string]*Run) error {
	if !d.has("logged_models.model_id") {
		return nil
	}
	return d.each(ctx, `SELECT source_id, source_type, destination_id, `+d.column("inputs", "step", "0")+` FROM inputs
		WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN (`+marked(len(ids))+`)
		ORDER BY source_id, source_type, 4, destination_id`, ids, func(r *sql.Rows) error {
		var id, direction string
		var out track.ModelOutput
		err := r.Scan(&id, &direction, &out.ModelID, &out.Step)
		if run := byID[id]; direction == "RUN_INPUT" {
			run.ModelInputs = append(run.ModelInputs, out.ModelID)
		} else {
			run.ModelOutputs = append(run.ModelOutputs, out)
		}
		return err
	})
}

// pointsAtOnce is how many points one call of Points gives.
const pointsAtOnce = 20_000

// Points implements Source.
func (d *Database) Points(ctx context.Context, run Run, fn func([]track.Metric) error) error {
	about, err := d.pointsOfModels(ctx, run.ID)
	if err != nil {
		return err
	}
	g := grouping{about: about, fn: fn}
	err = d.each(ctx, `SELECT key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, timestamp, step, value, is_nan`, []any{run.ID}, func(r *sql.Rows) error {
		m, err := scanPoint(r)
		if err != nil {
			return err
		}
		return g.add(m)
	})
	if err != nil {
		return err
	}
	return g.end()
}

// measured is a point of a logged model: which model, on which data.
type measured struct{ model, dataset, digest string }

type pointKey struct {
	key      string
	at, step int64
}

// pointsOfModels tells which points of a run are of a logged model: MLflow
// keeps these twice.
func (d *Database) pointsOfModels(ctx context.Context, run string) (map[pointKey]measured, error) {
	if !d.has("logged_model_metrics.model_id") {
		return nil, nil
	}
	out := map[pointKey]measured{}
	err := d.each(ctx, `SELECT metric_name, metric_timestamp_ms, metric_step, model_id, COALESCE(dataset_name, ''), COALESCE(dataset_digest, '')
		FROM logged_model_metrics WHERE run_id = ?`, []any{run}, func(r *sql.Rows) error {
		var k pointKey
		var m measured
		err := r.Scan(&k.key, &k.at, &k.step, &m.model, &m.dataset, &m.digest)
		out[k] = m
		return err
	})
	return out, err
}

// grouping hands points on in portions of one key.
type grouping struct {
	about map[pointKey]measured
	part  []track.Metric
	fn    func([]track.Metric) error
}

func (g *grouping) add(m track.Metric) error {
	if on, ok := g.about[pointKey{m.Key, m.At.UnixMilli(), m.Step}]; ok {
		m.LoggedModel, m.DatasetName, m.DatasetDigest = on.model, on.dataset, on.digest
	}
	if n := len(g.part); n == pointsAtOnce || n > 0 && g.part[0].Key != m.Key {
		if err := g.end(); err != nil {
			return err
		}
	}
	g.part = append(g.part, m)
	return nil
}

// end hands on what is left; the receiver may keep it.
func (g *grouping) end() error {
	part := g.part
	g.part = nil
	if len(part) == 0 {
		return nil
	}
	return g.fn(part)
}

// LoggedModels implements Source.
func (d *Database) LoggedModels(ctx context.Context, experiment string, fn func(LoggedModel) error) error {
	if !d.has("logged_models.model_id") {
		return nil
	}
	after := ""
	for {
		list, err := whole(ctx, d, `SELECT model_id, COALESCE(name, ''), artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status,
			COALESCE(model_type, ''), COALESCE(source_run_id, ''), COALESCE(status_message, '')
			FROM logged_models WHERE experiment_id = ? AND lifecycle_stage = 'active' AND model_id > ? ORDER BY model_id LIMIT ?`,
			[]any{experiment, after, runsAtOnce}, scanLoggedModel)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].ID
		for _, m := range list {
			m.ExperimentID = experiment
			if err := d.fillLoggedModel(ctx, &m); err != nil {
				return err
			}
			if err := fn(m); err != nil {
				return err
			}
		}
	}
}

// loggedStatus are MLflow's numbers of a logged model's status.
var loggedStatus = map[int]track.ModelStatus{1: track.ModelPending, 2: track.ModelReady, 3: track.ModelFailed}

func scanLoggedModel(r *sql.Rows) (m LoggedModel, err error) {
	var created, updated sql.NullInt64
	var status int
	err = r.Scan(&m.ID, &m.Name, &m.Root, &created, &updated, &status, &m.Type, &m.SourceRun, &m.StatusText)
	m.CreatedAt, m.UpdatedAt, m.Status, m.Tags = millis(created), millis(updated), loggedStatus[status], map[string]string{}
	if m.Status == "" {
		m.Status = track.ModelPending
	}
	return m, err
}

func (d *Database) fillLoggedModel(ctx context.Context, m *LoggedModel) error {
	params := map[string]string{}
	if err := d.texts(ctx, `SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?`, params, m.ID); err != nil {
		return err
	}
	m.Params = sortedParams(params)
	if err := d.texts(ctx, `SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?`, m.Tags, m.ID); err != nil {
		return err
	}
	return d.each(ctx, `SELECT metric_name, metric_timestamp_ms, metric_step, COALESCE(metric_value, 0), metric_value IS NULL, run_id, COALESCE(dataset_name, ''), COALESCE(dataset_digest, '')
		FROM logged_model_metrics WHERE model_id = ? ORDER BY metric_name, run_id, metric_timestamp_ms, metric_step`, []any{m.ID}, func(r *sql.Rows) error {
		var at int64
		var nan bool
		p := track.Metric{LoggedModel: m.ID}
		err := r.Scan(&p.Key, &at, &p.Step, &p.Value, &nan, &p.Run, &p.DatasetName, &p.DatasetDigest)
		if p.At = time.UnixMilli(at).UTC(); nan {
			p.Value = math.NaN()
		}
		m.Metrics = append(m.Metrics, p)
		return err
	})
}

func sortedParams(m map[string]string) []track.Param {
	out := make([]track.Param, 0, len(m))
	for k, v := range m {
		out = append(out, track.Param{Key: k, Value: v})
	}
	slices.SortFunc(out, func(a, b track.Param) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
