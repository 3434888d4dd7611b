// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"

	"modernc.org/sqlite"

	"lastro"
)

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
