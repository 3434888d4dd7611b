// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/data"
)

// A copy from CSV to CSV leaves values as they are written.
func TestProjectKeepsText(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv")
	if err := os.WriteFile(from, []byte("id,at,x,sex\n007,2026-01-01T00:00:00Z,1.50,f\n008,\"a, \"\"b\"\"\",,m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{}).Project(t.Context(), data.ProjectRequest{Table: data.Files(from), Drop: []string{"SEX"}, Out: to}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(to)
	if want := "id,at,x\n007,2026-01-01T00:00:00Z,1.50\n008,\"a, \"\"b\"\"\",\n"; string(got) != want {
		t.Errorf("copy\n%s\nwant\n%s", got, want)
	}
}

// Odd tables get a verdict or an error for the person who owns the data, never
// a silent pass.
func TestOddTables(t *testing.T) {
	dir, e := t.TempDir(), New(Options{})
	write := func(name, text string) data.Table {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return data.Files(path)
	}
	c := contract(t, "    properties:\n      - {name: 'a\"b', logicalType: integer, unique: true, logicalTypeOptions: {maximum: 5}}\n      - {name: x.y 🙂, logicalType: string, required: true}\n")
	for name, tc := range map[string]struct {
		table  data.Table
		code   lastro.Code // of the error of reading
		rows   int64
		failed string
	}{
		"names":     {write("names.csv", "\"a\"\"b\",x.y 🙂\n1,u\n2,v\n"), "", 2, ""},
		"semicolon": {write("semi.csv", "\"a\"\"b\";x.y 🙂\n1;\"u;\nv\"\n9;v\n"), "", 2, `a"b.maximum`},
		"json":      {write("names.ndjson", "{\"a\\\"b\": 1, \"x.y 🙂\": \"2026-01-01\"}\n{\"a\\\"b\": 2, \"x.y 🙂\": \"2026-01-02\"}\n"), "", 2, ""},
		"no rows":   {write("head.csv", "\"a\"\"b\",x.y 🙂\n"), "", 0, ""},
		"null":      {write("null.csv", "\"a\"\"b\",x.y 🙂\n,\n,\n"), "", 2, "x.y 🙂.required"},
		"bom":       {write("bom.csv", "\xef\xbb\xbf\"a\"\"b\",x.y 🙂\r\n1,u\r\n"), "", 1, ""},
		"case":      {write("case.csv", "\"A\"\"B\",X.Y 🙂\n1,u\n"), "", 1, ""},
		"empty":     {write("empty.csv", ""), lastro.EFailed, 0, ""},
		"ragged":    {write("ragged.csv", "\"a\"\"b\",x.y 🙂\n1,u\n2,v,w\n"), lastro.EFailed, 0, ""},
		"latin-1":   {write("latin.csv", "\"a\"\"b\",x.y 🙂\n1,\xe9\n"), lastro.EFailed, 0, ""},
		"cut json":  {write("cut.ndjson", "{\"a\": 1}\n{\"a\""), lastro.EFailed, 0, ""},
	} {
		r, err := e.Check(t.Context(), data.CheckRequest{Dataset: "odd", Table: tc.table, Contract: c})
		if lastro.CodeOf(err) != tc.code {
			t.Errorf("%s: %v; want %q", name, err, tc.code)
			continue
		}
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		var failed []string
		for _, f := range r.Failed() {
			failed = append(failed, f.Name)
		}
		if got := strings.Join(failed, " "); got != tc.failed || r.Rows != tc.rows {
			t.Errorf("%s: %d rows, failed %q; want %d, %q", name, r.Rows, got, tc.rows, tc.failed)
		}
	}
}
