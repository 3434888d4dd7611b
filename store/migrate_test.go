// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newest is the number of the last migration.
func newest(t *testing.T) int64 { return newestBelow(t, math.MaxInt64) }

// newestBelow is that of the last one before another; numbers have gaps.
func newestBelow(t *testing.T, limit int64) (n int64) {
	t.Helper()
	texts, err := schemaOf(sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	for number := range texts {
		if number < limit {
			n = max(n, number)
		}
	}
	return n
}

// openOld makes the file of a lastro that knew migrations up to a number.
func openOld(t *testing.T, path string, version int64) {
	t.Helper()
	db, err := openSQLite(path, forMigrating)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := provider(db, sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO model_numbers (model, last) VALUES ('of the old', 7)`); err != nil {
		t.Fatal(err)
	}
}

func models(t *testing.T, path string) (names []string, schema int64) {
	t.Helper()
	db, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(t.Context(), `SELECT model FROM model_numbers ORDER BY model`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	if err := errors.Join(rows.Err(), db.QueryRow(t.Context(), `SELECT MAX(version_id) FROM goose_db_version`).Scan(&schema)); err != nil {
		t.Fatal(err)
	}
	return names, schema
}

// R9: the way back from a migration is the copy that was made before it, as
// often as it is gone.
func TestDowngradeIsRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lastro.db")
	before := newestBelow(t, newest(t))
	openOld(t, path, before)
	for round := 1; round <= 20; round++ {
		db, err := Open(t.Context(), path) // a newer lastro: it migrates
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO model_numbers (model, last) VALUES ('of the new', 1)`)
			return err
		}), db.Close()); err != nil {
			t.Fatal(err)
		}
		if names, schema := models(t, path); schema != newest(t) || len(names) != 2 {
			t.Fatalf("migrated: schema %d with %v", schema, names)
		}
		kept := fmt.Sprintf("%s.before-%d", path, newest(t))
		if round > 1 {
			kept += fmt.Sprintf(".%d", round)
		}
		restore(t, kept, path)
		if names, schema := models(t, path); schema != before || !slices.Equal(names, []string{"of the old"}) {
			t.Fatalf("restored: schema %d with %v", schema, names)
		}
	}
	if copies, _ := filepath.Glob(path + ".before-*"); len(copies) != 20 {
		t.Errorf("%d copies of 20 migrations", len(copies))
	}
	// A copy that was interrupted is not taken for one.
	if err := os.WriteFile(path+".copying", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := os.Stat(path + ".copying"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an interrupted copy left is there: %v", err)
	}
}

// restore is what docs/reference/database.md says: the copy over the file, and
// the log of the newer one away.
func restore(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{to + "-wal", to + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The migrations of an earlier release are never touched again: only Up is in
// them, and one transaction is enough for each.
func TestMigrationsAreOneTransactionEach(t *testing.T) {
	texts, err := schemaOf(sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	for number, text := range texts {
		for _, word := range []string{"+goose Down", "NO TRANSACTION", "StatementBegin"} {
			if strings.Contains(text, word) {
				t.Errorf("migration %d has %q, which is not carried out", number, word)
			}
		}
	}
}
