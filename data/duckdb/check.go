// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	duck "github.com/duckdb/duckdb-go/v2"

	"lastro"
	"lastro/data"
)

// Check implements data.Engine: one scan counts the rows that break each
// rule, one query a duplicate or SQL rule, and one more a failed check lists
// its bad values.
func (e *Engine) Check(ctx context.Context, req data.CheckRequest) (data.Report, error) {
	return within(e, ctx, []data.Table{req.Table}, nil, func(s *session) (data.Report, error) {
		k := &checker{session: s, req: req, maxBad: cmp.Or(req.MaxBad, 10)}
		return k.run()
	})
}

type checker struct {
	*session
	req    data.CheckRequest
	rel    relation
	maxBad int
}

// plan is one check on its way from the contract to its measure.
type plan struct {
	spec    data.CheckSpec
	column  data.SchemaColumn
	measure data.Measure
	bad     string // condition of the rows that break the rule; "" = not counted by rows
	value   string // expression of the value that is listed as bad
	span    string // expression whose least and greatest value is wanted
}

func (k *checker) run() (data.Report, error) {
	contract := k.req.Contract
	report := data.Report{Dataset: k.req.Dataset, Version: k.req.Version, Contract: contract.Digest, File: contract.File,
		Key: data.CheckKey(contract.Digest, k.req.Sensitive)}
	var err error
	if k.rel, err = k.table(); err != nil {
		return report, err
	}
	report.Columns = len(k.rel.columns)
	specs := contract.Checks()
	plans := make([]*plan, len(specs))
	for i, spec := range specs {
		plans[i] = &plan{spec: spec}
		k.prepare(plans[i])
	}
	if report.Rows, err = k.scan(plans); err != nil {
		return report, err
	}
	var problems lastro.Problems
	for _, p := range plans {
		if err := k.measure(p); err != nil {
			var e *lastro.Error
			if !asOurs(err, &e) {
				return report, err
			}
			problems = append(problems, e)
			continue
		}
		report.Checks = append(report.Checks, p.spec.Judge(p.measure, report.Rows, k.req.Sensitive))
	}
	return report, problems.OrNil()
}

// table loads the data. CSV is read as text and parsed by the types of the
// contract, so that a value of another type is a counted row and not a failed
// read.
func (k *checker) table() (relation, error) {
	set := k.sets[tableKey(k.req.Table)]
	format, err := set.format()
	if err != nil {
		return relation{}, err
	}
	if format != csv {
		rel, err := k.load(k.req.Table)
		if err != nil {
			return rel, err
		}
		return rel, k.alias(rel)
	}
	if t := k.req.Table; t.Window.Column != "" || len(t.Filters) > 0 || t.Where != "" {
		return relation{}, lastro.Errorf(lastro.EUnsupported, "a contract on CSV is checked on the whole file: no window or filter")
	}
	from, err := set.reader(true)
	if err != nil {
		return relation{}, err
	}
	rel := relation{format: csv, name: k.name(), raw: k.name()}
	lines := k.name()
	if err := k.exec("CREATE TABLE " + lines + " AS SELECT * FROM " + from); err != nil {
		return rel, err
	}
	guessed, err := k.guess(set)
	if err != nil {
		return rel, err
	}
	written, err := k.describe(lines)
	if err != nil {
		return rel, err
	}
	var typed, unparsed []string
	for _, c := range written {
		typed = append(typed, parsed(c.Name, k.wanted(c.Name), guessed[c.Name])+" AS "+ident(c.Name))
		unparsed = append(unparsed, ident(c.Name)+" AS "+ident(asWritten(c.Name)))
	}
	if err := k.exec("CREATE VIEW " + rel.name + " AS SELECT " + strings.Join(typed, ", ") + " FROM " + lines); err != nil {
		return rel, err
	}
	if err := k.exec("CREATE VIEW " + rel.raw + " AS SELECT " + strings.Join(append(typed, unparsed...), ", ") + " FROM " + lines); err != nil {
		return rel, err
	}
	if rel.columns, err = k.describe(rel.name); err != nil {
		return rel, err
	}
	return rel, k.alias(rel)
}

// asWritten names the column that holds a CSV column's unparsed text.
func asWritten(column string) string { return "lastro text: " + column }

// alias gives the table the name that the contract's SQL may use.
func (k *checker) alias(rel relation) error {
	name := k.req.Contract.Object
	if name == "" || strings.HasPrefix(name, "lastro_") {
		return nil
	}
	return k.exec("CREATE VIEW " + ident(name) + " AS SELECT * FROM " + rel.name)
}

// guess returns the types that DuckDB finds in the text.
func (k *checker) guess(set fileSet) (map[string]string, error) {
	from, err := set.reader(false)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	return out, k.each("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+from+")", func(rows *sql.Rows) error {
		var name, kind string
		err := rows.Scan(&name, &kind)
		out[name] = kind
		return err
	})
}

func (k *checker) wanted(column string) string {
	for _, p := range k.req.Contract.Properties {
		if strings.EqualFold(p.Name, column) {
			return p.Logical
		}
	}
	return ""
}

// parsed is text as a value of the wanted logical type, null when it is none.
func parsed(column, wanted, guessed string) string {
	id := ident(column)
	switch wanted {
	case "integer": // a cast alone would round 1.5; 1.0 is how many tools write a whole number beside nulls
		return "CASE WHEN TRY_CAST(" + id + " AS DOUBLE) = trunc(TRY_CAST(" + id + " AS DOUBLE)) THEN TRY_CAST(" + id + " AS BIGINT) END"
	case "number":
		return "TRY_CAST(" + id + " AS DOUBLE)"
	case "boolean", "date", "timestamp", "time":
		return "TRY_CAST(" + id + " AS " + strings.ToUpper(wanted) + ")"
	case "":
		if guessed != "" {
			return "TRY_CAST(" + id + " AS " + guessed + ")"
		}
	}
	return id
}

// prepare finds the check's columns and writes its condition.
func (k *checker) prepare(p *plan) {
	columns := p.spec.Keys
	if p.spec.Column != "" {
		columns = append([]string{p.spec.Column}, columns...)
	}
	if p.spec.Lib != nil {
		columns = append(columns, p.spec.Lib.Columns...)
	}
	for _, name := range columns {
		c, ok := k.rel.column(name)
		if !ok {
			p.measure.Missing = name
			return
		}
		if name == p.spec.Column {
			p.column = c
		}
	}
	if p.spec.Lib != nil {
		k.prepareRule(p)
	} else if p.spec.Prop != nil {
		k.prepareProperty(p)
	}
}

func (k *checker) prepareProperty(p *plan) {
	c, prop := p.column, p.spec.Prop
	id := ident(c.Name)
	p.value = asText(c)
	switch p.spec.Rule {
	case "type":
		p.measure.Logical = k.seen(c, prop.Logical)
		if k.rel.raw != "" && prop.Logical != "string" {
			written := ident(asWritten(c.Name))
			p.measure.Logical = prop.Logical
			p.bad = written + " IS NOT NULL AND " + id + " IS NULL"
			p.value = written
		}
	case "required":
		p.value = "" // there is nothing to list
		p.bad = id + " IS NULL"
	case "minLength":
		p.bad, p.span = lengthBelow(c, prop.MinLength), "length("+asText(c)+")"
	case "maxLength":
		p.bad, p.span = lengthAbove(c, prop.MaxLength), "length("+asText(c)+")"
	case "pattern":
		p.bad = "NOT regexp_matches(" + asText(c) + ", " + text(prop.Pattern) + ")"
	case "minimum":
		p.bad, p.span = compare(c, "<", prop.Minimum), ordered(c)
	case "maximum":
		p.bad, p.span = compare(c, ">", prop.Maximum), ordered(c)
	case "exclusiveMinimum":
		p.bad, p.span = compare(c, "<=", prop.ExclusiveMinimum), ordered(c)
	case "exclusiveMaximum":
		p.bad, p.span = compare(c, ">=", prop.ExclusiveMaximum), ordered(c)
	}
}

// seen is the logical type of a column as far as its format can tell: JSON
// has no dates, so text that looks like one may be either.
func (k *checker) seen(c data.SchemaColumn, wanted string) string {
	text := map[string]bool{"date": true, "timestamp": true, "time": true, "string": true}
	if (k.rel.format == json || k.rel.format == ndjson) && wanted == "string" && text[c.Logical] {
		return wanted
	}
	return c.Logical
}

func lengthBelow(c data.SchemaColumn, n *int64) string {
	return fmt.Sprintf("length(%s) < %d", asText(c), *n)
}

func lengthAbove(c data.SchemaColumn, n *int64) string {
	return fmt.Sprintf("length(%s) > %d", asText(c), *n)
}

// ordered is the value in the order that a range compares by.
func ordered(c data.SchemaColumn) string {
	switch c.Logical {
	case "date", "timestamp", "time", "integer", "number":
		return ident(c.Name)
	}
	return "TRY_CAST(" + ident(c.Name) + " AS DOUBLE)"
}

func compare(c data.SchemaColumn, sign string, b *data.Bound) string {
	switch {
	case b.Text == "":
		if c.Logical == "integer" {
			return ident(c.Name) + " " + sign + " " + decimal(b.Number)
		}
		return "TRY_CAST(" + ident(c.Name) + " AS DOUBLE) " + sign + " " + decimal(b.Number)
	case c.Logical == "time" || !strings.Contains(b.Text, "-"):
		return "TRY_CAST(" + ident(c.Name) + " AS TIME) " + sign + " TRY_CAST(" + text(b.Text) + " AS TIME)"
	}
	return moment(c) + " " + sign + " (TRY_CAST(" + text(b.Text) + " AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
}

// decimal spells a number for SQL, always as a DOUBLE unless it is whole.
func decimal(v float64) string {
	s := fmt.Sprintf("%v", v)
	if strings.ContainsAny(s, "e.") {
		return "(" + s + ")::DOUBLE"
	}
	return s
}

func (k *checker) prepareRule(p *plan) {
	c, rule := p.column, p.spec.Lib
	if p.spec.Column == "" {
		return
	}
	missing := ident(c.Name) + " IS NULL"
	if len(rule.Missing) > 0 {
		missing = "(" + missing + " OR " + isIn(c, rule.Missing) + ")"
	}
	p.value = asText(c)
	switch rule.Metric {
	case "nullValues":
		p.value = ""
		p.bad = ident(c.Name) + " IS NULL"
	case "missingValues":
		p.bad = missing
	case "invalidValues":
		p.bad = "NOT " + missing + " AND NOT (" + strings.Join(validity(c, rule), " AND ") + ")"
	}
}

// validity lists what a valid value satisfies.
func validity(c data.SchemaColumn, rule *data.Rule) []string {
	var valid []string
	if rule.HasValid {
		valid = append(valid, isIn(c, rule.ValidValues))
	}
	if rule.Pattern != "" {
		valid = append(valid, "regexp_matches("+asText(c)+", "+text(rule.Pattern)+")")
	}
	if rule.MinLength != nil {
		valid = append(valid, "NOT "+lengthBelow(c, rule.MinLength))
	}
	if rule.MaxLength != nil {
		valid = append(valid, "NOT "+lengthAbove(c, rule.MaxLength))
	}
	if rule.Minimum != nil {
		valid = append(valid, "NOT coalesce("+compare(c, "<", rule.Minimum)+", true)")
	}
	if rule.Maximum != nil {
		valid = append(valid, "NOT coalesce("+compare(c, ">", rule.Maximum)+", true)")
	}
	return valid
}

var isNumber = regexp.MustCompile(`^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$`)

// isIn compares numbers as numbers and everything else as text.
func isIn(c data.SchemaColumn, values []string) string {
	list, left := []string{}, asText(c)
	if c.Logical == "integer" || c.Logical == "number" {
		left = ident(c.Name)
		for _, v := range values {
			if isNumber.MatchString(v) {
				list = append(list, v)
			}
		}
	} else {
		for _, v := range values {
			list = append(list, text(v))
		}
	}
	if len(list) == 0 {
		return "false"
	}
	return left + " IN (" + strings.Join(list, ", ") + ")"
}

// from is the relation that conditions are about: with the unparsed text
// beside the values where there is one.
func (k *checker) from() string { return cmp.Or(k.rel.raw, k.rel.name) }

// scan counts all rows and those that break each rule, at once.
func (k *checker) scan(plans []*plan) (int64, error) {
	var total int64
	selects, into := []string{"count(*)"}, []any{&total}
	spans := map[*plan]*[2]sql.NullString{}
	for _, p := range plans {
		if p.bad == "" {
			continue
		}
		selects, into = append(selects, "count(*) FILTER (WHERE "+p.bad+")"), append(into, &p.measure.Bad)
		if p.span != "" {
			pair := &[2]sql.NullString{}
			spans[p] = pair
			selects = append(selects, "CAST(min("+p.span+") AS VARCHAR)", "CAST(max("+p.span+") AS VARCHAR)")
			into = append(into, &pair[0], &pair[1])
		}
	}
	if err := k.row("SELECT "+strings.Join(selects, ", ")+" FROM "+k.from(), into...); err != nil {
		return 0, err
	}
	for p, pair := range spans {
		p.measure.Min, p.measure.Max = pair[0].String, pair[1].String
	}
	return total, nil
}

// measure completes what the scan could not count.
func (k *checker) measure(p *plan) error {
	rule := p.spec.Lib
	switch {
	case p.measure.Missing != "":
		return nil
	case p.spec.Rule == "unique":
		return k.duplicates(p, []string{p.column.Name})
	case p.spec.Rule == "primaryKey":
		return k.duplicates(p, p.spec.Keys)
	case rule != nil && rule.Metric == "duplicateValues":
		columns := rule.Columns
		if len(columns) == 0 {
			columns = []string{p.column.Name}
		}
		return k.duplicates(p, columns)
	case rule != nil && rule.Type == "sql":
		return k.answer(p)
	case p.measure.Bad > 0 && p.value != "":
		return k.list(p)
	}
	return nil
}

// list reads the bad values, the most frequent first.
func (k *checker) list(p *plan) error {
	grouped := "SELECT " + p.value + " AS v, count(*) AS n FROM " + k.from() + " WHERE " + p.bad + " GROUP BY v"
	return k.values(p, grouped)
}

// values reads the first of grouped values and counts the rest.
func (k *checker) values(p *plan, grouped string) error {
	var distinct int64
	query := fmt.Sprintf("SELECT v, n, count(*) OVER () FROM (%s) ORDER BY n DESC, v NULLS LAST LIMIT %d", grouped, k.maxBad)
	err := k.each(query, func(rows *sql.Rows) error {
		var v sql.NullString
		var n int64
		if err := rows.Scan(&v, &n, &distinct); err != nil {
			return err
		}
		p.measure.Values = append(p.measure.Values, data.ValueCount{Value: shorten(v.String), Rows: n})
		return nil
	})
	p.measure.More = distinct - int64(len(p.measure.Values))
	return err
}

// duplicates counts the distinct keys that recur, and their rows; a key with
// a null in it is never a duplicate (datacontract-cli 1.2.8, SQL's UNIQUE).
func (k *checker) duplicates(p *plan, columns []string) error {
	ids := make([]string, len(columns))
	parts := make([]string, len(columns))
	notNull := make([]string, len(columns))
	for i, name := range columns {
		c, _ := k.rel.column(name)
		ids[i], parts[i], notNull[i] = ident(c.Name), asText(c), ident(c.Name)+" IS NOT NULL"
	}
	grouped := fmt.Sprintf("SELECT %s, count(*) AS n FROM %s WHERE %s GROUP BY ALL HAVING count(*) > 1",
		strings.Join(ids, ", "), k.rel.name, strings.Join(notNull, " AND "))
	if err := k.row("SELECT count(*), coalesce(sum(n), 0)::BIGINT FROM ("+grouped+")", &p.measure.Keys, &p.measure.Bad); err != nil {
		return err
	}
	if p.measure.Keys == 0 {
		return nil
	}
	return k.values(p, "SELECT concat_ws(', ', "+strings.Join(parts, ", ")+") AS v, n FROM ("+grouped+")")
}

// answer runs a SQL rule: one SELECT whose first value is compared.
func (k *checker) answer(p *plan) error {
	query := k.fill(p)
	if err := k.readOnly(query); err != nil {
		var e *lastro.Error
		if asOurs(err, &e) {
			e.Pos = p.spec.Pos
		}
		return err
	}
	rows, err := k.conn.QueryContext(k.ctx, query)
	if err == nil {
		defer rows.Close()
		var first any
		if first, err = firstValue(rows); err == nil {
			p.measure.Value, p.measure.NoValue = asFloat(first)
			return nil
		}
	}
	if isDuck(err, duck.ErrorTypeOutOfMemory, duck.ErrorTypeInternal, duck.ErrorTypeFatal, duck.ErrorTypeInterrupt) || k.ctx.Err() != nil {
		return err
	}
	p.measure.NoValue = "the query cannot be run on this data: " + tidy(err.Error())
	return nil
}

var placeholder = regexp.MustCompile("[\"'`]?\\$?\\{\\s*(\\w+)\\s*\\}[\"'`]?")

// fill puts the table's and the column's name into a query: {object}, {table},
// {model}, {schema} and {column}, {property}, {field}, each also as ${...}.
// Quotes that the author wrote around one are dropped.
func (k *checker) fill(p *plan) string {
	return placeholder.ReplaceAllStringFunc(p.spec.Lib.Query, func(m string) string {
		switch placeholder.FindStringSubmatch(m)[1] {
		case "object", "table", "model", "schema":
			return k.rel.name
		case "column", "property", "field":
			if p.column.Name != "" {
				return ident(p.column.Name)
			}
		}
		return m
	})
}

func firstValue(rows *sql.Rows) (any, error) {
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, cmp.Or(err, rows.Err())
	}
	values := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	return values[0], nil
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= 200 {
		return s
	}
	return string([]rune(s)[:200]) + "…"
}
