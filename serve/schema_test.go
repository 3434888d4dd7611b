// SPDX-License-Identifier: Apache-2.0

package serve_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"lastro"
	"lastro/serve"
)

func TestReadSchema(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want serve.Schema
	}{
		// As MLflow 3.17.2 wrote it, folded by PyYAML at 80 columns.
		"columns, folded": {`mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "long", "name": "dep_hour", "required": true}, {"type": "double",
    "name": "distance", "required": false}, {"type": "string", "name": "carrier''s", "required":
    true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1,
    2]}}]'
  params: null
type_hint_from_example: false
`, serve.Schema{Known: true, Named: true, Inputs: []serve.Field{{"dep_hour", "long", true}, {"distance", "double", false}, {"carrier's", "string", true}},
			Outputs: []serve.Field{{"", "double", true}}}},
		"a matrix": {"signature:\n  inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1, 30]}}]'\n",
			serve.Schema{Known: true, Width: 30, Inputs: []serve.Field{{"", "double", true}}}},
		"no signature":   {"flavors:\n  sklearn: {}\n", serve.Schema{}},
		"null signature": {"signature: null\nutc: '1'\n", serve.Schema{}},
		"null inputs":    {"signature:\n  inputs: null\n  outputs: null\n", serve.Schema{}},
		"double quoted":  {"signature:\n  inputs: \"[{\\\"type\\\": \\\"string\\\", \\\"name\\\": \\\"praça\\\"}]\"\n", serve.Schema{Known: true, Named: true, Inputs: []serve.Field{{"praça", "string", true}}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "MLmodel"), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := serve.ReadSchema(dir); err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("ReadSchema: %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
	dir := t.TempDir()
	if got, err := serve.ReadSchema(dir); err != nil || got.Known {
		t.Errorf("without MLmodel: %+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "MLmodel"), []byte("signature:\n  inputs: '[{'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.ReadSchema(dir); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a broken signature: %v, want EInvalid", err)
	}
}
