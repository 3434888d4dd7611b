// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"lastro"
)

// isUnique reports whether err is a violated UNIQUE or PRIMARY KEY constraint.
// On PostgreSQL the transaction is lost with it: return from it.
func isUnique(err error) bool {
	if code := pgCode(err); code != "" {
		return code == "23505"
	}
	var e *sqlite.Error
	// 1555 SQLITE_CONSTRAINT_PRIMARYKEY, 2067 SQLITE_CONSTRAINT_UNIQUE.
	return errors.As(err, &e) && (e.Code() == 1555 || e.Code() == 2067)
}

// isForeign reports whether err is a row that points at one that is not there.
// On PostgreSQL the transaction is lost with it: return from it.
func isForeign(err error) bool {
	if code := pgCode(err); code != "" {
		return code == "23503"
	}
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == 787 // SQLITE_CONSTRAINT_FOREIGNKEY
}

// isBusy reports whether another process had a SQLite file.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == 5 // SQLITE_BUSY and its kinds
}

// isNoTable reports whether a statement named a table that is not there.
func isNoTable(err error) bool {
	var e *sqlite.Error
	return pgCode(err) == "42P01" || errors.As(err, &e) && e.Code() == 1 && strings.Contains(e.Error(), "no such table")
}

// pgCode returns the SQLSTATE of an answer of PostgreSQL, or "".
func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isRace reports whether PostgreSQL undid a transaction because of another
// one: it may be run again.
func isRace(err error) bool {
	code := pgCode(err)
	return code == "40001" || code == "40P01" // serialization_failure, deadlock_detected
}

// isLost reports whether err is that of a connection to PostgreSQL that broke or
// of a server that is not there for the moment, rather than its answer.
func isLost(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case strings.HasPrefix(e.Code, "57P"), e.Code == "53300": // shutdown, restart; too many connections
			return true
		case e.Code == "25P03": // idle_in_transaction_session_timeout: this process was stopped
			return true
		}
		return strings.HasPrefix(e.Code, "08")
	}
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !pgconn.Timeout(err) {
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err)
}

func diskFull(err error, place string) error {
	return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be recorded",
		Hint: "free some space (" + place + "), then run the same command again", Err: err}
}

// storageError names what a person can mend: a full or read-only disk, a server
// that is not there. An error that names it already stays.
func storageError(err error) error {
	if err == nil {
		return nil
	}
	var named *lastro.Error
	if errors.As(err, &named) {
		return err
	}
	var e *sqlite.Error
	if errors.As(err, &e) {
		return sqliteError(err, e.Code())
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return diskFull(err, "lastro keeps its state in .lastro")
	case errors.Is(err, syscall.EIO):
		return diskRefused(err)
	}
	return postgresError(err)
}

func diskRefused(err error) error {
	return &lastro.Error{Code: lastro.EErrored, ID: "L0413", Msg: "the disk refused to read or write the state database",
		Hint: "check that it has space and is sound (df, dmesg), then run the same command again", Err: err}
}

func sqliteError(err error, code int) error {
	switch {
	case code&0xff == 13, code == 4874: // SQLITE_FULL, SQLITE_IOERR_SHMSIZE: no room for the index of the log
		return diskFull(err, "lastro keeps its state in .lastro")
	case code&0xff == 10: // SQLITE_IOERR
		return diskRefused(err)
	case code&0xff == 8: // SQLITE_READONLY
		return &lastro.Error{Code: lastro.EErrored, ID: "L0411", Msg: "the state directory cannot be written", Hint: "check its owner and mode", Err: err}
	case code&0xff == 11, code&0xff == 26: // SQLITE_CORRUPT, SQLITE_NOTADB
		return &lastro.Error{Code: lastro.EErrored, ID: "L0412", Msg: "the state database is damaged", Hint: "restore a backup of .lastro/lastro.db", Err: err}
	}
	return err
}

func postgresError(err error) error {
	errored := func(id, msg, hint string) error {
		return &lastro.Error{Code: lastro.EErrored, ID: id, Msg: msg, Hint: hint, Err: err}
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		if isLost(err) {
			return errored("L0418", "PostgreSQL cannot be reached", "check that it runs and that the host and port in --db are right")
		}
		return err
	}
	switch code := answer.Code; {
	case code == "53100": // disk_full
		return diskFull(err, "PostgreSQL's data directory")
	case code == "22021", code == "22P05": // character_not_in_repertoire, untranslatable_character
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0419", Msg: "PostgreSQL keeps UTF-8 text without zero bytes; something that was sent is not", Hint: "send it in UTF-8", Err: err}
	case strings.HasPrefix(code, "28"): // invalid_authorization_specification
		return errored("L0418", "PostgreSQL refused the login", "check user and password in --db, LASTRO_DB or ~/.pgpass")
	case code == "3D000": // invalid_catalog_name
		return errored("L0418", "PostgreSQL has no such database", "make it: createdb --encoding UTF8 --template template0 NAME")
	case code == "42501": // insufficient_privilege
		return errored("L0411", "the PostgreSQL user may not make or change lastro's tables", "make the user the owner of the database: ALTER DATABASE NAME OWNER TO USER")
	case code == "25006": // read_only_sql_transaction
		return errored("L0411", "this PostgreSQL takes no changes (a standby?)", "name the primary in --db")
	case isLost(err):
		return errored("L0418", "PostgreSQL is not there for the moment", "wait until it runs again, then run the same command again")
	}
	return fmt.Errorf("PostgreSQL: %w", err)
}
