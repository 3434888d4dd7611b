// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"lastro/store"
	"lastro/store/storetest"
	"lastro/track"
)

// oldReader reads as a process of an older lastro does, and notes how long it
// had to wait at most.
type oldReader struct {
	db      *sql.DB
	query   string
	reads   int
	longest time.Duration
	err     error
}

func (r *oldReader) readOn(ctx context.Context, wg *sync.WaitGroup) {
	defer wg.Done()
	for ctx.Err() == nil {
		var n int
		started := time.Now()
		if err := r.db.QueryRow(r.query).Scan(&n); err != nil {
			r.err = err
			return
		}
		r.reads++
		r.longest = max(r.longest, time.Since(started))
		time.Sleep(time.Millisecond)
	}
}

// TestReadsGoOnWhileItMigrates migrates a database of schema 14, whose metric
// points are a row each, while processes of the older lastro read it. What the
// migration does not change can be read all the time; what it does change can
// be read until it is committed (SQLite), or is waited for (PostgreSQL).
// LASTRO_UPGRADE_POINTS sets how many points there are: 10000000 for the figure
// in docs/reference/upgrade.md.
func TestReadsGoOnWhileItMigrates(t *testing.T) {
	points := 50_000
	if n, err := strconv.Atoi(os.Getenv("LASTRO_UPGRADE_POINTS")); err == nil {
		points = n
	}
	storetest.EachTarget(t, func(t *testing.T, target string) {
		if store.IsURL(target) {
			target = storetest.Postgres(t) // without tables
		}
		ctx := t.Context()
		if err := store.MigrateTo(ctx, target, 14); err != nil {
			t.Fatal(err)
		}
		driver, source := "sqlite", "file:"+target+"?_pragma=busy_timeout(10000)"
		if store.IsURL(target) {
			driver, source = "pgx", target
		}
		db, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fillOld(t, db, points)

		reading, stop := context.WithCancel(ctx)
		defer stop()
		var wg sync.WaitGroup
		untouched, touched := &oldReader{db: db, query: `SELECT COUNT(*) FROM models`}, &oldReader{db: db, query: `SELECT COUNT(*) FROM tracked_tags`}
		wg.Add(2)
		go untouched.readOn(reading, &wg)
		go touched.readOn(reading, &wg)
		time.Sleep(20 * time.Millisecond)
		started := time.Now()
		opened, err := store.Open(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(started)
		stop()
		wg.Wait()
		t.Logf("%d points moved in %s; reads of what stays waited %s at most, of what changes %s", points, took.Round(time.Millisecond),
			untouched.longest.Round(time.Millisecond), touched.longest.Round(time.Millisecond))
		if untouched.err != nil || untouched.reads < 2 {
			t.Errorf("reads of what stays: %d, %v", untouched.reads, untouched.err)
		}
		n := 0
		for _, err := range store.NewTrack(opened).Points(ctx, track.HistoryQuery{Run: fmt.Sprintf("%032d", 1), Key: "loss"}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if want := points / 10; n != want {
			t.Errorf("%d points of a run are there, not %d", n, want)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// fillOld writes ten runs with their share of the points as schema 14 has them.
func fillOld(t *testing.T, db *sql.DB, points int) {
	t.Helper()
	for i := 1; i <= 10; i++ {
		id := fmt.Sprintf("%032d", i)
		if _, err := db.Exec(`INSERT INTO tracked_runs (id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at)
			VALUES ('` + id + `', '0', 'r', 'FINISHED', 'active', '', 'user:ana', '', '', '', 1700000000000000, 1700000001000000, 0)`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO metric_points (run, key, at, step, value, is_nan, model, dataset_name, dataset_digest)
			SELECT '%s', 'loss', 1700000000000000 + 1000000 * CAST(i AS BIGINT), i, 1.0 / i, 0, '', '', '' FROM n`, points/10, id)); err != nil {
			t.Fatal(err)
		}
	}
}
