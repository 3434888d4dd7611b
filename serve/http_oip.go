// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"lastro"
)

// The Open Inference Protocol, version 2, over HTTP with JSON:
// https://github.com/kserve/open-inference-protocol

type oipTensor struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int64         `json:"shape"`
	Data     json.RawMessage `json:"data"`
}

type oipRequest struct {
	ID      string      `json:"id"`
	Inputs  []oipTensor `json:"inputs"`
	Outputs []struct {
		Name string `json:"name"`
	} `json:"outputs"`
}

type oipResponse struct {
	ModelName    string   `json:"model_name"`
	ModelVersion string   `json:"model_version"`
	ID           string   `json:"id"`
	Outputs      []Output `json:"outputs"`
}

func writeOIPError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func (g *Gateway) serverMetadata(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"name": "lastro", "version": g.productVersion(), "extensions": []string{}})
	return nil
}

func (g *Gateway) infer(w http.ResponseWriter, r *http.Request) error {
	ep, err := g.endpointOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	var wire oipRequest
	if err := readJSON(r, &wire); err != nil {
		return err
	}
	q, err := newRequest(r, wire.ID)
	if err != nil {
		return err
	}
	if err := q.takeTensors(wire.Inputs); err != nil {
		return err
	}
	got, err := g.answer(r.Context(), ep, q)
	if err != nil {
		return err
	}
	out := oipResponse{ModelName: r.PathValue("name"), ModelVersion: got.revision.Version, ID: q.id, Outputs: got.answer.Outputs}
	if len(wire.Outputs) > 0 {
		out.Outputs = nil
		for _, want := range wire.Outputs {
			i := slices.IndexFunc(got.answer.Outputs, func(o Output) bool { return o.Name == want.Name })
			if i < 0 {
				return lastro.Errorf(lastro.EInvalid, "the model has no output %q", want.Name)
			}
			out.Outputs = append(out.Outputs, got.answer.Outputs[i])
		}
	}
	sayWho(w, q, got)
	writeJSON(w, http.StatusOK, out)
	return nil
}

// takeTensors reads one tensor a column, of shape [n] or [n,1], or one matrix
// of shape [n,k]. null in the data is a missing value.
func (q *request) takeTensors(tensors []oipTensor) error {
	if len(tensors) == 0 {
		return lastro.Errorf(lastro.EInvalid, "inputs is empty; send one tensor for each column")
	}
	for i, t := range tensors {
		values, err := t.values()
		if err != nil {
			return err
		}
		rows := t.Shape[0]
		if rows == 0 {
			return lastro.Errorf(lastro.EInvalid, "input %q has no rows", t.Name)
		}
		if len(t.Shape) == 2 && t.Shape[1] > 1 {
			if len(tensors) > 1 {
				return lastro.Errorf(lastro.EInvalid, "input %q has shape %v beside other inputs; a column has shape [n] or [n,1]", t.Name, t.Shape)
			}
			return q.takeMatrix(values, int(rows), int(t.Shape[1]))
		}
		if i > 0 && int(rows) != q.rows {
			return lastro.Errorf(lastro.EInvalid, "input %q has %d rows, input %q has %d", t.Name, rows, tensors[0].Name, q.rows)
		}
		if slices.ContainsFunc(q.columns, func(c Column) bool { return c.Name == t.Name }) {
			return lastro.Errorf(lastro.EInvalid, "input %q is there twice", t.Name)
		}
		q.rows = int(rows)
		q.columns = append(q.columns, Column{Name: t.Name, Values: values})
	}
	return nil
}

func (q *request) takeMatrix(values []any, rows, width int) error {
	q.matrix = make([][]float64, rows)
	for i := range q.matrix {
		q.matrix[i] = make([]float64, width)
		for j := range width {
			x, ok := toFloat(values[i*width+j])
			if !ok {
				return lastro.Errorf(lastro.EInvalid, "row %d, value %d: %s is no number", i, j, show(values[i*width+j]))
			}
			q.matrix[i][j] = x.(float64)
		}
	}
	return nil
}

// values flattens the data, row-major, and checks it against shape and datatype.
func (t oipTensor) values() ([]any, error) {
	if t.Name == "" {
		return nil, lastro.Errorf(lastro.EInvalid, "an input has no name")
	}
	size := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > 1<<31 || size > 1<<31 {
			return nil, lastro.Errorf(lastro.EInvalid, "input %q has the shape %v", t.Name, t.Shape)
		}
		size *= d
	}
	if n := len(t.Shape); n == 0 || n > 2 {
		return nil, lastro.Errorf(lastro.EInvalid, "input %q has the shape %v; send [n], [n,1] or a matrix [n,k]", t.Name, t.Shape)
	}
	var nested any
	if err := decode(t.Data, &nested); err != nil {
		return nil, lastro.Errorf(lastro.EInvalid, "input %q: data: %v", t.Name, err)
	}
	list, ok := nested.([]any)
	if !ok {
		return nil, lastro.Errorf(lastro.EInvalid, "input %q: data is no list", t.Name)
	}
	flat := flatten(list, nil)
	if int64(len(flat)) != size {
		return nil, lastro.Errorf(lastro.EInvalid, "input %q has shape %v, which is %d values; %d were sent", t.Name, t.Shape, size, len(flat))
	}
	return flat, t.checkType(flat)
}

func flatten(list, into []any) []any {
	for _, v := range list {
		if inner, ok := v.([]any); ok {
			into = flatten(inner, into)
		} else {
			into = append(into, v)
		}
	}
	return into
}

func (t oipTensor) checkType(values []any) error {
	var fits func(any) bool
	switch t.Datatype {
	case "FP16", "FP32", "FP64":
		fits = func(v any) bool { _, ok := v.(json.Number); return ok }
	case "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64":
		fits = func(v any) bool { _, ok := toInt(v, false); return ok }
	case "BOOL":
		fits = func(v any) bool { _, ok := v.(bool); return ok }
	case "BYTES":
		fits = func(v any) bool { _, ok := v.(string); return ok }
	default:
		return lastro.Errorf(lastro.EInvalid, "input %q has the datatype %q; known are BOOL, INT8 to INT64, UINT8 to UINT64, FP16 to FP64 and BYTES", t.Name, t.Datatype)
	}
	for i, v := range values {
		if v != nil && !fits(v) {
			return lastro.Errorf(lastro.EInvalid, "input %q, value %d: %s is no %s", t.Name, i, show(v), t.Datatype)
		}
	}
	return nil
}

// modelMetadata describes the champion, or the version asked for.
func (g *Gateway) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	ep, err := g.endpointOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	t := ep.table.Load()
	rev, _, err := t.pick(&request{version: r.PathValue("version")})
	if err != nil {
		return err
	}
	model, done, ok := rev.ready()
	if !ok {
		return t.unavailable()
	}
	defer done()
	schema := model.Schema()
	rev.mu.Lock()
	platform := map[string]string{"python": "mlflow_pyfunc", "onnx": "onnx_onnxruntime"}[rev.runtime]
	rev.mu.Unlock()
	versions := []string{t.champion.spec.Version}
	if t.candidate != nil {
		versions = append(versions, t.candidate.spec.Version)
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("name"), "versions": versions, "platform": platform,
		"inputs": tensorsOf(schema.Inputs, schema.Width), "outputs": tensorsOf(schema.Outputs, 0)})
	return nil
}

type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

func tensorsOf(fields []Field, width int) []tensorMetadata {
	out := []tensorMetadata{}
	for i, f := range fields {
		t := tensorMetadata{Name: f.Name, Datatype: "FP64", Shape: []int64{-1}}
		switch f.Type {
		case "long", "integer":
			t.Datatype = "INT64"
		case "boolean":
			t.Datatype = "BOOL"
		case "string", "datetime", "binary":
			t.Datatype = "BYTES"
		}
		if t.Name == "" {
			t.Name = fmt.Sprintf("input-%d", i)
			if width > 0 {
				t.Shape = append(t.Shape, int64(width))
			}
		}
		out = append(out, t)
	}
	return out
}

func (g *Gateway) modelReady(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	ep, err := g.endpointOf(name)
	if err != nil {
		return err
	}
	rev, _, err := ep.table.Load().pick(&request{version: r.PathValue("version")})
	if err != nil {
		return err
	}
	if _, done, ok := rev.ready(); ok {
		done()
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
		return nil
	}
	return ep.table.Load().unavailable()
}
