// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"lastro"
)

// Connections of one process to PostgreSQL, at most. Several engines share a
// server whose usual limit is 100.
const (
	postgresWriters = 6
	postgresReaders = 4
)

// idleInTransaction is how long a process may stop in the middle of a
// transaction before the server ends it; what the process did in it is undone,
// and others no longer wait for its locks.
const idleInTransaction = 10 * time.Second

// reconnectFor is how long a transaction tries to reach the server again.
const reconnectFor = 10 * time.Second

// IsURL reports whether a target of Open is a PostgreSQL database, else it is a path.
func IsURL(target string) bool {
	return strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://")
}

// Redact returns a target of Open as it may be printed and kept: without
// passwords. It names the same database.
func Redact(target string) string {
	if !IsURL(target) {
		return target
	}
	u, err := url.Parse(target)
	if err != nil {
		scheme, _, _ := strings.Cut(target, ":")
		return scheme + "://…" // who knows which part of it is the password
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func parsePostgres(target string, readOnly bool) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(target)
	if err != nil { // its text may hold the password
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0415", Msg: "the address of the database cannot be read",
			Hint: "it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE, where a special character of the password is written as %XX"}
	}
	set := func(name, value string) {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	set("application_name", "lastro")
	set("idle_in_transaction_session_timeout", fmt.Sprint(idleInTransaction.Milliseconds()))
	if readOnly {
		set("default_transaction_read_only", "on")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	return config, nil
}

func openPool(config *pgx.ConnConfig, connections int) *sql.DB {
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

func openPostgres(ctx context.Context, target string) (_ *DB, err error) {
	config, err := parsePostgres(target, false)
	if err != nil {
		return nil, err
	}
	db := newDB(postgresDialect)
	w := &postgresWriter{pool: openPool(config, postgresWriters), heard: db.follower.wake}
	w.sync = newSyncer(w.flush)
	db.writer = w
	defer func() {
		if err != nil {
			err = errors.Join(storageError(err), w.close())
		}
	}()
	if err := checkServer(ctx, w.pool); err != nil {
		return nil, err
	}
	if err := migratePostgres(ctx, w.pool); err != nil {
		return nil, err
	}
	return db, db.openPostgresReader(target)
}

func openPostgresReadOnly(ctx context.Context, target string) (*DB, error) {
	db := newDB(postgresDialect)
	if err := db.openPostgresReader(target); err != nil {
		return nil, err
	}
	err := checkServer(ctx, db.reader)
	if err == nil {
		err = refuseNewer(ctx, db.reader, postgresDialect)
	}
	if err == nil {
		if version, _ := schemaVersion(ctx, db.reader); version == 0 {
			err = noState(nil)
		}
	}
	if err != nil {
		return nil, errors.Join(storageError(err), db.reader.Close())
	}
	return db, nil
}

func (db *DB) openPostgresReader(target string) error {
	config, err := parsePostgres(target, true)
	if err != nil {
		return err
	}
	return db.readFrom(openPool(config, postgresReaders), nil)
}

// checkServer refuses what would fail later, in a way that is hard to read.
func checkServer(ctx context.Context, pool *sql.DB) error {
	var version int
	var encoding string
	err := pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding)
	if err != nil {
		return err
	}
	if version < 13_00_00 {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0416", Msg: fmt.Sprintf("this is PostgreSQL %d", version/10000), Hint: "lastro needs PostgreSQL 13 or newer"}
	}
	if encoding != "UTF8" {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0416", Msg: "this database keeps text as " + encoding,
			Hint: "make another one: createdb --encoding UTF8 --template template0 lastro"}
	}
	return nil
}

// postgresWriter writes to PostgreSQL. Transactions run side by side at READ
// COMMITTED; Tx.Lock orders those that read before they write.
type postgresWriter struct {
	pool  *sql.DB
	sync  *syncer
	heard func() // told of each commit with events
}

func (w *postgresWriter) write(ctx context.Context, soon bool, fn func(*Tx) error) error {
	deadline := time.Now().Add(reconnectFor)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		again, err := w.attempt(ctx, soon, fn)
		if err == nil {
			if soon {
				w.sync.committed()
				w.sync.soon()
			}
			return nil
		}
		if !again || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// attempt runs the transaction once. again says that nothing of it was kept
// and that it may well succeed when it is run once more.
func (w *postgresWriter) attempt(ctx context.Context, soon bool, fn func(*Tx) error) (again bool, err error) {
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return isLost(err), err
	}
	defer conn.Close()
	xid, err := begin(ctx, conn, soon)
	if err != nil {
		return isLost(err), err
	}
	ended := false
	defer func() {
		if !ended {
			_, _ = simple(context.WithoutCancel(ctx), conn, "ROLLBACK")
		}
	}()
	tx := &Tx{dialect: postgresDialect, conn: conn}
	err = fn(tx)
	if err == nil {
		err = tx.storeEvents(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return isRace(err) || isClosed(conn), err
	}
	ended = true
	if again, err = w.commit(ctx, conn, xid); err == nil && len(tx.events) > 0 {
		w.heard()
	}
	return again, err
}

// begin starts a transaction and returns its identity, in one round trip.
func begin(ctx context.Context, conn *sql.Conn, soon bool) (xid string, err error) {
	text := "BEGIN; SELECT pg_current_xact_id()"
	if soon {
		text = "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_current_xact_id()"
	}
	results, err := simple(ctx, conn, text)
	if err != nil {
		return "", err
	}
	last := results[len(results)-1]
	if len(last.Rows) != 1 || len(last.Rows[0]) != 1 {
		return "", errors.New("PostgreSQL did not name the transaction")
	}
	return string(last.Rows[0][0]), nil
}

// commit ends the transaction. When the connection is lost meanwhile, the
// server is asked over another one what became of it.
func (w *postgresWriter) commit(ctx context.Context, conn *sql.Conn, xid string) (again bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*reconnectFor)
	defer cancel()
	results, err := simple(ctx, conn, "COMMIT")
	if err == nil {
		if tag := results[0].CommandTag.String(); tag != "COMMIT" {
			return false, fmt.Errorf("the transaction ended with %s: a statement of it had failed", tag)
		}
		return false, nil
	}
	if !isLost(err) && !isClosed(conn) {
		_, _ = simple(ctx, conn, "ROLLBACK")
		return isRace(err), err
	}
	return w.outcome(ctx, xid, err)
}

// outcome asks what became of a transaction whose commit was not answered.
func (w *postgresWriter) outcome(ctx context.Context, xid string, lost error) (again bool, err error) {
	unknown := &lastro.Error{Code: lastro.EErrored, ID: "L0417", Msg: "the connection to PostgreSQL was lost while a change was committed, and the server did not come back to say whether it was kept",
		Hint: "look whether it is there before you make it again", Err: lost}
	for deadline := time.Now().Add(reconnectFor); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var status sql.NullString
		err := w.pool.QueryRowContext(ctx, "SELECT pg_xact_status($1::text::xid8)", xid).Scan(&status)
		switch {
		case err != nil && !isLost(err):
			return false, unknown
		case err != nil:
			continue
		case status.String == "committed":
			return false, nil
		case status.String == "aborted":
			return true, lost
		}
	}
	return false, unknown
}

// flush makes the server sync its log as far as it has written it, with a
// message that means nothing. A failure needs no care: the server does the same
// by itself within three times its wal_writer_delay.
func (w *postgresWriter) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = w.pool.ExecContext(ctx, "SELECT pg_logical_emit_message(true, 'lastro', '')")
	return nil
}

func (w *postgresWriter) close() error {
	return errors.Join(w.sync.close(), w.pool.Close())
}

// simple runs statements without arguments in one round trip.
func simple(ctx context.Context, conn *sql.Conn, text string) (results []*pgconn.Result, err error) {
	err = conn.Raw(func(driverConn any) error {
		results, err = driverConn.(*stdlib.Conn).Conn().PgConn().Exec(ctx, text).ReadAll()
		return err
	})
	return results, err
}

// isClosed reports whether the connection is gone.
func isClosed(conn *sql.Conn) bool {
	closed := true
	_ = conn.Raw(func(driverConn any) error {
		closed = driverConn.(*stdlib.Conn).Conn().IsClosed()
		return nil
	})
	return closed
}

// advisoryLock holds a name until the end of the transaction. The lock is a
// number, the first 8 bytes of the name's SHA-256.
func advisoryLock(ctx context.Context, tx *Tx, name string) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(?)`, lockNumber(name))
	return err
}

func lockNumber(name string) int64 {
	sum := sha256.Sum256([]byte("lastro " + name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// migratePostgres brings the tables to this lastro's schema. Processes that
// start at once wait for each other.
func migratePostgres(ctx context.Context, pool *sql.DB) error {
	if err := refuseNewer(ctx, pool, postgresDialect); err != nil {
		return err
	}
	p, err := provider(pool, postgresDialect)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // with the lock
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockNumber("migrate")); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", lockNumber("migrate"))
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}
