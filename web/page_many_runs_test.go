// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro/store"
	"lastro/track"
)

// manyRuns fills experiment 0 with n tracked runs of two metrics and two
// params each.
func manyRuns(t *testing.T, db *store.DB, n int) {
	t.Helper()
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	runs := numbers + `INSERT INTO tracked_runs (id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at)
		SELECT printf('%032x', i), (SELECT number FROM experiments WHERE id = '0'), 'run ' || i, CASE WHEN i % 50 = 0 THEN 'FAILED' ELSE 'FINISHED' END, 'active', 'ana', 'user:ana', '', '', '',
			1700000000000000 + i * 1000000, 1700000000500000 + i * 1000000, 0 FROM n`
	statements := []struct {
		text string
		args []any
	}{{`INSERT INTO tracked_keys (key) VALUES ('auc'), ('rmse'), ('loss'), ('depth'), ('lr'), ('seed')`, nil}, {runs, []any{n}}}
	const own = `FROM tracked_runs r JOIN tracked_keys k ON k.key = `
	for _, key := range []string{"auc", "rmse"} {
		statements = append(statements, struct {
			text string
			args []any
		}{`INSERT INTO latest_metrics (run, key, experiment, value, is_nan, step, at, model, dataset_name, dataset_digest)
			SELECT r.number, k.number, r.experiment, (r.number * 7919 % 100003) / 100003.0, 0, 0, r.started_at, '', '', '' ` + own + `?`, []any{key}})
	}
	for _, key := range []string{"depth", "lr"} {
		statements = append(statements, struct {
			text string
			args []any
		}{`INSERT INTO tracked_params (run, key, experiment, value) SELECT r.number, k.number, r.experiment, '' || (r.number % 7) ` + own + `?`, []any{key}})
	}
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(t.Context(), s.text, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestManyRuns opens every page of tracking with 100,000 runs within a second
// (UI.md). The best of three counts: other tests run beside this one.
func TestManyRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database with 100,000 runs")
	}
	h := newHouse(t)
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "many.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began := time.Now()
	manyRuns(t, db, 100_000)
	t.Logf("filled in %s", time.Since(began))
	h.kept = store.NewTrack(db)
	h.pages.Track = track.NewService(h.kept, h.clock)
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	compare := "/compare?run=" + id(1)
	for n := 2; n <= 10; n++ {
		compare += "&run=" + id(n*1000)
	}
	_, first := h.get("/experiments/0", English)
	_, next, ok := strings.Cut(first, `href="/experiments/0?after=`)
	if !ok {
		t.Fatal("there is no next page")
	}
	next, _, _ = strings.Cut(next, `"`)
	for _, path := range []string{"/experiments", "/experiments?find=def", "/experiments/0", "/experiments/0?after=" + next,
		"/experiments/0?filter=metrics.auc+%3E+0.8+and+params.depth+%3D+%274%27&order=metrics.`auc`+DESC", "/experiments/0?order=params.`lr`+ASC",
		"/experiments/0?filter=metrics.auc+%3E+2", "/experiments/0/runs/" + id(500), compare} {
		best := time.Hour
		for range 3 {
			start := time.Now()
			w := h.ask(http.MethodGet, strings.ReplaceAll(path, "`", "%60"), Portuguese)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d", path, w.Code)
			}
			best = min(best, time.Since(start))
		}
		t.Logf("%7.1f ms  %s", float64(best.Microseconds())/1000, path[:min(len(path), 90)])
		if best > time.Second {
			t.Errorf("%s takes %s", path, best)
		}
	}
}
