// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

	"lastro/track"
)

// chunksAtOnce is how many chunks a reader of a history holds.
const chunksAtOnce = 16

// Points implements track.Store. It holds some chunks and the tail of the run,
// however long the history is. Beside a fold it gives every point once: the
// tail is read before the chunks, and a point that is in both is given once.
func (s Track) Points(ctx context.Context, q track.HistoryQuery) iter.Seq2[track.Metric, error] {
	return func(yield func(track.Metric, error) bool) {
		var after *pointPos
		if q.After != nil {
			pos := pointOf(*q.After).pos()
			after = &pos
		}
		run, key, err := s.runAndKey(ctx, q.Run, q.Key)
		if err != nil || key == 0 {
			if err != nil {
				yield(track.Metric{}, err)
			}
			return
		}
		left := q.Limit
		for p, err := range s.points(ctx, run, key, after) {
			if err == nil && q.Steps != nil && !slices.Contains(q.Steps, p.step) {
				continue
			}
			if !yield(p.metric(q.Key), err) || err != nil {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// History implements track.Store.
func (s Track) History(ctx context.Context, q track.HistoryQuery) ([]track.Metric, error) {
	var out []track.Metric
	for m, err := range s.Points(ctx, q) {
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// runAndKey returns the numbers of a tracked run and of a name; 0 for a name
// that nothing has.
func (s Track) runAndKey(ctx context.Context, id, name string) (run, key int64, err error) {
	if err := s.db.QueryRow(ctx, `SELECT number FROM tracked_runs WHERE id = ?`, id).Scan(&run); err != nil {
		return 0, 0, noRun(err, id)
	}
	err = s.db.QueryRow(ctx, `SELECT number FROM tracked_keys WHERE key = ?`, name).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return run, key, err
}

func noRun(err error, id string) error {
	return notFound(err, "there is no tracked run with id %q", id)
}

// points gives the points of one run and key after a position, in order.
func (s Track) points(ctx context.Context, run, key int64, after *pointPos) iter.Seq2[point, error] {
	return func(yield func(point, error) bool) {
		tail, err := s.tailPoints(ctx, run, key, after)
		if err != nil {
			yield(point{}, err)
			return
		}
		for {
			part, more, err := s.chunkPoints(ctx, run, key, after)
			if err != nil {
				yield(point{}, err)
				return
			}
			n := len(tail)
			if more { // what the tail has up to the end of this part
				var found bool
				if n, found = slices.BinarySearchFunc(tail, part[len(part)-1], point.compare); found {
					n++
				}
			}
			for _, p := range inOrder(append(part, tail[:n]...)) {
				if !yield(p, nil) {
					return
				}
			}
			if !more {
				return
			}
			tail = tail[n:]
			last := part[len(part)-1].pos()
			after = &last
		}
	}
}

// tailPoints returns the points of one key in a run's tail, in order.
func (s Track) tailPoints(ctx context.Context, run, key int64, after *pointPos) ([]point, error) {
	rows, err := s.db.Query(ctx, `SELECT data FROM metric_tail WHERE run = ? ORDER BY number`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []point
	n := 0
	for ; rows.Next(); n++ {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		part, err := decodePoints(data, key)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	if n > readRows {
		s.tooMany(run)
	}
	return afterPos(inOrder(out), after), rows.Err()
}

func afterPos(points []point, after *pointPos) []point {
	if after == nil {
		return points
	}
	n, found := slices.BinarySearchFunc(points, *after, func(p point, after pointPos) int {
		pos := p.pos()
		return slices.Compare(pos[:], after[:])
	})
	if found {
		n++
	}
	return points[n:]
}

// chunkPoints returns the points of the next chunks, in order; more says that
// there are chunks behind them.
func (s Track) chunkPoints(ctx context.Context, run, key int64, after *pointPos) (points []point, more bool, err error) {
	var from []byte
	if after != nil {
		from = after[:]
	} else {
		from = []byte{}
	}
	rows, err := s.db.Query(ctx, `SELECT data FROM metric_chunks WHERE run = ? AND key = ? AND last_pos > ? ORDER BY first_pos LIMIT ?`, run, key, from, chunksAtOnce)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var data sql.RawBytes
		if err := rows.Scan(&data); err != nil {
			return nil, false, err
		}
		part, err := decodePoints(data, key)
		if err != nil {
			return nil, false, err
		}
		points, n = append(points, part...), n+1
	}
	points = afterPos(inOrder(points), after)
	return points, n == chunksAtOnce && len(points) > 0, rows.Err()
}
