// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"lastro"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaOf lists the migrations of a dialect by number.
func schemaOf(d dialect) (map[int64]string, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	out := map[int64]string{}
	for _, e := range entries {
		number, err := goose.NumericComponent(e.Name())
		if err != nil {
			return nil, err
		}
		text, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			return nil, err
		}
		if out[number] != "" {
			return nil, fmt.Errorf("two migrations have number %d", number)
		}
		out[number] = d.schema(string(text))
	}
	return out, nil
}

// provider knows the migrations and which of them a database has had.
func provider(db *sql.DB, d dialect) (*goose.Provider, error) {
	texts, err := schemaOf(d)
	if err != nil {
		return nil, err
	}
	var list []*goose.Migration
	for number, text := range texts {
		list = append(list, goose.NewGoMigration(number, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return err
			}
			if move := moves[number]; move != nil {
				return move(ctx, &Tx{dialect: d, conn: tx})
			}
			return nil
		}}, nil))
	}
	names := map[dialect]goose.Dialect{sqliteDialect: goose.DialectSQLite3, postgresDialect: goose.DialectPostgres}
	return goose.NewProvider(names[d], db, nil, goose.WithGoMigrations(list...), goose.WithDisableGlobalRegistry(true))
}

// migrateSQLite brings a file to this lastro's schema. Before one of an older
// lastro is changed a copy is kept beside it.
func migrateSQLite(ctx context.Context, path string) error {
	db, err := openSQLite(path, forMigrating)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := provider(db, sqliteDialect)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := refuseNewer(ctx, db, sqliteDialect); err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return storageError(err)
	}
	if current == target {
		return nil
	}
	if current > 0 {
		if err := keepCopy(ctx, db, path, target); err != nil {
			return fmt.Errorf("keep a copy before the migration: %w", storageError(err))
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", storageError(err))
	}
	return nil
}

// keepCopy writes a whole, synced copy of the file at path to path.before-N,
// or to path.before-N.2 and so on: a copy that is there stays.
func keepCopy(ctx context.Context, db *sql.DB, path string, target int64) error {
	part := path + ".copying"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	name := fmt.Sprintf("%s.before-%d", path, target)
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.before-%d.%d", path, target, n)
	}
	if err := os.Rename(part, name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// refuseNewer fails when a newer lastro has migrated this database.
func refuseNewer(ctx context.Context, db *sql.DB, d dialect) error {
	texts, err := schemaOf(d)
	if err != nil {
		return err
	}
	var known int64
	for number := range texts {
		known = max(known, number)
	}
	have, err := schemaVersion(ctx, db)
	if err != nil || have <= known {
		return err
	}
	hint := "install that lastro again, or restore the copy that it kept beside the database (docs/reference/database.md)"
	if d == postgresDialect {
		hint = "install that lastro again, or restore the pg_dump that was made before the newer one was started: pg_restore --clean (docs/reference/database.md)"
	}
	return &lastro.Error{Code: lastro.EErrored, ID: "L0401",
		Msg: fmt.Sprintf("this state was written by a newer lastro (schema %d, this one knows %d)", have, known), Hint: hint}
}

// schemaVersion returns the number of the last migration that a database has
// had; 0 for a new one.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var have sql.NullInt64
	err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&have)
	if isNoTable(err) {
		return 0, nil
	}
	return have.Int64, storageError(err)
}
