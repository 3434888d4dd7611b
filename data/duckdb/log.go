// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"lastro/data"
)

// logFields are the fields of a request-log line and their types in SQL; in
// and out stay JSON, so that a file of one schema holds every model's rows.
var logFields = []struct{ name, kind string }{
	{"t", "BIGINT"}, {"req", "VARCHAR"}, {"row", "BIGINT"}, {"endpoint", "VARCHAR"}, {"rev", "VARCHAR"}, {"role", "VARCHAR"},
	{"status", "BIGINT"}, {"latency_us", "BIGINT"}, {"event_time", "BIGINT"}, {"in", "JSON"}, {"out", "JSON"}, {"error", "VARCHAR"},
	{"failed_rev", "VARCHAR"}, {"failed_error", "VARCHAR"},
}

// logLines makes the table of raw lines of the segments: NDJSON, and Parquet
// that Compact made of it. The window is applied here already, before JSON is
// taken apart.
func (s *session) logLines(set fileSet, w data.Window) (string, error) {
	var columns, names, empty []string
	for _, f := range logFields {
		columns = append(columns, ident(f.name)+": "+text(f.kind))
		names = append(names, ident(f.name))
		empty = append(empty, "NULL::"+f.kind+" AS "+ident(f.name))
	}
	all := strings.Join(names, ", ")
	parts := []string{"SELECT " + strings.Join(empty, ", ") + " WHERE false"}
	for format, paths := range set.byFormat {
		list := "[" + texts(paths) + "]"
		switch format {
		case ndjson, json:
		case parquet:
			parts = append(parts, "SELECT "+all+" FROM read_parquet("+list+", union_by_name = true, hive_partitioning = false)")
			continue
		default:
			return "", invalid("request-log segments are NDJSON or Parquet, not %s", format)
		}
		parts = append(parts, "SELECT "+all+" FROM read_json("+list+", format = 'newline_delimited', ignore_errors = true, hive_partitioning = false, columns = {"+strings.Join(columns, ", ")+"})")
	}
	name := s.name()
	return name, s.exec("CREATE TABLE " + name + " AS SELECT * FROM (" + strings.Join(parts, " UNION ALL ") + ") WHERE " + lineWindow(w))
}

// lineWindow is a window as a condition on raw lines. A line without a time of
// its own is no line of the log: a cut one reads as nulls.
func lineWindow(w data.Window) string {
	conditions := []string{"t IS NOT NULL"}
	column := map[string]string{"_event_time": "event_time", "_t": "t"}[w.Column]
	if column != "" && !w.From.IsZero() {
		conditions = append(conditions, fmt.Sprintf("%s >= %d", column, w.From.UnixMicro()))
	}
	if column != "" && !w.To.IsZero() {
		conditions = append(conditions, fmt.Sprintf("%s < %d", column, w.To.UnixMicro()))
	}
	return strings.Join(conditions, " AND ")
}

// loadLog flattens the lines: the model's inputs under their own names, the
// log's fields with an underscore. An input is a number when every value of it
// was sent as one.
func (s *session) loadLog(set fileSet, w data.Window) (relation, error) {
	rel := relation{format: ndjson}
	lines, err := s.logLines(set, w)
	if err != nil {
		return rel, err
	}
	selects := []string{
		"make_timestamp(t) AS _t", "req AS _req", `"row" AS _row`, "endpoint AS _endpoint", "rev AS _rev", "role AS _role", "status AS _status",
		"latency_us AS _latency_us", "make_timestamp(nullif(event_time, 0)) AS _event_time", "error AS _error",
	}
	out, err := s.outColumn(lines)
	if err != nil {
		return rel, err
	}
	selects = append(selects, out)
	inputs, err := s.inputs(lines)
	if err != nil {
		return rel, err
	}
	rel.name = s.name()
	query := "CREATE TABLE " + rel.name + " AS SELECT " + strings.Join(append(selects, inputs...), ", ") + " FROM " + lines
	if err := s.exec(query); err != nil {
		return rel, err
	}
	if err := s.exec("DROP TABLE " + lines); err != nil {
		return rel, err
	}
	rel.columns, err = s.describe(rel.name)
	return rel, err
}

const jsonNumbers = "('BIGINT', 'UBIGINT', 'DOUBLE', 'HUGEINT')"

func (s *session) outColumn(lines string) (string, error) {
	var numeric bool
	err := s.row(`SELECT coalesce(bool_and(json_type("out") IN `+jsonNumbers+`), true) FROM `+lines+` WHERE "out" IS NOT NULL AND json_type("out") <> 'NULL'`, &numeric)
	if numeric {
		return `TRY_CAST("out" AS DOUBLE) AS _out`, err
	}
	return `json_extract_string("out", '$') AS _out`, err
}

func (s *session) inputs(lines string) ([]string, error) {
	var keys []string
	err := s.each(`SELECT DISTINCT unnest(json_keys("in")) AS k FROM `+lines+` WHERE json_type("in") = 'OBJECT' ORDER BY k`, func(rows *sql.Rows) error {
		var k string
		err := rows.Scan(&k)
		keys = append(keys, k)
		return err
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	tests := make([]string, len(keys))
	numeric := make([]bool, len(keys))
	into := make([]any, len(keys))
	for i, k := range keys {
		kind := `json_type("in", ` + pointer(k) + `)`
		tests[i] = "coalesce(bool_and(" + kind + " IN " + jsonNumbers + ") FILTER (WHERE " + kind + " <> 'NULL'), false)"
		into[i] = &numeric[i]
	}
	if err := s.row("SELECT "+strings.Join(tests, ", ")+" FROM "+lines, into...); err != nil {
		return nil, err
	}
	selects := make([]string, len(keys))
	for i, k := range keys {
		value := `json_extract_string("in", ` + pointer(k) + `)`
		if numeric[i] {
			value = "TRY_CAST(" + value + " AS DOUBLE)"
		}
		selects[i] = value + " AS " + ident(k)
	}
	return selects, nil
}

// pointer is a JSON pointer (RFC 6901) to a key, as an SQL literal.
func pointer(key string) string {
	return text("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
}

// Compact implements data.Engine.
func (e *Engine) Compact(ctx context.Context, req data.CompactRequest) (data.Written, error) {
	table := data.Table{Files: req.Segments, Log: true}
	temp := besides(req.Out)
	return within(e, ctx, []data.Table{table}, []string{temp}, func(s *session) (data.Written, error) {
		lines, err := s.logLines(s.sets[tableKey(table)], data.Window{})
		if err != nil {
			return data.Written{}, err
		}
		return s.write(fmt.Sprintf(`SELECT * REPLACE (CAST("in" AS VARCHAR) AS "in", CAST("out" AS VARCHAR) AS "out") FROM %s ORDER BY t, req, "row"`, lines), temp, req.Out)
	})
}
