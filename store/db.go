// SPDX-License-Identifier: Apache-2.0

// Package store keeps the state of every capability in one SQL database: one
// file a capability, SQL written once (SEMANTICS 26). It knows rows and
// transactions; rules about what may change belong to the capabilities.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"lastro"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is one open database. It is safe for concurrent use: writes go through
// one connection, reads through a small pool of others, because unthrottled
// readers starve SQLite's writer.
type DB struct {
	writer *sql.DB
	reader *sql.DB
	bus    *bus
}

// Tx is a write transaction.
type Tx struct{ tx *sql.Tx }

// Open opens the SQLite database at path, creating and migrating it as
// needed. A database of a newer lastro is refused; before an older one is
// migrated a copy is kept beside it (path + ".before-N").
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	db := &DB{bus: newBus()}
	var err error
	if db.writer, err = openSQLite(path, false); err != nil {
		return nil, err
	}
	db.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, db.writer, path); err != nil {
		db.writer.Close()
		return nil, err
	}
	if db.reader, err = openSQLite(path, true); err != nil {
		db.writer.Close()
		return nil, err
	}
	db.reader.SetMaxOpenConns(4)
	return db, nil
}

// OpenReadOnly opens an existing database for reading only, beside a process
// that holds it for writing. Write fails on it.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, &lastro.Error{Code: lastro.ENotFound, Msg: "there is no state here yet", Hint: "lastro run makes it", Err: err}
	}
	reader, err := openSQLite(path, true)
	if err != nil {
		return nil, err
	}
	if err := refuseNewer(ctx, reader); err != nil {
		reader.Close()
		return nil, err
	}
	return &DB{reader: reader, bus: newBus()}, nil
}

func openSQLite(path string, readOnly bool) (*sql.DB, error) {
	q := url.Values{}
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"} {
		q.Add("_pragma", p)
	}
	q.Set("_txlock", "immediate")
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Set("_txlock", "deferred")
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// Close closes the database.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.Close())
	}
	return errors.Join(append(errs, db.reader.Close())...)
}

// Write runs fn in one transaction and commits the events with it. With an
// error from fn nothing is kept. Subscribers hear the events after the commit.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error, events ...lastro.Event) error {
	if db.writer == nil {
		return lastro.Errorf(lastro.EErrored, "this database was opened for reading only")
	}
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return storageError(err)
	}
	defer tx.Rollback()
	t := &Tx{tx}
	if err := fn(t); err != nil {
		return storageError(err)
	}
	for i := range events {
		if err := t.append(ctx, &events[i]); err != nil {
			return storageError(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return storageError(err)
	}
	db.bus.publish(events)
	return nil
}

// Exec runs one statement.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// QueryRow reads one row within the transaction.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// Query reads rows within the transaction.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// Query reads rows outside any transaction.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := db.reader.QueryContext(ctx, query, args...)
	return rows, storageError(err)
}

// QueryRow reads one row outside any transaction.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return db.reader.QueryRowContext(ctx, query, args...)
}

// collect scans every row with scan; it closes rows.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// notFound turns "no rows" into a lastro error that names what was asked for.
func notFound(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return lastro.Errorf(lastro.ENotFound, format, args...)
	}
	return err
}

// isUnique reports whether err is a violated UNIQUE or PRIMARY KEY constraint.
func isUnique(err error) bool {
	var e *sqlite.Error
	// 1555 SQLITE_CONSTRAINT_PRIMARYKEY, 2067 SQLITE_CONSTRAINT_UNIQUE.
	return errors.As(err, &e) && (e.Code() == 1555 || e.Code() == 2067)
}

// storageError names what a person can mend: a full or read-only disk.
func storageError(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case code&0xff == 13, code == 4874: // SQLITE_FULL, SQLITE_IOERR_SHMSIZE: no room for the index of the log
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be recorded",
			Hint: "free some space (lastro keeps its state in .lastro), then run the same command again", Err: err}
	case code&0xff == 10: // SQLITE_IOERR
		return &lastro.Error{Code: lastro.EErrored, ID: "L0413", Msg: "the disk refused to read or write the state database",
			Hint: "check that it has space and is sound (df, dmesg), then run the same command again", Err: err}
	case code&0xff == 8: // SQLITE_READONLY
		return &lastro.Error{Code: lastro.EErrored, ID: "L0411", Msg: "the state directory cannot be written", Hint: "check its owner and mode", Err: err}
	case code&0xff == 11, code&0xff == 26: // SQLITE_CORRUPT, SQLITE_NOTADB
		return &lastro.Error{Code: lastro.EErrored, ID: "L0412", Msg: "the state database is damaged", Hint: "restore a backup of .lastro/lastro.db", Err: err}
	}
	return err
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files)
}

func migrate(ctx context.Context, db *sql.DB, path string) error {
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

// now is the wall clock in stored form; only housekeeping rows use it.
func now() int64 { return lastro.Micros(time.Now()) }
