// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"lastro/track"
)

// pending is what a transaction has still to write of tracking: many small
// writes of the same kind become one statement of several rows.
type pending struct {
	held   map[string]heldRun // runs that were held before anybody asked, by id
	points map[int64]map[int64][]point
	latest map[runKey]latest
}

type runKey struct{ run, key int64 }

type latest struct {
	experiment int64
	point      point
}

// holdRuns holds the runs that a transaction will ask for, in one statement.
func holdRuns(ctx context.Context, tx *Tx, ids []string) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	tx.pending.held = make(map[string]heldRun, len(ids))
	for len(ids) > 0 {
		n := portion(len(ids))
		rows, err := tx.Query(ctx, `SELECT id, number, experiment, state, origin_run, origin_step, origin_cell FROM tracked_runs
			WHERE id IN (`+marks(n)+`) ORDER BY id FOR UPDATE`, anys(ids[:n])...)
		if _, err := collect(rows, err, func(r *sql.Rows) (struct{}, error) {
			var h heldRun
			err := r.Scan(&h.ID, &h.number, &h.experiment, &h.State, &h.Origin.Run, &h.Origin.Step, &h.Origin.Cell)
			tx.pending.held[h.ID] = h
			return struct{}{}, err
		}); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// portion is how many of n rows go into one statement: a power of two, so that
// there are few texts, each of which is kept prepared.
func portion(n int) int {
	for p := 32; p > 1; p /= 2 {
		if n >= p {
			return p
		}
	}
	return 1
}

// rowsOf is a list of values for so many rows.
func rowsOf(n int, row string) string { return strings.TrimSuffix(strings.Repeat(row+", ", n), ", ") }

// addPoints writes points of a run at the end of the transaction.
func (p *pending) addPoints(run heldRun, key int64, points []point) {
	if p.points == nil {
		p.points, p.latest = map[int64]map[int64][]point{}, map[runKey]latest{}
	}
	if p.points[run.number] == nil {
		p.points[run.number] = map[int64][]point{}
	}
	p.points[run.number][key] = append(p.points[run.number][key], points...)
	newest := slices.MaxFunc(points, compareLatest)
	at := runKey{run.number, key}
	if have, ok := p.latest[at]; !ok || compareLatest(newest, have.point) >= 0 {
		p.latest[at] = latest{run.experiment, newest}
	}
}

// flush writes what is pending.
func (p *pending) flush(ctx context.Context, tx *Tx) error {
	if len(p.points) == 0 {
		return nil
	}
	points, newest := p.points, p.latest
	p.points, p.latest = nil, nil
	var list []tailRow
	for run, byKey := range points {
		keys := make([]keyPoints, 0, len(byKey))
		for key, points := range byKey {
			keys = append(keys, keyPoints{key, points})
		}
		list = append(list, tailRowsOf(run, keys)...)
	}
	slices.SortFunc(list, func(a, b tailRow) int { return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.run, b.run)) })
	if err := putTail(ctx, tx, list); err != nil {
		return err
	}
	return putLatest(ctx, tx, newest)
}

// tailRow is a row of metric_tail to be written. Rows of the same run have
// different rounds: their numbers follow each other.
type tailRow struct {
	run   int64
	round int
	n     int
	data  []byte
}

// tailRowsOf encodes points of a run in rows of at most rowMost.
func tailRowsOf(run int64, list []keyPoints) (out []tailRow) {
	row := tailRow{run: run, data: []byte{pointsVersion}}
	for _, k := range list {
		for points := k.points; len(points) > 0; {
			n := min(len(points), rowMost-row.n)
			row.data, row.n = appendPoints(row.data, k.key, points[:n]), row.n+n
			if points = points[n:]; row.n == rowMost {
				out = append(out, row)
				row = tailRow{run: run, round: row.round + 1, data: []byte{pointsVersion}}
			}
		}
	}
	if row.n > 0 {
		out = append(out, row)
	}
	return out
}

// putTail appends rows, those of one round in as few statements as possible.
func putTail(ctx context.Context, tx *Tx, list []tailRow) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].round == list[0].round {
			n++
		}
		n = portion(n)
		args := make([]any, 0, 4*n)
		for _, r := range list[:n] {
			args = append(args, r.run, r.run, r.n, r.data)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO metric_tail (run, number, points, data) VALUES `+
			rowsOf(n, `(?, (SELECT COALESCE(MAX(number), 0) + 1 FROM metric_tail WHERE run = ?), ?, ?)`), args...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func putLatest(ctx context.Context, tx *Tx, newest map[runKey]latest) error {
	keys := make([]runKey, 0, len(newest))
	for k := range newest {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b runKey) int { return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.key, b.key)) })
	for len(keys) > 0 {
		n := portion(len(keys))
		args := make([]any, 0, 10*n)
		for _, k := range keys[:n] {
			l := newest[k]
			value, nan := storedValue(l.point.value)
			args = append(args, k.run, k.key, l.experiment, value, nan, l.point.step, l.point.at*1000, l.point.where.model, l.point.where.dataset, l.point.where.digest)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO latest_metrics (run, key, experiment, value, is_nan, step, at, model, dataset_name, dataset_digest)
			VALUES `+rowsOf(n, "("+marks(10)+")")+`
			ON CONFLICT (run, key) DO UPDATE SET at = excluded.at, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan,
				model = excluded.model, dataset_name = excluded.dataset_name, dataset_digest = excluded.dataset_digest
			WHERE (excluded.step, excluded.at, excluded.value) >= (latest_metrics.step, latest_metrics.at, latest_metrics.value)`, args...); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// putTags writes or overwrites tags of a tracked run; of two with the same key
// the later counts.
func putTags(ctx context.Context, tx *Tx, run, experiment int64, tags pairs, keys map[string]int64) error {
	last := make(map[string]string, len(tags))
	for _, t := range tags {
		last[t.key] = t.value
	}
	return putPairRows(ctx, tx, "tracked_tags", run, experiment, pairsOf(last), keys)
}

// putPairRows writes pairs of different keys.
func putPairRows(ctx context.Context, tx *Tx, table string, run, experiment int64, list pairs, keys map[string]int64) error {
	for len(list) > 0 {
		n := portion(len(list))
		args := make([]any, 0, 4*n)
		for _, t := range list[:n] {
			args = append(args, run, keys[t.key], experiment, t.value)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO `+table+` (run, key, experiment, value) VALUES `+rowsOf(n, "(?, ?, ?, ?)")+`
			ON CONFLICT (run, key) DO UPDATE SET value = excluded.value`, args...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// missingParams returns those of a batch that a run does not have.
func missingParams(all []track.Param, keys map[string]int64, have map[int64]string) (out pairs) {
	for _, p := range all {
		if _, ok := have[keys[p.Key]]; !ok {
			out = append(out, pair{p.Key, p.Value})
		}
	}
	return out
}
