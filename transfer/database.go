// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"lastro"
)

// Database is MLflow's SQLite file. It is opened for reading only, and a server
// may go on writing it: every page is a read of its own, so that the server
// never waits long.
type Database struct {
	db      *sql.DB
	path    string
	schema  string          // alembic's name of it
	columns map[string]bool // "table.column"
	folders folders
}

// schemas are the names that releases of MLflow give their tables.
var schemas = map[string]string{
	"0584bdc529eb": "2.22",
	"dc11669786a5": "3.17",
}

// OpenDatabase opens MLflow's database file at path. artifacts is the folder
// where its server keeps the artifacts ("" = beside the file, where servers
// started there put them).
func OpenDatabase(ctx context.Context, path, artifacts string) (*Database, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0760", Msg: fmt.Sprintf("%s is not a file", path),
			Hint: "name MLflow's database file, such as mlflow.db, or the address of its server: http://host:5000", Err: err}
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Database{path: full, columns: map[string]bool{}}
	if d.db, err = openReading(ctx, full); err != nil {
		return nil, d.unreadable(err)
	}
	if err := errors.Join(d.learn(ctx), ctx.Err()); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if d.folders, err = openFolders(filepath.Dir(full), artifacts); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// openReading opens a SQLite file for reading. A file in a folder that nobody
// may write, left behind in WAL mode, can only be read as one that never changes.
func openReading(ctx context.Context, path string) (*sql.DB, error) {
	var err error
	for _, more := range []string{"", "&immutable=1"} {
		var db *sql.DB
		address := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
		if db, err = sql.Open("sqlite", address+"?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(20000)"+more); err != nil {
			return nil, err
		}
		var n int
		if err = db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&n); err == nil {
			return db, nil
		}
		db.Close()
	}
	return nil, err
}

func (d *Database) unreadable(err error) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0761", Msg: fmt.Sprintf("%s cannot be read as MLflow's database", d.path),
		Hint: "name the SQLite file of `mlflow server --backend-store-uri sqlite:///FILE`; for another database start its server and give the address", Err: err}
}

// learn finds out which tables and columns there are, and refuses what is not
// MLflow's or older than 2.0.
func (d *Database) learn(ctx context.Context) error {
	err := d.each(ctx, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'`, nil, func(r *sql.Rows) error {
		var table, column string
		err := r.Scan(&table, &column)
		d.columns[table+"."+column] = true
		return err
	})
	if err != nil {
		return d.unreadable(err)
	}
	if !d.has("runs.run_uuid") || !d.has("experiments.experiment_id") {
		return d.unreadable(errors.New("it has no tables of MLflow"))
	}
	if d.has("alembic_version.version_num") {
		if err := d.db.QueryRowContext(ctx, `SELECT version_num FROM alembic_version LIMIT 1`).Scan(&d.schema); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return d.unreadable(err)
		}
	}
	if !d.has("experiments.creation_time") || !d.has("runs.deleted_time") {
		return &lastro.Error{Code: lastro.EUnsupported, ID: "L0762", Msg: fmt.Sprintf("%s was written by an MLflow before 2.0 (schema %s)", d.path, d.schema),
			Hint: "copy it, and bring the copy to a newer schema: mlflow db upgrade sqlite:///COPY"}
	}
	return nil
}

func (d *Database) has(column string) bool { return d.columns[column] }

// column is a column where the schema has it, and a constant where it does not.
func (d *Database) column(table, column, otherwise string) string {
	if d.has(table + "." + column) {
		return table + "." + column
	}
	return otherwise
}

// About implements Source.
func (d *Database) About() About {
	a := About{Where: d.path, Software: "MLflow's database"}
	if release := schemas[d.schema]; release != "" {
		a.Software = "database of MLflow " + release
	} else if d.schema != "" {
		a.Notes = append(a.Notes, fmt.Sprintf("schema %s is none that this lastro was tested with; it is read by the columns that it has", d.schema))
	}
	for _, what := range []struct{ table, kind, why string }{
		{"evaluation_datasets", "evaluation datasets", "they are not moved yet"},
		{"scorers", "scorers", "lastro has none"},
		{"endpoints", "gateway endpoints", "lastro is no gateway"},
		{"webhooks", "webhooks", "they would call from two places at once; make them again where they should call from"},
	} {
		a.leave(what.kind, d.count(what.table, ""), what.why)
	}
	if d.has("logged_models.lifecycle_stage") {
		a.leave("deleted logged models", d.count("logged_models", `lifecycle_stage = 'deleted'`), "MLflow cannot restore them either")
	}
	if d.has("experiments.workspace") {
		a.leave("experiments of other workspaces", d.count("experiments", `workspace <> 'default'`), "lastro has no workspaces; their names could be taken")
		a.leave("models of other workspaces", d.count("registered_models", `workspace <> 'default'`), "lastro has no workspaces; their names could be taken")
	}
	return a
}

func (a *About) leave(kind string, n int, why string) {
	if n > 0 {
		a.Left = append(a.Left, Left{kind, n, why})
	}
}

// count counts rows; 0 for a table that is not there.
func (d *Database) count(table, where string) int {
	if where == "" {
		where = "1 = 1"
	}
	var n int
	if d.db.QueryRow(`SELECT COUNT(*) FROM `+table+` WHERE `+where).Scan(&n) != nil {
		return 0
	}
	return n
}

// Close implements Source.
func (d *Database) Close() error { return errors.Join(d.folders.close(), d.db.Close()) }

// each calls scan for the rows of a query.
func (d *Database) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// whole reads the rows of a query into memory, so that no read is open while
// they are worked on.
func whole[T any](ctx context.Context, d *Database, query string, args []any, scan func(*sql.Rows) (T, error)) (out []T, err error) {
	err = d.each(ctx, query, args, func(r *sql.Rows) error {
		v, err := scan(r)
		out = append(out, v)
		return err
	})
	return out, err
}

// marked is the text of so many arguments, for IN.
func marked(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// millis is a column of milliseconds; NULL and 0 are the zero time.
func millis(v sql.NullInt64) time.Time {
	if !v.Valid || v.Int64 == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v.Int64).UTC()
}
