// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/data"
)

// Split implements data.Engine.
func (e *Engine) Split(ctx context.Context, req data.SplitRequest) (data.SplitResult, error) {
	temps := []string{besides(req.Train), besides(req.Test)}
	if req.Valid != "" {
		temps = append(temps, besides(req.Valid))
	}
	return within(e, ctx, []data.Table{req.Table}, temps, func(s *session) (data.SplitResult, error) {
		k := &splitter{session: s, req: req, temps: temps}
		return k.run()
	})
}

type splitter struct {
	*session
	req    data.SplitRequest
	temps  []string
	rel    relation // as loaded
	base   string   // its rows in a table
	marks  string   // one narrow row for each: lastro_row, lastro_at, lastro_order, lastro_stratum, lastro_hash
	parts  string   // lastro_row, lastro_at, lastro_order, lastro_part
	result data.SplitResult
}

// The parts, as numbered in the column lastro_part; rows outside have null.
const (
	partTrain = iota
	partValid
	partTest
)

func (k *splitter) run() (data.SplitResult, error) {
	var err error
	if k.rel, err = k.loadFor(k.req.Table, k.req.Train, k.req.Test, k.req.Valid); err != nil {
		return k.result, err
	}
	for _, list := range []*[]string{&k.req.Key, &k.req.NoOverlap} {
		if *list, err = k.rel.wantAll(*list); err != nil {
			return k.result, err
		}
	}
	k.base = k.name()
	if err := k.exec("CREATE TABLE " + k.base + " AS SELECT * FROM " + k.rel.name); err != nil {
		return k.result, err
	}
	if k.req.By == "time" {
		err = k.byTime()
	} else {
		err = k.byHash()
	}
	if err != nil {
		return k.result, err
	}
	if err := k.refuseOverlap(); err != nil {
		return k.result, err
	}
	err = k.writeParts()
	return k.result, err
}

// mark makes the narrow table that everything is decided in; wide rows are
// sorted only once, when they are written.
func (k *splitter) mark(at, stratum, hash string) error {
	order, err := k.order()
	if err != nil {
		return err
	}
	k.marks = k.name()
	return k.exec(fmt.Sprintf("CREATE TABLE %s AS SELECT rowid AS lastro_row, %s AS lastro_at, %s AS lastro_order, %s AS lastro_stratum, %s AS lastro_hash FROM %s",
		k.marks, at, order, stratum, hash, k.base))
}

// order is what rows of one moment are ordered by: the key when it is one,
// else a hash of the whole row; rows that are equal in it are equal. So the
// bytes do not depend on the order of files.
func (k *splitter) order() (string, error) {
	if len(k.req.Key) > 0 {
		fields := make([]string, len(k.req.Key))
		for i, c := range k.req.Key {
			fields[i] = fmt.Sprintf("k%d := %s", i, ident(c))
		}
		key := "struct_pack(" + strings.Join(fields, ", ") + ")"
		var unique bool
		if err := k.row("SELECT count(*) = count(DISTINCT "+key+") FROM "+k.base, &unique); err != nil || unique {
			return key, err
		}
	}
	return hashOf("", k.rel.names()), nil
}

// hashOf is a hash of columns that is the same on every machine.
func hashOf(seed string, columns []string) string {
	return "md5(" + text(seed) + " || CAST(row(" + idents(columns) + ") AS VARCHAR))"
}

// byTime marks the newest rows as test, those before them as validation, the
// rest of the window as train. All rows of one moment are on one side.
func (k *splitter) byTime() error {
	c, err := k.rel.want(k.req.Column)
	if err != nil {
		return err
	}
	if err := k.mark(moment(c), "0", "''"); err != nil {
		return err
	}
	var newest, oldest sql.NullTime
	if err := k.row("SELECT count(*) FILTER (WHERE lastro_at IS NULL), min(lastro_at), max(lastro_at) FROM "+k.marks, &k.result.NoTime, &oldest, &newest); err != nil {
		return err
	}
	if !newest.Valid {
		return failed("no row has a time in %q, so there is nothing to split by", c.Name)
	}
	from := oldest.Time
	if k.req.Window > 0 {
		from = newest.Time.Add(-time.Duration(k.req.Window))
	}
	if err := k.row("SELECT count(*) FROM "+k.marks+" WHERE lastro_at < "+timestamp(from), &k.result.Outside); err != nil {
		return err
	}
	test, err := k.testStart(from)
	if err != nil {
		return err
	}
	valid := test
	if k.req.ValidShare > 0 {
		if valid, err = k.cut(from, &test, k.req.ValidShare); err != nil {
			return err
		}
	}
	return k.assign(fmt.Sprintf("CASE WHEN lastro_at >= %s THEN %d WHEN lastro_at >= %s THEN %d WHEN lastro_at >= %s THEN %d END",
		timestamp(test), partTest, timestamp(valid), partValid, timestamp(from), partTrain), k.marks)
}

// assign makes the table of parts.
func (k *splitter) assign(part, from string) error {
	k.parts = k.name()
	return k.exec("CREATE TABLE " + k.parts + " AS SELECT lastro_row, lastro_at, lastro_order, " + part + " AS lastro_part FROM " + from)
}

func (k *splitter) testStart(from time.Time) (time.Time, error) {
	if k.req.TestFrom == "" {
		return k.cut(from, nil, k.req.TestShare)
	}
	var at sql.NullTime
	err := k.row("SELECT TRY_CAST("+text(k.req.TestFrom)+" AS TIMESTAMPTZ) AT TIME ZONE 'UTC'", &at)
	if err == nil && !at.Valid {
		err = &lastro.Error{Code: lastro.EInvalid, ID: "L0550", Msg: fmt.Sprintf("test_from %q is not a date or time", k.req.TestFrom), Hint: "write 2026-04-01"}
	}
	return at.Time, err
}

// cut returns the moment from which on the part holds about a share of the
// window's rows: the moment whose share comes nearest, at least one moment
// and not all of them. Rows from before on belong to another part already.
func (k *splitter) cut(from time.Time, before *time.Time, share float64) (time.Time, error) {
	span := "lastro_at >= " + timestamp(from)
	inside := span
	if before != nil {
		inside += " AND lastro_at < " + timestamp(*before)
	}
	query := fmt.Sprintf(`WITH moments AS (SELECT lastro_at, count(*) AS n FROM %[1]s WHERE %[2]s GROUP BY lastro_at),
		tails AS (SELECT lastro_at, sum(n) OVER (ORDER BY lastro_at DESC) AS tail, row_number() OVER (ORDER BY lastro_at) AS place FROM moments)
		SELECT lastro_at FROM tails WHERE place > 1 ORDER BY abs(tail - %[3]v * (SELECT count(*) FROM %[1]s WHERE %[4]s)), lastro_at DESC LIMIT 1`, k.marks, inside, share, span)
	var at sql.NullTime
	err := k.row(query, &at)
	if err == sql.ErrNoRows {
		return at.Time, failed("all rows have the same time in %q: nothing can be held out by time", k.req.Column)
	}
	return at.Time, err
}

// byHash marks rows by the order of a hash of their key and the seed. Rows
// that share their values of the no_overlap columns stay together.
func (k *splitter) byHash() error {
	unit := k.req.NoOverlap
	if len(unit) == 0 {
		unit = k.req.Key
	}
	if len(unit) == 0 {
		unit = k.rel.names()
	}
	stratum := "0"
	if k.req.Stratify != "" {
		c, err := k.rel.want(k.req.Stratify)
		if err != nil {
			return err
		}
		stratum = ident(c.Name)
	}
	if err := k.mark("NULL::TIMESTAMP", stratum, hashOf(fmt.Sprintf("%d:", k.req.Seed), unit)); err != nil {
		return err
	}
	// rank() gives the rows of one unit one place, that of the first: a unit is
	// never cut, and the share is met as nearly as whole units allow.
	ranked := fmt.Sprintf("(SELECT *, rank() OVER (PARTITION BY lastro_stratum ORDER BY lastro_hash) AS place, count(*) OVER (PARTITION BY lastro_stratum) AS n FROM %s)", k.marks)
	return k.assign(fmt.Sprintf("CASE WHEN place <= round(%[1]v * n) THEN %[2]d WHEN place <= round(%[1]v * n) + round(%[3]v * n) THEN %[4]d ELSE %[5]d END",
		k.req.TestShare, partTest, k.req.ValidShare, partValid, partTrain), ranked)
}

// joined is the rows with their parts.
func (k *splitter) joined() string {
	return k.base + " AS b JOIN " + k.parts + " AS p ON b.rowid = p.lastro_row"
}

// refuseOverlap fails when a value of a no_overlap column is on two sides.
func (k *splitter) refuseOverlap() error {
	for _, column := range k.req.NoOverlap {
		c, _ := k.rel.column(column)
		id := ident(column)
		var shared int64
		var first sql.NullString
		query := fmt.Sprintf("SELECT count(*), min(v) FROM (SELECT %s AS v FROM %s WHERE lastro_part IS NOT NULL AND %s IS NOT NULL GROUP BY %s HAVING count(DISTINCT lastro_part) > 1)", asText(c), k.joined(), id, id)
		if err := k.row(query, &shared, &first); err != nil {
			return err
		}
		if shared == 0 {
			continue
		}
		example := ""
		if !slices.Contains(k.req.Drop, column) {
			example = fmt.Sprintf(", such as %q", shorten(first.String))
		}
		return &lastro.Error{Code: lastro.EFailed, ID: "L0551",
			Msg:  fmt.Sprintf("the split leaks: %s values of %s are on two sides%s", data.Thousands(shared), column, example),
			Hint: "split by: random keeps the rows of one value together; by time, choose a cut between them or drop " + column + " from no_overlap when it may recur"}
	}
	return nil
}

func (k *splitter) writeParts() error {
	columns := kept(k.rel, k.req.Drop)
	if columns == "" {
		return failed("every column is sensitive: nothing remains to be written")
	}
	type output struct {
		part       int
		path, temp string
		into       *data.Written
	}
	parts := []output{{partTrain, k.req.Train, k.temps[0], &k.result.Train}, {partTest, k.req.Test, k.temps[1], &k.result.Test}}
	if k.req.Valid != "" {
		parts = append(parts, output{partValid, k.req.Valid, k.temps[2], &k.result.Valid})
	}
	for _, p := range parts {
		query := fmt.Sprintf("SELECT %s FROM %s WHERE lastro_part = %d ORDER BY lastro_at, lastro_order", columns, k.joined(), p.part)
		var err error
		if *p.into, err = k.write(query, p.temp, p.path); err != nil {
			return err
		}
	}
	if k.result.Train.Rows == 0 || k.result.Test.Rows == 0 {
		return failed("the split leaves %d rows to train and %d to test: one side is empty", k.result.Train.Rows, k.result.Test.Rows)
	}
	if k.req.By != "time" {
		return nil
	}
	return k.spans()
}

func (k *splitter) spans() error {
	spell := func(part int) string {
		return fmt.Sprintf("SELECT coalesce(strftime(min(lastro_at), '%%Y-%%m-%%dT%%H:%%M:%%SZ'), ''), coalesce(strftime(max(lastro_at), '%%Y-%%m-%%dT%%H:%%M:%%SZ'), '') FROM %s WHERE lastro_part = %d", k.parts, part)
	}
	if err := k.row(spell(partTrain), &k.result.TrainFrom, &k.result.TrainTo); err != nil {
		return err
	}
	return k.row(spell(partTest), &k.result.TestFrom, &k.result.TestTo)
}
