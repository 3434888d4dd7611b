// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/store"
)

// recordOfDatabase is the file in the state directory that names the database
// which keeps this state when it is not the file beside it. So that no command
// looks into another one by mistake, and never with a password.
func (p Paths) recordOfDatabase() string { return filepath.Join(p.State, "database") }

// openDatabase opens the database that --db or LASTRO_DB name (a postgres:// URL
// or the path of a SQLite file), else the one that this state directory used
// last, else the file in it.
func openDatabase(ctx context.Context, o OpenOptions) (*store.DB, error) {
	target, err := o.database()
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		return store.OpenReadOnly(ctx, target)
	}
	db, err := store.Open(ctx, target)
	if err != nil {
		return nil, err
	}
	if err := o.Paths.recordDatabase(target); err != nil {
		return nil, errors.Join(diskError(err), db.Close())
	}
	return db, nil
}

func (o OpenOptions) database() (string, error) {
	recorded, err := o.Paths.recordedDatabase()
	if err != nil {
		return "", err
	}
	switch {
	case o.DB == "" && recorded != "":
		return recorded, nil
	case o.DB == "":
		return o.Paths.DB(), nil
	case store.IsURL(o.DB):
		return o.DB, nil
	case strings.Contains(o.DB, "://"):
		return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0415", Msg: "--db names neither a PostgreSQL database nor a file",
			Hint: "for example: --db postgres://lastro@db.example:5432/lastro"}
	}
	return filepath.Abs(o.DB)
}

func (p Paths) recordedDatabase() (string, error) {
	raw, err := os.ReadFile(p.recordOfDatabase())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), diskError(err)
}

// recordDatabase notes the database without its password.
func (p Paths) recordDatabase(target string) error {
	recorded, err := p.recordedDatabase()
	if target = store.Redact(target); err != nil || target == recorded || target == p.DB() && recorded == "" {
		return err
	}
	if target == p.DB() {
		return os.Remove(p.recordOfDatabase())
	}
	return os.WriteFile(p.recordOfDatabase(), []byte(target+"\n"), 0o600)
}
