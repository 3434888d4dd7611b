// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lastro/data"
)

// within runs one request in a session of its own and explains its error.
func within[T any](e *Engine, ctx context.Context, tables []data.Table, writes []string, run func(*session) (T, error)) (T, error) {
	s, err := e.open(ctx, tables, writes...)
	if err != nil {
		var zero T
		return zero, explain(err, e.memoryMB)
	}
	defer e.close(s)
	for _, w := range writes {
		defer os.Remove(w) // what a failed request left behind
	}
	out, err := run(s)
	return out, explain(err, e.memoryMB)
}

// besides names the file that is written before it takes the place of path.
func besides(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.part", filepath.Base(path), os.Getpid()))
}

// write copies the rows of a query to a file: to temp first, so that path
// never holds half a file. Rows keep the query's order and the bytes depend on
// the rows alone.
func (s *session) write(query, temp, path string) (data.Written, error) {
	out := data.Written{Path: path}
	how := "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
	switch formats[strings.ToLower(filepath.Ext(path))] {
	case parquet:
	case csv:
		how = "FORMAT csv, HEADER true"
		if strings.EqualFold(filepath.Ext(path), ".tsv") {
			how += ", DELIMITER '\t'"
		}
	case ndjson:
		how = "FORMAT json"
	case json:
		how = "FORMAT json, ARRAY true"
	default:
		return out, invalid("cannot write %s: lastro writes .parquet, .csv, .tsv, .json, .ndjson and .jsonl", filepath.Base(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return out, fmt.Errorf("make the folder of %s: %w", path, err)
	}
	abs, err := filepath.Abs(temp)
	if err != nil {
		return out, err
	}
	if err := s.row("COPY ("+query+") TO "+text(abs)+" ("+how+", USE_TMP_FILE false)", &out.Rows); err != nil {
		return out, err
	}
	info, err := os.Stat(temp)
	if err != nil {
		return out, err
	}
	out.Bytes = info.Size()
	return out, os.Rename(temp, path)
}
