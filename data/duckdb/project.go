// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"fmt"
	"strings"

	"lastro"
	"lastro/data"
)

// Describe implements data.Engine.
func (e *Engine) Describe(ctx context.Context, t data.Table) (data.Schema, error) {
	return within(e, ctx, []data.Table{t}, nil, func(s *session) (data.Schema, error) {
		rel, err := s.load(t)
		if err != nil {
			return data.Schema{}, err
		}
		out := data.Schema{Columns: rel.columns}
		err = s.row("SELECT count(*) FROM "+rel.name, &out.Rows)
		return out, err
	})
}

// Project implements data.Engine. Rows keep the order of the source.
func (e *Engine) Project(ctx context.Context, req data.ProjectRequest) (data.Written, error) {
	tables := []data.Table{req.Table}
	if req.Join != nil {
		tables = append(tables, *req.Join)
	}
	temp := besides(req.Out)
	return within(e, ctx, tables, []string{temp}, func(s *session) (data.Written, error) {
		rel, err := s.loadFor(req.Table, req.Out)
		if err != nil {
			return data.Written{}, err
		}
		list := kept(rel, req.Drop)
		if list == "" {
			return data.Written{}, failed("every column of the data is left out: nothing remains to be copied")
		}
		query := "SELECT " + list + " FROM " + rel.name
		if req.Join != nil {
			if query, err = s.joined(rel, req); err != nil {
				return data.Written{}, err
			}
		}
		return s.write(query, temp, req.Out)
	})
}

// kept is the SELECT list of a relation without some columns; columns that it
// does not have need no dropping.
func kept(rel relation, drop []string) string {
	var out []string
	for _, c := range rel.columns {
		if !contains(drop, c.Name) {
			out = append(out, c.Name)
		}
	}
	return idents(out)
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// joined is the query that adds columns of another table by key, after making
// sure that every row finds exactly one.
func (s *session) joined(rel relation, req data.ProjectRequest) (string, error) {
	other, err := s.load(*req.Join)
	if err != nil {
		return "", err
	}
	if len(req.Key) == 0 {
		return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0552", Msg: "columns can be joined back only by a key", Hint: "give the dataset key: [column] in lastro.yaml"}
	}
	mine, err := rel.wantAll(req.Key)
	if err != nil {
		return "", err
	}
	theirs, err := other.wantAll(req.Key)
	if err != nil {
		return "", err
	}
	with, err := other.wantAll(req.With)
	if err != nil {
		return "", err
	}
	if err := s.refuseRepeated(other, theirs); err != nil {
		return "", err
	}
	condition := equal(mine, theirs)
	var lost int64
	if err := s.row(fmt.Sprintf("SELECT count(*) FROM %s AS t ANTI JOIN %s AS o ON %s", rel.name, other.name, condition), &lost); err != nil {
		return "", err
	}
	if lost > 0 {
		return "", failed("%s rows have no row with their %s in the dataset, so its columns cannot be joined back", data.Thousands(lost), strings.Join(req.Key, ", "))
	}
	numbered := s.name()
	if err := s.exec("CREATE TABLE " + numbered + " AS SELECT *, row_number() OVER () AS lastro_row FROM " + rel.name); err != nil {
		return "", err
	}
	var list []string
	for _, c := range rel.columns {
		if !contains(req.Drop, c.Name) && !contains(with, c.Name) {
			list = append(list, "t."+ident(c.Name))
		}
	}
	for _, c := range with {
		list = append(list, "o."+ident(c))
	}
	return fmt.Sprintf("SELECT %s FROM %s AS t JOIN %s AS o ON %s ORDER BY t.lastro_row", strings.Join(list, ", "), numbered, other.name, condition), nil
}

// equal is the condition that the keys of t and o agree.
func equal(mine, theirs []string) string {
	out := make([]string, len(mine))
	for i := range mine {
		out[i] = "t." + ident(mine[i]) + " = o." + ident(theirs[i])
	}
	return strings.Join(out, " AND ")
}

// refuseRepeated fails when a key is not unique.
func (s *session) refuseRepeated(rel relation, key []string) error {
	var repeated int64
	query := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s GROUP BY %s HAVING count(*) > 1)", rel.name, idents(key))
	if err := s.row(query, &repeated); err != nil {
		return err
	}
	if repeated > 0 {
		return &lastro.Error{Code: lastro.EFailed, ID: "L0553", Msg: fmt.Sprintf("%s is no key of the dataset: %s values of it recur", strings.Join(key, ", "), data.Thousands(repeated)),
			Hint: "a join needs columns that name each row once"}
	}
	return nil
}
