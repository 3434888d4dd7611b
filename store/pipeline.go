// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
)

// Pipeline keeps runs and step runs.
type Pipeline struct{ db *DB }

var _ pipeline.Store = (*Pipeline)(nil)

// NewPipeline returns the pipeline's tables in db.
func NewPipeline(db *DB) *Pipeline { return &Pipeline{db} }

// Shared reports whether other processes may use the same tables.
func (p *Pipeline) Shared() bool { return p.db.Shared() }

// Change runs fn in one transaction, which survives the death of this process
// at once and a loss of power soon after (SEMANTICS 6): what is lost then is
// begun again.
func (p *Pipeline) Change(ctx context.Context, fn func(pipeline.Tx) error) error {
	return p.db.WriteSoon(ctx, func(tx *Tx) error { return fn(pipelineTx{tx}) })
}

func noPipelineRun(number int64) error {
	return &lastro.Error{Code: lastro.ENotFound, ID: "L0010", Msg: fmt.Sprintf("there is no run #%d", number), Hint: "lastro ls runs"}
}

// stepBody is what no query asks for.
type stepBody struct {
	Ingredients map[string]string    `json:"ingredients,omitempty"`
	Inputs      []pipeline.JobInput  `json:"inputs,omitempty"`
	Outputs     []pipeline.Artifact  `json:"outputs,omitempty"`
	Facts       map[string]float64   `json:"facts,omitempty"`
	Report      json.RawMessage      `json:"report,omitempty"`
	Log         string               `json:"log,omitempty"`
	Error       *lastro.Error        `json:"error,omitempty"`
	CPUSeconds  float64              `json:"cpu_seconds,omitempty"`
	MaxRSSBytes int64                `json:"max_rss_bytes,omitempty"`
	Cause       pipeline.RetryReason `json:"cause,omitempty"`
	Isolation   string               `json:"isolation,omitempty"`
	Plots       []pipeline.Artifact  `json:"plots,omitempty"`
	Summary     string               `json:"summary,omitempty"`
	OutValues   map[string]string    `json:"out_values,omitempty"`
	Reports     []pipeline.Report    `json:"reports,omitempty"`
}

func bodyOf(s pipeline.StepRun) (string, error) {
	b, err := json.Marshal(stepBody{s.Ingredients, s.Inputs, s.Outputs, s.Facts, s.Report, s.Log, s.Error, s.CPUSeconds, s.MaxRSSBytes,
		s.Cause, s.Isolation, s.Plots, s.Summary, s.OutValues, s.Reports})
	if err != nil {
		return "", fmt.Errorf("encode step run %s: %w", s.Ref(), err)
	}
	return string(b), nil
}

type runBody struct {
	Spec     pipeline.Spec       `json:"spec"`
	Git      pipeline.Git        `json:"git"`
	Event    map[string]any      `json:"event,omitempty"`
	Params   map[string]any      `json:"params,omitempty"`
	Datasets []pipeline.Dataset  `json:"datasets,omitempty"`
	Tree     lastro.Digest       `json:"tree,omitempty"`
	Options  pipeline.RunOptions `json:"options,omitzero"`
}

func encodeRun(r pipeline.Run) (body, code string, err error) {
	b, err := json.Marshal(runBody{r.Spec, r.Git, r.Event, r.Params, r.Datasets, r.Tree, r.Options})
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

const pipelineRunColumns = `SELECT number, project, state, reason, stop, plan_digest, actor, started_at, ended_at, body FROM runs JOIN run_bodies ON run_bodies.run = number `

func scanPipelineRun(scan func(...any) error) (pipeline.Run, error) {
	var r pipeline.Run
	var started, ended int64
	var body string
	if err := scan(&r.Number, &r.Project, &r.State, &r.Reason, &r.Stop, &r.PlanDigest, &r.Actor, &started, &ended, &body); err != nil {
		return r, err
	}
	var b runBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return r, fmt.Errorf("read run #%d: %w", r.Number, err)
	}
	r.Spec, r.Git, r.Event, r.Params, r.Datasets, r.Tree, r.Options = b.Spec, b.Git, b.Event, b.Params, b.Datasets, b.Tree, b.Options
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

// Progress returns how a run stands.
func (p *Pipeline) Progress(ctx context.Context, number int64) (pipeline.Progress, error) {
	got, err := scanProgress(number, p.db.QueryRow(ctx, progressColumns, number))
	return got, storageError(err)
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

const stepRunFields = `run, step, cell, attempt, weight, kind, cell_values, state, reason, cache_key, cached_from, selected, started_at, ended_at, body`

const stepRunColumns = `SELECT ` + stepRunFields + ` FROM step_runs `

// rawStepRun is a row whose JSON is not read yet.
type rawStepRun struct {
	row            pipeline.StepRun
	started, ended int64
	values, body   string
}

func (raw *rawStepRun) scan(scan func(...any) error) error {
	s := &raw.row
	return scan(&s.Run, &s.Step, &s.Cell, &s.Attempt, &s.Weight, &s.Kind, &raw.values, &s.State, &s.Reason, &s.Key, &s.CachedFrom, &s.Selected,
		&raw.started, &raw.ended, &raw.body)
}

func scanStepRun(scan func(...any) error) (pipeline.StepRun, error) {
	var raw rawStepRun
	if err := raw.scan(scan); err != nil {
		return raw.row, err
	}
	return raw.read()
}

func (raw *rawStepRun) read() (pipeline.StepRun, error) {
	s := raw.row
	var b stepBody
	err := json.Unmarshal([]byte(raw.body), &b)
	if err == nil && raw.values != "" {
		err = json.Unmarshal([]byte(raw.values), &s.Values)
	}
	if err != nil {
		return s, fmt.Errorf("read step run %s: %w", s.Ref(), err)
	}
	s.Ingredients, s.Inputs, s.Outputs, s.Facts, s.Report = b.Ingredients, b.Inputs, b.Outputs, b.Facts, b.Report
	s.Log, s.Error, s.CPUSeconds, s.MaxRSSBytes = b.Log, b.Error, b.CPUSeconds, b.MaxRSSBytes
	s.Cause, s.Isolation, s.Plots, s.Summary, s.OutValues, s.Reports = b.Cause, b.Isolation, b.Plots, b.Summary, b.OutValues, b.Reports
	s.StartedAt, s.EndedAt = lastro.FromMicros(raw.started), lastro.FromMicros(raw.ended)
	return s, nil
}

// StepRuns returns all step runs of a run.
func (p *Pipeline) StepRuns(ctx context.Context, run int64) ([]pipeline.StepRun, error) {
	rows, err := p.db.Query(ctx, stepRunColumns+`WHERE run = ? ORDER BY position LIMIT 100000`, run)
	return collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
}

// Chosen returns the row of a step whose outputs go on.
func (p *Pipeline) Chosen(ctx context.Context, run int64, step string) (pipeline.StepRun, bool, error) {
	return p.one(ctx, `WHERE run = ? AND step = ? AND selected = 1 AND state IN ('succeeded', 'cached') ORDER BY attempt DESC LIMIT 1`, run, step)
}

// SourcesOf returns the runs that did the work of which these runs took results
// from the cache.
func (p *Pipeline) SourcesOf(ctx context.Context, runs []int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	for chunk := range slices.Chunk(runs, hitsAtOnce) {
		args := make([]any, len(chunk))
		for i, run := range chunk {
			args[i] = run
		}
		rows, err := p.db.Query(ctx, `SELECT DISTINCT cached_from FROM step_runs WHERE cached_from <> 0 AND run IN (`+holes(len(chunk))+`)`, args...)
		found, err := collect(rows, err, func(r *sql.Rows) (run int64, err error) { err = r.Scan(&run); return run, err })
		if err != nil {
			return nil, err
		}
		for _, run := range found {
			out[run] = true
		}
	}
	return out, nil
}

// Running reports whether an attempt at a step or cell of a run is at work.
func (p *Pipeline) Running(ctx context.Context, run int64, step string, cell, attempt int) (bool, error) {
	_, ok, err := p.one(ctx, `WHERE run = ? AND step = ? AND cell = ? AND attempt = ? AND state = 'running' LIMIT 1`, run, step, cell, attempt)
	return ok, err
}

// hitsAtOnce bounds the parameters of one query.
const hitsAtOnce = 500

// Hits returns the newest usable step run of each cache key.
func (p *Pipeline) Hits(ctx context.Context, project string, scopes []pipeline.Scope, keys []lastro.Digest, since time.Time) (map[lastro.Digest]pipeline.StepRun, error) {
	out := map[lastro.Digest]pipeline.StepRun{}
	for chunk := range slices.Chunk(keys, hitsAtOnce) {
		args := []any{project, lastro.Micros(since)}
		for _, s := range scopes {
			args = append(args, string(s))
		}
		for _, k := range chunk {
			args = append(args, string(k))
		}
		rows, err := p.db.Query(ctx, stepRunColumns+`WHERE state = 'succeeded' AND project = ? AND ended_at >= ? AND scope IN (`+holes(len(scopes))+`)
			AND cache_key IN (`+holes(len(chunk))+`) ORDER BY ended_at`, args...)
		newest := map[lastro.Digest]rawStepRun{}
		_, err = collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
			var raw rawStepRun
			if err = raw.scan(r.Scan); err == nil {
				newest[raw.row.Key] = raw // the newest comes last
			}
			return none, err
		})
		if err != nil {
			return nil, err
		}
		for key, raw := range newest {
			if out[key], err = raw.read(); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// holes is "?, ?, ?".
func holes(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// HasKeyed reports whether a step of that name ever had a cache key.
func (p *Pipeline) HasKeyed(ctx context.Context, project, step string) (bool, error) {
	var n int
	err := p.db.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM step_runs WHERE project = ? AND step = ? AND cache_key <> '' LIMIT 1) AS one`, project, step).Scan(&n)
	return n > 0, storageError(err)
}

// Engines returns the engines that have not gone.
func (p *Pipeline) Engines(ctx context.Context) ([]pipeline.EngineRow, error) {
	rows, err := p.db.Query(ctx, `SELECT id, place, beat, started_at FROM engines WHERE gone = 0 ORDER BY id LIMIT 10000`)
	return collect(rows, err, func(r *sql.Rows) (pipeline.EngineRow, error) {
		var e pipeline.EngineRow
		var started int64
		err := r.Scan(&e.ID, &e.Place, &e.Beat, &started)
		e.StartedAt = lastro.FromMicros(started)
		return e, err
	})
}

// Stopping returns the unfinished runs that somebody wants to end.
func (p *Pipeline) Stopping(ctx context.Context) (map[int64]string, error) {
	rows, err := p.db.Query(ctx, `SELECT number, stop FROM runs WHERE state = 'running' AND stop <> '' LIMIT 10000`)
	type stop struct {
		run int64
		why string
	}
	list, err := collect(rows, err, func(r *sql.Rows) (s stop, err error) { err = r.Scan(&s.run, &s.why); return s, err })
	out := map[int64]string{}
	for _, s := range list {
		out[s.run] = s.why
	}
	return out, err
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
