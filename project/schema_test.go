// SPDX-License-Identifier: Apache-2.0

package project

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "rewrite generated and golden files")

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("lastro.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("lastro.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instance(t *testing.T, src []byte) any {
	t.Helper()
	tree, err := parser.ParseBytes(src, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{source: newSource("x", src)}
	j, err := json.Marshal(d.free(tree.Docs[0].Body, &[]Text{}))
	if err != nil || len(d.problems) > 0 {
		t.Fatal(err, d.problems)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExamplesPassTheSchema(t *testing.T) {
	s := compiledSchema(t)
	files, _ := filepath.Glob("testdata/examples/*/lastro.yaml")
	if len(files) != 5 {
		t.Fatalf("%d examples, want 5", len(files))
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, src)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compiledSchema(t)
	for name, src := range map[string]string{
		"unknown key":   "{version: 1, name: a, steps: {s: {run: x, need: [a]}}}",
		"no steps":      "{version: 1, name: a}",
		"version 2":     "{version: 2, name: a, steps: {s: {run: x}}}",
		"run and uses":  "{version: 1, name: a, steps: {s: {run: x, uses: lastro/split}}}",
		"bad duration":  "{version: 1, name: a, steps: {s: {run: x, timeout: 3 days}}}",
		"bad enum":      "{version: 1, name: a, steps: {s: {run: x}}, model: {name: m, from: s.o, require: [{check: a, on_fail: maybe}]}}",
		"canary number": "{version: 1, name: a, steps: {s: {run: x}}, deploy: {local: {strategy: {canary: [10]}}}}",
	} {
		if err := s.Validate(instance(t, []byte(src))); err == nil {
			t.Errorf("%s: the schema takes %s", name, src)
		}
	}
}

// The files that editors and readers use are those that the types give.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for file, want := range map[string][]byte{
		"../schema/lastro.schema.json":     Schema(),
		"../docs/reference/lastro-yaml.md": Reference(),
		"../docs/reference/errors.md":      Errors(),
	} {
		golden(t, file, want)
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s is not what the types give (go test ./project -update)\n%v\ngot:\n%s", file, err, got)
	}
}
