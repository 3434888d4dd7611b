// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServerKilled is R1 of the reliability tests: a server that carries out 20
// pipelines of 8 steps is killed without warning at random moments, 10 to 500 ms
// after it answers. No step is lost, none is committed twice, and none is
// started again: the steps live under their supervisor. With LASTRO_TORTURE=1
// there are 1,000 kills, and then each tenth takes the supervisor and all steps
// along, each of which may then run once more.
func TestServerKilled(t *testing.T) {
	kills, everything := 12, 6
	if os.Getenv("LASTRO_TORTURE") == "1" {
		kills, everything = 1000, 10
	} else {
		t.Parallel()
	}
	const pipelines, steps = 20, 8
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, steps, "0.05")})
	s := &submitter{t: t, f: f, deadline: time.Now().Add(time.Duration(kills)*2*time.Second + 5*time.Minute)}
	asked, again := 0, 0
	for n := range kills {
		up := f.start("up", "--listen", "127.0.0.1:0")
		began := time.Now()
		if !s.find() {
			t.Fatalf("kill %d: the server did not come up", n)
		}
		if d := time.Since(began); d > 2*time.Second && os.Getenv("LASTRO_TORTURE") != "1" {
			t.Logf("kill %d: up again after %s", n, d)
		}
		for s.left() < pipelines {
			asked++
			s.submit(asked)
		}
		time.Sleep(time.Duration(10+rand.IntN(490)) * time.Millisecond)
		_ = up.Process.Kill()
		f.finish(up)
		if everything > 0 && n%everything == everything-1 {
			for _, pid := range append(processes(t, "supervisor", f.dir), alive(t, filepath.Join(notes, "pids"))...) {
				again++
				end(pid)
			}
			_ = os.Truncate(filepath.Join(notes, "pids"), 0)
		}
	}
	up := f.start("up", "--listen", "127.0.0.1:0")
	if !s.find() {
		t.Fatal("the server did not come up")
	}
	for s.left() > 0 {
		if time.Now().After(s.deadline) {
			t.Fatalf("%d runs never ended", s.left())
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = up.Process.Signal(os.Interrupt)
	f.finish(up)
	carriedOut, lostTwice := committedOnce(t, f, asked, steps)
	started := 0
	for i := range steps {
		started += count(t, fmt.Sprintf("%s/count-s%d", notes, i))
	}
	t.Logf("%d kills, %d runs, %d steps, %d of them started again, %d lost twice", kills, asked, carriedOut, started-carriedOut, lostTwice)
	if over := started - carriedOut; over < -lostTwice || over > again { // a step may be lost before it has started
		t.Errorf("%d steps were started again, and %d processes were killed", over, again)
	}
	f.sound()
}

// submitter asks a server for runs until it has acknowledged them.
type submitter struct {
	t        *testing.T
	f        folder
	deadline time.Time
	server   struct {
		URL   string `json:"url"`
		Token string `json:"token"`
		PID   int    `json:"pid"`
	}
	old int // process of the server before
}

// find waits until a new server answers.
func (s *submitter) find() bool {
	s.old = s.server.PID
	for range 2000 {
		raw, err := os.ReadFile(filepath.Join(s.f.dir, ".lastro", "run", "up.json"))
		if err == nil && json.Unmarshal(raw, &s.server) == nil && s.server.PID != s.old {
			if r, err := http.Get(s.server.URL + "/healthz"); err == nil {
				r.Body.Close()
				return true
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// submit asks for a run; the key makes sure that asking again after a lost
// answer gives the same one.
func (s *submitter) submit(n int) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"params": map[string]any{"n": n}, "no_cache": true})
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL+"/api/v1/runs", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.server.Token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("run-%d", n))
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode/100 != 2 {
		var text bytes.Buffer
		_, _ = text.ReadFrom(r.Body)
		s.t.Fatalf("run %d: %s %s", n, r.Status, text.String())
	}
}

// left is how many runs have not ended.
func (s *submitter) left() int {
	db := s.f.database()
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM runs WHERE state IN ('pending', 'running')").Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (f folder) database() *sql.DB {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.dir, ".lastro", "lastro.db")+"?_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		f.t.Fatal(err)
	}
	return db
}

// committedOnce checks that each step was committed once and that all runs
// succeeded, but for those of which one step was lost twice: a lost step gets
// one more attempt (SEMANTICS 5), and of these runs everything is told. It
// returns how many steps were carried out, and how many such runs there are.
func committedOnce(t *testing.T, f folder, runs, steps int) (carriedOut, lostTwice int) {
	t.Helper()
	db := f.database()
	defer db.Close()
	ask := func(sql string) (n int) {
		if err := db.QueryRow(sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const twice = "SELECT run FROM step_runs WHERE state = 'errored' AND reason LIKE 'lost:%' GROUP BY run, step, cell HAVING COUNT(*) = 2"
	const succeeded = "SELECT number FROM runs WHERE state = 'succeeded'"
	lostTwice = ask("SELECT COUNT(DISTINCT run) FROM (" + twice + ") AS t")
	for _, q := range []struct {
		what, sql string
		want      int
	}{
		{"runs", "SELECT COUNT(*) FROM runs", runs},
		{"runs that succeeded", "SELECT COUNT(*) FROM runs WHERE state = 'succeeded'", runs - lostTwice},
		{"runs that did not, and have no step that was lost twice", "SELECT COUNT(*) FROM runs WHERE number NOT IN (" + succeeded + ") AND number NOT IN (" + twice + ")", 0},
		{"steps of these that succeeded", "SELECT COUNT(*) FROM step_runs WHERE state = 'succeeded' AND run IN (" + succeeded + ")", (runs - lostTwice) * steps},
		{"steps without an end", "SELECT COUNT(*) FROM step_runs WHERE state NOT IN ('succeeded', 'errored', 'skipped')", 0},
		{"steps committed twice", "SELECT COUNT(*) FROM (SELECT 1 FROM step_runs WHERE state = 'succeeded' GROUP BY run, step, cell HAVING COUNT(*) > 1) AS twice", 0},
		{"events of a step's success", "SELECT COUNT(*) FROM events WHERE verb = 'step.succeeded'", ask("SELECT COUNT(*) FROM step_runs WHERE state = 'succeeded'")},
	} {
		if got := ask(q.sql); got != q.want {
			t.Errorf("%d %s, want %d", got, q.what, q.want)
		}
	}
	if t.Failed() {
		tell(t, db)
	}
	return ask("SELECT COUNT(*) FROM (SELECT DISTINCT run, step, cell FROM step_runs WHERE state <> 'skipped') AS t"), lostTwice
}

// tell logs the attempts of runs that did not succeed.
func tell(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.Query(`SELECT run, step, attempt, state, reason FROM step_runs WHERE run NOT IN (SELECT number FROM runs WHERE state = 'succeeded')
		ORDER BY run, position, attempt LIMIT 60`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line [5]string
		if rows.Scan(&line[0], &line[1], &line[2], &line[3], &line[4]) == nil {
			t.Log(strings.Join(line[:], " "))
		}
	}
}

// end kills a process and waits until it has gone.
func end(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for range 200 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
