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
	dialect dialect
	writer  writer // nil: opened for reading only
	reader  *sql.DB
	reads   *statements // of the reader; nil where the driver keeps them
	bus     *bus

	follower   follower // where other processes write
	keys       keyCache // names of tracking
	tails      tails    // of tracked runs
	committers [postgresCommitters]committer
}

// writer runs transactions on one kind of database.
type writer interface {
	// write runs fn in a transaction, appends the events that fn has emitted and
	// commits. It returns when the commit survives power loss; with soon, when
	// it survives kill -9.
	write(ctx context.Context, soon bool, fn func(*Tx) error) error
	close() error
}

// Open opens a database, creating and migrating its tables as needed: a SQLite
// file when target is a path, a PostgreSQL database when it is a URL
// (postgres://…). A database of a newer lastro is refused; before a SQLite file
// of an older one is migrated a copy is kept beside it (path + ".before-N").
func Open(ctx context.Context, target string) (*DB, error) {
	if IsURL(target) {
		return openPostgres(ctx, target)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	db := newDB(sqliteDialect)
	w, err := openSQLiteWriter(ctx, target, db.bus)
	if err != nil {
		return nil, err
	}
	db.writer = w
	if err := db.readFrom(openSQLite(target, forReading)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return db, nil
}

// OpenReadOnly opens an existing database for reading only, beside processes
// that write it. Write fails on it.
func OpenReadOnly(ctx context.Context, target string) (*DB, error) {
	if IsURL(target) {
		return openPostgresReadOnly(ctx, target)
	}
	if _, err := os.Stat(target); err != nil {
		return nil, noState(err)
	}
	db := newDB(sqliteDialect)
	if err := db.readFrom(openSQLite(target, forReading)); err != nil {
		return nil, err
	}
	if err := refuseNewer(ctx, db.reader, sqliteDialect); err != nil {
		return nil, errors.Join(err, db.reader.Close())
	}
	return db, nil
}

func noState(err error) error {
	return &lastro.Error{Code: lastro.ENotFound, Msg: "there is no state here yet", Hint: "lastro run makes it", Err: err}
}

func newDB(d dialect) *DB { return &DB{dialect: d, bus: newBus()} }

// readFrom sets the pool of connections that read.
func (db *DB) readFrom(reader *sql.DB, err error) error {
	db.reader = reader
	if db.dialect == sqliteDialect {
		db.reads = newStatements(reader)
	}
	return err
}

// Shared reports whether other processes may write this database too, as with
// PostgreSQL. A SQLite file has one writing process.
func (db *DB) Shared() bool { return db.dialect == postgresDialect }

// Close syncs what WriteSoon committed and closes the database.
func (db *DB) Close() error {
	db.follower.close()
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.reads != nil {
		db.reads.close()
	}
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
	return db.write(ctx, !syncAll, fn, events)
}

// syncAll makes WriteSoon the same as Write, for who trusts his power less than
// 200 ms, and for the benchmark that says what that costs.
var syncAll = os.Getenv("LASTRO_SYNC") == "all"

func (db *DB) write(ctx context.Context, soon bool, fn func(*Tx) error, events []lastro.Event) error {
	if db.writer == nil {
		return lastro.Errorf(lastro.EErrored, "this database was opened for reading only")
	}
	return storageError(db.writer.write(ctx, soon, func(tx *Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		tx.Emit(events...) // only now: fn may fill in what is known only within the transaction
		return nil
	}))
}

// Tx is a write transaction.
type Tx struct {
	dialect dialect
	conn    session
	stmts   *statements    // nil where the driver keeps them
	events  []lastro.Event // emitted, in order
	writes  int            // statements that may have changed something
	pending pending        // to be written before the commit
}

// Emit adds events that are known only within the transaction. They are
// stored, and get their numbers, just before the commit.
func (t *Tx) Emit(events ...lastro.Event) { t.events = append(t.events, events...) }

// Lock waits until no other transaction holds the name, and holds it until the
// end of this one. What reads rows and then writes what follows from them takes
// the name of these rows first, such as "model:churn"; a transaction that takes
// several takes them in ascending order. On SQLite, where one transaction runs at
// a time, it does nothing.
func (t *Tx) Lock(ctx context.Context, name string) error {
	if t.dialect == sqliteDialect {
		return nil
	}
	return advisoryLock(ctx, t, name)
}

// Exec runs one statement and returns how many rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t.writes++
	res, err := t.run().exec(t.patience(ctx), query, args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// QueryRow reads one row within the transaction.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.run().row(t.patience(ctx), query, args)
}

// Query reads rows within the transaction.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.run().rows(t.patience(ctx), query, args)
}

func (t *Tx) run() runner { return runner{t.dialect, t.conn, t.stmts} }

// patience keeps a statement of SQLite from being interrupted half way: it
// takes microseconds, and to watch for the end of a context costs a goroutine
// for each. Between two statements the end counts.
func (t *Tx) patience(ctx context.Context) context.Context {
	if t.dialect == sqliteDialect && ctx.Err() == nil {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// Query reads rows outside any transaction.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	var rows *sql.Rows
	err := db.again(ctx, func() (err error) {
		rows, err = db.read().rows(ctx, query, args)
		return err
	})
	return rows, storageError(err)
}

// QueryRow reads one row outside any transaction.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	var row *sql.Row
	_ = db.again(ctx, func() error {
		row = db.read().row(ctx, query, args)
		return row.Err()
	})
	return row
}

// again repeats a read that lost its connection, which is safe: at once as
// often as the pool may hold dead connections, then until the server is back.
func (db *DB) again(ctx context.Context, read func() error) error {
	err := read()
	if !isLost(err) {
		return err
	}
	deadline := time.Now().Add(reconnectFor)
	for n := 0; isLost(err) && ctx.Err() == nil && time.Now().Before(deadline); n++ {
		if n > postgresReaders {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(100 * time.Millisecond):
			}
		}
		err = read()
	}
	return err
}

func (db *DB) read() runner { return runner{db.dialect, db.reader, db.reads} }

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
