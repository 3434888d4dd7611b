// SPDX-License-Identifier: Apache-2.0

package python_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/serve"
	"lastro/serve/python"
	"lastro/serve/servetest"
)

// sample is what make_models.py prints: rows, and scikit-learn's own probabilities of them.
type sample struct {
	Columns map[string][]any `json:"columns"`
	Scores  []float64        `json:"scores"`
}

func models(t *testing.T) (string, string, sample) {
	t.Helper()
	interpreter, dir := servetest.Python(t), t.TempDir()
	cmd := exec.Command(interpreter, "testdata/make_models.py", dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make_models.py: %v\n%s", err, stderr.String())
	}
	var s sample
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("make_models.py printed %q: %v", out, err)
	}
	return interpreter, dir, s
}

func (s sample) batch(schema serve.Schema) serve.Batch {
	b := serve.Batch{Rows: len(s.Scores)}
	for _, f := range schema.Inputs {
		b.Columns = append(b.Columns, serve.Column{Name: f.Name, Values: s.Columns[f.Name]})
	}
	return b
}

func load(t *testing.T, rt serve.Runtime, interpreter, dir string) (serve.LoadSpec, serve.Model, error) {
	t.Helper()
	schema, err := serve.ReadSchema(dir)
	if err != nil {
		t.Fatal(err)
	}
	spec := serve.LoadSpec{Dir: dir, Schema: schema, Workers: 1, Revision: serve.Revision{Name: "flights@1", Version: "1", Python: interpreter}}
	model, err := rt.Load(t.Context(), spec)
	if err == nil {
		t.Cleanup(func() { model.Close() })
	}
	return spec, model, err
}

func TestRuntime(t *testing.T) {
	interpreter, dir, s := models(t)
	rt := python.Runtime{}

	t.Run("contract", func(t *testing.T) {
		schema, err := serve.ReadSchema(filepath.Join(dir, "flights"))
		if err != nil || len(schema.Inputs) != 4 {
			t.Fatalf("ReadSchema: %+v, %v; want the four columns of make_models.py", schema, err)
		}
		rev := serve.Revision{Name: "flights@1", Python: interpreter}
		servetest.Run(t, servetest.Case{
			Runtime:  rt,
			Spec:     serve.LoadSpec{Dir: filepath.Join(dir, "flights"), Revision: rev, Schema: schema, Workers: 2},
			Broken:   serve.LoadSpec{Dir: filepath.Join(dir, "load"), Revision: rev, Workers: 1},
			BrokenIn: "no vocabulary here",
			Input:    s.batch(schema),
			Scores:   s.Scores,
			Within:   1e-12, // the same library computes both; JSON keeps all digits
		})
	})
	t.Run("an unknown category is the model's failure", func(t *testing.T) {
		_, model, err := load(t, rt, interpreter, filepath.Join(dir, "flights"))
		if err != nil {
			t.Fatal(err)
		}
		b := s.batch(model.Schema())
		b.Columns[2].Values = []any{"AA", "B6", "UA", "UA", "ZZ"}
		if _, err := model.Predict(t.Context(), b); !lastro.Is(err, lastro.EFailed) || !strings.Contains(err.Error(), "ZZ") {
			t.Errorf("Predict: %v; want EFailed with the model's words about ZZ", err)
		}
	})
	t.Run("a worker that ends at every request is an error", func(t *testing.T) {
		_, model, err := load(t, rt, interpreter, filepath.Join(dir, "exit"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.Predict(t.Context(), s.batch(model.Schema())); err == nil || !strings.Contains(err.Error(), "ended before it answered") {
			t.Errorf("Predict: %v", err)
		}
	})
	for name, want := range map[string]any{"text": "late", "frame": float64(22)} {
		t.Run("answers as "+name, func(t *testing.T) {
			_, model, err := load(t, rt, interpreter, filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			a, err := model.Predict(t.Context(), s.batch(model.Schema()))
			if err != nil || a.Frame != (name == "frame") {
				t.Fatalf("Predict: %+v, %v", a, err)
			}
			rows, err := serve.RowAnswers(a, len(s.Scores))
			if x, ok := rows[0].(int64); ok {
				rows[0] = float64(x)
			}
			if err != nil || rows[0] != want {
				t.Errorf("row 0: %v, %v; want %v", rows[0], err, want)
			}
		})
	}
	t.Run("served", func(t *testing.T) { served(t, interpreter, filepath.Join(dir, "flights"), s) })
	t.Run("no interpreter", func(t *testing.T) {
		if _, _, err := load(t, rt, "", filepath.Join(dir, "flights")); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("Load: %v; want EInvalid", err)
		}
		if _, _, err := load(t, rt, "/nowhere/python", filepath.Join(dir, "flights")); !lastro.Is(err, lastro.EErrored) {
			t.Errorf("Load: %v; want EErrored", err)
		}
	})
}
