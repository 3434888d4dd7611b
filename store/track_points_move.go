// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"math"
)

// moves are the parts of migrations that SQL cannot say, by number; each runs
// after the SQL, in the same transaction.
var moves = map[int64]func(context.Context, *Tx) error{15: moveOldPoints}

// moveOldPoints turns the points of migration 0004, a row each, into chunks and tails.
func moveOldPoints(ctx context.Context, tx *Tx) error {
	type history struct{ run, key int64 }
	rows, err := tx.Query(ctx, `SELECT DISTINCT r.number, k.number FROM old_points p JOIN tracked_runs r ON r.id = p.run JOIN tracked_keys k ON k.key = p.key ORDER BY 1, 2`)
	histories, err := collect(rows, err, func(r *sql.Rows) (h history, err error) { return h, r.Scan(&h.run, &h.key) })
	if err != nil {
		return err
	}
	var stay []keyPoints
	for i, h := range histories {
		part, err := moveHistory(ctx, tx, h.run, h.key)
		if err != nil {
			return err
		}
		if len(part) > 0 {
			stay = append(stay, keyPoints{h.key, part})
		}
		if last := i == len(histories)-1; len(stay) > 0 && (last || histories[i+1].run != h.run) {
			if err := putTail(ctx, tx, tailRowsOf(h.run, stay)); err != nil {
				return err
			}
			stay = nil
		}
	}
	for _, table := range []string{"old_points", "old_runs"} {
		if _, err := tx.Exec(ctx, `DROP TABLE `+table); err != nil {
			return err
		}
	}
	return nil
}

// moveHistory puts the points of one run and key into chunks; a few points are
// returned instead.
func moveHistory(ctx context.Context, tx *Tx, run, key int64) (few []point, err error) {
	at, step, value, nan := int64(math.MinInt64), int64(0), 0.0, 0
	for first := true; ; first = false {
		rows, err := tx.Query(ctx, `SELECT p.at, p.step, p.value, p.is_nan, p.model, p.dataset_name, p.dataset_digest FROM old_points p
			WHERE p.run = (SELECT id FROM tracked_runs WHERE number = ?) AND p.key = (SELECT key FROM tracked_keys WHERE number = ?)
				AND (p.at, p.step, p.value, p.is_nan) > (?, ?, ?, ?) ORDER BY p.at, p.step, p.value, p.is_nan LIMIT ?`, run, key, at, step, value, nan, rowMost)
		part, err := collect(rows, err, func(r *sql.Rows) (p point, err error) {
			err = r.Scan(&at, &step, &value, &nan, &p.where.model, &p.where.dataset, &p.where.digest)
			p.at, p.step, p.value = at/1000, step, value
			if nan != 0 {
				p.value = math.NaN()
			}
			return p, err
		})
		switch {
		case err != nil || len(part) == 0:
			return nil, err
		case first && len(part) < foldLeast:
			return inOrder(part), nil
		}
		if err := addToChunks(ctx, tx, run, key, inOrder(part)); err != nil {
			return nil, err
		}
	}
}
