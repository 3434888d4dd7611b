// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastro/store"
)

// torture reports whether the long forms of tests were asked for.
func torture() bool { return os.Getenv("LASTRO_TORTURE") != "" }

// ledger is what writers were told: which rows are kept.
type ledger struct {
	mu      sync.Mutex
	kept    map[string]bool
	failed  map[string]error
	longest time.Duration // of one write
}

func newLedger() *ledger { return &ledger{kept: map[string]bool{}, failed: map[string]error{}} }

// write writes one row with an event and notes the answer.
func (l *ledger) write(ctx context.Context, db *store.DB, name string, soon bool) {
	write := db.Write
	if soon {
		write = db.WriteSoon
	}
	start := time.Now()
	err := write(ctx, putNumber(ctx, name), event(name))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, time.Since(start))
	if err == nil {
		l.kept[name] = true
	} else {
		l.failed[name] = err
	}
}

func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept)
}

// compare holds the database against what the writers were told: every row that
// was acknowledged is there with its one event; one that was refused is not.
func (l *ledger) compare(t *testing.T, db *store.DB) {
	t.Helper()
	there := map[string]int{}
	rows, err := db.Query(t.Context(), `SELECT m.model, (SELECT COUNT(*) FROM events e WHERE e.subject = 'test:' || m.model) FROM model_numbers m`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var events int
		if err := rows.Scan(&name, &events); err != nil {
			t.Fatal(err)
		}
		there[name] = events
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for name := range l.kept {
		if there[name] != 1 {
			t.Errorf("acknowledged %s: there with %d events", name, there[name])
		}
	}
	for name, err := range l.failed {
		if _, ok := there[name]; ok && !strings.Contains(err.Error(), "whether it was kept") {
			t.Errorf("refused %s is there: %v", name, err)
		}
	}
}

// R6, first half: 64 writers at once on one SQLite file, each as if in a
// process of its own, and 64 in one. Nobody is refused.
func TestBusyStorm(t *testing.T) {
	each := 10
	if torture() {
		each = 200
	}
	const writers = 64
	for _, name := range []string{"one process", "many processes"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lastro.db")
			first, err := store.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			l := newLedger()
			var wg sync.WaitGroup
			for w := range writers {
				db := first
				if name == "many processes" {
					if db, err = store.Open(t.Context(), path); err != nil {
						t.Fatal(err)
					}
					defer db.Close()
				}
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range each {
						l.write(t.Context(), db, fmt.Sprintf("%d-%d", w, i), i%2 == 0)
					}
				}()
			}
			wg.Wait()
			for name, err := range l.failed {
				t.Errorf("%s was refused: %v", name, err)
			}
			l.compare(t, first)
			t.Logf("%d writes, the slowest took %s", len(l.kept), l.longest.Round(time.Millisecond))
		})
	}
}

// R6, second half: connections are cut while writers write. Nothing that was
// acknowledged is lost, nothing is there twice, and nobody is refused for long.
func TestCutConnections(t *testing.T) {
	cuts, pause := 100, 20*time.Millisecond
	if torture() {
		cuts, pause = 2000, 50*time.Millisecond
	}
	target := Postgres(t) + "&application_name=cut" // others use the same server
	db, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	knife := admin(t, strings.TrimSuffix(target, "&application_name=cut"))
	l := newLedger()
	var stop atomic.Bool
	var reads, readFailed atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; !stop.Load(); i++ {
				l.write(t.Context(), db, fmt.Sprintf("%d-%d", w, i), i%2 == 0)
				var n int
				reads.Add(1)
				if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM model_numbers WHERE model = ?`, "x").Scan(&n); err != nil {
					readFailed.Add(1)
				}
			}
		}()
	}
	for range cuts {
		// All connections of lastro to this database: those in a transaction, those
		// at rest; and each time some writer gets through, sooner or later.
		before := l.acknowledged()
		if _, err := knife.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause)
		for start := time.Now(); l.acknowledged() == before && time.Since(start) < 10*time.Second; {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	wg.Wait()
	l.compare(t, db)
	for name, err := range l.failed {
		t.Errorf("%s was refused although it could be tried again: %v", name, err)
	}
	if l.longest > 10*time.Second {
		t.Errorf("a write took %s, want less than 10s", l.longest)
	}
	t.Logf("%d cuts: %d writes acknowledged, %d refused, the slowest took %s; %d of %d reads failed",
		cuts, len(l.kept), len(l.failed), l.longest.Round(time.Millisecond), readFailed.Load(), reads.Load())
	if f := readFailed.Load(); f*10 > reads.Load() {
		t.Errorf("%d of %d reads failed", f, reads.Load())
	}
}

// admin opens a connection that is not one of lastro's.
func admin(t *testing.T, target string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", target+"&application_name=test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A server that crashes loses, of what was acknowledged, at most the last 200 ms
// of WriteSoon and nothing of Write.
func TestServerCrash(t *testing.T) {
	if !torture() {
		t.Skip("LASTRO_TORTURE=1 runs it")
	}
	s, err := StartServer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	target := schemaOf(t, s.URL(), "crash")
	db, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for round := range 20 {
		l := newLedger()
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 50 {
					l.write(t.Context(), db, fmt.Sprintf("%d-%d-%d", round, w, i), false)
				}
			}()
		}
		time.Sleep(time.Duration(20+round*10) * time.Millisecond)
		if err := s.killBackend(); err != nil { // the others are ended too, and the server recovers from its log
			t.Fatal(err)
		}
		wg.Wait()
		l.compare(t, db)
		for name, err := range l.failed {
			t.Logf("round %d: %s: %v", round, name, err)
		}
	}
}

func TestDatabaseThatCannotBeUsed(t *testing.T) {
	target := Postgres(t)
	for _, c := range []struct{ name, target, id string }{
		{"nobody listens", "postgres://ana:s3cret@127.0.0.1:1/lastro?connect_timeout=2", "L0418"},
		{"no such database", strings.Replace(target, "/postgres?", "/nowhere?", 1), "L0418"},
		{"no such user", strings.Replace(target, "lastro@", "ana:s3cret@", 1), "L0418"},
		{"not a port", "postgres://ana:s3cret@db:port/lastro", "L0415"},
		{"a special character", "postgres://ana:s3/cret@db/lastro", "L0415"},
		{"a strange character", "postgres://ana:s3cret%zz@db/lastro", "L0415"},
		{"an unknown setting", "postgres://ana:s3cret@db/lastro?sslmode=s3cret", "L0415"},
	} {
		for _, open := range []func(context.Context, string) (*store.DB, error){store.Open, store.OpenReadOnly} {
			_, err := open(t.Context(), c.target)
			if err == nil {
				t.Errorf("%s: it was opened", c.name)
				continue
			}
			if e := asError(err); e == nil || e.ID != c.id || e.Hint == "" {
				t.Errorf("%s: %v, want %s with a hint", c.name, err, c.id)
			}
			if text := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(text, "s3cret") || strings.Contains(text, "cret") {
				t.Errorf("%s: the password is in %s", c.name, text)
			}
		}
	}
}

// Text that one of the databases cannot keep is refused with words.
func TestTextThatIsNone(t *testing.T) {
	target := Postgres(t)
	db, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{"a\x00b", "\xff\xfe"} {
		err := db.Write(t.Context(), putNumber(t.Context(), text))
		if e := asError(err); e == nil || e.ID != "L0419" {
			t.Errorf("%q: %v, want L0419", text, err)
		}
	}
	if n := numbers(t, db); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
