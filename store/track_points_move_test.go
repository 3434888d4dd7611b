// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"lastro/track"
)

// Migration 0015 keeps every point, param and tag of the tables of 0004.
func TestTrackingIsMovedToTheNewLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lastro.db")
	old, err := openSQLite(path, forMigrating)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider(old, sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 14); err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := old.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO experiments VALUES ('77', 'e', 'active', 5, 5, 'user:ana')`)
	for i, id := range []string{"aa", "bb"} {
		exec(`INSERT INTO tracked_runs VALUES (?, '77', ?, 'RUNNING', 'active', 'u', 'user:ana', '', '', '', ?, 0, 0)`, id, "run "+id, 10-i)
		exec(`INSERT INTO tracked_params VALUES (?, 'p', '1')`, id)
		exec(`INSERT INTO tracked_tags VALUES (?, 't', ?)`, id, id)
		exec(`INSERT INTO latest_metrics VALUES (?, 'loss', 4999000, 4999, 4999, 0, '', '', '')`, id)
		exec(`INSERT INTO metric_points VALUES (?, 'few', 1000, 0, 0, 1, 'm-1', 'd', 'x')`, id)
		exec(`INSERT INTO metric_points VALUES (?, 'few', 1000, 0, 0, 0, '', '', '')`, id)
		exec(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
			INSERT INTO metric_points SELECT ?, 'loss', i / 2 * 1000, i / 2, i, 0, '', '', '' FROM n`, id)
		exec(`INSERT INTO tracked_inputs VALUES (?, 'd', 'x', 'local', 's', '', '', 'training', '{}')`, id)
		exec(`INSERT INTO tracked_models VALUES (?, 'out', 'm-1', 3)`, id)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := NewTrack(db)
	for _, id := range []string{"aa", "bb"} {
		r, err := s.Run(t.Context(), id)
		if err != nil || r.ExperimentID != "77" || fmt.Sprint(r.Params, r.Tags, r.Metrics[0].Value, r.Inputs[0].Name, r.ModelOutputs) != "[{p 1}] map[t:"+id+"] 4999d[{m-1 3}]" {
			t.Errorf("%+v, %v", r, err)
		}
		points, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: "loss"})
		if err != nil || len(points) != 10_000 || points[9_999].Value != 9999 || points[9_999].Step != 4999 {
			t.Errorf("%d points, %v", len(points), err)
		}
		points, err = s.History(t.Context(), track.HistoryQuery{Run: id, Key: "few"})
		if err != nil || len(points) != 2 || !math.IsNaN(points[1].Value) || points[1].LoggedModel != "m-1" || points[1].DatasetDigest != "x" {
			t.Errorf("%v, %v", points, err)
		}
	}
	var left int
	if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'old_%'`).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d old tables are left, %v", left, err)
	}
}
