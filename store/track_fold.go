// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
)

// The sizes of what points are kept in, in points.
const (
	chunkFull = 1024 // a chunk that is added to no more, and the size of those that one too large is cut into
	rowMost   = 8192 // of a row of the tail
	foldLeast = 64   // a key with fewer stays in the tail
	foldAll   = 4 * rowMost
)

// foldTail moves the points of a run's tail into chunks. Keys with few points
// stay, together in as few rows as possible: most runs are short, and a chunk
// for each of their keys would take more room than the points. The caller
// holds the run (holdRun). It reports how many rows and points are left.
func foldTail(ctx context.Context, tx *Tx, run int64) (rows, points int, err error) {
	tail, err := readTail(ctx, tx, run)
	if err != nil || len(tail.numbers) == 0 {
		return 0, 0, err
	}
	least := foldLeast
	if tail.points >= foldAll {
		least = 1
	}
	keys, err := tail.byKey()
	if err != nil {
		return 0, 0, err
	}
	var stay []keyPoints
	for _, k := range keys {
		if len(k.points) < least {
			stay = append(stay, k)
		} else if err := addToChunks(ctx, tx, run, k.key, k.points); err != nil {
			return 0, 0, err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM metric_tail WHERE run = ? AND number <= ?`, run, tail.numbers[len(tail.numbers)-1]); err != nil {
		return 0, 0, err
	}
	number := tail.numbers[0]
	for len(stay) > 0 {
		data, n := []byte{pointsVersion}, 0
		for len(stay) > 0 && n < rowMost {
			data = appendPoints(data, stay[0].key, stay[0].points)
			n += len(stay[0].points)
			stay = stay[1:]
		}
		if _, err := tx.Exec(ctx, `INSERT INTO metric_tail (run, number, points, data) VALUES (?, ?, ?, ?)`, run, number, n, data); err != nil {
			return 0, 0, err
		}
		number, rows, points = number+1, rows+1, points+n
	}
	return rows, points, nil
}

// Fold moves the points of a tracked run to where a long history is read fastest.
func (s Track) Fold(ctx context.Context, id string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		run, err := holdRun(ctx, tx, id)
		if err == nil {
			_, _, err = foldTail(ctx, tx, run.number)
		}
		return err
	})
}

// tailRows are rows of a run's tail, in order of arrival.
type tailRows struct {
	numbers []int64
	data    [][]byte
	points  int
}

// tailAtOnce bounds what one fold reads, in points.
const tailAtOnce = 16 * rowMost

func readTail(ctx context.Context, tx *Tx, run int64) (t tailRows, err error) {
	rows, err := tx.Query(ctx, `SELECT number, points, data FROM metric_tail WHERE run = ? ORDER BY number`, run)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() && t.points < tailAtOnce {
		var number int64
		var n int
		var data []byte
		if err := rows.Scan(&number, &n, &data); err != nil {
			return t, err
		}
		t.numbers, t.data, t.points = append(t.numbers, number), append(t.data, data), t.points+n
	}
	return t, rows.Err()
}

// keyPoints are points of one key, in order and each once.
type keyPoints struct {
	key    int64
	points []point
}

func (t tailRows) byKey() ([]keyPoints, error) {
	all := map[int64][]point{}
	for _, data := range t.data {
		if err := eachGroup(data, 0, func(key int64, points []point) error {
			all[key] = append(all[key], points...)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	out := make([]keyPoints, 0, len(all))
	for key, points := range all {
		out = append(out, keyPoints{key, inOrder(points)})
	}
	slices.SortFunc(out, func(a, b keyPoints) int { return cmp.Compare(a.key, b.key) })
	return out, nil
}

// addToChunks adds points, in order, to the chunks of one run and key. Each
// goes into the last chunk that begins at or before it, so chunks never
// overlap, and one of them is in memory at a time.
func addToChunks(ctx context.Context, tx *Tx, run, key int64, points []point) error {
	for len(points) > 0 {
		first := points[0].pos()
		next, err := chunkStart(ctx, tx, `SELECT first_pos FROM metric_chunks WHERE run = ? AND key = ? AND first_pos > ? ORDER BY first_pos LIMIT 1`, run, key, first[:])
		if err != nil {
			return err
		}
		n := len(points)
		if next != nil {
			n, _ = slices.BinarySearchFunc(points, *next, func(p point, next pointPos) int {
				pos := p.pos()
				return slices.Compare(pos[:], next[:])
			})
		}
		if err := addToChunk(ctx, tx, run, key, points[:n]); err != nil {
			return err
		}
		points = points[n:]
	}
	return nil
}

// chunkStart reads the position that a statement returns, or nil.
func chunkStart(ctx context.Context, tx *Tx, query string, args ...any) (*pointPos, error) {
	var raw []byte
	err := tx.QueryRow(ctx, query, args...).Scan(&raw)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case len(raw) != len(pointPos{}):
		return nil, errPoints
	}
	return (*pointPos)(raw), nil
}

// addToChunk adds points to the chunk that begins at or before the first of
// them, or to new ones when that is full and ends before it.
func addToChunk(ctx context.Context, tx *Tx, run, key int64, points []point) error {
	first := points[0].pos()
	var have int
	var last, data []byte
	err := tx.QueryRow(ctx, `SELECT last_pos, points, data FROM metric_chunks WHERE run = ? AND key = ? AND first_pos <= ? ORDER BY first_pos DESC LIMIT 1`,
		run, key, first[:]).Scan(&last, &have, &data)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err == nil && (have < chunkFull || slices.Compare(last, first[:]) >= 0) {
		old, err := decodePoints(data, 0)
		if err != nil {
			return err
		}
		points = inOrder(append(old, points...))
	}
	for len(points) > 0 {
		n := min(chunkFull, len(points))
		if err := putChunk(ctx, tx, run, key, points[:n]); err != nil {
			return err
		}
		points = points[n:]
	}
	return nil
}

func putChunk(ctx context.Context, tx *Tx, run, key int64, points []point) error {
	first, last := points[0].pos(), points[len(points)-1].pos()
	data := appendPoints([]byte{pointsVersion}, key, points)
	_, err := tx.Exec(ctx, `INSERT INTO metric_chunks (run, key, first_pos, last_pos, points, data) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (run, key, first_pos) DO UPDATE SET last_pos = excluded.last_pos, points = excluded.points, data = excluded.data`,
		run, key, first[:], last[:], len(points), data)
	return err
}
