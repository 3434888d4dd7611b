// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"lastro"
	"lastro/pipeline"
)

// Pipeline keeps runs and step runs.
type Pipeline struct{ db *DB }

var _ pipeline.Store = (*Pipeline)(nil)

// NewPipeline returns the pipeline's tables in db.
func NewPipeline(db *DB) *Pipeline { return &Pipeline{db} }

// CreateRun stores a run with its first step runs.
func (p *Pipeline) CreateRun(ctx context.Context, r pipeline.Run, steps []pipeline.StepRun, events func(int64) []lastro.Event) (int64, error) {
	body, code, err := encodeRun(r)
	if err != nil {
		return 0, err
	}
	// The number is only known inside the transaction, and the events name it.
	var made []lastro.Event
	err = p.db.Write(ctx, func(tx *Tx) error {
		digest := string(lastro.DigestOf([]byte(code)))
		if _, err := tx.Exec(ctx, `INSERT INTO run_code (digest, files) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING`, digest, code); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `INSERT INTO runs (number, project, state, reason, plan_digest, actor, started_at, ended_at, body, code)
			SELECT COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM runs RETURNING number`,
			r.Project, string(r.State), r.Reason, string(r.PlanDigest), string(r.Actor), lastro.Micros(r.StartedAt), lastro.Micros(r.EndedAt), body, digest).Scan(&r.Number)
		if err != nil {
			return err
		}
		for i := range steps {
			s := steps[i]
			s.Run = r.Number
			if err := putStepRun(ctx, tx, s, r.Project); err != nil {
				return err
			}
		}
		made = events(r.Number)
		for i := range made {
			if err := tx.append(ctx, &made[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.db.bus.publish(made)
	return r.Number, nil
}

// Record stores step runs and the state of a run.
func (p *Pipeline) Record(ctx context.Context, r *pipeline.Run, steps []pipeline.StepRun, events ...lastro.Event) error {
	return p.db.Write(ctx, func(tx *Tx) error {
		if r != nil {
			n, err := tx.Exec(ctx, `UPDATE runs SET state = ?, reason = ?, ended_at = ? WHERE number = ?`, string(r.State), r.Reason, lastro.Micros(r.EndedAt), r.Number)
			if err != nil {
				return err
			}
			if n == 0 {
				return noPipelineRun(r.Number)
			}
		}
		projects := map[int64]string{}
		for _, s := range steps {
			project, ok := projects[s.Run]
			if !ok {
				if err := tx.QueryRow(ctx, `SELECT project FROM runs WHERE number = ?`, s.Run).Scan(&project); err != nil {
					return notFound(err, "there is no run #%d", s.Run)
				}
				projects[s.Run] = project
			}
			if err := putStepRun(ctx, tx, s, project); err != nil {
				return err
			}
		}
		return nil
	}, events...)
}

func noPipelineRun(number int64) error {
	return &lastro.Error{Code: lastro.ENotFound, Msg: fmt.Sprintf("there is no run #%d", number), Hint: "lastro ls runs"}
}

func putStepRun(ctx context.Context, tx *Tx, s pipeline.StepRun, project string) error {
	body, err := json.Marshal(stepBody{s.Ingredients, s.Inputs, s.Outputs, s.Facts, s.Report, s.Log, s.Error, s.CPUSeconds, s.MaxRSSBytes})
	if err != nil {
		return fmt.Errorf("encode step run %s: %w", s.Ref(), err)
	}
	values, err := encodeValues(s.Values)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO step_runs (run, step, cell, attempt, position, project, kind, cell_values, state, reason, cache_key, cached_from, selected, started_at, ended_at, body)
		VALUES (?, ?, ?, ?, (SELECT COALESCE(MAX(position), 0) + 1 FROM step_runs WHERE run = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run, step, cell, attempt) DO UPDATE SET state = excluded.state, reason = excluded.reason, cache_key = excluded.cache_key,
			cached_from = excluded.cached_from, selected = excluded.selected, started_at = excluded.started_at, ended_at = excluded.ended_at, body = excluded.body`,
		s.Run, s.Step, s.Cell, s.Attempt, s.Run, project, s.Kind, values, string(s.State), s.Reason, string(s.Key), s.CachedFrom, s.Selected,
		lastro.Micros(s.StartedAt), lastro.Micros(s.EndedAt), string(body))
	return err
}

// stepBody is what no query asks for.
type stepBody struct {
	Ingredients map[string]string   `json:"ingredients,omitempty"`
	Inputs      []pipeline.JobInput `json:"inputs,omitempty"`
	Outputs     []pipeline.Artifact `json:"outputs,omitempty"`
	Facts       map[string]float64  `json:"facts,omitempty"`
	Report      json.RawMessage     `json:"report,omitempty"`
	Log         string              `json:"log,omitempty"`
	Error       *lastro.Error       `json:"error,omitempty"`
	CPUSeconds  float64             `json:"cpu_seconds,omitempty"`
	MaxRSSBytes int64               `json:"max_rss_bytes,omitempty"`
}

type runBody struct {
	Spec     pipeline.Spec      `json:"spec"`
	Git      pipeline.Git       `json:"git"`
	Event    map[string]any     `json:"event,omitempty"`
	Params   map[string]any     `json:"params,omitempty"`
	Datasets []pipeline.Dataset `json:"datasets,omitempty"`
}

func encodeRun(r pipeline.Run) (body, code string, err error) {
	b, err := json.Marshal(runBody{r.Spec, r.Git, r.Event, r.Params, r.Datasets})
	if err != nil {
		return "", "", fmt.Errorf("encode a run: %w", err)
	}
	c, err := json.Marshal(r.Code)
	return string(b), string(c), err
}

func encodeValues(values map[string]any) (string, error) {
	if values == nil {
		return "", nil
	}
	b, err := lastro.CanonicalJSON(values)
	return string(b), err
}

const pipelineRunColumns = `SELECT number, project, state, reason, plan_digest, actor, started_at, ended_at, body FROM runs `

func scanPipelineRun(scan func(...any) error) (pipeline.Run, error) {
	var r pipeline.Run
	var started, ended int64
	var body string
	if err := scan(&r.Number, &r.Project, &r.State, &r.Reason, &r.PlanDigest, &r.Actor, &started, &ended, &body); err != nil {
		return r, err
	}
	var b runBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return r, fmt.Errorf("read run #%d: %w", r.Number, err)
	}
	r.Spec, r.Git, r.Event, r.Params, r.Datasets = b.Spec, b.Git, b.Event, b.Params, b.Datasets
	r.StartedAt, r.EndedAt = lastro.FromMicros(started), lastro.FromMicros(ended)
	return r, nil
}

// Run returns one run.
func (p *Pipeline) Run(ctx context.Context, number int64) (pipeline.Run, error) {
	r, err := scanPipelineRun(p.db.QueryRow(ctx, pipelineRunColumns+`WHERE number = ?`, number).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, noPipelineRun(number)
	}
	if err != nil {
		return r, err
	}
	var code string
	err = p.db.QueryRow(ctx, `SELECT files FROM run_code WHERE digest = (SELECT code FROM runs WHERE number = ?)`, number).Scan(&code)
	if err == nil {
		err = json.Unmarshal([]byte(code), &r.Code)
	}
	return r, err
}

// Runs lists runs, newest first.
func (p *Pipeline) Runs(ctx context.Context, f pipeline.RunFilter) ([]pipeline.Run, error) {
	if f.Limit == 0 {
		f.Limit = 50
	}
	rows, err := p.db.Query(ctx, pipelineRunColumns+`WHERE (? = '' OR project = ?) AND (? = 0 OR number < ?)
		AND (? = 0 OR state IN ('pending', 'running', 'waiting')) ORDER BY number DESC LIMIT ?`,
		f.Project, f.Project, f.Before, f.Before, f.Unfinished, f.Limit)
	return collect(rows, err, func(r *sql.Rows) (pipeline.Run, error) { return scanPipelineRun(r.Scan) })
}

const stepRunColumns = `SELECT run, step, cell, attempt, kind, cell_values, state, reason, cache_key, cached_from, selected, started_at, ended_at, body FROM step_runs `

func scanStepRun(scan func(...any) error) (pipeline.StepRun, error) {
	var s pipeline.StepRun
	var started, ended int64
	var values, body string
	err := scan(&s.Run, &s.Step, &s.Cell, &s.Attempt, &s.Kind, &values, &s.State, &s.Reason, &s.Key, &s.CachedFrom, &s.Selected, &started, &ended, &body)
	if err != nil {
		return s, err
	}
	var b stepBody
	err = json.Unmarshal([]byte(body), &b)
	if err == nil && values != "" {
		err = json.Unmarshal([]byte(values), &s.Values)
	}
	if err != nil {
		return s, fmt.Errorf("read step run %s: %w", s.Ref(), err)
	}
	s.Ingredients, s.Inputs, s.Outputs, s.Facts, s.Report = b.Ingredients, b.Inputs, b.Outputs, b.Facts, b.Report
	s.Log, s.Error, s.CPUSeconds, s.MaxRSSBytes = b.Log, b.Error, b.CPUSeconds, b.MaxRSSBytes
	s.StartedAt, s.EndedAt = lastro.FromMicros(started), lastro.FromMicros(ended)
	return s, nil
}

// StepRuns returns all step runs of a run.
func (p *Pipeline) StepRuns(ctx context.Context, run int64) ([]pipeline.StepRun, error) {
	rows, err := p.db.Query(ctx, stepRunColumns+`WHERE run = ? ORDER BY position LIMIT 100000`, run)
	return collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
}

// Hit returns the newest succeeded step run with a cache key.
func (p *Pipeline) Hit(ctx context.Context, project string, key lastro.Digest) (pipeline.StepRun, bool, error) {
	return p.one(ctx, `WHERE cache_key = ? AND state = 'succeeded' AND project = ? ORDER BY ended_at DESC LIMIT 1`, string(key), project)
}

// LastKeyed returns the newest ended step run of a step or cell with a cache key.
func (p *Pipeline) LastKeyed(ctx context.Context, project, step string, values map[string]any) (pipeline.StepRun, bool, error) {
	v, err := encodeValues(values)
	if err != nil {
		return pipeline.StepRun{}, false, err
	}
	return p.one(ctx, `WHERE project = ? AND step = ? AND cell_values = ? AND ended_at > 0 AND cache_key <> '' ORDER BY ended_at DESC LIMIT 1`, project, step, v)
}

func (p *Pipeline) one(ctx context.Context, where string, args ...any) (pipeline.StepRun, bool, error) {
	s, err := scanStepRun(p.db.QueryRow(ctx, stepRunColumns+where, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	return s, err == nil, storageError(err)
}
