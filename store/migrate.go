// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"

	"lastro"
)

//go:embed migrations/*.sql
var migrations embed.FS

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files)
}

// migrateSQLite brings a file to this lastro's schema. Before one of an older
// lastro is changed a copy is kept beside it: path + ".before-N".
func migrateSQLite(ctx context.Context, path string) error {
	db, err := openSQLite(path, forMigrating)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := refuseNewer(ctx, db); err != nil {
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
		copyTo := fmt.Sprintf("%s.before-%d", path, target)
		if _, err := os.Stat(copyTo); err != nil {
			if _, err := db.ExecContext(ctx, "VACUUM INTO ?", copyTo); err != nil {
				return fmt.Errorf("keep a copy before the migration: %w", storageError(err))
			}
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", storageError(err))
	}
	return nil
}

// refuseNewer fails when a newer lastro has migrated this database.
func refuseNewer(ctx context.Context, db *sql.DB) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	var known int64
	for _, e := range entries {
		if v, err := goose.NumericComponent(e.Name()); err == nil {
			known = max(known, v)
		}
	}
	var have sql.NullInt64
	err = db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&have)
	if err != nil {
		if sqliteErr := storageError(err); lastro.Is(sqliteErr, lastro.EErrored) && sqliteErr != err {
			return sqliteErr
		}
		return nil // no migration table yet: a new database
	}
	if have.Int64 > known {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0401",
			Msg:  fmt.Sprintf("this state was written by a newer lastro (schema %d, this one knows %d)", have.Int64, known),
			Hint: "install that lastro again, or restore the copy that it kept beside the database"}
	}
	return nil
}
