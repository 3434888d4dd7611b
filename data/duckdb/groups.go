// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"lastro/data"
)

// GroupCounts implements data.Engine.
func (e *Engine) GroupCounts(ctx context.Context, req data.GroupCountsRequest) ([]data.GroupCounts, error) {
	return within(e, ctx, []data.Table{req.Predictions, req.Data}, nil, func(s *session) ([]data.GroupCounts, error) {
		k := &confusion{session: s, req: req}
		table, err := k.table()
		if err != nil {
			return nil, err
		}
		var out []data.GroupCounts
		for i, g := range req.Groups {
			query := fmt.Sprintf(`SELECT g%[1]d, count(*) FILTER (WHERE favourable AND good), count(*) FILTER (WHERE favourable AND NOT good),
				count(*) FILTER (WHERE NOT favourable AND NOT good), count(*) FILTER (WHERE NOT favourable AND good) FROM %[2]s GROUP BY g%[1]d ORDER BY g%[1]d NULLS LAST`, i, table)
			err := s.each(query, func(rows *sql.Rows) error {
				var value sql.NullString
				c := data.GroupCounts{Group: g.Name}
				err := rows.Scan(&value, &c.TP, &c.FP, &c.TN, &c.FN)
				c.Value = value.String
				out = append(out, c)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

type confusion struct {
	*session
	req data.GroupCountsRequest
}

// table joins answers with people: the columns favourable and good, and g0,
// g1 … with the group's value, one row a prediction.
func (k *confusion) table() (string, error) {
	predictions, err := k.load(k.req.Predictions)
	if err != nil {
		return "", err
	}
	people, err := k.load(k.req.Data)
	if err != nil {
		return "", err
	}
	mine, err := predictions.wantAll(k.req.Join)
	if err != nil {
		return "", err
	}
	theirs, err := people.wantAll(k.req.Join)
	if err != nil {
		return "", err
	}
	if err := k.refuseRepeated(people, theirs); err != nil {
		return "", err
	}
	answers, err := k.answered(predictions, mine)
	if err != nil {
		return "", err
	}
	grouped, groups, err := k.grouped(predictions, people, theirs)
	if err != nil {
		return "", err
	}
	condition := equal(mine, theirs)
	if err := k.refuseLost(answers, grouped, condition); err != nil {
		return "", err
	}
	name := k.name()
	return name, k.exec(fmt.Sprintf("CREATE TABLE %s AS SELECT t.favourable, coalesce(t.good, o.good) AS good, %s FROM %s AS t JOIN %s AS o ON %s", name, groups, answers, grouped, condition))
}

// answered makes the table of key, answer and, when the predictions bring it,
// truth.
func (k *confusion) answered(predictions relation, key []string) (string, error) {
	answer, err := predictions.want(k.req.Prediction)
	if err != nil {
		return "", err
	}
	good := "NULL::BOOLEAN"
	if c, ok := predictions.column(k.req.Outcome); ok {
		good = truth(c) + " = 1"
	}
	name := k.name()
	query := fmt.Sprintf("CREATE TABLE %s AS SELECT %s, %s AS favourable, %s AS good FROM %s", name, idents(key), favourable(answer, k.req.Favourable), good, predictions.name)
	if err := k.exec(query); err != nil {
		return "", err
	}
	var unanswered int64
	if err := k.row("SELECT count(*) FROM "+name+" WHERE favourable IS NULL", &unanswered); err != nil {
		return "", err
	}
	if unanswered > 0 {
		return "", failed("%s predictions have no %s", data.Thousands(unanswered), k.req.Prediction)
	}
	return name, nil
}

// favourable compares an answer with the good one; true and false stand for 1
// and 0.
func favourable(c data.SchemaColumn, good string) string {
	if c.Logical == "boolean" {
		return "CAST(" + ident(c.Name) + " AS INTEGER) IN (" + map[bool]string{true: "1", false: "0"}[slices.Contains([]string{"1", "1.0", "true"}, strings.ToLower(good))] + ")"
	}
	return isIn(c, []string{good})
}

// grouped makes the table of key, truth and group values of the people.
func (k *confusion) grouped(predictions, people relation, key []string) (table, groups string, err error) {
	selects := []string{idents(key)}
	good := "NULL::BOOLEAN"
	if _, ok := predictions.column(k.req.Outcome); !ok {
		c, err := people.want(k.req.Outcome)
		if err != nil {
			return "", "", err
		}
		good = truth(c) + " = 1"
	}
	selects = append(selects, good+" AS good")
	var names []string
	for i, g := range k.req.Groups {
		expr, err := k.groupOf(people, g)
		if err != nil {
			return "", "", err
		}
		name := fmt.Sprintf("g%d", i)
		selects, names = append(selects, expr+" AS "+name), append(names, "o."+name)
	}
	table = k.name()
	return table, strings.Join(names, ", "), k.exec("CREATE TABLE " + table + " AS SELECT " + strings.Join(selects, ", ") + " FROM " + people.name)
}

// groupOf is the group of a person: the column's value, or the band that a
// number, or the age of a date at event time, falls in.
func (k *confusion) groupOf(people relation, g data.GroupColumn) (string, error) {
	c, err := people.want(g.Column)
	if err != nil || len(g.Bins) == 0 {
		return asText(c), err
	}
	value := asNumber(c)
	if c.Logical == "date" || c.Logical == "timestamp" {
		if k.req.EventTime == "" {
			return "", invalid("%s is a date: the dataset needs event_time to tell the age at that time", g.Column)
		}
		at, err := people.want(k.req.EventTime)
		if err != nil {
			return "", err
		}
		value = "date_sub('year', " + moment(c) + ", " + moment(at) + ")::DOUBLE"
	}
	var b strings.Builder
	b.WriteString("CASE")
	for i := 1; i < len(g.Bins); i++ {
		low, high := g.Bins[i-1], g.Bins[i]
		fmt.Fprintf(&b, " WHEN %s >= %s AND %s < %s THEN %s", value, double(low), value, double(high), text(fmt.Sprintf("[%v,%v)", low, high)))
	}
	return b.String() + " END", nil
}

// refuseLost fails when a prediction finds no person, or a person no truth:
// rates over the rest would be about other people than the model's.
func (k *confusion) refuseLost(answers, grouped, condition string) error {
	var lost, untrue int64
	if err := k.row(fmt.Sprintf("SELECT count(*) FROM %s AS t ANTI JOIN %s AS o ON %s", answers, grouped, condition), &lost); err != nil {
		return err
	}
	if err := k.row(fmt.Sprintf("SELECT count(*) FROM %s AS t JOIN %s AS o ON %s WHERE coalesce(t.good, o.good) IS NULL", answers, grouped, condition), &untrue); err != nil {
		return err
	}
	switch {
	case lost > 0:
		return failed("%s predictions have no row with their %s in the dataset", data.Thousands(lost), strings.Join(k.req.Join, ", "))
	case untrue > 0:
		return failed("%s predictions have no %s", data.Thousands(untrue), k.req.Outcome)
	}
	return nil
}
