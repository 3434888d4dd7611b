// SPDX-License-Identifier: Apache-2.0

package data

import (
	"os"
	"strings"
	"testing"

	"lastro"
)

const narrow = `# the head stays
apiVersion: v3.1.0
kind: DataContract
id: t
version: 1.0.0
status: active
schema:
  - name: t
    quality:
      - {name: size, metric: rowCount, mustBeBetween: [10, 20]} # about
      - {name: two, type: sql, query: SELECT 1, mustBe: 2}
    properties:
      - name: ágè # not ASCII
        logicalType: integer
        logicalTypeOptions: {minimum: 0, maximum: 99} # years
      - {name: when, logicalType: date, logicalTypeOptions: {minimum: '2026-01-01'}}
      - {name: code, logicalType: string, required: true, logicalTypeOptions: {maxLength: 3, pattern: '^a'}}
      - name: n
        logicalType: integer # whole
        unique: true
        quality:
          - metric: nullValues
            unit: percent
            mustBeLessThan: 3
          - {metric: invalidValues, arguments: {validValues: [1, 2]}, mustBe: 0}
      - name: hidden
        quality: [{metric: invalidValues, arguments: {validValues: []}, mustBe: 0}]
`

// TestPropose compares with testdata/propose.diff, which was read by a person.
func TestPropose(t *testing.T) {
	c, err := ParseContract("t.odcs.yaml", []byte(narrow))
	if err != nil {
		t.Fatal(err)
	}
	r := Report{Contract: c.Digest, Checks: []Check{
		{Name: "size", Status: Failed, Value: 25},
		{Name: "two", Status: Failed, Value: 1},
		{Name: "ágè.maximum", Status: Failed, Rows: 2, Max: "120"},
		{Name: "when.minimum", Status: Failed, Rows: 1, Min: "2025-12-31 00:00:00"},
		{Name: "code.required", Status: Failed, Rows: 4},
		{Name: "code.maxLength", Status: Failed, Rows: 1, Max: "5"},
		{Name: "code.pattern", Status: Failed, Rows: 1, Bad: []ValueCount{{"bcd", 1}}},
		{Name: "n.type", Column: "n", Status: Failed, Seen: "integer", Rows: 1, Bad: []ValueCount{{"1.5", 1}}},
		{Name: "n.unique", Status: Failed, Rows: 2},
		{Name: "n.nullValues", Status: Warned, Value: 7.25},
		{Name: "n.invalidValues", Column: "n", Status: Failed, Rows: 3, Bad: []ValueCount{{"7", 2}, {"x: y", 1}}},
		{Name: "hidden.invalidValues", Column: "hidden", Status: Failed, Rows: 3, Hidden: true},
	}}
	p, err := Propose("t.odcs.yaml", []byte(narrow), r)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("testdata/propose.diff", []byte(p.Diff), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/propose.diff")
	if err != nil || p.Diff != string(want) {
		t.Errorf("diff\n%s\nwant\n%s", p.Diff, want)
	}
	var left []string
	for _, l := range p.Left {
		left = append(left, l.Check)
	}
	if got, want := strings.Join(left, " "), "code.pattern n.unique two hidden.invalidValues"; got != want {
		t.Errorf("left to a person: %s; want %s", got, want)
	}
	if _, err := Propose("t.odcs.yaml", []byte(narrow+"# later\n"), r); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("a report of another text: %v; want a conflict", err)
	}
}

func TestReportErr(t *testing.T) {
	r := Report{Dataset: "census", Rows: 1234567, Checks: []Check{
		{Name: "a.required", Status: Passed}, {Name: "b", Status: Shown}, {Name: "c", Status: Warned},
		{Name: "d.invalidValues", Status: Failed, Message: "12 rows", Pos: lastro.Pos{File: "c.yaml", Line: 3, Col: 5}},
	}}
	err := r.Err()
	if want := "c.yaml:3:5: census breaks its contract: 1 of 3 checks failed on 1,234,567 rows"; err == nil || err.Error() != want {
		t.Errorf("Err = %v; want %s", err, want)
	}
	if f := r.Facts(); f["data.census.checks.total"] != 3 || f["data.census.checks.failed"] != 1 {
		t.Errorf("Facts = %v; want 3 and 1", f)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]string{"90d": "90d", "2w": "14d", "36h": "36h0m0s", "48h": "2d", "15m": "15m0s"} {
		if d, err := ParseDuration(text); err != nil || d.String() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "d", "90", "-3d", "1e9d", "soon"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v; want an error", text, d)
		}
	}
}
