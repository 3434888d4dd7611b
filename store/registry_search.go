// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/registry"
)

var modelAttributes = map[string]attribute{
	"name":                   {expr: "m.name", kind: isText},
	"last_updated_timestamp": {expr: "m.updated_at", kind: isInteger},
	"creation_timestamp":     {expr: "m.created_at", kind: isInteger},
}

// SearchModels implements registry.Store.
func (s Registry) SearchModels(ctx context.Context, q registry.Query) ([]registry.Model, string, error) {
	sch, err := compileRegistry(s.db.dialect, "models", q, modelAttributes, `SELECT 1 FROM model_tags t WHERE t.model = m.name AND t.key = ?`)
	if err != nil {
		return nil, "", err
	}
	sch.columns, sch.from = prefixed("m", modelColumns), "models m"
	sch.terms = append(sch.terms, term{expr: "m.name", kind: isText})
	list, next, err := page(ctx, s.db, sch, func(r scanner) (registry.Model, error) { return scanModel(r) })
	if err != nil {
		return nil, "", err
	}
	return list, next, s.fillModels(ctx, list)
}

var versionAttributes = map[string]attribute{
	"name": {expr: "m.model", kind: isText}, "version_number": {expr: "m.number", kind: isInteger},
	"run_id": {expr: "m.tracked_run", kind: isText}, "source_path": {expr: "m.source", kind: isText},
	"model_id": {expr: "m.logged_model", kind: isText}, "digest": {expr: "m.digest", kind: isText},
	"current_stage":          {expr: "m.stage", kind: isText},
	"last_updated_timestamp": {expr: "m.updated_at", kind: isInteger},
	"creation_timestamp":     {expr: "m.created_at", kind: isInteger},
}

// SearchVersions implements registry.Store.
func (s Registry) SearchVersions(ctx context.Context, q registry.Query) ([]registry.Version, string, error) {
	sch, err := compileRegistry(s.db.dialect, "versions", q, versionAttributes,
		`SELECT 1 FROM version_tags t WHERE t.model = m.model AND t.number = m.number AND t.key = ?`)
	if err != nil {
		return nil, "", err
	}
	sch.columns, sch.from = prefixed("m", versionColumns), "model_versions m"
	if len(q.Order) == 0 {
		sch.terms = append(sch.terms, term{expr: "m.updated_at", kind: isInteger, desc: true})
	}
	sch.terms = append(sch.terms, term{expr: "m.model", kind: isText}, term{expr: "m.number", kind: isInteger, desc: true})
	list, next, err := page(ctx, s.db, sch, func(r scanner) (registry.Version, error) { return scanVersion(r) })
	if err != nil {
		return nil, "", err
	}
	return list, next, s.fillVersions(ctx, list)
}

// LatestVersions implements registry.Store.
func (s Registry) LatestVersions(ctx context.Context, models []string) ([]registry.Version, error) {
	var list []registry.Version
	err := s.db.each(ctx, `SELECT `+prefixed("m", versionColumns)+` FROM model_versions m
		JOIN (SELECT model, stage, MAX(number) AS number FROM model_versions WHERE model IN (%s) GROUP BY model, stage) newest
		ON newest.model = m.model AND newest.number = m.number ORDER BY m.model, m.stage`, models, func(r *sql.Rows) error {
		v, err := scanVersion(r)
		list = append(list, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, s.fillVersions(ctx, list)
}

// compileRegistry returns the search without columns, tables and last terms.
// attributes and tags are fixed text.
func compileRegistry(d dialect, what string, q registry.Query, attributes map[string]attribute, tags string) (search, error) {
	out := search{token: q.Token, limit: q.Limit, asked: fingerprint(what, q.Where, q.Order)}
	for _, c := range q.Where {
		unknown := &lastro.Error{Code: lastro.EInvalid, ID: "L0701", Msg: fmt.Sprintf("a search cannot compare %q by %s", c.Key, c.Op)}
		if key, ok := strings.CutPrefix(c.Key, "tags."); ok {
			if c.Op == "LACKS" {
				out.where.add("NOT EXISTS ("+tags+" AND t.value = ?)", key, c.Text)
				continue
			}
			cond, args, ok := compareText(d, "t.value", c.Op, c.Text, c.Values)
			if !ok {
				return out, unknown
			}
			out.where.add("EXISTS ("+tags+" AND "+cond+")", append([]any{key}, args...)...)
			continue
		}
		a, ok := attributes[c.Key]
		if !ok {
			return out, unknown
		}
		if op, isNumber := numberOps[c.Op]; isNumber && a.kind == isInteger {
			n, err := strconv.ParseInt(c.Text, 10, 64)
			if err != nil {
				return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0701", Msg: fmt.Sprintf("%q is not a number to compare %s with", c.Text, c.Key)}
			}
			out.where.add(a.expr+" "+op+" ?", n)
			continue
		}
		cond, args, ok := compareText(d, a.expr, c.Op, c.Text, c.Values)
		if !ok {
			return out, unknown
		}
		out.where.add(cond, args...)
	}
	for _, o := range q.Order {
		a, ok := attributes[o.Key]
		if !ok {
			return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0702", Msg: fmt.Sprintf("a search cannot be ordered by %q", o.Key)}
		}
		out.terms = append(out.terms, term{expr: a.expr, kind: a.kind, desc: o.Desc})
	}
	return out, nil
}

// fillVersions adds tags and aliases to a page of versions: two statements for
// 500 of them, whatever other versions their models have.
func (s Registry) fillVersions(ctx context.Context, list []registry.Version) error {
	for start := 0; start < len(list); start += lookUpAtOnce {
		if err := s.fillSomeVersions(ctx, list[start:min(start+lookUpAtOnce, len(list))]); err != nil {
			return err
		}
	}
	return nil
}

func (s Registry) fillSomeVersions(ctx context.Context, list []registry.Version) error {
	type key struct {
		model  string
		number int
	}
	byKey := make(map[key]*registry.Version, len(list))
	var models []string
	var numbers []int64
	for i := range list {
		v := &list[i]
		byKey[key{v.Model, v.Number}] = v
		models, numbers = append(models, v.Model), append(numbers, int64(v.Number))
	}
	slices.Sort(models)
	slices.Sort(numbers)
	models, numbers = slices.Compact(models), slices.Compact(numbers)
	// The versions are among those with one of these models and one of these
	// numbers; there are few others, unless many models have many versions here.
	of := `WHERE model IN (` + marks(paddedTo(len(models))) + `) AND number IN (` + marks(paddedTo(len(numbers))) + `)`
	args := append(padded(models), padded(numbers)...)
	rows, err := s.db.Query(ctx, `SELECT model, number, key, value FROM version_tags `+of, args...)
	if _, err := collect(rows, err, func(r *sql.Rows) (k key, err error) {
		var name, value string
		err = r.Scan(&k.model, &k.number, &name, &value)
		if v := byKey[k]; v != nil {
			v.Tags[name] = value
		}
		return k, err
	}); err != nil {
		return err
	}
	rows, err = s.db.Query(ctx, `SELECT model, alias, number, at, actor FROM model_aliases `+of+` ORDER BY model, alias`, args...)
	_, err = collect(rows, err, func(r *sql.Rows) (registry.Alias, error) {
		a, err := scanAlias(r)
		if v := byKey[key{a.Model, a.Number}]; v != nil {
			v.Aliases = append(v.Aliases, a.Name)
		}
		return a, err
	})
	return err
}
