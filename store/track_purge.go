// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"lastro"
	"lastro/track"
)

// Binned implements track.Store. What is in a deleted experiment is deleted
// with it; the experiment that always exists is never removed.
func (s Track) Binned(ctx context.Context, before time.Time, limit int) (b track.Bin, err error) {
	at := lastro.Micros(before)
	if b.Runs, err = s.ids(ctx, `SELECT id FROM tracked_runs WHERE state = 'deleted' AND deleted_at < ? ORDER BY number`, limit, at); err != nil {
		return b, err
	}
	if b.LoggedModels, err = s.ids(ctx, `SELECT id FROM logged_models WHERE (state = 'deleted' AND updated_at < ?) OR experiment IN (
		SELECT id FROM experiments WHERE state = 'deleted' AND updated_at < ?) ORDER BY id`, limit, at, at); err != nil {
		return b, err
	}
	b.Experiments, err = s.ids(ctx, `SELECT id FROM experiments WHERE state = 'deleted' AND updated_at < ? AND id <> '0' ORDER BY id`, limit, at)
	return b, err
}

// BinnedIn implements track.Store.
func (s Track) BinnedIn(ctx context.Context, experiment string, limit int) (b track.Bin, err error) {
	if b.Runs, err = s.ids(ctx, `SELECT r.id FROM `+runTables+` WHERE e.id = ? ORDER BY r.number`, limit, experiment); err != nil {
		return b, err
	}
	b.LoggedModels, err = s.ids(ctx, `SELECT id FROM logged_models WHERE experiment = ? ORDER BY id`, limit, experiment)
	return b, err
}

func (s Track) ids(ctx context.Context, query string, limit int, args ...any) ([]string, error) {
	if limit == 0 {
		limit = math.MaxInt32
	}
	rows, err := s.db.Query(ctx, query+` LIMIT ?`, append(args, limit)...)
	return collect(rows, err, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) })
}

// Purge implements track.Store.
func (s Track) Purge(ctx context.Context, b track.Bin, event func(kind, id string) lastro.Event) (done track.Purged, err error) {
	err = s.db.Write(ctx, func(tx *Tx) error {
		done = track.Purged{}
		for _, id := range slices.Sorted(slices.Values(b.Runs)) {
			if err := purgeRun(ctx, tx, id, event, &done); err != nil {
				return err
			}
		}
		for _, id := range b.LoggedModels {
			if err := purgeModel(ctx, tx, id, event, &done); err != nil {
				return err
			}
		}
		for _, id := range b.Experiments {
			if err := purgeExperiment(ctx, tx, id, event, &done); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// one reads the one row of a query; ok is false when there is none.
func one(ctx context.Context, tx *Tx, query string, args []any, into ...any) (ok bool, err error) {
	rows, err := tx.Query(ctx, query, args...)
	found, err := collect(rows, err, func(r *sql.Rows) (struct{}, error) { return struct{}{}, r.Scan(into...) })
	return len(found) > 0, err
}

// purgeRun removes a run that is deleted still: somebody may have restored it.
func purgeRun(ctx context.Context, tx *Tx, id string, event func(kind, id string) lastro.Event, done *track.Purged) error {
	var number, experiment int64
	ok, err := one(ctx, tx, `SELECT number, experiment FROM tracked_runs WHERE id = ? AND state = 'deleted' FOR UPDATE`, []any{id}, &number, &experiment)
	if err != nil || !ok {
		return err
	}
	var in string
	if _, err := one(ctx, tx, `SELECT id FROM experiments WHERE number = ?`, []any{experiment}, &in); err != nil {
		return err
	}
	for _, table := range []string{"tracked_params", "tracked_tags", "latest_metrics", "metric_tail", "metric_chunks", "tracked_inputs", "tracked_models"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE run = ?`, number); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM tracked_runs WHERE number = ?`, number); err != nil {
		return err
	}
	done.Runs++
	tx.Emit(event("trackedrun", id))
	return purgeArtifacts(ctx, tx, track.RunRoot(in, id), done)
}

func purgeArtifacts(ctx context.Context, tx *Tx, root string, done *track.Purged) error {
	n, err := tx.Exec(ctx, `DELETE FROM artifacts WHERE path >= ? AND path < ?`, root+"/", root+"0")
	done.Artifacts += int(n)
	return err
}

func purgeModel(ctx context.Context, tx *Tx, id string, event func(kind, id string) lastro.Event, done *track.Purged) error {
	var in string
	ok, err := one(ctx, tx, `SELECT experiment FROM logged_models WHERE id = ? AND (state = 'deleted' OR experiment IN (SELECT id FROM experiments WHERE state = 'deleted')) FOR UPDATE`, []any{id}, &in)
	if err != nil || !ok {
		return err
	}
	for _, table := range []string{"logged_model_params", "logged_model_tags", "logged_model_metrics", "tracked_models"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE model = ?`, id); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM logged_models WHERE id = ?`, id); err != nil {
		return err
	}
	done.LoggedModels++
	tx.Emit(event("loggedmodel", id))
	return purgeArtifacts(ctx, tx, track.ModelRoot(in, id), done)
}

// purgeExperiment removes an experiment that is deleted and has nothing in it
// but traces, which go with it.
func purgeExperiment(ctx context.Context, tx *Tx, id string, event func(kind, id string) lastro.Event, done *track.Purged) error {
	var number int64
	ok, err := one(ctx, tx, `SELECT number FROM experiments WHERE id = ? AND id <> '0' AND state = 'deleted'
		AND NOT EXISTS (SELECT 1 FROM tracked_runs r WHERE r.experiment = experiments.number)
		AND NOT EXISTS (SELECT 1 FROM logged_models m WHERE m.experiment = experiments.id) FOR UPDATE`, []any{id}, &number)
	if err != nil || !ok {
		return err
	}
	for {
		rows, err := tx.Query(ctx, `SELECT number FROM traces WHERE experiment = ? ORDER BY number LIMIT ?`, number, deletePage)
		traces, err := collect(rows, err, func(r *sql.Rows) (any, error) { var n int64; err := r.Scan(&n); return n, err })
		if err != nil {
			return err
		}
		if len(traces) == 0 {
			break
		}
		if err := deleteTraces(ctx, tx, traces); err != nil {
			return err
		}
	}
	for _, table := range []string{"experiment_tags", "evaluation_experiments"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE experiment = ?`, id); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM experiments WHERE id = ?`, id); err != nil {
		return err
	}
	done.Experiments++
	tx.Emit(event("experiment", id))
	return purgeArtifacts(ctx, tx, id, done)
}
