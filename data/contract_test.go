// SPDX-License-Identifier: Apache-2.0

package data

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
)

const goodContract = `apiVersion: v3.1.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: flights
    quality:
      - metric: rowCount
        mustBeBetween: [10, 20]
      - type: text
        description: for people
      - type: sql
        query: SELECT count(*) FROM {object}
        mustBeGreaterThan: 0
    properties:
      - name: id
        primaryKey: true
        logicalType: integer
        logicalTypeOptions: {minimum: 1}
      - name: carrier
        logicalType: string
        required: true
        classification: public
        logicalTypeOptions: {minLength: 2, maxLength: 2, pattern: '^[A-Z0-9]{2}$'}
        quality:
          - metric: invalidValues
            arguments: {validValues: [AA, "9E", 1]}
            mustBe: 0
          - metric: nullValues
            unit: percent
            mustBeLessThan: 3
            severity: warning
`

func TestParseContract(t *testing.T) {
	c, err := ParseContract("c.odcs.yaml", []byte(goodContract))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range c.Checks() {
		names = append(names, s.Name)
	}
	want := "id.present id.type id.required id.minimum carrier.present carrier.type carrier.required carrier.minLength carrier.maxLength carrier.pattern " +
		"primaryKey rowCount text sql carrier.invalidValues carrier.nullValues"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("checks\n got %s\nwant %s", got, want)
	}
	rule := c.Rules[3]
	if got := strings.Join(rule.ValidValues, "|"); got != "AA|9E|1" || rule.Pos.Line != 27 {
		t.Errorf("valid values %q at line %d; want AA|9E|1 at 27", got, rule.Pos.Line)
	}
	if last := c.Rules[4]; !last.Percent || !last.Warns() || last.Threshold() != "< 3%" {
		t.Errorf("nullValues rule = %+v; want a percentage below 3 that warns", last)
	}
}

// Every testdata/*.bad.yaml is refused with exactly the messages of its
// *.bad.txt.
func TestBadContracts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad contracts: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ParseContract(filepath.Base(f), text)
			if err == nil {
				t.Fatal("it was accepted")
			}
			got := spell(err)
			golden := strings.TrimSuffix(f, ".yaml") + ".txt"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("messages\n%s\nwant\n%s%v", got, want, err)
			}
		})
	}
}

func spell(err error) string {
	var problems lastro.Problems
	if !errors.As(err, &problems) {
		problems = lastro.Problems{errorOf(err)}
	}
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(string(p.Code) + " " + p.Error() + "\n")
		if p.Hint != "" {
			b.WriteString("  hint: " + p.Hint + "\n")
		}
	}
	return b.String()
}

func errorOf(err error) *lastro.Error {
	var e *lastro.Error
	errors.As(err, &e)
	return e
}

// A text that nests without end is refused before the parser recurses into it.
func TestDeepContract(t *testing.T) {
	stairs := ""
	for i := range 600 {
		stairs += strings.Repeat(" ", i) + "a:\n"
	}
	for _, text := range []string{strings.Repeat("[", 1<<18), strings.Repeat("{a: ", 1<<16), strings.Repeat("- ", 1<<17), strings.Repeat("? ", 1<<17), strings.Repeat("&a ", 1<<17), strings.Repeat("[\n", 1<<16), stairs} {
		if _, err := ParseContract("deep.yaml", []byte(text)); !lastro.Is(err, lastro.EInvalid) || !strings.Contains(err.Error(), "levels deep") {
			t.Errorf("%.12q …: %v; want it refused as too deep", text, err)
		}
	}
}

func FuzzParseContract(f *testing.F) {
	f.Add([]byte(goodContract))
	f.Add([]byte("schema: [{name: &a x, properties: [*a]}]"))
	f.Add([]byte("a: [1, {b: }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseContract("f.yaml", text)
		if err == nil {
			c.Checks()
		}
	})
}

func TestHolds(t *testing.T) {
	// Verdicts of datacontract-cli 1.2.8: both ends of a Between belong to it.
	for _, tc := range []struct {
		op       string
		operands []float64
		value    float64
		want     bool
	}{
		{"mustBe", []float64{0}, 0, true}, {"mustBe", []float64{0}, 1, false},
		{"mustNotBe", []float64{0}, 1, true}, {"mustNotBe", []float64{0}, 0, false},
		{"mustBeGreaterThan", []float64{5}, 5, false}, {"mustBeGreaterThan", []float64{5}, 6, true},
		{"mustBeGreaterOrEqualTo", []float64{5}, 5, true}, {"mustBeGreaterOrEqualTo", []float64{5}, 4.9, false},
		{"mustBeLessThan", []float64{5}, 5, false}, {"mustBeLessThan", []float64{5}, 4.9, true},
		{"mustBeLessOrEqualTo", []float64{5}, 5, true}, {"mustBeLessOrEqualTo", []float64{5}, 5.1, false},
		{"mustBeBetween", []float64{1000, 2000}, 1000, true}, {"mustBeBetween", []float64{1000, 2000}, 2000, true},
		{"mustBeBetween", []float64{1000, 2000}, 999, false}, {"mustBeBetween", []float64{1000, 2000}, 2001, false},
		{"mustNotBeBetween", []float64{1, 2}, 1, false}, {"mustNotBeBetween", []float64{1, 2}, 2, false}, {"mustNotBeBetween", []float64{1, 2}, 3, true},
	} {
		rule := Rule{Operator: tc.op, Operands: tc.operands}
		if got := rule.Holds(tc.value); got != tc.want {
			t.Errorf("%s %v of %v = %v; want %v", tc.op, tc.operands, tc.value, got, tc.want)
		}
	}
}
