// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// SetFindLimits sets where searches of runs change their ways; it returns what
// sets them back.
func SetFindLimits(lookUpCost, largeTie, capacity, patience, tagsRead, portion int) (restore func()) {
	usual := limitsFor
	limitsFor = func(runs int) findLimits {
		return findLimits{runs, lookUpCost, largeTie, capacity, patience, tagsRead, portion}
	}
	return func() { limitsFor = usual }
}

// FillRuns writes runs into experiment "0", each with 5 params, 5 metrics and 5
// tags, past the service: a benchmark needs many. param0 has 10 values, param1
// 80, param2 270, param3 640, param4 1,250; a metric is uniform in [0, 1).
func FillRuns(ctx context.Context, db *DB, n int) error {
	random := rand.New(rand.NewPCG(1, 2))
	var names []string
	for i := range 15 {
		names = append(names, fmt.Sprintf("%s%d", []string{"param", "metric", "mlflow.tag"}[i/5], i%5))
	}
	keys, err := NewTrack(db).keyNumbers(ctx, names)
	if err != nil {
		return err
	}
	var experiment int64
	if err := db.QueryRow(ctx, `SELECT number FROM experiments WHERE id = '0'`).Scan(&experiment); err != nil {
		return err
	}
	const portion = 500
	for start := 0; start < n; start += portion {
		err := db.Write(ctx, func(tx *Tx) error {
			var runs, params, metrics, tags []any
			for i := start; i < start+portion; i++ {
				at := 1_700_000_000_000_000 + int64(i)*1_000_000
				runs = append(runs, int64(i+1), fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), experiment, fmt.Sprintf("run-%d", i), at, at+5_000_000)
				for k := range 5 {
					params = append(params, int64(i+1), keys[names[k]], experiment, strconv.Itoa(random.IntN(10*(k+1)*(k+1)*(k+1))))
					metrics = append(metrics, int64(i+1), keys[names[5+k]], experiment, random.Float64(), at)
					tags = append(tags, int64(i+1), keys[names[10+k]], experiment, fmt.Sprintf("value %d of a tag", random.IntN(50)))
				}
			}
			for _, t := range []struct {
				into, row string
				args      []any
				columns   int
			}{
				{"tracked_runs (number, id, experiment, name, started_at, ended_at, status, state, client_user, actor, origin_run, origin_step, origin_cell, deleted_at)",
					"(?, ?, ?, ?, ?, ?, 'FINISHED', 'active', 'ana', 'user:ana', '', '', '', 0)", runs, 6},
				{"tracked_params (run, key, experiment, value)", "(?, ?, ?, ?)", params, 4},
				{"latest_metrics (run, key, experiment, value, at, is_nan, step, model, dataset_name, dataset_digest)", "(?, ?, ?, ?, ?, 0, 10, '', '', '')", metrics, 5},
				{"tracked_tags (run, key, experiment, value)", "(?, ?, ?, ?)", tags, 4},
			} {
				rows := strings.TrimSuffix(strings.Repeat(t.row+", ", len(t.args)/t.columns), ", ")
				if _, err := tx.Exec(ctx, "INSERT INTO "+t.into+" VALUES "+rows, t.args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if db.dialect == postgresDialect {
		_, err = db.reader.ExecContext(ctx, "VACUUM ANALYZE") // as autovacuum does soon
	}
	return err
}

// FillVersions writes n models with one version each, and one with n versions.
func FillVersions(ctx context.Context, db *DB, n int) error {
	const portion = 250
	for start := 0; start < n; start += portion {
		err := db.Write(ctx, func(tx *Tx) error {
			var models, versions, tags []any
			if start == 0 {
				models = append(models, "many", 0)
			}
			for i := start; i < start+portion; i++ {
				name := fmt.Sprintf("Model %d", i)
				models = append(models, name, i)
				versions = append(versions, name, 1, i, i, "many", i+1, i, i)
				tags = append(tags, name, 1, strconv.Itoa(i%50), "many", i+1, strconv.Itoa(i%50))
			}
			for _, t := range []struct {
				into, row string
				args      []any
				columns   int
			}{
				{"models (name, updated_at, created_at, description, declared, protect, actor)", "(?, ?, 0, '', 0, '[]', 'user:ana')", models, 2},
				{"model_versions (model, number, created_at, updated_at, digest, source, run, step, cell, tracked_run, logged_model, data, commit_id, lock, description, stage, actor)",
					"(?, ?, ?, ?, 'sha256:00', 'runs:/x/model', '', '', '', 'x', '', '[]', '', '', '', 'None', 'user:ana')", versions, 4},
				{"version_tags (model, number, value, key)", "(?, ?, ?, 'k')", tags, 3},
			} {
				rows := strings.TrimSuffix(strings.Repeat(t.row+", ", len(t.args)/t.columns), ", ")
				if _, err := tx.Exec(ctx, "INSERT INTO "+t.into+" VALUES "+rows, t.args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
