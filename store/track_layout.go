// SPDX-License-Identifier: Apache-2.0

package store

// How tracking is kept (migration 0015), from few and wide to many and narrow:
//
//	experiments     id (MLflow's, text) and number
//	tracked_runs    number, id, experiment (number); rows by (experiment, started_at DESC, id)
//	tracked_keys    number of each name of a metric, param or tag; never removed
//	tracked_params  (run, key) -> value; rows by (experiment, key, substr(value, 1, 200), run)
//	tracked_tags    (run, key) -> value
//	latest_metrics  (run, key) -> latest point; rows by (experiment, key, is_nan, value, run)
//	metric_chunks   (run, key, first_pos) -> up to chunkMost points in order of their
//	                positions; chunks of one run and key do not overlap
//	metric_tail     (run, number) -> the points of a call, of any keys, not yet folded into chunks
//
// The experiment stands beside each key and value, so that one index answers a
// condition on it and an order by it without looking at a run; it never changes.
// In the index of params is only the beginning of a value, because PostgreSQL
// refuses index rows above 2.7 kB: write substr(value, 1, 200) = substr(?, 1, 200)
// AND value = ?.
//
// A position is the order of points: time, step, value, NaN (pointPosition).
// The points themselves are bytes (track_points.go); a point that is sent twice
// is stored once, at the latest when the tail is folded, and read once always.
//
// A run's narrow rows have no foreign keys: who writes them holds the run's row
// (logTx), and who removes a run removes them with it.
