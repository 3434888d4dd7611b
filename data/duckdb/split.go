// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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
	rel    relation
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
	if k.rel, err = k.load(k.req.Table); err != nil {
		return k.result, err
	}
	for _, list := range []*[]string{&k.req.Key, &k.req.NoOverlap} {
		if *list, err = k.rel.wantAll(*list); err != nil {
			return k.result, err
		}
	}
	var marked string
	if k.req.By == "time" {
		marked, err = k.byTime()
	} else {
		marked, err = k.byHash()
	}
	if err != nil {
		return k.result, err
	}
	if err := k.refuseOverlap(marked); err != nil {
		return k.result, err
	}
	err = k.writeParts(marked)
	return k.result, err
}

// order is the order of rows within a part: by key, else by all columns, so
// that the bytes do not depend on the order of files.
func (k *splitter) order() string {
	if len(k.req.Key) > 0 {
		return idents(k.req.Key) + ", " + idents(k.rel.names())
	}
	return idents(k.rel.names())
}

// byTime marks the newest rows as test, those before them as validation, the
// rest of the window as train. All rows of one moment are on one side.
func (k *splitter) byTime() (string, error) {
	c, err := k.rel.want(k.req.Column)
	if err != nil {
		return "", err
	}
	timed := k.name()
	if err := k.exec("CREATE TABLE " + timed + " AS SELECT *, " + moment(c) + " AS lastro_at FROM " + k.rel.name); err != nil {
		return "", err
	}
	var newest, oldest sql.NullTime
	if err := k.row("SELECT count(*) FILTER (WHERE lastro_at IS NULL), min(lastro_at), max(lastro_at) FROM "+timed, &k.result.NoTime, &oldest, &newest); err != nil {
		return "", err
	}
	if !newest.Valid {
		return "", failed("no row has a time in %q, so there is nothing to split by", c.Name)
	}
	from := oldest.Time
	if k.req.Window > 0 {
		from = newest.Time.Add(-time.Duration(k.req.Window))
	}
	if err := k.row("SELECT count(*) FROM "+timed+" WHERE lastro_at < "+timestamp(from), &k.result.Outside); err != nil {
		return "", err
	}
	test, err := k.testStart(timed, from)
	if err != nil {
		return "", err
	}
	valid := test
	if k.req.ValidShare > 0 {
		if valid, err = k.cut(timed, from, &test, k.req.ValidShare); err != nil {
			return "", err
		}
	}
	marked := k.name()
	return marked, k.exec(fmt.Sprintf(`CREATE VIEW %s AS SELECT *, CASE WHEN lastro_at >= %s THEN %d WHEN lastro_at >= %s THEN %d WHEN lastro_at >= %s THEN %d END AS lastro_part FROM %s`,
		marked, timestamp(test), partTest, timestamp(valid), partValid, timestamp(from), partTrain, timed))
}

func (k *splitter) testStart(timed string, from time.Time) (time.Time, error) {
	if k.req.TestFrom == "" {
		return k.cut(timed, from, nil, k.req.TestShare)
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
func (k *splitter) cut(timed string, from time.Time, before *time.Time, share float64) (time.Time, error) {
	span := "lastro_at >= " + timestamp(from)
	inside := span
	if before != nil {
		inside += " AND lastro_at < " + timestamp(*before)
	}
	query := fmt.Sprintf(`WITH moments AS (SELECT lastro_at, count(*) AS n FROM %[1]s WHERE %[2]s GROUP BY lastro_at),
		tails AS (SELECT lastro_at, sum(n) OVER (ORDER BY lastro_at DESC) AS tail, row_number() OVER (ORDER BY lastro_at) AS place FROM moments)
		SELECT lastro_at FROM tails WHERE place > 1 ORDER BY abs(tail - %[3]v * (SELECT count(*) FROM %[1]s WHERE %[4]s)), lastro_at DESC LIMIT 1`, timed, inside, share, span)
	var at sql.NullTime
	err := k.row(query, &at)
	if err == sql.ErrNoRows {
		return at.Time, failed("all rows have the same time in %q: nothing can be held out by time", k.req.Column)
	}
	return at.Time, err
}

// byHash marks rows by the order of a hash of their key and the seed. Rows
// that share a value of the first no_overlap column stay together.
func (k *splitter) byHash() (string, error) {
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
			return "", err
		}
		stratum = ident(c.Name)
	}
	hashed := k.name()
	hash := fmt.Sprintf("md5(%s || CAST(row(%s) AS VARCHAR))", text(fmt.Sprintf("%d:", k.req.Seed)), idents(unit))
	if err := k.exec("CREATE TABLE " + hashed + " AS SELECT *, NULL::TIMESTAMP AS lastro_at, " + stratum + " AS lastro_stratum, " + hash + " AS lastro_hash FROM " + k.rel.name); err != nil {
		return "", err
	}
	marked := k.name()
	// A unit goes where its first row in hash order goes: rank() gives equal
	// hashes one rank, so a share is met as nearly as whole units allow.
	query := fmt.Sprintf(`CREATE VIEW %[1]s AS SELECT * EXCLUDE (lastro_stratum, lastro_hash, lastro_rank, lastro_n),
		CASE WHEN lastro_rank <= round(%[3]v * lastro_n) THEN %[4]d WHEN lastro_rank <= round(%[3]v * lastro_n) + round(%[5]v * lastro_n) THEN %[6]d ELSE %[7]d END AS lastro_part
		FROM (SELECT *, rank() OVER (PARTITION BY lastro_stratum ORDER BY lastro_hash) AS lastro_rank, count(*) OVER (PARTITION BY lastro_stratum) AS lastro_n FROM %[2]s)`,
		marked, hashed, k.req.TestShare, partTest, k.req.ValidShare, partValid, partTrain)
	return marked, k.exec(query)
}

// refuseOverlap fails when a value of a no_overlap column is on two sides.
func (k *splitter) refuseOverlap(marked string) error {
	for _, column := range k.req.NoOverlap {
		c, _ := k.rel.column(column)
		id := ident(column)
		var shared int64
		var first sql.NullString
		query := fmt.Sprintf("SELECT count(*), min(v) FROM (SELECT %s AS v FROM %s WHERE lastro_part IS NOT NULL AND %s IS NOT NULL GROUP BY %s HAVING count(DISTINCT lastro_part) > 1)", asText(c), marked, id, id)
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

func (k *splitter) writeParts(marked string) error {
	drop := append([]string{"lastro_part", "lastro_at"}, k.keptOut()...)
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
		query := fmt.Sprintf("SELECT * EXCLUDE (%s) FROM %s WHERE lastro_part = %d ORDER BY lastro_at, %s", idents(drop), marked, p.part, k.order())
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
	return k.spans(marked)
}

// keptOut lists the sensitive columns that the table has.
func (k *splitter) keptOut() []string {
	var out []string
	for _, name := range k.req.Drop {
		if c, ok := k.rel.column(name); ok {
			out = append(out, c.Name)
		}
	}
	return out
}

func (k *splitter) spans(marked string) error {
	spell := func(part int) string {
		return fmt.Sprintf("SELECT coalesce(strftime(min(lastro_at), '%%Y-%%m-%%dT%%H:%%M:%%SZ'), ''), coalesce(strftime(max(lastro_at), '%%Y-%%m-%%dT%%H:%%M:%%SZ'), '') FROM %s WHERE lastro_part = %d", marked, part)
	}
	if err := k.row(spell(partTrain), &k.result.TrainFrom, &k.result.TrainTo); err != nil {
		return err
	}
	return k.row(spell(partTest), &k.result.TestFrom, &k.result.TestTo)
}
