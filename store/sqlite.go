// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"modernc.org/sqlite"

	"lastro"
)

// purpose says what a connection to a SQLite file is for.
type purpose int

const (
	forReading purpose = iota
	forWriting
	forMigrating
)

// fdatasync lets SQLite's own syncs (at checkpoints) leave out what no reader
// of the file needs, its time of change; half the time on ext4.
var fdatasync = sync.OnceFunc(func() { _, _ = sqlite.Fdatasync(true) })

func openSQLite(path string, p purpose) (*sql.DB, error) {
	fdatasync()
	q := url.Values{}
	pragma := func(list ...string) {
		for _, p := range list {
			q.Add("_pragma", p)
		}
	}
	connections := 1
	switch p {
	case forReading:
		connections = 4
		pragma("busy_timeout(10000)", "query_only(1)")
	case forWriting:
		// sqliteWriter.begin goes on waiting for longer than this; the write-ahead
		// log is synced by its syncer.
		pragma("busy_timeout(1000)", "synchronous(NORMAL)")
	case forMigrating:
		pragma("busy_timeout(10000)", "synchronous(FULL)")
		q.Set("_txlock", "immediate")
	}
	pragma("journal_mode(WAL)", "foreign_keys(1)", "temp_store(MEMORY)")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections) // a closed connection would lose its prepared statements
	return db, nil
}

// sqliteWriter writes to a SQLite file through one connection, one transaction
// at a time. SQLite itself does not sync commits (synchronous=NORMAL), which
// never harms the file; the syncer does, once for all commits that wait, after
// their transactions have made room for the next.
type sqliteWriter struct {
	pool  *sql.DB
	conn  *sql.Conn
	turn  chan struct{} // holds a value while a transaction is under way
	stmts *statements
	sync  *syncer
	wal   *walFile
	bus   *bus

	gone    chan struct{} // closed when the database is
	closing sync.Once
	closed  error
}

func openSQLiteWriter(ctx context.Context, path string, b *bus) (_ *sqliteWriter, err error) {
	if err := migrateSQLite(ctx, path); err != nil {
		return nil, err
	}
	w := &sqliteWriter{turn: make(chan struct{}, 1), wal: &walFile{path: path + "-wal"}, bus: b, gone: make(chan struct{})}
	w.sync = newSyncer(w.wal.sync)
	if w.pool, err = openSQLite(path, forWriting); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(storageError(err), w.close())
		}
	}()
	if w.conn, err = w.pool.Conn(ctx); err != nil {
		return nil, err
	}
	w.stmts = newStatements(w.conn)
	var mode string
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0414", Msg: fmt.Sprintf("the file system of %s cannot hold the state database (no shared memory between processes)", path),
			Hint: "keep the state on a local disk: --data DIR; or in PostgreSQL: --db postgres://…"}
	}
	return w, nil
}

func (w *sqliteWriter) write(ctx context.Context, soon bool, fn func(*Tx) error) error {
	select {
	case w.turn <- struct{}{}:
	case <-w.gone:
		return sql.ErrConnDone
	case <-ctx.Done():
		return ctx.Err()
	}
	n, err := w.commit(ctx, fn)
	switch {
	case err != nil:
		return err
	case soon:
		w.sync.soon()
		return nil
	}
	return w.sync.wait(n)
}

// commit runs one transaction, gives the turn to the next and returns the number
// of its commit.
func (w *sqliteWriter) commit(ctx context.Context, fn func(*Tx) error) (n uint64, err error) {
	defer func() { <-w.turn }()
	if err := w.sync.failed(); err != nil {
		return 0, err
	}
	if err := w.begin(ctx); err != nil {
		return 0, err
	}
	done := false
	defer func() {
		if !done {
			_ = w.run("ROLLBACK")
		}
	}()
	tx := &Tx{conn: w.conn, stmts: w.stmts}
	if err := fn(tx); err != nil {
		return 0, err
	}
	if err := tx.storeEvents(ctx); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := w.run("COMMIT"); err != nil {
		return 0, err
	}
	done = true
	n = w.sync.committed()
	w.bus.publish(tx.events) // still within the turn: in order
	return n, nil
}

// busyLimit is how long a transaction waits for another process's.
const busyLimit = time.Minute

// begin takes the write lock of the file. Another process may hold it for a
// moment (a migration, a copy); waiting is safe, because nothing has been done.
func (w *sqliteWriter) begin(ctx context.Context) error {
	for start := time.Now(); ; {
		err := w.run("BEGIN IMMEDIATE")
		if !isBusy(err) || time.Since(start) > busyLimit {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// run runs a statement without arguments that is not interrupted.
func (w *sqliteWriter) run(query string) error {
	ctx := context.Background()
	stmt, err := w.stmts.get(ctx, query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx)
	return err
}

// close waits for the transaction under way, and syncs.
func (w *sqliteWriter) close() error {
	w.closing.Do(func() {
		w.turn <- struct{}{} // and keeps it
		close(w.gone)
		errs := []error{w.sync.close()}
		if w.conn != nil {
			w.stmts.close()
			errs = append(errs, w.conn.Close())
		}
		w.closed = errors.Join(append(errs, w.pool.Close(), w.wal.close())...)
	})
	return w.closed
}
