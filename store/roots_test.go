// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
)

// TestEveryTableIsKnownToGC fails when a migration adds a table and nobody has
// said whether its rows need stored content.
func TestEveryTableIsKnownToGC(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	tables, err := collect(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		t.Fatal(err)
	}
	listed := slices.Clone(rootless)
	for _, r := range rootTables {
		listed = append(listed, r.name)
	}
	for _, name := range tables {
		if !slices.Contains(listed, name) {
			t.Errorf("table %s: do its rows need stored content? Add it to rootTables or to rootless in roots.go, or gc may remove what they need", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(tables, name) {
			t.Errorf("table %s is listed in roots.go and is in no migration", name)
		}
	}
}
