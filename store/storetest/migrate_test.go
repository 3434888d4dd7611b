// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"lastro"
	"lastro/store"
)

func asError(err error) *lastro.Error {
	var e *lastro.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// R9: an older lastro refuses the state of a newer one and names the way back.
func TestNewerIsRefused(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE goose_db_version SET version_id = 9999 WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
			return err
		}), db.Close()); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(context.Context, string) (*store.DB, error){store.Open, store.OpenReadOnly} {
			_, err := open(t.Context(), target)
			way := "copy that it kept beside"
			if store.IsURL(target) {
				way = "pg_dump"
			}
			if e := asError(err); e == nil || e.ID != "L0401" || !strings.Contains(e.Msg, "9999") || !strings.Contains(e.Hint, way) {
				t.Errorf("%v, want L0401 with %q", err, way)
			}
		}
	})
}

// Both databases have the same tables with the same columns in the same order.
func TestSameSchema(t *testing.T) {
	var schemas []map[string][]string
	EachTarget(t, func(t *testing.T, target string) {
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		q := `SELECT m.name, p.name, p."notnull" FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.cid`
		if db.Shared() {
			q = `SELECT table_name, column_name, CASE WHEN is_nullable = 'NO' THEN 1 ELSE 0 END FROM information_schema.columns
				WHERE table_schema = current_schema() ORDER BY table_name COLLATE "C", ordinal_position`
		}
		rows, err := db.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		schema := map[string][]string{}
		for rows.Next() {
			var table, column string
			var notNull bool
			if err := rows.Scan(&table, &column, &notNull); err != nil {
				t.Fatal(err)
			}
			if table != "goose_db_version" && !strings.HasPrefix(table, "kept_") {
				schema[table] = append(schema[table], column)
			}
		}
		schemas = append(schemas, schema)
		if !db.Shared() {
			return
		}
		// No number is too small, no text is ordered by a language.
		for _, q := range []string{
			`SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version' AND table_name NOT LIKE 'kept%' AND data_type IN ('integer', 'smallint', 'boolean', 'real')`,
			`SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version' AND table_name NOT LIKE 'kept%' AND data_type = 'text' AND COALESCE(collation_name, '') <> 'C'`,
		} {
			var n int
			if err := db.QueryRow(t.Context(), q).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d columns, %v: %s", n, err, q)
			}
		}
	})
	if len(schemas) == 2 && !reflect.DeepEqual(schemas[0], schemas[1]) {
		t.Errorf("SQLite     %v\nPostgreSQL %v", sortedKeys(schemas[0]), sortedKeys(schemas[1]))
	}
	if len(schemas) > 0 && len(schemas[0]) < 30 {
		t.Errorf("only %d tables", len(schemas[0]))
	}
}

// Processes that start at once on an empty PostgreSQL wait for each other.
func TestManyMigrateAtOnce(t *testing.T) {
	target := Postgres(t)
	errs := make(chan error)
	for range 5 {
		go func() {
			db, err := store.Open(t.Context(), target)
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range 5 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
