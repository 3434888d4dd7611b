// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro"
	"lastro/track"
)

// runTables and runColumns read tracked runs as scanRun takes them.
const (
	runTables  = `tracked_runs r JOIN experiments e ON e.number = r.experiment`
	runColumns = `r.number, r.id, e.id, r.name, r.status, r.state, r.client_user, r.actor, r.origin_run, r.origin_step, r.origin_cell, r.started_at, r.ended_at, r.deleted_at`
)

// storedRun is a tracked run with the number under which its rows are.
type storedRun struct {
	track.Run
	number int64
}

func scanRun(r interface{ Scan(...any) error }) (storedRun, error) {
	var run storedRun
	var started, ended, deleted int64
	err := r.Scan(&run.number, &run.ID, &run.ExperimentID, &run.Name, &run.Status, &run.State, &run.User, &run.By,
		&run.Origin.Run, &run.Origin.Step, &run.Origin.Cell, &started, &ended, &deleted)
	run.StartedAt, run.EndedAt, run.DeletedAt = lastro.FromMicros(started), lastro.FromMicros(ended), lastro.FromMicros(deleted)
	return run, err
}

// CreateRun implements track.Store.
func (s Track) CreateRun(ctx context.Context, r track.Run, events ...lastro.Event) error {
	list := pairsOf(r.Tags)
	keys, err := s.keyNumbers(ctx, list.keys())
	if err != nil {
		return err
	}
	return s.db.WriteTogether(ctx, "", func(tx *Tx) error { return createRun(ctx, tx, r, list, keys) }, events...)
}

func createRun(ctx context.Context, tx *Tx, r track.Run, tags pairs, keys map[string]int64) error {
	var number, experiment int64
	err := tx.QueryRow(ctx, `INSERT INTO tracked_runs (id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at)
		SELECT ?, number, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM experiments WHERE id = ? AND state = 'active' RETURNING number, experiment`,
		r.ID, r.Name, string(r.Status), string(r.State), r.User, string(r.By), r.Origin.Run, r.Origin.Step, r.Origin.Cell,
		lastro.Micros(r.StartedAt), lastro.Micros(r.EndedAt), lastro.Micros(r.DeletedAt), r.ExperimentID).Scan(&number, &experiment)
	if err != nil {
		return notFound(err, "there is no active experiment with id %q", r.ExperimentID)
	}
	return putTags(ctx, tx, number, experiment, tags, keys)
}

// Run implements track.Store.
func (s Track) Run(ctx context.Context, id string) (track.Run, error) {
	r, err := s.runInfo(ctx, id)
	if err != nil {
		return r.Run, err
	}
	list := []storedRun{r}
	err = s.fillRuns(ctx, list)
	return list[0].Run, err
}

// RunInfo implements track.Store.
func (s Track) RunInfo(ctx context.Context, id string) (track.Run, error) {
	r, err := s.runInfo(ctx, id)
	return r.Run, err
}

func (s Track) runInfo(ctx context.Context, id string) (storedRun, error) {
	r, err := scanRun(s.db.QueryRow(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE r.id = ?`, id))
	if err != nil {
		return r, noRun(err, id)
	}
	return r, nil
}

// UpdateRun implements track.Store.
func (s Track) UpdateRun(ctx context.Context, id string, change func(*track.Run) ([]lastro.Event, error)) (track.Run, error) {
	var r storedRun
	keys, err := s.keyNumbers(ctx, []string{track.TagRunName})
	if err != nil {
		return r.Run, err
	}
	err = s.db.WriteTogether(ctx, id, func(tx *Tx) (err error) {
		r, err = updateRun(ctx, tx, id, change, keys)
		return err
	})
	if err == nil && r.Status.Terminal() {
		s.ended(r.number)
	}
	return r.Run, err
}

func updateRun(ctx context.Context, tx *Tx, id string, change func(*track.Run) ([]lastro.Event, error), keys map[string]int64) (storedRun, error) {
	held, err := holdRun(ctx, tx, id)
	if err != nil {
		return storedRun{}, err
	}
	r, err := scanRun(tx.QueryRow(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE r.number = ?`, held.number))
	if err != nil {
		return r, err
	}
	before := r.Name
	delete(tx.pending.held, id) // its state may change
	events, err := change(&r.Run)
	if err != nil {
		return r, err
	}
	if _, err := tx.Exec(ctx, `UPDATE tracked_runs SET name = ?, status = ?, ended_at = ?, state = ?, deleted_at = ? WHERE number = ?`,
		r.Name, string(r.Status), lastro.Micros(r.EndedAt), string(r.State), lastro.Micros(r.DeletedAt), held.number); err != nil {
		return r, err
	}
	if r.Name != before {
		if err := putTags(ctx, tx, held.number, held.experiment, pairs{{track.TagRunName, r.Name}}, keys); err != nil {
			return r, err
		}
	}
	tx.Emit(events...)
	return r, nil
}

// heldRun is a tracked run that nobody else changes until the end of the transaction.
// Of Run are only ID, State and Origin.
type heldRun struct {
	track.Run
	number, experiment int64
}

func holdRun(ctx context.Context, tx *Tx, id string) (h heldRun, err error) {
	if h, ok := tx.pending.held[id]; ok {
		return h, nil
	}
	h.ID = id
	err = tx.QueryRow(ctx, `SELECT number, experiment, state, origin_run, origin_step, origin_cell FROM tracked_runs WHERE id = ? FOR UPDATE`, id).
		Scan(&h.number, &h.experiment, &h.State, &h.Origin.Run, &h.Origin.Step, &h.Origin.Cell)
	if err != nil {
		return h, noRun(err, id)
	}
	return h, nil
}

// RunsOf implements track.Store.
func (s Track) RunsOf(ctx context.Context, run, step string) ([]track.Run, error) {
	if run == "" {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE r.origin_run = ? AND r.origin_run <> ''
		AND (? = '' OR r.origin_step = ?) AND r.state = 'active' ORDER BY r.started_at, r.id LIMIT 10000`, run, step, step)
	list, err := collect(rows, err, func(r *sql.Rows) (storedRun, error) { return scanRun(r) })
	if err != nil {
		return nil, err
	}
	err = s.fillRuns(ctx, list)
	return plainRuns(list), err
}

func plainRuns(list []storedRun) []track.Run {
	out := make([]track.Run, len(list))
	for i, r := range list {
		out[i] = r.Run
	}
	return out
}
