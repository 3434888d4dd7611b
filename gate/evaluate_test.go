// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"strings"
	"testing"
	"time"

	"lastro"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestEvaluateOutcomes(t *testing.T) {
	facts := Facts{"metrics.auc": 0.58, "metrics.auc.ci_low": 0.55, "metrics.auc.ci_high": 0.61, "tests.failed": 0, "compare.auc.diff": -0.02,
		"compare.auc.diff_ci_low": -0.03, "compare.auc.diff_ci_high": -0.01}
	first := Facts{FirstFact: true}
	for name, tc := range map[string]struct {
		rule    Rule
		facts   Facts
		outcome Outcome
		message string
	}{
		"passed":           {Rule{Check: "tests.failed == 0"}, facts, Passed, "tests.failed = 0"},
		"failed":           {Rule{Check: "metrics.auc >= 0.62"}, facts, Failed, "metrics.auc >= 0.62 does not hold: metrics.auc = 0.58 [0.55, 0.61]"},
		"warned":           {Rule{Check: "metrics.auc >= 0.62", OnFail: Warn}, facts, Warned, "metrics.auc >= 0.62 does not hold: metrics.auc = 0.58 [0.55, 0.61]"},
		"waiting":          {Rule{Check: "metrics.auc >= 0.62", OnFail: Approve}, facts, Waiting, "metrics.auc >= 0.62 does not hold: metrics.auc = 0.58 [0.55, 0.61]"},
		"end of interval":  {Rule{Check: "compare.auc.diff_ci_low >= -1%"}, facts, Failed, "compare.auc.diff_ci_low >= -1% does not hold: compare.auc.diff_ci_low = -0.03 (-0.02 [-0.03, -0.01])"},
		"missing":          {Rule{Check: "metrics.acu >= 0.5"}, facts, Failed, "fact metrics.acu is missing, and a fact that is missing fails the gate"},
		"missing, approve": {Rule{Check: "metrics.acu >= 0.5", OnFail: Approve}, facts, Failed, "fact metrics.acu is missing, and a fact that is missing fails the gate"},
		"missing, warn":    {Rule{Check: "metrics.acu >= 0.5", OnFail: Warn}, facts, Warned, "fact metrics.acu is missing, and a fact that is missing fails the gate"},
		"first, pass":      {Rule{Check: "compare.auc.diff_ci_low >= -0.01", First: "pass"}, first, Passed, "there is no champion to compare with yet"},
		"first, block":     {Rule{Check: "compare.auc.diff_ci_low >= -0.01"}, first, Failed, "fact compare.auc.diff_ci_low is missing: there is no champion to compare with yet (first: pass lets the first version through)"},
		"first, other":     {Rule{Check: "metrics.auc >= 0.5", First: "pass"}, first, Failed, "fact metrics.auc is missing, and a fact that is missing fails the gate"},
		"lost comparison":  {Rule{Check: "compare.f1.diff >= 0", First: "pass"}, facts, Failed, "fact compare.f1.diff is missing, and a fact that is missing fails the gate"},
		"no rule at all":   {Rule{Check: "1 +"}, facts, Failed, "the rule cannot be read: the expression cannot be read: it ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Evaluate([]Rule{tc.rule}, tc.facts, nil, noon)
			if r := d.Results[0]; r.Outcome != tc.outcome || r.Message != tc.message {
				t.Errorf("%s: %s %q\nwant %s %q", tc.rule.Check, r.Outcome, r.Message, tc.outcome, tc.message)
			}
		})
	}
}

func TestEvaluateVerdict(t *testing.T) {
	pass, fail := Rule{Check: "1 < 2"}, Rule{Check: "2 < 1"}
	wait, warn := Rule{Check: "2 < 1", OnFail: Approve}, Rule{Check: "2 < 1", OnFail: Warn}
	for want, rules := range map[Outcome][][]Rule{
		Passed:  {{}, {pass}, {pass, warn}},
		Waiting: {{wait}, {pass, wait, warn}},
		Failed:  {{fail}, {wait, fail}, {fail, wait, pass}},
	} {
		for _, r := range rules {
			if got := Evaluate(r, nil, nil, noon).Verdict; got != want {
				t.Errorf("%v: verdict %s, want %s", r, got, want)
			}
		}
	}
}

// A decision's digest is of its bytes: the same facts in any order, with
// numbers of any width, give the same; any other value gives another.
func TestDecisionDigest(t *testing.T) {
	rules := []Rule{{Name: "a", Check: "metrics.auc > 0.5", OnFail: Block}}
	digest := func(f Facts) lastro.Digest {
		d := Evaluate(rules, f, nil, noon)
		d.ID = "d-0001"
		b, err := d.Frozen()
		if err != nil {
			t.Fatal(err)
		}
		thawed, err := Thaw(b, lastro.DigestOf(b))
		if err != nil {
			t.Fatal(err)
		}
		again, _ := thawed.Frozen()
		if string(again) != string(b) {
			t.Errorf("thawing changes the bytes:\n%s\n%s", b, again)
		}
		if strings.Contains(string(b), "NaN") != (f["metrics.x"] != nil) {
			t.Errorf("bytes: %s", b)
		}
		return lastro.DigestOf(b)
	}
	one := digest(Facts{"metrics.auc": 0.7, "tests.total": 3})
	if other := digest(Facts{"tests.total": 3.0, "metrics.auc": 0.7}); other != one {
		t.Error("the same facts gave another digest")
	}
	if other := digest(Facts{"tests.total": 4, "metrics.auc": 0.7}); other == one {
		t.Error("a changed fact that no rule read gave the same digest")
	}
	digest(Facts{"metrics.x": math.NaN(), "metrics.auc": 1})
	if _, err := Thaw([]byte("{}"), one); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("Thaw of other bytes = %v, want tampered", err)
	}
}
