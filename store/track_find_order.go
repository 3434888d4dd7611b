// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lastro/track"
)

// runOrder is one order of a search of runs.
type runOrder struct {
	table string // where the values are
	key   int64  // of a metric, param or tag; 0 = no run has it
	attribute
	desc  bool
	asked track.Order
}

// order turns an order into what the finder works with.
func (f *finder) order(o track.Order, keys map[string]int64) (runOrder, error) {
	out := runOrder{key: keys[o.Key], desc: o.Desc, asked: o, attribute: attribute{expr: "t.value", kind: isText}}
	switch o.Field {
	case track.MetricField:
		out.table, out.kind = "latest_metrics", isFloat
		return out, nil
	case track.ParamField:
		out.table = "tracked_params"
		return out, nil
	case track.TagField:
		out.table = "tracked_tags"
		return out, nil
	case track.Attribute:
		if a, ok := runAttributes[o.Key]; ok {
			return runOrder{table: "tracked_runs", attribute: a, desc: o.Desc, asked: o}, nil
		}
	}
	return out, cannotOrder(o)
}

func (k kind) zero() any {
	switch k {
	case isFloat:
		return 0.0
	case isText:
		return ""
	}
	return int64(0)
}

// keyed says that the values are rows of a key.
func (o *runOrder) keyed() bool { return o.table != "tracked_runs" }

// ranks are what runs may have for this order.
func (o *runOrder) ranks() []int64 {
	switch {
	case o.keyed() && o.key == 0:
		return []int64{hasNothing}
	case o.table == "latest_metrics":
		return []int64{hasValue, hasNaN, hasNothing}
	case o.keyed() || o.none:
		return []int64{hasValue, hasNothing}
	}
	return []int64{hasValue}
}

// without returns the conditions for runs of a rank other than hasValue.
func (o *runOrder) without(rank int64) []*condition {
	switch {
	case o.keyed() && o.key == 0:
		return nil
	case rank == hasNaN:
		return []*condition{{table: o.table, where: "t.key = ? AND t.is_nan = 1", args: []any{o.key}, indexed: true}}
	case o.keyed():
		return []*condition{{table: o.table, where: "t.key = ?", args: []any{o.key}, not: true, indexed: o.table != "tracked_tags"}}
	}
	return []*condition{{table: o.table, where: o.value() + " IS NULL"}}
}

// rows returns the condition that a row of the table has a value of this order.
func (o *runOrder) rows() (string, []any) {
	switch {
	case o.table == "latest_metrics":
		return "t.key = ? AND t.is_nan = 0", []any{o.key}
	case o.keyed():
		return "t.key = ?", []any{o.key}
	}
	return o.value() + " IS NOT NULL", nil
}

// equals returns the condition for runs with the value v.
func (o *runOrder) equals(d dialect, v any) *condition {
	where, args := o.rows()
	c := &condition{table: o.table, where: where + " AND " + o.expr + " = ?", args: append(args, v), indexed: o.indexed()}
	if o.table == "tracked_params" {
		c.byBeginning(d, []string{v.(string)})
	}
	return c
}

// indexed says that an index has the values of one experiment in their order.
func (o *runOrder) indexed() bool {
	return o.table == "latest_metrics" || o.table == "tracked_params" || o.expr == "t.started_at"
}

// stream gives runs in the order of their values.
type stream interface {
	// next returns about n candidates; more is false when they are the last.
	next(ctx context.Context, n int) (list []candidate, more bool, err error)
	// skip leaves out the candidates to come with a value.
	skip(v any)
	// all returns the runs that have come, if they are all that have a value; else nil.
	all() *runSet
}

// open returns the runs with a value of the order of level, from a position on
// (nil = all): from an index, or else read and sorted.
func (f *finder) open(ctx context.Context, level int, conds []*condition, from []value, need int) (stream, error) {
	o := &f.orders[level]
	if o.indexed() && len(f.experiments) == 1 {
		s := &indexStream{f: f, o: o}
		if from != nil {
			s.first = from[0].of
		} else if o.keyed() {
			s.have = newRunSet()
		}
		return s, nil
	}
	s := &sortedStream{o: o, need: need}
	if from != nil {
		s.first = from[0].of
	}
	return s, f.readAll(ctx, o, conds, s)
}

// indexStream reads along an index: (experiment, key, value, run) or
// (experiment, start, id).
type indexStream struct {
	f     *finder
	o     *runOrder
	first any       // the value to begin with; nil = all
	last  candidate // of the portion before
	after bool      // go on after last
	over  any       // leave out this value and what is before it
	have  *runSet   // the runs that came, when it began at the start; else nil
}

func (s *indexStream) skip(v any) { s.over, s.after, s.have = v, false, nil }

func (s *indexStream) all() *runSet { return s.have }

func (s *indexStream) next(ctx context.Context, n int) ([]candidate, bool, error) {
	o, d := s.o, s.f.track.db.dialect
	run := runColumn(o.table)
	value, then := o.expr, " > "
	direction := ""
	if o.desc {
		direction, then = " DESC", " < "
	}
	if o.table == "tracked_params" {
		value = d.indexed(o.expr)
	}
	var w where
	w.add("t.experiment = ?", s.f.experiments[0])
	rows, args := o.rows()
	w.add(rows, args...)
	switch {
	case s.after:
		w.add("("+value+", "+run+")"+then+"(?, ?)", s.indexed(s.last.of), s.last.run)
	case s.over != nil:
		w.add(value+then+"?", s.indexed(s.over))
	case s.first != nil:
		w.add(value+strings.TrimSuffix(then, " ")+"= ?", s.indexed(s.first))
	}
	query := "SELECT " + run + ", " + o.expr + " FROM " + o.table + " t" + w.sql() + " ORDER BY " + value + direction + ", " + run + direction + " LIMIT ?"
	list := make([]candidate, 0, n)
	err := s.f.track.values(ctx, query, append(w.args, n), 2, func(v []any) error {
		list = append(list, candidate{v[0].(int64), plainValue(v[1])})
		return nil
	})
	if s.have != nil {
		for _, c := range list {
			s.have.add(c.run)
		}
	}
	if len(list) > 0 {
		s.last, s.after = list[len(list)-1], true
	}
	return list, len(list) == n, err
}

// indexed is a value as the index has it.
func (s *indexStream) indexed(v any) any {
	if text, ok := v.(string); ok && s.f.track.db.dialect == postgresDialect {
		return beginning(text)
	}
	return v
}

// plainValue is a value as the finder compares it.
func plainValue(v any) any {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

// sortedStream has been read whole.
type sortedStream struct {
	o     *runOrder
	first any
	need  int
	list  []candidate
}

func (s *sortedStream) next(context.Context, int) ([]candidate, bool, error) {
	list := s.list
	s.list = nil
	return list, false, nil
}

func (s *sortedStream) skip(any) {}

func (s *sortedStream) all() *runSet { return nil }

func (s *sortedStream) compare(a, b any) int {
	if s.o.desc {
		a, b = b, a
	}
	return compareValues(a, b)
}

// candidatesKept bounds what a sorted stream holds beyond what is needed.
const candidatesKept = 100_000

// prune sorts, and drops what comes before the first value or after as many
// candidates as are needed.
func (s *sortedStream) prune() {
	if s.first != nil {
		s.list = slices.DeleteFunc(s.list, func(e candidate) bool { return s.compare(e.of, s.first) < 0 })
	}
	slices.SortFunc(s.list, func(a, b candidate) int { return s.compare(a.of, b.of) })
	n := 0
	for n < len(s.list) && s.first != nil && s.compare(s.list[n].of, s.first) == 0 {
		n++
	}
	n += s.need
	for n < len(s.list) && s.compare(s.list[n].of, s.list[n-1].of) == 0 {
		n++
	}
	s.list = s.list[:min(n, len(s.list))]
}

// readAll fills a sorted stream.
func (f *finder) readAll(ctx context.Context, o *runOrder, conds []*condition, s *sortedStream) error {
	rows, args := o.rows()
	from, between, err := f.fromExperiments(ctx, o.table)
	if err != nil {
		return err
	}
	query := "SELECT " + runColumn(o.table) + ", " + o.expr + " FROM " + from + rows
	const portion = 8192
	var fresh []candidate
	take := func() error {
		kept, err := filterRuns(ctx, f, conds, fresh, func(e candidate) int64 { return e.run })
		if s.list = append(s.list, kept...); len(s.list) > candidatesKept+4*s.need {
			s.prune()
		}
		fresh = fresh[:0]
		return err
	}
	err = f.perExperiments(ctx, query, append(between, args...), 2, func(v []any) error {
		fresh = append(fresh, candidate{v[0].(int64), plainValue(v[1])})
		return nil
	})
	if err != nil {
		return err
	}
	for all := fresh; len(all) > 0; {
		n := min(portion, len(all))
		fresh = all[:n:n]
		if err := take(); err != nil {
			return err
		}
		all = all[n:]
	}
	s.prune()
	return nil
}

// values returns runs with their values of the orders from level on.
// first are what they have for the first of these, nil when it is not known.
func (f *finder) values(ctx context.Context, level int, runs []int64, first []candidate) ([]found, error) {
	orders := f.orders[level:]
	list := make([]found, len(runs))
	at := make(map[int64]int, len(runs))
	for i, run := range runs {
		list[i], at[run] = found{run, make([]value, len(orders))}, i
		for k, o := range orders {
			list[i].values[k] = value{hasNothing, o.kind.zero()}
		}
	}
	var columns []int // orders by attributes
	for k, o := range orders {
		if k == 0 && first != nil {
			for i, c := range first {
				list[i].values[0] = value{of: c.of}
			}
		} else if !o.keyed() {
			columns = append(columns, k)
		} else if o.key != 0 {
			if err := f.keyedValues(ctx, &orders[k], runs, func(run int64, v value) { list[at[run]].values[k] = v }); err != nil {
				return nil, err
			}
		}
	}
	exprs := []string{"t.number"}
	for _, k := range columns {
		exprs = append(exprs, orders[k].value())
	}
	query := "SELECT " + strings.Join(exprs, ", ") + " FROM tracked_runs t WHERE t.number IN (%s)"
	there := make([]bool, len(runs))
	err := f.track.lookUp(ctx, query, runs, nil, len(columns)+1, func(v []any) error {
		row := at[v[0].(int64)]
		there[row] = true
		for i, k := range columns {
			if of := plainValue(v[i+1]); of != nil {
				list[row].values[k] = value{hasValue, of}
			}
		}
		return nil
	})
	i := -1
	return slices.DeleteFunc(list, func(found) bool { i++; return !there[i] }), err
}

func (f *finder) keyedValues(ctx context.Context, o *runOrder, runs []int64, set func(int64, value)) error {
	nan := "0"
	if o.table == "latest_metrics" {
		nan = "t.is_nan"
	}
	query := fmt.Sprintf("SELECT t.run, t.value, %s FROM %s t WHERE t.run IN (%%s) AND t.key = ?", nan, o.table)
	return f.track.lookUp(ctx, query, runs, []any{o.key}, 3, func(v []any) error {
		x := value{v[2].(int64), plainValue(v[1])}
		if x.rank == hasNaN {
			x.of = o.kind.zero()
		}
		set(v[0].(int64), x)
		return nil
	})
}
