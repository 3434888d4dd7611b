// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"lastro"
)

// MLflow's scoring protocol (MLflow 3, docs "Inference server specification"):
// POST /invocations with one of dataframe_split, dataframe_records, instances
// and inputs; the answer is {"predictions": ...}.

func writeMLflowError(w http.ResponseWriter, status int, text string) {
	code := map[int]string{http.StatusBadRequest: "BAD_REQUEST", http.StatusNotFound: "RESOURCE_DOES_NOT_EXIST", http.StatusForbidden: "PERMISSION_DENIED",
		http.StatusServiceUnavailable: "TEMPORARILY_UNAVAILABLE", http.StatusGatewayTimeout: "DEADLINE_EXCEEDED"}[status]
	if code == "" && status < 500 {
		code = "BAD_REQUEST"
	}
	if code == "" {
		code = "INTERNAL_ERROR"
	}
	writeJSON(w, status, map[string]string{"error_code": code, "message": text})
}

func (g *Gateway) invocations(w http.ResponseWriter, r *http.Request) error {
	ep, err := g.endpointOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	var wire map[string]json.RawMessage
	if err := readJSON(r, &wire); err != nil {
		return err
	}
	q, err := newRequest(r, "")
	if err != nil {
		return err
	}
	if err := q.takeMLflow(wire); err != nil {
		return err
	}
	got, err := g.answer(r.Context(), ep, q)
	if err != nil {
		return err
	}
	sayWho(w, q, got)
	writeJSON(w, http.StatusOK, map[string]any{"predictions": predictions(got.answer)})
	return nil
}

// takeMLflow reads the one input that the object holds.
func (q *request) takeMLflow(wire map[string]json.RawMessage) error {
	var found []string
	var err error
	for key, raw := range wire {
		switch key {
		case "dataframe_split":
			err = q.takeSplit(raw)
		case "dataframe_records":
			err = q.takeRecords(raw)
		case "instances":
			err = q.takeInstances(raw)
		case "inputs":
			err = q.takeInputs(raw)
		default:
			continue // params and whatever newer clients add
		}
		if found = append(found, key); err != nil {
			return err
		}
	}
	if len(found) != 1 {
		sort.Strings(found)
		e := lastro.Errorf(lastro.EInvalid, "the body must have exactly one of dataframe_split, dataframe_records, instances and inputs")
		if len(found) > 1 {
			e.Msg += "; it has " + strings.Join(found, " and ")
		}
		return e
	}
	if q.count() == 0 {
		return lastro.Errorf(lastro.EInvalid, "%s has no rows", found[0])
	}
	return nil
}

func (q *request) takeSplit(raw []byte) error {
	var split struct {
		Columns []json.RawMessage `json:"columns"`
		Data    [][]any           `json:"data"`
	}
	if err := decode(raw, &split); err != nil {
		return lastro.Errorf(lastro.EInvalid, "dataframe_split: %v", err)
	}
	names := make([]string, len(split.Columns))
	for i, c := range split.Columns {
		if err := json.Unmarshal(c, &names[i]); err != nil {
			names[i] = string(c) // pandas numbers columns that have no name
		}
	}
	if split.Columns == nil {
		return q.takeLists(split.Data, "dataframe_split.data")
	}
	q.rows = len(split.Data)
	for _, name := range names {
		if err := q.addColumn(name, make([]any, len(split.Data))); err != nil {
			return err
		}
	}
	for i, row := range split.Data {
		if len(row) != len(names) {
			return lastro.Errorf(lastro.EInvalid, "dataframe_split: row %d has %d values, there are %d columns", i, len(row), len(names))
		}
		for j, v := range row {
			q.columns[j].Values[i] = v
		}
	}
	return nil
}

func (q *request) addColumn(name string, values []any) error {
	for _, c := range q.columns {
		if c.Name == name {
			return lastro.Errorf(lastro.EInvalid, "column %q is there twice", name)
		}
	}
	q.columns = append(q.columns, Column{Name: name, Values: values})
	return nil
}

// takeRecords reads a list of objects. Columns come in the order in which they
// first appear, which matters to models without a schema; a key that a record
// lacks is a missing value.
func (q *request) takeRecords(raw []byte) error {
	var rows []json.RawMessage
	if err := decode(raw, &rows); err != nil {
		return lastro.Errorf(lastro.EInvalid, "dataframe_records is no list: %v", err)
	}
	q.rows = len(rows)
	at := map[string]int{}
	for i, row := range rows {
		err := eachMember(row, func(name string, v any) error {
			j, ok := at[name]
			if !ok {
				j = len(q.columns)
				at[name] = j
				q.columns = append(q.columns, Column{Name: name, Values: make([]any, len(rows))})
			}
			q.columns[j].Values[i] = v
			return nil
		})
		if err != nil {
			return lastro.Errorf(lastro.EInvalid, "row %d is no object: %v", i, err)
		}
	}
	return nil
}

// eachMember calls f with the members of a JSON object in their order.
func eachMember(text []byte, f func(string, any) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return errors.New("it does not begin with {")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if err := f(key.(string), v); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// takeInstances reads rows: objects, lists, or single values.
func (q *request) takeInstances(raw []byte) error {
	var rows []any
	if err := decode(raw, &rows); err != nil {
		return lastro.Errorf(lastro.EInvalid, "instances is no list: %v", err)
	}
	if len(rows) > 0 {
		if _, ok := rows[0].(map[string]any); ok {
			return q.takeRecords(raw)
		}
	}
	return q.takeRows(rows, "instances")
}

// takeInputs reads columns by name, or rows.
func (q *request) takeInputs(raw []byte) error {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' {
		var rows []any
		if err := decode(raw, &rows); err != nil {
			return lastro.Errorf(lastro.EInvalid, "inputs is neither an object nor a list: %v", err)
		}
		return q.takeRows(rows, "inputs")
	}
	err := eachMember(raw, func(name string, v any) error {
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		if len(values) > 0 {
			if _, nested := values[0].([]any); nested {
				values = flatten(values, nil) // [[1],[2]] is a column of shape [2,1]
			}
		}
		if len(q.columns) > 0 && len(values) != q.rows {
			return lastro.Errorf(lastro.EInvalid, "column %q has %d values, column %q has %d", name, len(values), q.columns[0].Name, q.rows)
		}
		q.rows = len(values)
		return q.addColumn(name, values)
	})
	if err != nil && !lastro.Is(err, lastro.EInvalid) {
		err = lastro.Errorf(lastro.EInvalid, "inputs: %v", err)
	}
	return err
}

func (q *request) takeRows(rows []any, where string) error {
	lists := make([][]any, len(rows))
	for i, row := range rows {
		if list, ok := row.([]any); ok {
			lists[i] = list
		} else {
			lists[i] = []any{row}
		}
	}
	return q.takeLists(lists, where)
}

// takeLists reads unnamed rows as one matrix.
func (q *request) takeLists(rows [][]any, where string) error {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return lastro.Errorf(lastro.EInvalid, "%s has no rows", where)
	}
	var flat []any
	for i, row := range rows {
		if len(row) != len(rows[0]) {
			return lastro.Errorf(lastro.EInvalid, "%s: row %d has %d values, row 0 has %d", where, i, len(row), len(rows[0]))
		}
		flat = append(flat, row...)
	}
	return q.takeMatrix(flat, len(rows), len(rows[0]))
}

// predictions shapes an answer as MLflow does: records for a data frame,
// nested lists for an array.
func predictions(a Answer) any {
	if a.Frame {
		rows := make([]map[string]any, a.Outputs[0].Shape[0])
		for i := range rows {
			rows[i] = map[string]any{}
			for _, o := range a.Outputs {
				rows[i][o.Name] = o.row(i)
			}
		}
		return rows
	}
	if len(a.Outputs) > 1 {
		byName := map[string]any{}
		for i, o := range a.Outputs {
			name := o.Name
			if name == "" {
				name = strconv.Itoa(i)
			}
			byName[name] = predictions(Answer{Outputs: []Output{o}})
		}
		return byName
	}
	rows := make([]any, a.Outputs[0].Shape[0])
	for i := range rows {
		rows[i] = a.Outputs[0].row(i)
	}
	return rows
}

// row is one row of an output: a value, or a list when it is wider.
func (o Output) row(i int) any {
	if len(o.Shape) == 1 {
		return o.Data[i]
	}
	width := len(o.Data) / int(o.Shape[0])
	return o.Data[i*width : (i+1)*width]
}
