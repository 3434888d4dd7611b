// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"lastro/data"
)

// Scores implements data.Engine.
func (e *Engine) Scores(ctx context.Context, req data.ScoresRequest) (data.Scores, error) {
	return within(e, ctx, []data.Table{req.Log, req.Labels}, nil, func(s *session) (data.Scores, error) {
		var out data.Scores
		log, err := s.load(req.Log)
		if err != nil {
			return out, err
		}
		var empty bool
		if err := s.row("SELECT count(*) = 0 FROM "+log.name, &empty); err != nil || empty {
			return out, err
		}
		answers, err := s.answers(log, req)
		if err != nil {
			return out, err
		}
		labels, err := s.labels(req)
		if err != nil {
			return out, err
		}
		err = s.each(fmt.Sprintf("SELECT a.score, l.label FROM %s AS a LEFT JOIN %s AS l ON a.k = l.k ORDER BY a.k", answers, labels), func(rows *sql.Rows) error {
			var score float64
			var label sql.NullFloat64
			if err := rows.Scan(&score, &label); err != nil {
				return err
			}
			out.Answers++
			if !label.Valid {
				out.Unlabeled++
				return nil
			}
			out.Score, out.Label = append(out.Score, score), append(out.Label, label.Float64)
			return nil
		})
		return out, err
	})
}

// answers makes the table of one answer a key: the latest.
func (s *session) answers(log relation, req data.ScoresRequest) (string, error) {
	join, err := log.want(req.Join)
	if err != nil {
		return "", err
	}
	score, err := log.want(cmp.Or(req.Score, "_out"))
	if err != nil {
		return "", err
	}
	when := "0"
	if req.Log.Log {
		when = "(_t, _req, _row)"
	}
	name := s.name()
	query := fmt.Sprintf("CREATE TABLE %s AS SELECT k, arg_max(score, asked) AS score FROM (SELECT %s AS k, %s AS score, %s AS asked FROM %s) WHERE k IS NOT NULL AND isfinite(score) GROUP BY k",
		name, asText(join), asNumber(score), when, log.name)
	return name, s.exec(query)
}

// labels makes the table of one label a key; of several the greatest counts,
// so that the outcome does not depend on the order of files.
func (s *session) labels(req data.ScoresRequest) (string, error) {
	rel, err := s.load(req.Labels)
	if err != nil {
		return "", err
	}
	join, err := rel.want(req.Join)
	if err != nil {
		return "", err
	}
	label, err := rel.want(req.Label)
	if err != nil {
		return "", err
	}
	name := s.name()
	query := fmt.Sprintf("CREATE TABLE %s AS SELECT k, max(label) AS label FROM (SELECT %s AS k, %s AS label FROM %s) WHERE k IS NOT NULL AND isfinite(label) GROUP BY k",
		name, asText(join), truth(label), rel.name)
	return name, s.exec(query)
}

// truth is a label as a number: true is 1.
func truth(c data.SchemaColumn) string {
	if c.Logical == "string" {
		id := ident(c.Name)
		return "coalesce(TRY_CAST(" + id + " AS DOUBLE), TRY_CAST(" + id + " AS BOOLEAN)::INTEGER::DOUBLE)"
	}
	return asNumber(c)
}

// Count implements data.Engine.
func (e *Engine) Count(ctx context.Context, req data.CountRequest) (data.Count, error) {
	return within(e, ctx, []data.Table{req.Table}, nil, func(s *session) (data.Count, error) {
		var out data.Count
		rel, err := s.load(req.Table)
		if err != nil {
			return out, err
		}
		column := cmp.Or(req.Time, req.Table.Window.Column)
		if column == "" {
			err = s.row("SELECT count(*) FROM "+rel.name, &out.Rows)
			return out, err
		}
		c, err := rel.want(column)
		if err != nil {
			return out, err
		}
		var first, last sql.NullTime
		err = s.row(fmt.Sprintf("SELECT count(*), min(%[1]s), max(%[1]s) FROM %[2]s", moment(c), rel.name), &out.Rows, &first, &last)
		out.First, out.Last = first.Time, last.Time
		return out, err
	})
}
