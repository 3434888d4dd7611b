// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"

	"lastro"
	"lastro/track"
)

// prefixed puts a table's alias before each column of a list.
func prefixed(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}

// trackCompiler turns a track.Query into SQL. Its strings are fixed text; keys
// and values of the query become arguments.
type trackCompiler struct {
	dialect dialect
	text    map[string]string // attribute -> expression
	numbers map[string]string
	metrics string // SELECT value ... key = ?; "" where there are none
	params  string
	tags    string
	dataset string // SELECT 1 ... AND; "" where there are none
	last    string // last order
	w       where
}

// scope adds the query's experiments and state.
func (c *trackCompiler) scope(alias string, q track.Query) {
	if q.Experiments != nil {
		if len(q.Experiments) == 0 {
			c.w.add("1 = 0")
		} else {
			c.w.add(alias+".experiment IN ("+marks(len(q.Experiments))+")", anys(q.Experiments)...)
		}
	}
	if q.State != "" {
		c.w.add(alias+".state = ?", string(q.State))
	}
}

// compile returns what follows FROM, and its arguments.
func (c *trackCompiler) compile(q track.Query) (string, []any, error) {
	for _, clause := range q.Where {
		if err := c.clause(clause); err != nil {
			return "", nil, err
		}
	}
	order, orderArgs, err := c.order(q.Order)
	if err != nil {
		return "", nil, err
	}
	args := append(append(c.w.args, orderArgs...), max(1, q.Limit), q.Offset)
	return c.w.sql() + " ORDER BY " + order + " LIMIT ? OFFSET ?", args, nil
}

func (c *trackCompiler) clause(cl track.Clause) error {
	unknown := &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a search cannot compare %s %q by %s", cl.Field, cl.Key, cl.Op)}
	switch cl.Field {
	case track.Attribute:
		if expr, ok := c.numbers[cl.Key]; ok {
			op, ok := numberOps[string(cl.Op)]
			if !ok || !cl.IsNumber {
				return unknown
			}
			c.w.add(expr+" "+op+" ?", int64(cl.Number))
			return nil
		}
		expr, ok := c.text[cl.Key]
		if !ok {
			return unknown
		}
		cond, args, ok := compareText(c.dialect, expr, string(cl.Op), cl.Text, cl.Values)
		if !ok {
			return unknown
		}
		c.w.add(cond, args...)
		return nil
	case track.MetricField:
		op, ok := numberOps[string(cl.Op)]
		if !ok || c.metrics == "" || !cl.IsNumber {
			return unknown
		}
		c.w.add("EXISTS ("+c.metrics+" AND t.value "+op+" ?)", cl.Key, cl.Number)
		return nil
	case track.ParamField:
		return c.keyed(c.params, cl, unknown)
	case track.TagField:
		return c.keyed(c.tags, cl, unknown)
	case track.Dataset:
		return c.datasetClause(cl, unknown)
	}
	return unknown
}

// keyed compares the value of a param or tag; a key that is missing matches
// nothing but IS NULL.
func (c *trackCompiler) keyed(sub string, cl track.Clause, unknown error) error {
	switch {
	case sub == "":
		return unknown
	case cl.Op == track.IsNull:
		c.w.add("NOT EXISTS ("+sub+")", cl.Key)
		return nil
	case cl.Op == track.NotNull:
		c.w.add("EXISTS ("+sub+")", cl.Key)
		return nil
	}
	cond, args, ok := compareText(c.dialect, "t.value", string(cl.Op), cl.Text, cl.Values)
	if !ok {
		return unknown
	}
	c.w.add("EXISTS ("+sub+" AND "+cond+")", append([]any{cl.Key}, args...)...)
	return nil
}

func (c *trackCompiler) datasetClause(cl track.Clause, unknown error) error {
	expr, ok := map[string]string{"name": "t.name", "digest": "t.digest", "context": "t.context"}[cl.Key]
	if !ok || c.dataset == "" {
		return unknown
	}
	cond, args, ok := compareText(c.dialect, expr, string(cl.Op), cl.Text, cl.Values)
	if !ok {
		return unknown
	}
	c.w.add("EXISTS ("+c.dataset+cond+")", args...)
	return nil
}

func (c *trackCompiler) order(orders []track.Order) (string, []any, error) {
	var parts []string
	var args []any
	for _, o := range orders {
		expr, keyed := "", true
		switch o.Field {
		case track.Attribute:
			keyed = false
			if expr = c.numbers[o.Key]; expr == "" {
				expr = c.text[o.Key]
			}
		case track.MetricField:
			expr = c.metrics
		case track.ParamField:
			expr = c.params
		case track.TagField:
			expr = c.tags
		}
		if expr == "" {
			return "", nil, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a search cannot be ordered by %s %q", o.Field, o.Key)}
		}
		if keyed {
			expr, args = "("+expr+" LIMIT 1)", append(args, o.Key)
		}
		if o.Desc {
			expr += " DESC"
		}
		parts = append(parts, expr+" NULLS LAST")
	}
	return strings.Join(append(parts, c.last), ", "), args, nil
}
