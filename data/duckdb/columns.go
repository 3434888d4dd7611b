// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lastro/data"
)

// Columns implements data.Engine.
func (e *Engine) Columns(ctx context.Context, req data.ColumnsRequest) ([]data.Column, error) {
	return within(e, ctx, []data.Table{req.Table}, nil, func(s *session) ([]data.Column, error) {
		rel, err := s.load(req.Table)
		if err != nil {
			return nil, err
		}
		asks := req.Columns
		if asks == nil {
			for _, c := range rel.columns {
				asks = append(asks, data.ColumnAsk{Name: c.Name})
			}
		}
		var out []data.Column
		for _, ask := range asks {
			if contains(req.Except, ask.Name) {
				continue
			}
			if _, ok := rel.column(ask.Name); !ok && req.Table.Log {
				c, err := s.unsent(rel, ask)
				if err != nil {
					return nil, err
				}
				out = append(out, c)
				continue
			}
			c, err := s.column(rel, ask)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
		return out, nil
	})
}

func (s *session) column(rel relation, ask data.ColumnAsk) (data.Column, error) {
	c, err := rel.want(ask.Name)
	if err != nil {
		return data.Column{}, err
	}
	out := data.Column{Name: ask.Name, Kind: cmp.Or(ask.Kind, kindOf(c)), Type: c.Type}
	if out.Kind == data.Categorical {
		err = s.categories(rel, c, ask, &out)
		return out, err
	}
	err = s.numbers(rel, c, ask, &out)
	return out, err
}

// unsent is a column of the model that no request of the log has sent: null in
// every row.
func (s *session) unsent(rel relation, ask data.ColumnAsk) (data.Column, error) {
	out := data.Column{Name: ask.Name, Kind: cmp.Or(ask.Kind, data.Categorical), Type: "NULL", Edges: ask.Edges}
	if out.Kind == data.Numeric {
		out.Counts = make([]int64, len(ask.Edges)+1)
	}
	err := s.row("SELECT count(*) FROM "+rel.name, &out.Nulls)
	return out, err
}

func kindOf(c data.SchemaColumn) string {
	switch c.Logical {
	case "integer", "number", "date", "timestamp":
		return data.Numeric
	}
	return data.Categorical
}

func (s *session) categories(rel relation, c data.SchemaColumn, ask data.ColumnAsk, out *data.Column) error {
	limit := cmp.Or(ask.MaxCategories, 1000)
	query := fmt.Sprintf("SELECT %s AS v, count(*) AS n FROM %s GROUP BY v ORDER BY n DESC, v", asText(c), rel.name)
	return s.each(query, func(rows *sql.Rows) error {
		var v sql.NullString
		var n int64
		if err := rows.Scan(&v, &n); err != nil {
			return err
		}
		if !v.Valid {
			out.Nulls += n
			return nil
		}
		out.Rows += n
		out.Distinct++
		if len(out.Categories) == limit {
			out.Other += n
			return nil
		}
		out.Categories = append(out.Categories, data.ValueCount{Value: v.String, Rows: n})
		return nil
	})
}

// numbers makes a table of the finite values once: moments, quantiles and bins
// then read eight bytes a row.
func (s *session) numbers(rel relation, c data.SchemaColumn, ask data.ColumnAsk, out *data.Column) error {
	values := s.name()
	err := s.exec(fmt.Sprintf("CREATE TABLE %s AS SELECT CASE WHEN isfinite(v) THEN v END AS v FROM (SELECT %s AS v FROM %s)", values, asNumber(c), rel.name))
	if err != nil {
		return err
	}
	// Sums in the order of the values: the last digits do not depend on threads.
	sorted := s.name()
	if err := s.exec("CREATE TABLE " + sorted + " AS SELECT v FROM " + values + " WHERE v IS NOT NULL ORDER BY v"); err != nil {
		return err
	}
	err = s.row(fmt.Sprintf(`SELECT count(v), (SELECT count(*) FROM %s) - count(v), count(DISTINCT v), coalesce(min(v), 0), coalesce(max(v), 0), coalesce(fsum(v) / count(v), 0) FROM %s`, values, sorted),
		&out.Rows, &out.Nulls, &out.Distinct, &out.Min, &out.Max, &out.Mean)
	if err != nil {
		return err
	}
	if err := s.row(fmt.Sprintf("SELECT coalesce(sqrt(fsum((v - %v) * (v - %v)) / count(*)), 0) FROM %s", double(out.Mean), double(out.Mean), sorted), &out.SD); err != nil {
		return err
	}
	if out.Edges = ask.Edges; out.Edges == nil && out.Rows > 0 {
		if out.Edges, err = s.quantiles(sorted, out.Rows, cmp.Or(ask.Quantiles, 10)); err != nil {
			return err
		}
	}
	if out.Counts, err = s.bins(sorted, out.Edges); err != nil {
		return err
	}
	if ask.Values {
		out.Values = make([]float64, 0, out.Rows)
		err = s.each("SELECT v FROM "+sorted+" ORDER BY v", func(rows *sql.Rows) error {
			var v float64
			err := rows.Scan(&v)
			out.Values = append(out.Values, v)
			return err
		})
	}
	if err != nil {
		return err
	}
	return s.exec("DROP TABLE " + values + "; DROP TABLE " + sorted)
}

// quantiles are the inner edges of n bins of equal count: linear interpolation
// between order statistics (numpy's default, type 7 of Hyndman and Fan), with
// equal edges merged and those at the least or greatest value left out, since
// nothing lies beyond them. The arithmetic is numpy's, with its linspace, to the
// last bit: values that tie with an edge fall on the same side.
func (s *session) quantiles(table string, rows int64, n int) ([]float64, error) {
	if n < 2 || n > 1000 {
		return nil, invalid("between 2 and 1,000 quantile bins are possible, not %d", n)
	}
	wanted := []int64{0, rows - 1}
	for i := 1; i < n; i++ {
		low, _ := math.Modf(float64(rows-1) * (float64(i) * (1 / float64(n))))
		wanted = append(wanted, int64(low), min(int64(low)+1, rows-1))
	}
	at, err := s.ranked(table, wanted)
	if err != nil {
		return nil, err
	}
	out := []float64{}
	for i := 1; i < n; i++ {
		low, t := math.Modf(float64(rows-1) * (float64(i) * (1 / float64(n))))
		a, b := at[int64(low)], at[min(int64(low)+1, rows-1)]
		edge := a + float64((b-a)*t) // the conversions keep machines from fusing the two operations
		if t >= 0.5 {
			edge = b - float64((b-a)*(1-t))
		}
		if edge > at[0] && edge < at[rows-1] {
			out = append(out, edge)
		}
	}
	return slices.Compact(out), nil
}

// ranked returns order statistics by their rank from 0. The table was filled
// in order, so a row's number is its rank.
func (s *session) ranked(table string, ranks []int64) (map[int64]float64, error) {
	list := make([]string, len(ranks))
	for i, r := range ranks {
		list[i] = strconv.FormatInt(r, 10)
	}
	out := map[int64]float64{}
	return out, s.each("SELECT rowid, v FROM "+table+" WHERE rowid IN ("+strings.Join(list, ", ")+")", func(rows *sql.Rows) error {
		var rank int64
		var v float64
		err := rows.Scan(&rank, &v)
		out[rank] = v
		return err
	})
}

// bins counts values between inner edges.
func (s *session) bins(table string, edges []float64) ([]int64, error) {
	if !slices.IsSorted(edges) {
		return nil, invalid("the edges of bins must ascend")
	}
	counts := make([]int64, len(edges)+1)
	if len(edges) == 0 {
		return counts, s.row("SELECT count(*) FROM "+table, &counts[0])
	}
	// A value's bin is the number of edges that it has reached.
	query := fmt.Sprintf("SELECT len(list_filter([%s]::DOUBLE[], lambda e: e <= v)) AS b, sum(n)::BIGINT FROM (SELECT v, count(*) AS n FROM %s GROUP BY v) GROUP BY b", doubles(edges), table)
	return counts, s.each(query, func(rows *sql.Rows) error {
		var b, n int64
		err := rows.Scan(&b, &n)
		counts[b] = n
		return err
	})
}

// double is a float64 as SQL, without loss.
func double(v float64) string { return "(" + strconv.FormatFloat(v, 'e', -1, 64) + ")::DOUBLE" }

func doubles(values []float64) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = double(v)
	}
	return strings.Join(out, ", ")
}
