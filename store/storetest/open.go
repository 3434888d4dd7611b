// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lastro/store"
)

// The environment that tests on PostgreSQL read.
const (
	// serverVar names a server to use, as a URL; "" = a private one is started.
	serverVar = "LASTRO_TEST_POSTGRES"
	// requireVar, when it is set, makes a missing PostgreSQL a failure; otherwise
	// the tests that need it are skipped.
	requireVar = "LASTRO_TEST_POSTGRES_REQUIRED"
)

// shared is the server of this process's tests.
var shared struct {
	sync.Mutex
	server *Server
	url    string
	err    error
	schema int
	free   []string // URLs of schemas with tables, which a test has used
}

// Main runs a package's tests and ends the server that they used. A package that
// calls Postgres or Each has: func TestMain(m *testing.M) { storetest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// MainTwice is Main for a package whose tests open their database with Open: it
// runs them on SQLite, then on PostgreSQL.
func MainTwice(m *testing.M) {
	code := m.Run()
	onPostgres = true
	if again := m.Run(); code == 0 {
		code = again
	}
	Stop()
	os.Exit(code)
}

// Stop ends the server that Postgres has started, for a package with another Main.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Stop()
	}
}

// onPostgres says what Open opens.
var onPostgres bool

// Open opens an empty database that is closed with the test: in a package with
// MainTwice, on SQLite first and on PostgreSQL the second time.
func Open(t testing.TB) *store.DB {
	t.Helper()
	if onPostgres {
		return open(t, migrated(t))
	}
	return open(t, sqliteFile(t))
}

// Each runs a test on a new SQLite database and on a new PostgreSQL one.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, sqliteFile(t))) })
	t.Run("postgres", func(t *testing.T) { test(t, open(t, migrated(t))) })
}

// EachTarget runs a test with what store.Open takes: the path of a SQLite file
// that is not there yet, and the URL of a PostgreSQL schema with empty tables.
func EachTarget(t *testing.T, test func(t *testing.T, target string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteFile(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, migrated(t)) })
}

func sqliteFile(t testing.TB) string { return filepath.Join(t.TempDir(), "lastro.db") }

func open(t testing.TB, target string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Postgres returns the URL of a schema of its own, without tables, on a
// PostgreSQL that is started for the first test of the process, or skips the
// test where there is none.
func Postgres(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	return newSchema(t)
}

// newSchema is Postgres for who holds the lock of shared.
func newSchema(t testing.TB) string {
	t.Helper()
	if shared.url == "" && shared.err == nil {
		if shared.url = os.Getenv(serverVar); shared.url == "" {
			if shared.server, shared.err = StartServer(); shared.err == nil {
				shared.url = shared.server.URL()
			}
		}
	}
	if errors.Is(shared.err, errNoPostgres) && os.Getenv(requireVar) == "" {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	shared.schema++
	return schemaOf(t, shared.url, fmt.Sprintf("t%d_%d", os.Getpid(), shared.schema))
}

// schemaOf makes a schema and returns the URL of a session in it.
func schemaOf(t testing.TB, server, name string) string {
	t.Helper()
	execute(t, server, "CREATE SCHEMA "+name)
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func execute(t testing.TB, target, text string) {
	t.Helper()
	db, err := sql.Open("pgx", target)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// migrated returns the URL of a schema whose tables are as new. To make them
// takes PostgreSQL a hundred times as long as to empty them, so tests that
// follow one another use the same.
func migrated(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	var target string
	if n := len(shared.free); n > 0 {
		target, shared.free = shared.free[n-1], shared.free[:n-1]
		execute(t, target, emptyTables)
	} else {
		target = newSchema(t)
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		execute(t, target, keepRows)
	}
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		shared.free = append(shared.free, target)
	})
	return target
}

// keepRows keeps what the migrations have put into tables, in tables kept_*.
const keepRows = `DO $$ DECLARE name text; filled boolean; BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
		EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO filled;
		IF filled THEN EXECUTE format('CREATE TABLE %I AS TABLE %I', 'kept_' || name, name); END IF;
	END LOOP;
END $$`

// emptyTables makes the tables as new: no rows but those of the migrations, and
// numbers that begin at 1.
const emptyTables = `SET session_replication_role = replica; -- no foreign keys
DO $$ DECLARE name text; filled boolean; BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE 'kept\_%' LOOP
		EXECUTE format('DELETE FROM %I', name);
		IF to_regclass('kept_' || name) IS NOT NULL THEN
			EXECUTE format('INSERT INTO %I SELECT * FROM %I', name, 'kept_' || name);
		END IF;
	END LOOP;
	FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema() LOOP
		IF name <> 'goose_db_version_id_seq' THEN EXECUTE format('ALTER SEQUENCE %I RESTART', name); END IF;
	END LOOP;
END $$`
