// SPDX-License-Identifier: Apache-2.0

package onnx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/serve"
	"lastro/serve/onnx"
	"lastro/serve/servetest"
)

// The test binary is also `lastro onnx-worker`.
func TestMain(m *testing.M) {
	if os.Getenv("LASTRO_TEST_AS") == "onnx-worker" {
		if err := onnx.RunWorker(os.Stdin, os.Stdout, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// want.json is what scikit-learn itself answered; see testdata/make_model.py.
type wanted struct {
	Columns      map[string][]any
	Scores       []float64
	Matrix       [][]float64
	MatrixScores []float64 `json:"matrix_scores"`
}

// library is the shared library of the tests' onnxruntime package.
func library(t *testing.T) {
	t.Helper()
	if os.Getenv("LASTRO_ONNXRUNTIME") != "" {
		return
	}
	out, err := exec.Command(servetest.Python(t), "-c", "import onnxruntime, os; print(os.path.dirname(onnxruntime.__file__))").Output()
	if err != nil {
		t.Skip("the tests' Python has no onnxruntime")
	}
	libs, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "capi", "libonnxruntime.so*"))
	if len(libs) == 0 {
		t.Skip("onnxruntime has no shared library")
	}
	t.Setenv("LASTRO_ONNXRUNTIME", libs[0])
}

// folder holds one model file.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRuntime(t *testing.T) {
	library(t)
	var want wanted
	text, err := os.ReadFile("testdata/want.json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	rt := &onnx.Runtime{Command: []string{os.Args[0]}, Env: []string{"LASTRO_TEST_AS=onnx-worker"}}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "model.onnx"), []byte("not a model"), 0o600); err != nil {
		t.Fatal(err)
	}
	named := serve.Batch{Rows: 5}
	for _, name := range []string{"dep_hour", "distance", "carrier"} {
		named.Columns = append(named.Columns, serve.Column{Name: name, Values: want.Columns[name]})
	}
	for name, c := range map[string]servetest.Case{
		"flights.onnx": {Input: named, Scores: want.Scores},
		"matrix.onnx":  {Input: serve.Batch{Rows: 5, Matrix: want.Matrix}, Scores: want.MatrixScores},
	} {
		t.Run(name, func(t *testing.T) {
			c.Runtime, c.Within = rt, 1e-6 // ONNX computes in 32 bits: 2^-24 of a probability, a few operations deep
			c.Spec = serve.LoadSpec{Dir: folder(t, name), Workers: 2, Revision: serve.Revision{Name: "flights@1"}}
			c.Broken = serve.LoadSpec{Dir: broken, Workers: 1, Revision: serve.Revision{Name: "flights@2"}}
			c.BrokenIn = "flights@2 does not load"
			servetest.Run(t, c)
		})
	}
}

func TestLibraryMissing(t *testing.T) {
	t.Setenv("LASTRO_ONNXRUNTIME", filepath.Join(t.TempDir(), "nowhere.so"))
	_, err := onnx.Runtime{Command: []string{os.Args[0]}}.Load(t.Context(), serve.LoadSpec{Dir: folder(t, "matrix.onnx"), Revision: serve.Revision{Name: "flights@1"}})
	var hint string
	if e, ok := err.(*lastro.Error); ok {
		hint = e.Hint
	}
	if !lastro.Is(err, lastro.EErrored) || !strings.Contains(hint, "pip install onnxruntime") {
		t.Errorf("Load: %v (%s); want EErrored with how to install it", err, hint)
	}
}
