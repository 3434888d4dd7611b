// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"math"
	"testing"

	"lastro/serve/servetest"
)

// TestCompare trains a champion and then a worse candidate, and compares them
// on the same ten rows.
func TestCompare(t *testing.T) {
	t.Parallel()
	servetest.Python(t) // skips when there is none
	f := newFolder(t, map[string]string{"lastro.yaml": compared, "train.py": trainServed, "requirements.txt": servedPackages,
		"rows.csv": "x,y,truth\n1,0,2\n2,0,4\n3,0,6\n4,0,8\n5,0,10\n6,0,12\n7,0,14\n8,0,16\n9,0,18\n10,0,20\n"})
	reuseLock(f)

	// Nobody to compare with: no facts, and `first: pass` lets the version through.
	first := f.ok(0, "run", "--json")
	if facts := compareFacts(t, first); len(facts) > 0 {
		t.Errorf("facts without a champion: %v", facts)
	}
	f.up(freeAddress(t))
	f.ok(0, "deploy", "local").has(t, "m@1 serves local")

	// The champion is right about every row, the candidate answers x too much: by hand, its rmse is the root of the mean
	// of 1, 4, 9 ... 100, which is 38.5.
	want := math.Sqrt(38.5)
	got := f.ok(3, "run", "-p", "how=more")
	got.has(t, "not-worse", "the gate refused m@2")
	facts := compareFacts(t, f.ok(3, "run", "-p", "how=more", "--json"))
	for name, x := range map[string]float64{"compare.rmse.champion": 0, "compare.rmse.candidate": want, "compare.rmse.diff": want} {
		if v, ok := facts[name]; !ok || math.Abs(v-x) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, v, x)
		}
	}
	// Errors of 1 to 10, resampled: the interval is around the difference, and far from none.
	if lo, hi := facts["compare.rmse.diff_ci_low"], facts["compare.rmse.diff_ci_high"]; !(3 < lo && lo < want && want < hi && hi < 9) {
		t.Errorf("interval of the difference: %v to %v", lo, hi)
	}
	f.ok(0, "why", "m@1").has(t, "m@1 serves 100% of local")
}

func compareFacts(t *testing.T, r result) map[string]float64 {
	t.Helper()
	var doc struct {
		Steps []struct {
			Step  string
			Facts map[string]float64
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatalf("%v in\n%s%s", err, r.stdout, r.stderr)
	}
	for _, s := range doc.Steps {
		if s.Step == "compare" {
			return s.Facts
		}
	}
	t.Fatalf("no step compare in %s", r.stdout)
	return nil
}

const compared = `version: 1
name: compared
python: "3.11"
params: {how: well}
data: {rows: rows.csv}
steps:
  train:
    run: python train.py ${{ params.how }}
    outputs: {model: model}
    metrics: metrics.json
    code: [train.py]
  compare:
    uses: lastro/compare
    inputs: [train.model, rows]
    with: {target: truth, metrics: [rmse], bootstrap: 400}
model:
  name: m
  from: train.model
  require: [{name: not-worse, check: compare.rmse.diff_ci_low <= 0.1, first: pass}]
`
