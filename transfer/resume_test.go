// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/blob/file"
	"lastro/registry"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
	"lastro/transfer"
)

// grow adds runs with points to MLflow's database.
func grow(t testing.TB, path string, runs, keys, points int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	must := func(query string, args ...any) {
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	must(`PRAGMA synchronous = off`)
	must(`BEGIN`)
	// One statement a table: SQLite makes the rows.
	must(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
		SELECT printf('%032x', i), 'run ' || i, 'UNKNOWN', '', '', 'ana', 'FINISHED', 1700000000000 + i, 1700000100000 + i, '', 'active', printf('mlflow-artifacts:/1/%032x/artifacts', i), 1 FROM n`, runs)
	must(`INSERT INTO params (key, value, run_uuid) SELECT 'p' || k, run_uuid || k, run_uuid FROM runs, (SELECT 1 k UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) WHERE name LIKE 'run %'`)
	must(`INSERT INTO tags (key, value, run_uuid) SELECT 'mlflow.runName', name, run_uuid FROM runs WHERE name LIKE 'run %'`)
	must(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1), k(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM k WHERE j < ?)
		INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) SELECT 'metric' || j, 1.0 / (i + 1) + j, 1700000000000 + 1000 * i, run_uuid, i, 0 FROM runs, k, n WHERE name LIKE 'run %'`, points, keys)
	must(`INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) SELECT key, value, timestamp, step, is_nan, run_uuid FROM metrics
		WHERE step = ? AND run_uuid IN (SELECT run_uuid FROM runs WHERE name LIKE 'run %')`, points-1)
	must(`COMMIT`)
}

// houseAt opens a lastro in a folder, as a command does.
func houseAt(ctx context.Context, dir string) (house, error) {
	db, err := store.Open(ctx, filepath.Join(dir, "lastro.db"))
	if err != nil {
		return house{}, err
	}
	blobs, err := file.OpenWith(filepath.Join(dir, "blobs"), store.NewBlobs(db))
	clock := lastro.SystemClock{}
	ts := store.NewTrack(db)
	return house{track.NewService(ts, clock), registry.NewService(store.NewRegistry(db), nil, clock), ts, store.NewMove(db, "test"),
		trace.NewService(store.NewTrace(db), blobs, clock), blobs, db}, err
}

// TestImportChild is the process that TestKilled kills: it imports, and says
// when it has begun to write.
func TestImportChild(t *testing.T) {
	dir := os.Getenv("LASTRO_IMPORT_CHILD")
	if dir == "" {
		t.Skip("it is a part of TestKilled")
	}
	h, err := houseAt(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := transfer.OpenDatabase(t.Context(), filepath.Join(dir, "mlflow.db"), "")
	if err != nil {
		t.Fatal(err)
	}
	i := h.importer(s)
	said := 0
	i.Count = func(c transfer.Counts) {
		if n := c[transfer.Runs].Moved; n > said {
			said = n
			fmt.Printf("moved %d\n", n)
		}
	}
	if _, err := i.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKilled kills an import again and again; the next one goes on where it
// was, and in the end everything is there once.
func TestKilled(t *testing.T) {
	db, _ := unpack(t, "3.17.2")
	dir := filepath.Dir(db)
	const runs, keys, points = 400, 2, 150
	grow(t, db, runs, keys, points)
	kills := 0
	for after := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=TestImportChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), "LASTRO_IMPORT_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines, n := bufio.NewScanner(out), 0; lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "moved") {
				if n++; n == 30+50*after {
					kills++
					break
				}
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if kills < 3 {
		t.Errorf("only %d imports were killed while they wrote", kills)
	}
	h, err := houseAt(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.db.Close()
	s, err := transfer.OpenDatabase(t.Context(), db, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := mustRun(t, h.importer(s))
	c := r.Counts[transfer.Runs]
	if c.Found != runs+6 || c.Moved+c.There != runs+6 || c.There < 50 {
		t.Errorf("runs: %+v", c)
	}
	if n := r.Verified[transfer.Points]; n < runs*keys*points {
		t.Errorf("%d points were compared", n)
	}
	holdAgainst(t, h, readDump(t, "3.17.2"))
	t.Logf("%d imports were killed; the last found %d of %d runs there", kills, c.There, c.Found)
}

// BenchmarkImport says how fast a database comes in: runs and points a second,
// without and with the comparison afterwards.
func BenchmarkImport(b *testing.B) {
	db, _ := unpack(b, "3.17.2")
	const runs, keys, points = 2000, 5, 100
	grow(b, db, runs, keys, points)
	for _, verify := range []string{transfer.VerifyOff, transfer.VerifyFull} {
		b.Run("verify="+verify, func(b *testing.B) {
			for range b.N {
				h, err := houseAt(b.Context(), b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				s, err := transfer.OpenDatabase(b.Context(), db, "")
				if err != nil {
					b.Fatal(err)
				}
				i := h.importer(s)
				i.Verify = verify
				started := time.Now()
				mustRun(b, i)
				took := time.Since(started).Seconds()
				b.ReportMetric(runs/took, "runs/s")
				b.ReportMetric(runs*keys*points/took, "points/s")
				s.Close()
				h.db.Close()
			}
		})
	}
}

func alter(t testing.TB, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
