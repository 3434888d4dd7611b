// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"strings"

	"lastro/data"
)

var columnTypes = map[string]string{data.TextColumn: "VARCHAR", data.NumberColumn: "DOUBLE", data.IntegerColumn: "BIGINT", data.TimeColumn: "TIMESTAMP"}

// Typed implements data.Engine.
func (e *Engine) Typed(ctx context.Context, req data.TypedRequest) (data.Written, error) {
	temp := besides(req.Out)
	return within(e, ctx, []data.Table{data.Files(req.From)}, []string{temp}, func(s *session) (data.Written, error) {
		name := s.name()
		// A quoted empty field is an empty text: allow_quoted_nulls says so.
		if err := s.exec("CREATE VIEW " + name + " AS SELECT * FROM read_csv(" + text(req.From) + `, delim = ',', quote = '"', escape = '"', comment = '',
			skip = 0, header = true, all_varchar = true, nullstr = '', allow_quoted_nulls = false, hive_partitioning = false)`); err != nil {
			return data.Written{}, err
		}
		columns, err := s.describe(name)
		if err != nil {
			return data.Written{}, err
		}
		if len(columns) != len(req.Types) {
			return data.Written{}, invalid("%d types were given for %d columns", len(req.Types), len(columns))
		}
		var list []string
		for i, c := range columns {
			kind, ok := columnTypes[req.Types[i]]
			if !ok {
				return data.Written{}, invalid("%q is no type of a column", req.Types[i])
			}
			list = append(list, "CAST("+ident(c.Name)+" AS "+kind+") AS "+ident(c.Name))
		}
		return s.write("SELECT "+strings.Join(list, ", ")+" FROM "+name, temp, req.Out)
	})
}
