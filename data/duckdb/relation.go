// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"lastro"
	"lastro/data"
)

// relation is a table of the session: what a data.Table became.
type relation struct {
	name    string // of the view or table, an identifier that needs no quotes
	columns []data.SchemaColumn
	format  string
	raw     string // CSV under a contract: the view that has the unparsed text too; "" otherwise
}

// column finds a column by its name, else by its name in another case.
func (r relation) column(name string) (data.SchemaColumn, bool) {
	for _, c := range r.columns {
		if c.Name == name {
			return c, true
		}
	}
	for _, c := range r.columns {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return data.SchemaColumn{}, false
}

// want is column with the error that a person needs when it is not there.
func (r relation) want(name string) (data.SchemaColumn, error) {
	if c, ok := r.column(name); ok {
		return c, nil
	}
	names := r.names()
	e := &lastro.Error{Code: lastro.EFailed, ID: "L0533", Msg: fmt.Sprintf("the data has no column %q", name), Hint: "it has " + strings.Join(names[:min(len(names), 30)], ", ")}
	if near := lastro.Nearest(name, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s? %s", near, e.Hint)
	}
	return data.SchemaColumn{}, e
}

func (r relation) wantAll(names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, n := range names {
		c, err := r.want(n)
		if err != nil {
			return nil, err
		}
		out[i] = c.Name
	}
	return out, nil
}

func (r relation) names() []string {
	out := make([]string, len(r.columns))
	for i, c := range r.columns {
		out[i] = c.Name
	}
	return out
}

// load makes the relation of a table, narrowed by its window and filters.
func (s *session) load(t data.Table) (relation, error) {
	rel, err := s.source(t)
	if err != nil {
		return rel, err
	}
	var conditions []string
	if t.Window.Column != "" {
		cond, err := rel.within(t.Window)
		if err != nil {
			return rel, err
		}
		conditions = append(conditions, cond)
	}
	for _, f := range t.Filters {
		c, err := rel.want(f.Column)
		if err != nil {
			return rel, err
		}
		if len(f.In) == 0 {
			conditions = append(conditions, "false")
			continue
		}
		conditions = append(conditions, asText(c)+" IN ("+texts(f.In)+")")
	}
	if t.Where != "" {
		if err := s.readOnly("SELECT 1 FROM " + rel.name + " WHERE (\n" + t.Where + "\n)"); err != nil {
			return rel, err
		}
		conditions = append(conditions, "(\n"+t.Where+"\n)")
	}
	if len(conditions) == 0 {
		return rel, nil
	}
	narrowed := s.name()
	if err := s.exec("CREATE VIEW " + narrowed + " AS SELECT * FROM " + rel.name + " WHERE " + strings.Join(conditions, " AND ")); err != nil {
		return rel, err
	}
	rel.name, rel.raw = narrowed, ""
	return rel, nil
}

// loadFor is load for a table that is copied to the files at paths. From CSV
// to CSV values stay the text that they are: 007 does not become 7.
func (s *session) loadFor(t data.Table, paths ...string) (relation, error) {
	s.verbatim = true
	for _, p := range paths {
		s.verbatim = s.verbatim && (p == "" || formats[strings.ToLower(filepath.Ext(p))] == csv)
	}
	defer func() { s.verbatim = false }()
	return s.load(t)
}

// source makes the relation of all rows of the table's files.
func (s *session) source(t data.Table) (relation, error) {
	set, ok := s.sets[tableKey(t)]
	if !ok {
		return relation{}, fmt.Errorf("table %v was not opened", t.Files)
	}
	if t.Log {
		return s.loadLog(set, t.Window)
	}
	from, err := set.reader(s.verbatim)
	if err != nil {
		return relation{}, err
	}
	rel := relation{name: s.name()}
	rel.format, _ = set.format()
	// Text is parsed once; Parquet is read column by column where it lies.
	how := "CREATE TABLE "
	if rel.format == parquet {
		how = "CREATE VIEW "
	}
	if err := s.exec(how + rel.name + " AS SELECT * FROM " + from); err != nil {
		return rel, err
	}
	rel.columns, err = s.describe(rel.name)
	return rel, err
}

// describe lists the columns of a relation.
func (s *session) describe(name string) ([]data.SchemaColumn, error) {
	var out []data.SchemaColumn
	err := s.each("SELECT column_name, column_type FROM (DESCRIBE "+name+")", func(rows *sql.Rows) error {
		var c data.SchemaColumn
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return err
		}
		c.Logical = logical(c.Type)
		out = append(out, c)
		return nil
	})
	return out, err
}

// logical maps DuckDB's types to ODCS's.
func logical(t string) string {
	switch {
	case strings.HasSuffix(t, "]"):
		return "array"
	case strings.HasPrefix(t, "STRUCT"), strings.HasPrefix(t, "MAP"), strings.HasPrefix(t, "UNION"):
		return "object"
	case strings.HasPrefix(t, "DECIMAL"), t == "DOUBLE", t == "FLOAT":
		return "number"
	case strings.HasPrefix(t, "TIMESTAMP"):
		return "timestamp"
	case strings.HasPrefix(t, "TIME"):
		return "time"
	}
	switch t {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT":
		return "integer"
	case "BOOLEAN":
		return "boolean"
	case "DATE":
		return "date"
	case `"NULL"`, "NULL":
		return "null"
	}
	return "string"
}

// asText spells a value as people and other tools do: whole numbers without a
// point.
func asText(c data.SchemaColumn) string {
	if c.Logical == "number" {
		id := ident(c.Name)
		return fmt.Sprintf("CASE WHEN isfinite(%[1]s::DOUBLE) AND %[1]s = trunc(%[1]s) AND abs(%[1]s) < 1e15 THEN CAST(CAST(%[1]s AS BIGINT) AS VARCHAR) ELSE CAST(%[1]s AS VARCHAR) END", id)
	}
	return "CAST(" + ident(c.Name) + " AS VARCHAR)"
}

// asNumber is the value as a DOUBLE; times become seconds since 1970.
func asNumber(c data.SchemaColumn) string {
	switch c.Logical {
	case "date", "timestamp":
		return "epoch_us(" + moment(c) + ") / 1e6"
	case "boolean":
		return "CAST(" + ident(c.Name) + " AS INTEGER)::DOUBLE"
	case "string": // a request log has times as text
		return "coalesce(TRY_CAST(" + ident(c.Name) + " AS DOUBLE), epoch_us(" + moment(c) + ") / 1e6)"
	}
	return "TRY_CAST(" + ident(c.Name) + " AS DOUBLE)"
}

// moment is the value as a TIMESTAMP in UTC: dates, timestamps, ISO text and
// integer microseconds.
func moment(c data.SchemaColumn) string {
	id := ident(c.Name)
	switch c.Logical {
	case "integer":
		return "make_timestamp(TRY_CAST(" + id + " AS BIGINT))"
	case "number":
		return "make_timestamp(TRY_CAST(" + id + " AS BIGINT))"
	case "timestamp":
		if strings.Contains(c.Type, "ZONE") {
			return "(" + id + " AT TIME ZONE 'UTC')"
		}
		return "CAST(" + id + " AS TIMESTAMP)"
	case "date":
		return "CAST(" + id + " AS TIMESTAMP)"
	}
	return "(TRY_CAST(" + id + " AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
}

func (r relation) within(w data.Window) (string, error) {
	c, err := r.want(w.Column)
	if err != nil {
		return "", err
	}
	m := moment(c)
	conditions := []string{m + " IS NOT NULL"}
	if !w.From.IsZero() {
		conditions = append(conditions, m+" >= "+timestamp(w.From))
	}
	if !w.To.IsZero() {
		conditions = append(conditions, m+" < "+timestamp(w.To))
	}
	return strings.Join(conditions, " AND "), nil
}

func timestamp(t time.Time) string {
	return "TIMESTAMP " + text(t.UTC().Format("2006-01-02 15:04:05.000000"))
}
