// SPDX-License-Identifier: Apache-2.0

// Package store keeps the state of every capability in one SQL database: one
// file a capability, SQL written once (SEMANTICS 26). It knows rows and
// transactions; rules about what may change belong to the capabilities.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lastro"
)

// DB is one open database: a SQLite file or a PostgreSQL database. It is safe
// for concurrent use.
type DB struct {
	writer writer // nil: opened for reading only
	reader *sql.DB
	reads  *statements // of the reader
	bus    *bus
}

// writer runs transactions on one kind of database.
type writer interface {
	// write runs fn in a transaction, appends the events that fn has emitted and
	// commits. It returns when the commit survives power loss; with soon, when
	// it survives kill -9.
	write(ctx context.Context, soon bool, fn func(*Tx) error, committed func([]lastro.Event)) error
	close() error
}

// Open opens the SQLite database at path, creating and migrating it as
// needed. A database of a newer lastro is refused; before an older one is
// migrated a copy is kept beside it (path + ".before-N").
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	w, err := openSQLiteWriter(ctx, path)
	if err != nil {
		return nil, err
	}
	reader, err := openSQLite(path, forReading)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return newDB(w, reader), nil
}

// OpenReadOnly opens an existing database for reading only, beside a process
// that holds it for writing. Write fails on it.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, &lastro.Error{Code: lastro.ENotFound, Msg: "there is no state here yet", Hint: "lastro run makes it", Err: err}
	}
	reader, err := openSQLite(path, forReading)
	if err != nil {
		return nil, err
	}
	if err := refuseNewer(ctx, reader); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return newDB(nil, reader), nil
}

func newDB(w writer, reader *sql.DB) *DB {
	return &DB{writer: w, reader: reader, reads: newStatements(reader), bus: newBus()}
}

// Close syncs what WriteSoon committed and closes the database.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	db.reads.close()
	return errors.Join(append(errs, db.reader.Close())...)
}

// Write runs fn in one transaction and commits the events with it. With an
// error from fn nothing is kept. When Write returns nil, the change survives
// power loss. Subscribers hear the events after the commit.
//
// On a shared database a transaction that lost its connection or a deadlock
// before its commit is run again: fn must not build on what an earlier call
// of it left in variables, and must not call Write.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error, events ...lastro.Event) error {
	return db.write(ctx, false, fn, events)
}

// WriteSoon is Write for what is frequent and can be made again (SEMANTICS 6):
// when it returns nil, the change survives kill -9 of this and every other
// process; it survives power loss at the latest 200 ms later. Changes survive
// in the order of their commits: never a later one without an earlier one.
func (db *DB) WriteSoon(ctx context.Context, fn func(*Tx) error, events ...lastro.Event) error {
	return db.write(ctx, true, fn, events)
}

func (db *DB) write(ctx context.Context, soon bool, fn func(*Tx) error, events []lastro.Event) error {
	if db.writer == nil {
		return lastro.Errorf(lastro.EErrored, "this database was opened for reading only")
	}
	return storageError(db.writer.write(ctx, soon, func(tx *Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		// Only now: fn may fill in what is known only within the transaction.
		return tx.Emit(ctx, events...)
	}, db.bus.publish))
}

// Tx is a write transaction.
type Tx struct {
	conn   *sql.Conn
	stmts  *statements
	events []lastro.Event // emitted, in order
}

// Emit appends events that are known only within the transaction; those that
// Write was given come after them.
func (t *Tx) Emit(ctx context.Context, events ...lastro.Event) error {
	for i := range events {
		if err := t.append(ctx, &events[i]); err != nil {
			return err
		}
	}
	return nil
}

// A statement of a transaction is not interrupted half way: it takes
// microseconds, and a driver that watches for the end of a context starts a
// goroutine for each. Between two statements the end counts.

// Exec runs one statement and returns how many rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx = context.WithoutCancel(ctx)
	var res sql.Result
	stmt, err := t.stmts.get(ctx, query)
	if err != nil {
		return 0, err
	}
	if stmt != nil {
		res, err = stmt.ExecContext(ctx, args...)
	} else {
		res, err = t.conn.ExecContext(ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// QueryRow reads one row within the transaction.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	if stmt, err := t.stmts.get(ctx, query); err == nil && stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return t.conn.QueryRowContext(ctx, query, args...)
}

// Query reads rows within the transaction.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if stmt, err := t.stmts.get(ctx, query); err != nil {
		return nil, err
	} else if stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return t.conn.QueryContext(ctx, query, args...)
}

// Query reads rows outside any transaction.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	stmt, err := db.reads.get(ctx, query)
	switch {
	case err != nil:
	case stmt != nil:
		rows, err = stmt.QueryContext(ctx, args...)
	default:
		rows, err = db.reader.QueryContext(ctx, query, args...)
	}
	return rows, storageError(err)
}

// QueryRow reads one row outside any transaction.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt, err := db.reads.get(ctx, query); err == nil && stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
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

// now is the wall clock in stored form; only housekeeping rows use it.
func now() int64 { return lastro.Micros(time.Now()) }
