// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
)

// pipelineTx is one transaction on the engine's queue.
type pipelineTx struct{ tx *Tx }

// Lock makes transactions on the same run wait for each other.
func (t pipelineTx) Lock(ctx context.Context, run int64) (pipeline.Progress, error) {
	return scanProgress(run, t.tx.QueryRow(ctx, progressColumns+` FOR UPDATE`, run))
}

const progressColumns = `SELECT state, reason, stop, open_steps, ended_at FROM runs WHERE number = ?`

func scanProgress(run int64, row *sql.Row) (pipeline.Progress, error) {
	p := pipeline.Progress{Run: run}
	var ended int64
	err := row.Scan(&p.State, &p.Reason, &p.Stop, &p.Open, &ended)
	p.EndedAt = lastro.FromMicros(ended)
	if errors.Is(err, sql.ErrNoRows) {
		return p, noPipelineRun(run)
	}
	return p, err
}

// CreateRun stores a run with its steps and cells.
func (t pipelineTx) CreateRun(ctx context.Context, r pipeline.Run, steps []pipeline.StepProgress, cells []pipeline.StepRun) (int64, error) {
	body, code, err := encodeRun(r)
	if err != nil {
		return 0, err
	}
	digest := string(lastro.DigestOf([]byte(code)))
	if _, err := t.tx.Exec(ctx, `INSERT INTO run_code (digest, files) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING`, digest, code); err != nil {
		return 0, err
	}
	open := 0
	for _, s := range steps {
		if !s.State.Ended() {
			open++
		}
	}
	if err := t.tx.Lock(ctx, "run numbers"); err != nil {
		return 0, err
	}
	err = t.tx.QueryRow(ctx, `INSERT INTO runs (number, project, state, reason, plan_digest, actor, started_at, ended_at, code, open_steps)
		SELECT COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM runs RETURNING number`,
		r.Project, string(r.State), r.Reason, string(r.PlanDigest), string(r.Actor), lastro.Micros(r.StartedAt), lastro.Micros(r.EndedAt), digest, open).Scan(&r.Number)
	if err != nil {
		return 0, err
	}
	if _, err := t.tx.Exec(ctx, `INSERT INTO run_bodies (run, body) VALUES (?, ?)`, r.Number, body); err != nil {
		return 0, err
	}
	if err := startCause(ctx, t.tx, r); err != nil {
		return 0, err
	}
	rows := make([][]any, len(steps))
	for i, s := range steps {
		rows[i] = []any{r.Number, s.Step, i, string(s.State), s.Reason, s.Open, s.Waits}
	}
	if err := t.insertAll(ctx, `INSERT INTO run_steps (run, step, position, state, reason, cells, waits) VALUES `, rows); err != nil {
		return 0, err
	}
	rows = make([][]any, len(cells))
	for i, s := range cells {
		s.Run = r.Number
		if rows[i], err = stepRow(s, r.Project, r.Options.Scope, i+1, readyAt(s, time.Time{})); err != nil {
			return 0, err
		}
	}
	return r.Number, t.insertAll(ctx, insertStepRun, rows)
}

// insertedAtOnce is how many rows one statement stores: each statement costs as
// much as several rows.
const insertedAtOnce = 40

// insertAll stores rows; into ends with VALUES.
func (t pipelineTx) insertAll(ctx context.Context, into string, rows [][]any) error {
	for chunk := range slices.Chunk(rows, insertedAtOnce) {
		one := "(" + holes(len(chunk[0])) + ")"
		if len(chunk) < insertedAtOnce { // few texts are kept prepared: one for all full chunks, one for single rows
			for _, row := range chunk {
				if _, err := t.tx.Exec(ctx, into+one, row...); err != nil {
					return err
				}
			}
			continue
		}
		if _, err := t.tx.Exec(ctx, into+strings.TrimSuffix(strings.Repeat(one+", ", len(chunk)), ", "), slices.Concat(chunk...)...); err != nil {
			return err
		}
	}
	return nil
}

// PutProgress replaces how a run stands.
func (t pipelineTx) PutProgress(ctx context.Context, p pipeline.Progress) error {
	_, err := t.tx.Exec(ctx, `UPDATE runs SET state = ?, reason = ?, stop = ?, open_steps = ?, ended_at = ? WHERE number = ?`,
		string(p.State), p.Reason, p.Stop, p.Open, lastro.Micros(p.EndedAt), p.Run)
	return err
}

// Steps returns how the steps of a run stand.
func (t pipelineTx) Steps(ctx context.Context, run int64) ([]pipeline.StepProgress, error) {
	rows, err := t.tx.Query(ctx, `SELECT step, state, reason, cells, waits FROM run_steps WHERE run = ? ORDER BY position LIMIT 100000`, run)
	return collect(rows, err, func(r *sql.Rows) (pipeline.StepProgress, error) {
		s := pipeline.StepProgress{Run: run}
		err := r.Scan(&s.Step, &s.State, &s.Reason, &s.Open, &s.Waits)
		return s, err
	})
}

// PutStep replaces how a step stands.
func (t pipelineTx) PutStep(ctx context.Context, s pipeline.StepProgress) error {
	_, err := t.tx.Exec(ctx, `UPDATE run_steps SET state = ?, reason = ?, cells = ?, waits = ? WHERE run = ? AND step = ?`,
		string(s.State), s.Reason, s.Open, s.Waits, s.Run, s.Step)
	return err
}

// Close notes that n cells of a step have ended.
func (t pipelineTx) Close(ctx context.Context, run int64, step string, n int) (left int, err error) {
	err = t.tx.QueryRow(ctx, `UPDATE run_steps SET cells = cells - ? WHERE run = ? AND step = ? RETURNING cells`, n, run, step).Scan(&left)
	return left, err
}

// Release notes that one need of a step has ended.
func (t pipelineTx) Release(ctx context.Context, run int64, step string) (waits int, found bool, err error) {
	err = t.tx.QueryRow(ctx, `UPDATE run_steps SET waits = waits - 1 WHERE run = ? AND step = ? AND state = 'pending' RETURNING waits`, run, step).Scan(&waits)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return waits, err == nil, err
}

// Ready lets cells begin that wait for their step.
func (t pipelineTx) Ready(ctx context.Context, run int64, step string, n int) error {
	if n < 0 {
		_, err := t.tx.Exec(ctx, `UPDATE step_runs SET ready_at = 1 WHERE run = ? AND step = ? AND state = 'pending' AND ready_at <= 0`, run, step)
		return err
	}
	_, err := t.tx.Exec(ctx, `UPDATE step_runs SET ready_at = 1 WHERE run = ? AND step = ? AND ready_at < 0
		AND cell IN (SELECT cell FROM step_runs WHERE run = ? AND step = ? AND ready_at < 0 ORDER BY cell LIMIT ?)`, run, step, run, step, n)
	return err
}

// Take gives cells that may begin to an engine.
func (t pipelineTx) Take(ctx context.Context, engine string, now time.Time, room pipeline.Room) ([]pipeline.StepRun, error) {
	rows, err := t.tx.Query(ctx, stepRunColumns+`WHERE state = 'pending' AND ready_at > 0 AND (ready_at <= ? OR ready_at > ?)
		ORDER BY run, position LIMIT ? FOR UPDATE SKIP LOCKED`, lastro.Micros(now), lastro.Micros(now.Add(pipeline.MaxBackoff)), room.Free)
	all, err := collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
	if err != nil {
		return nil, err
	}
	var out []pipeline.StepRun
	args := []any{engine, lastro.Micros(now)}
	for _, s := range all {
		n, fits := room.Takes(s.Weight)
		if !fits {
			break
		}
		room.Free -= n
		s.State, s.StartedAt = pipeline.Running, lastro.FromMicros(lastro.Micros(now))
		out = append(out, s)
		args = append(args, s.Run, s.Step, s.Cell, s.Attempt)
	}
	if len(out) == 0 {
		return nil, nil
	}
	_, err = t.tx.Exec(ctx, `UPDATE step_runs SET state = 'running', owner = ?, started_at = ? WHERE `+
		strings.TrimSuffix(strings.Repeat("(run = ? AND step = ? AND cell = ? AND attempt = ?) OR ", len(out)), " OR "), args...)
	return out, err
}

// Note replaces what is stored of a running attempt of the engine.
func (t pipelineTx) Note(ctx context.Context, engine string, s pipeline.StepRun) (bool, error) {
	body, err := bodyOf(s)
	if err != nil {
		return false, err
	}
	n, err := t.tx.Exec(ctx, `UPDATE step_runs SET state = ?, reason = ?, cache_key = ?, cached_from = ?, selected = ?, started_at = ?, ended_at = ?, body = ?
		WHERE run = ? AND step = ? AND cell = ? AND attempt = ? AND owner = ? AND state = 'running'`,
		string(s.State), s.Reason, string(s.Key), s.CachedFrom, number(s.Selected), lastro.Micros(s.StartedAt), lastro.Micros(s.EndedAt), body,
		s.Run, s.Step, s.Cell, s.Attempt, engine)
	return n == 1, err
}

// Put stores an attempt as it is.
func (t pipelineTx) Put(ctx context.Context, s pipeline.StepRun, from time.Time) error {
	body, err := bodyOf(s)
	if err != nil {
		return err
	}
	n, err := t.tx.Exec(ctx, `UPDATE step_runs SET state = ?, reason = ?, cache_key = ?, cached_from = ?, selected = ?, started_at = ?, ended_at = ?, ready_at = ?, body = ?
		WHERE run = ? AND step = ? AND cell = ? AND attempt = ?`,
		string(s.State), s.Reason, string(s.Key), s.CachedFrom, number(s.Selected), lastro.Micros(s.StartedAt), lastro.Micros(s.EndedAt), readyAt(s, from), body,
		s.Run, s.Step, s.Cell, s.Attempt)
	if err != nil || n == 1 {
		return err
	}
	var project string
	var scope pipeline.Scope
	var position int
	err = t.tx.QueryRow(ctx, `SELECT project, scope, (SELECT MAX(position) FROM step_runs WHERE run = ?) FROM step_runs WHERE run = ? AND step = ? AND cell = ? LIMIT 1`,
		s.Run, s.Run, s.Step, s.Cell).Scan(&project, &scope, &position)
	if err != nil {
		return notFound(err, "run #%d has no %s", s.Run, s.Ref())
	}
	return t.insert(ctx, s, project, scope, position+1, readyAt(s, from))
}

func (t pipelineTx) insert(ctx context.Context, s pipeline.StepRun, project string, scope pipeline.Scope, position int, from int64) error {
	row, err := stepRow(s, project, scope, position, from)
	if err != nil {
		return err
	}
	return t.insertAll(ctx, insertStepRun, [][]any{row})
}

const insertStepRun = `INSERT INTO step_runs (run, step, cell, attempt, weight, position, project, scope, kind, cell_values, state, reason, cache_key,
	cached_from, selected, started_at, ended_at, ready_at, body) VALUES `

// stepRow are the values of insertStepRun.
func stepRow(s pipeline.StepRun, project string, scope pipeline.Scope, position int, from int64) ([]any, error) {
	body, err := bodyOf(s)
	if err != nil {
		return nil, err
	}
	values, err := encodeValues(s.Values)
	return []any{s.Run, s.Step, s.Cell, s.Attempt, max(1, s.Weight), position, project, string(scope), s.Kind, values, string(s.State), s.Reason, string(s.Key),
		s.CachedFrom, number(s.Selected), lastro.Micros(s.StartedAt), lastro.Micros(s.EndedAt), from, body}, err
}

// readyAt is from when a row may begin: 0 = when its step does, -1 = when it is
// its turn after that.
func readyAt(s pipeline.StepRun, from time.Time) int64 {
	if s.Turns && s.State == pipeline.Pending && from.IsZero() {
		return -1
	}
	return lastro.Micros(from)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Newest returns the newest attempt of each cell of a step.
func (t pipelineTx) Newest(ctx context.Context, run int64, step string) ([]pipeline.StepRun, error) {
	rows, err := t.tx.Query(ctx, stepRunColumns+`WHERE run = ? AND step = ? ORDER BY cell, attempt DESC LIMIT 100000`, run, step)
	all, err := collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
	return slices.CompactFunc(all, func(a, b pipeline.StepRun) bool { return a.Cell == b.Cell }), err
}

// EndPending ends all cells of a step that have not begun.
func (t pipelineTx) EndPending(ctx context.Context, run int64, step string, s pipeline.State, reason string, at time.Time) ([]pipeline.StepRun, error) {
	rows, err := t.tx.Query(ctx, `UPDATE step_runs SET state = ?, reason = ?, started_at = ?, ended_at = ?, ready_at = 0
		WHERE run = ? AND step = ? AND state = 'pending' RETURNING `+stepRunFields, string(s), reason, lastro.Micros(at), lastro.Micros(at), run, step)
	return collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
}

// Join adds an engine.
func (t pipelineTx) Join(ctx context.Context, e pipeline.EngineRow) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO engines (id, place, started_at) VALUES (?, ?, ?)`, e.ID, e.Place, lastro.Micros(e.StartedAt))
	return err
}

// Alive reports whether an engine has not gone.
func (t pipelineTx) Alive(ctx context.Context, engine string) (bool, error) {
	var gone int
	err := t.tx.QueryRow(ctx, `SELECT gone FROM engines WHERE id = ? FOR UPDATE`, engine).Scan(&gone)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return gone == 0, err
}

// Beat counts one beat of an engine.
func (t pipelineTx) Beat(ctx context.Context, engine string) (bool, error) {
	n, err := t.tx.Exec(ctx, `UPDATE engines SET beat = beat + 1 WHERE id = ? AND gone = 0`, engine)
	return n == 1, err
}

// Leave removes an engine that has gone: what it was doing is nobody's then.
func (t pipelineTx) Leave(ctx context.Context, engine string, beat int64) (bool, error) {
	n, err := t.tx.Exec(ctx, `DELETE FROM engines WHERE id = ? AND (? < 0 OR beat = ?)`, engine, beat, beat)
	return n == 1, err
}

// Inherit gives the running attempts of other engines of a place to one.
func (t pipelineTx) Inherit(ctx context.Context, place, engine string) ([]pipeline.StepRun, error) {
	rows, err := t.tx.Query(ctx, `UPDATE step_runs SET owner = ? WHERE state = 'running' AND run IN (SELECT number FROM runs WHERE state = 'running')
		AND owner IN (SELECT id FROM engines WHERE place = ? AND id <> ?) RETURNING `+stepRunFields, engine, place, engine)
	out, err := collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
	if err != nil {
		return nil, err
	}
	// Rows of engines that went long ago say nothing any more.
	_, err = t.tx.Exec(ctx, `DELETE FROM engines WHERE place = ? AND id <> ?`, place, engine)
	return out, err
}

// Owned returns the running attempts of an engine.
func (t pipelineTx) Owned(ctx context.Context, engine string) ([]pipeline.StepRun, error) {
	rows, err := t.tx.Query(ctx, stepRunColumns+`WHERE run IN (SELECT number FROM runs WHERE state = 'running') AND owner = ? AND state = 'running' ORDER BY run, position LIMIT 100000`, engine)
	return collect(rows, err, func(r *sql.Rows) (pipeline.StepRun, error) { return scanStepRun(r.Scan) })
}

// Emit commits events with the transaction.
func (t pipelineTx) Emit(events ...lastro.Event) { t.tx.Emit(events...) }
