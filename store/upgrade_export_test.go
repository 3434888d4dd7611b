// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
)

// MigrateTo makes the database of a lastro that knew migrations up to a number.
func MigrateTo(ctx context.Context, target string, version int64) (err error) {
	var db *sql.DB
	d := sqliteDialect
	if IsURL(target) {
		d = postgresDialect
		config, cerr := parsePostgres(target, false)
		if cerr != nil {
			return cerr
		}
		db = openPool(config, 2)
	} else if db, err = openSQLite(target, forMigrating); err != nil {
		return err
	}
	p, err := provider(db, d)
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	return errors.Join(err, db.Close())
}
