// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lastro"
	"lastro/data"
)

func contract(t *testing.T, text string) *data.Contract {
	t.Helper()
	c, err := data.ParseContract("c.odcs.yaml", []byte("apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\nschema:\n  - name: tab\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verdicts spells name=status/value of the checks that are not about presence.
func verdicts(r data.Report) map[string]string {
	out := map[string]string{}
	for _, c := range r.Checks {
		if c.Rule != "present" || c.Status != data.Passed {
			out[c.Name] = fmt.Sprintf("%s %v %d", c.Status, c.Value, c.Rows)
		}
	}
	return out
}

func TestRecodedCensusIsRefused(t *testing.T) {
	text, err := os.ReadFile("testdata/census.odcs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := data.ParseContract("testdata/census.odcs.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{})
	check := func(c *data.Contract, max int, files ...string) data.Report {
		r, err := e.Check(t.Context(), data.CheckRequest{Dataset: "census", Table: data.Files(files...), Contract: c, Sensitive: []string{"sex", "race"}, MaxBad: max})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(c, 0, "testdata/census_94.parquet"); r.Err() != nil {
		t.Errorf("1994: %v\n%v", r.Err(), r.Failed())
	}
	r := check(c, 0, "testdata/census_95.parquet")
	got := map[string]map[string]int64{}
	for _, f := range r.Failed() {
		got[f.Column] = map[string]int64{}
		for _, b := range f.Bad {
			got[f.Column][b.Value] = b.Rows
		}
	}
	want := readOracle(t).Recoded
	// Of these two no new value is seen: everybody is "Not in universe" now.
	want["region_of_previous_residence"], want["state_of_previous_residence"] = map[string]int64{"Not in universe": 1500}, map[string]int64{"Not in universe": 1500}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("failed columns and values\n got %v\nwant %v", got, want)
	}
	if err := r.Err(); !lastro.Is(err, lastro.EFailed) || !strings.Contains(err.Error(), "8 of ") {
		t.Errorf("Err = %v", err)
	}
	proposal, err := data.Propose("testdata/census.odcs.yaml", text, check(c, 1000, "testdata/census_95.parquet"))
	if err != nil || len(proposal.Changes) != 8 || len(proposal.Left) != 0 {
		t.Fatalf("Propose: %d changes, left %v, %v; want 8 changes", len(proposal.Changes), proposal.Left, err)
	}
	wider, err := data.ParseContract("testdata/census.odcs.yaml", proposal.Text)
	if err != nil {
		t.Fatal(err)
	}
	if r := check(wider, 0, "testdata/census_94.parquet", "testdata/census_95.parquet"); r.Err() != nil {
		t.Errorf("both years under the proposed contract: %v\n%s", r.Err(), proposal.Diff)
	}
	if n := strings.Count(string(text), "#"); strings.Count(string(proposal.Text), "#") != n {
		t.Error("a comment was lost")
	}
}

const everyRule = `    quality:
      - {name: rows, metric: rowCount, mustBeBetween: [5, 9]}
      - {name: pair, metric: duplicateValues, arguments: {properties: [code, day]}, mustBe: 0}
      - {name: sum, type: sql, query: 'SELECT sum(n) FROM "${table}"', mustBeGreaterThan: 1}
      - {name: gone, type: sql, query: 'SELECT max(nowhere) FROM {object}', mustBe: 0}
      - {name: empty, type: sql, query: 'SELECT n FROM {object} WHERE false', mustBe: 0}
      - {name: note, type: text, description: ask first}
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - name: code
        logicalType: string
        logicalTypeOptions: {minLength: 2, maxLength: 3, pattern: '^[a-z]+$'}
        quality:
          - {metric: invalidValues, arguments: {validValues: [ab, abc]}, mustBeLessOrEqualTo: 2}
          - {metric: missingValues, arguments: {missingValues: ["?", ""]}, mustBe: 1, severity: warning}
          - {metric: nullValues, unit: percent, mustBeLessThan: 50}
      - name: n
        logicalType: integer
        logicalTypeOptions: {minimum: 1, maximum: 5}
      - {name: x, logicalType: number, required: true, logicalTypeOptions: {exclusiveMinimum: 0, exclusiveMaximum: 1}}
      - {name: day, logicalType: date, unique: true, logicalTypeOptions: {minimum: '2026-01-01', maximum: '2026-12-31'}}
      - {name: ok, logicalType: boolean}
      - {name: lost, logicalType: string, required: true}
`

const table = `id,code,n,x,day,ok
1,ab,1,0.5,2026-01-01,true
2,abc,9,0,2026-02-01,false
3,ABCD,1.5,1,2025-12-31,maybe
4,?,4.0,0.25,2026-01-01,true
4,,,,,
`

func TestEveryRule(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.csv")
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{}).Check(t.Context(), data.CheckRequest{Dataset: "t", Table: data.Files(file), Contract: contract(t, everyRule), Sensitive: []string{"ok"}})
	if err != nil {
		t.Fatal(err)
	}
	// Counted by hand from the table above.
	want := map[string]string{
		"rows": "passed 5 0", "pair": "passed 0 0", "sum": "passed 14 0", "gone": "failed 0 0", "empty": "failed 0 0", "note": "shown 0 0",
		"id.type": "passed 0 0", "id.required": "passed 0 0", "primaryKey": "failed 1 2",
		"code.type": "passed 0 0", "code.minLength": "failed 1 1", "code.maxLength": "failed 1 1", "code.pattern": "failed 2 2",
		"code.invalidValues": "passed 2 2", "code.missingValues": "warned 2 2", "code.nullValues": "passed 20 1",
		"n.type": "failed 1 1", "n.minimum": "passed 0 0", "n.maximum": "failed 1 1",
		"x.type": "passed 0 0", "x.required": "failed 1 1", "x.exclusiveMinimum": "failed 1 1", "x.exclusiveMaximum": "failed 1 1",
		"day.type": "passed 0 0", "day.unique": "failed 1 2", "day.minimum": "failed 1 1", "day.maximum": "passed 0 0",
		"ok.type": "failed 1 1", "lost.present": "failed 0 0", "lost.type": "failed 0 0", "lost.required": "failed 0 0",
	}
	got := verdicts(r)
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %s; want %s", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d checks; want %d: %v", len(got), len(want), got)
	}
	for _, c := range r.Checks {
		switch c.Name {
		case "ok.type":
			if !c.Hidden || c.Bad != nil || strings.Contains(c.Message, "maybe") {
				t.Errorf("a sensitive value is shown: %+v", c)
			}
		case "n.type":
			if len(c.Bad) != 1 || c.Bad[0].Value != "1.5" {
				t.Errorf("n.type: bad values %v; want 1.5", c.Bad)
			}
		}
	}
}

func TestSQLRulesOnlyRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	e := New(Options{})
	for query, id := range map[string]string{
		"DROP VIEW tab":                                "L0540",
		"SELECT 1; DROP VIEW tab":                      "L0540",
		"CREATE TABLE y AS SELECT 1":                   "L0540",
		"COPY (SELECT 1) TO '/tmp/x.csv'":              "L0540",
		"SET memory_limit = '9GB'":                     "L0540",
		"PRAGMA database_list":                         "L0540",
		"SELECT count(* FROM tab":                      "L0541",
		"SELECT (SELECT 1) UNION ALL SELECT 2 LIMIT 1": "",
		"WITH a AS (SELECT 1 AS v) SELECT v FROM a":    "",
	} {
		c := contract(t, "    quality:\n      - {type: sql, query: \""+query+"\", mustBe: 1}\n")
		r, err := e.Check(t.Context(), data.CheckRequest{Table: data.Files(file), Contract: c})
		switch problems, _ := err.(lastro.Problems); {
		case id == "" && (err != nil || r.Err() != nil):
			t.Errorf("%s: %v, %v; want it run", query, err, r.Err())
		case id != "" && (len(problems) != 1 || problems[0].ID != id || problems[0].Pos.Line != 9):
			t.Errorf("%s: %v; want %s at line 9", query, err, id)
		}
	}
}

func TestTypesOfParquet(t *testing.T) {
	c := contract(t, "    properties:\n      - {name: flight_id, logicalType: number}\n      - {name: CARRIER, logicalType: integer}\n"+
		"      - {name: dep_delay, logicalType: integer}\n      - {name: scheduled_departure, logicalType: date}\n      - {name: late, logicalType: boolean}\n")
	r, err := New(Options{}).Check(t.Context(), data.CheckRequest{Table: flights(t), Contract: c})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"flight_id.type": data.Passed, "CARRIER.type": data.Failed, "dep_delay.type": data.Failed, "scheduled_departure.type": data.Failed, "late.type": data.Passed}
	for _, k := range r.Checks {
		if w := want[k.Name]; w != "" && k.Status != w {
			t.Errorf("%s: %s (%s); want %s", k.Name, k.Status, k.Message, w)
		}
	}
	if !strings.Contains(fmt.Sprint(r.Failed()), "the column is of type string, the contract says integer") {
		t.Errorf("messages: %v", r.Failed())
	}
}
