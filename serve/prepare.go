// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// request is what a protocol read from a client.
type request struct {
	id        string
	version   string   // that the client asked for; "" = as routed
	columns   []Column // values as JSON gave them: json.Number, string, bool, nil
	matrix    [][]float64
	rows      int
	eventTime time.Time // of the header; zero without
}

// prepare checks a request against a model's schema and types its values. The
// second result is everything that was sent, typed as far as known, for the log.
func (q *request) prepare(s Schema, r Routing, model string) (Batch, []Column, error) {
	if q.matrix != nil {
		return q.prepareMatrix(s, model)
	}
	if s.Known && !s.Named {
		return q.columnsAsMatrix(s, r, model)
	}
	byName := make(map[string]int, len(q.columns))
	for i, c := range q.columns {
		byName[c.Name] = i
	}
	logged := make([]Column, len(q.columns))
	for i, c := range q.columns {
		logged[i] = Column{Name: c.Name, Values: guess(c.Values)}
	}
	batch := Batch{Rows: q.rows}
	if !s.Known {
		for _, c := range logged {
			if c.Name != r.JoinKey && c.Name != r.EventTime {
				batch.Columns = append(batch.Columns, c)
			}
		}
		return batch, logged, nil
	}
	var missing []string
	for _, f := range s.Inputs {
		i, ok := byName[f.Name]
		if !ok {
			if f.Required {
				missing = append(missing, f.Name)
			}
			continue
		}
		values, err := convert(q.columns[i], f)
		if err != nil {
			return Batch{}, logged, err
		}
		logged[i].Values = values
		batch.Columns = append(batch.Columns, logged[i])
	}
	if len(missing) > 0 {
		return Batch{}, logged, missingColumns(missing, s, q.columns, model)
	}
	return batch, logged, nil
}

// missingColumns names what is missing and, when a name was sent that is close
// to it, that one.
func missingColumns(missing []string, s Schema, sent []Column, model string) error {
	var extra []string
	for _, c := range sent {
		if !slices.ContainsFunc(s.Inputs, func(f Field) bool { return f.Name == c.Name }) {
			extra = append(extra, c.Name)
		}
	}
	noun := "column"
	if len(missing) > 1 {
		noun = "columns"
	}
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0630",
		Msg:  fmt.Sprintf("missing %s %s: %s asks for %d columns", noun, strings.Join(missing, ", "), model, len(s.Inputs)),
		Hint: "send every column with each row; null is allowed where the training data had missing values"}
	if near := lastro.Nearest(missing[0], extra); near != "" {
		e.Hint = fmt.Sprintf("%q was sent; did you mean %q?", near, missing[0])
	}
	return e
}

func (q *request) prepareMatrix(s Schema, model string) (Batch, []Column, error) {
	width := len(q.matrix[0])
	logged := make([]Column, width)
	for j := range logged {
		name := strconv.Itoa(j)
		if s.Named && j < len(s.Inputs) {
			name = s.Inputs[j].Name
		}
		logged[j] = Column{Name: name, Values: make([]any, len(q.matrix))}
		for i, row := range q.matrix {
			logged[j].Values[i] = row[j]
		}
	}
	if s.Known && s.Named {
		return Batch{}, logged, &lastro.Error{Code: lastro.EInvalid, ID: "L0631",
			Msg:  fmt.Sprintf("%s asks for %d named columns; one unnamed matrix was sent", model, len(s.Inputs)),
			Hint: "send one tensor a column, or dataframe_split with the column names"}
	}
	if s.Width > 0 && s.Width != width {
		return Batch{}, logged, lastro.Errorf(lastro.EInvalid, "%s asks for rows of %d values; %d were sent", model, s.Width, width)
	}
	return Batch{Rows: len(q.matrix), Matrix: q.matrix}, logged, nil
}

// columnsAsMatrix serves clients that name the columns of a model whose schema
// does not: their order is the order sent.
func (q *request) columnsAsMatrix(s Schema, r Routing, model string) (Batch, []Column, error) {
	logged := make([]Column, len(q.columns))
	var used []Column
	for i, c := range q.columns {
		logged[i] = Column{Name: c.Name, Values: guess(c.Values)}
		if c.Name == r.JoinKey || c.Name == r.EventTime {
			continue
		}
		values, err := convert(c, Field{Name: c.Name, Type: "double"})
		if err != nil {
			return Batch{}, logged, err
		}
		used = append(used, Column{Name: c.Name, Values: values})
	}
	if len(used) == 0 || s.Width > 0 && s.Width != len(used) {
		return Batch{}, logged, lastro.Errorf(lastro.EInvalid, "%s asks for rows of %d values; %d columns were sent", model, s.Width, len(used))
	}
	b := Batch{Rows: q.rows, Matrix: make([][]float64, q.rows)}
	for i := range b.Matrix {
		b.Matrix[i] = make([]float64, len(used))
		for j, c := range used {
			x, ok := c.Values[i].(float64)
			if !ok {
				return Batch{}, logged, lastro.Errorf(lastro.EInvalid, "column %q is missing in row %d; a matrix has no missing values", c.Name, i)
			}
			b.Matrix[i][j] = x
		}
	}
	return b, logged, nil
}

// convert types the values of one column as the schema says.
func convert(c Column, f Field) ([]any, error) {
	out := make([]any, len(c.Values))
	for i, v := range c.Values {
		typed, ok := convertValue(v, f.Type)
		if !ok {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0632",
				Msg:  fmt.Sprintf("column %q, row %d: %s is no %s", f.Name, i, show(v), f.Type),
				Hint: typeHint(v, f.Type)}
		}
		out[i] = typed
	}
	return out, nil
}

func convertValue(v any, kind string) (any, bool) {
	switch kind {
	case "double", "float":
		if v == nil {
			return nil, true
		}
		return toFloat(v)
	case "long", "integer":
		return toInt(v, kind == "integer")
	case "boolean":
		b, ok := v.(bool)
		return b, ok
	case "string":
		if v == nil {
			return nil, true
		}
		s, ok := v.(string)
		return s, ok
	}
	return guess([]any{v})[0], true // datetime, binary, objects: the model's own reading
}

func toFloat(v any) (any, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, false
	}
	x, err := n.Float64()
	return x, err == nil && !math.IsInf(x, 0)
}

func toInt(v any, short bool) (any, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, false
	}
	i, err := n.Int64()
	if err != nil {
		// 3.0 is an integer too: many clients send every number as a double.
		x, err := n.Float64()
		if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return nil, false
		}
		i = int64(x)
	}
	return i, !short || i == int64(int32(i))
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(text)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return string(text)
}

func typeHint(v any, kind string) string {
	if v == nil {
		return "the training data had no missing values in it; to allow them train with the column as float"
	}
	switch kind {
	case "string":
		return "send it in quotes"
	case "boolean":
		return "send true or false"
	}
	return "send a number without quotes"
}

// guess types values without a schema: integers, other numbers, strings, booleans.
func guess(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		n, ok := v.(json.Number)
		if !ok {
			out[i] = v
			continue
		}
		if k, err := n.Int64(); err == nil {
			out[i] = k
		} else if x, err := n.Float64(); err == nil {
			out[i] = x
		} else {
			out[i] = n.String()
		}
	}
	return out
}

// eventTimes gives each row its time in microseconds: of the column named by
// the routing, else of the header, else 0.
func (q *request) eventTimes(column string) ([]int64, error) {
	var values []any
	for _, c := range q.columns {
		if c.Name == column && column != "" {
			values = c.Values
		}
	}
	rows := q.rows
	if q.matrix != nil {
		rows = len(q.matrix)
	}
	if values == nil && q.eventTime.IsZero() {
		return nil, nil
	}
	out := make([]int64, rows)
	for i := range out {
		out[i] = lastro.Micros(q.eventTime)
		if i < len(values) && values[i] != nil {
			t, ok := parseTime(values[i])
			if !ok {
				return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0633", Msg: fmt.Sprintf("column %q, row %d: %s is no time", column, i, show(values[i])),
					Hint: "send RFC 3339 such as 2013-07-01T12:30:00Z, or seconds, milliseconds or microseconds since 1970"}
			}
			out[i] = t.UnixMicro()
		}
	}
	return out, nil
}

var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// parseTime reads a time; without a zone it is UTC. Numbers count from 1970 in
// the unit that their size tells: a number of seconds stays below 10^11 until
// the year 5138.
func parseTime(v any) (time.Time, bool) {
	switch x := v.(type) {
	case string:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, x); err == nil {
				return t.UTC(), true
			}
		}
	case json.Number:
		f, err := x.Float64()
		if err != nil || math.IsInf(f, 0) {
			return time.Time{}, false
		}
		switch a := math.Abs(f); {
		case a < 1e11:
			return time.UnixMicro(int64(f * 1e6)).UTC(), true
		case a < 1e14:
			return time.UnixMicro(int64(f * 1e3)).UTC(), true
		case a < 1e17:
			return time.UnixMicro(int64(f)).UTC(), true
		case a < 9e18:
			return time.Unix(0, int64(f)).UTC(), true
		}
	}
	return time.Time{}, false
}
