// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"math"
	"strings"
	"testing"

	"lastro"
)

func TestEvalBool(t *testing.T) {
	facts := Facts{
		"metrics.auc": 0.78, "metrics.auc.ci_low": 0.75, "metrics.auc.ci_high": 0.80,
		"metrics.val/auc": 0.7, "tests.failed": 0, "tests.total": int64(12), "data.flights.checks.failed": 0,
		"compare.auc.diff_ci_low": -0.005, "params.seed": 42, "params.name": "big", "params.cols": []any{"a", "b"},
		"params.lgbm":                            map[string]any{"leaves": 31, "deep": map[string]any{"x": 2}},
		"fairness.sex.equal_opportunity.max_gap": 0.21, "latency.p95": 0.18, "errors.rate": 0.004,
		"score.mean": 0.2, "champion.score.mean": 0.3, "decision.rate": 0.5, "champion.decision.rate": 0.41,
		"zero.mean": 1.0, "champion.zero.mean": 0, "steps.code-tests.metrics.k": 3, "params.decision": "approve", "value": "text", "best": 0.5,
	}
	for expr, want := range map[string]bool{
		"metrics.auc >= 0.74": true,
		"metrics.auc.ci_low >= 0.74 && metrics.auc.ci_high < 1": true,
		`metrics["val/auc"] == 0.7`:                             true,
		"tests.failed == 0 && tests.total > 0":                  true, // integers compare with doubles
		"compare.auc.diff_ci_low >= -0.01":                      true,
		"params.seed == 42":                                     true,
		`params.name.startsWith("b")`:                           true,
		`"a" in params.cols && params.cols[1] == 'b'`:           true,
		"params.cols.exists(c, c == 'b')":                       true,
		"params.lgbm.leaves == 31 && params.lgbm.deep.x == 2":   true,
		"size(params.cols) == 2":                                true,
		"params.seed % 5 == 2":                                  true,
		"7 % 2 == 1":                                            true,
		"fairness.sex.equal_opportunity.max_gap <= 20%":         false,
		"errors.rate > 1%":                                      false,
		"errors.rate < 0.5% ":                                   true,
		"latency.p95 > 200ms":                                   false,
		"latency.p95 < 0.5s && 7d == 604800 && 2h == 120m":      true,
		"shift(score.mean) > 33%":                               true,  // (0.3-0.2)/0.3
		"shift(score.mean) > 34%":                               false, // relative to the champion's
		"shift(decision.rate) > 8.9%":                           true,  // 9 points
		"shift(decision.rate) > 9.1%":                           false,
		"shift(zero.mean) > 1e9":                                true, // from nothing to something
		"'5%' == '5' + '%'":                                     true, // text is left alone
		"1 > 5% - 3%":                                           true, // a minus is no operand
		"(1%) + 1 % 1 == 1%":                                    true,
		"[1%, 2%][1] == 0.02":                                   true,
		"0.02 in [1%,2%]":                                       true,
		"has(params.nothing) || metrics.auc > 0.7":              true,
		"has(metrics.auc) && !has(metrics.f1)":                  true,
		`steps["code-tests"].metrics.k == 3`:                    true,
		"metrics.auc > 0.7 // 5% of nothing":                    true,
		"abs(metrics.auc - 1) < 0.23":                           true,
		"params.decision == 'approve' ? true : false":           true,
		"value == 'text' && !(best > 1)":                        true, // columns may have any name
		"3 * 2 - 1 == 5 && -1 < 0":                              true,
		"0x10 == 16 && 3u == 3":                                 true,
	} {
		t.Run(expr, func(t *testing.T) {
			got, err := EvalBool(expr, facts)
			if err != nil || got != want {
				t.Errorf("EvalBool(%q) = %v, %v; want %v", expr, got, err, want)
			}
		})
	}
}

func TestEvalBoolMissing(t *testing.T) {
	facts := Facts{"metrics.roc_auc": 0.8, "metrics.f1": math.NaN(), "metrics.text": "high", "metrics.loss": Ambiguous{Steps: []string{"train", "fine-tune"}},
		"score.mean": 0.1}
	for expr, want := range map[string]string{
		"metrics.auc > 0.7":                           "metrics.auc | did you mean metrics.roc_auc?",
		"metrics.roc_auc > 0.7 || metrics.x > 1":      "metrics.x | there is metrics.f1, metrics.loss, metrics.roc_auc, metrics.text", // not hidden by ||
		"metrics.f1 > 0.1":                            "metrics.f1 | it is NaN, which is not a number",
		"!(metrics.f1 > 0.1)":                         "metrics.f1 | it is NaN, which is not a number",
		"metrics.text > 1":                            "metrics.text | it is high, which is not a number",
		"metrics.loss < 1":                            `metrics.loss | several steps wrote it; say which: steps.train.metrics.loss or steps["fine-tune"].metrics.loss`,
		"shift(score.mean) > 10%":                     "champion.score.mean | there is no fact that begins with champion",
		"has(metrics.nope) ? true : metrics.nope > 1": "metrics.nope | there is metrics.f1, metrics.loss, metrics.roc_auc, metrics.text",
	} {
		t.Run(expr, func(t *testing.T) {
			_, err := EvalBool(expr, facts)
			var missing *Missing
			if !errors.As(err, &missing) {
				t.Fatalf("EvalBool(%q) gave %v, want *Missing", expr, err)
			}
			if got := strings.Join(missing.Names, ",") + " | " + missing.Hint; !strings.HasPrefix(got, strings.SplitN(want, "|", 2)[0]) || got != want {
				t.Errorf("EvalBool(%q) misses %q, want %q", expr, got, want)
			}
		})
	}
}

func TestCompileIn(t *testing.T) {
	for name, tc := range map[string]struct {
		expr  string
		scope Scope
		want  string // line:col message | hint
	}{
		"empty":          {" ", ScopeRule, "1:1 the expression is empty | write a condition such as metrics.auc >= 0.7"},
		"syntax":         {"metrics.auc >= ", ScopeRule, "1:16 the expression cannot be read: it ends too early | "},
		"one equal sign": {"tests.failed = 0", ScopeRule, "1:14 the expression cannot be read: unexpected = | two equal signs compare: =="},
		"and":            {"metrics.a > 1 and metrics.b > 1", ScopeRule, "1:15 the expression cannot be read: unexpected 'and' | CEL writes && for and, || for or, ! for not"},
		"after percent":  {"metrics.a > 5% && foo(1)", ScopeRule, "1:22 there is no function foo | there is size, has, int, double, string, matches, contains, startsWith, endsWith, abs, shift"},
		"after duration": {"1 > 200ms && metrics.auc == 'x'", ScopeRule, "1:26 `==` does not fit (number, text) | "},
		"second line":    {"5% > 1% &&\nmetrics.a > 'b'", ScopeRule, "2:11 `>` does not fit (number, text) | "},
		"not a bool":     {"metrics.auc", ScopeRule, "1:1 the expression gives a number, not true or false | compare it with something: metrics.auc >= 0.7"},
		"unknown root":   {"5% > 1 || metric.auc > 1", ScopeRule, "1:11 a rule cannot read \"metric.auc\" | did you mean `metrics.auc`?"},
		"far root":       {"banana > 1", ScopeRule, "1:1 a rule cannot read \"banana\" | it can read metrics, tests, sarif, coverage, values, data, compare, fairness, scan, sbom, params, matrix, event, run, git, steps"},
		"tests":          {"tests.fialed == 0", ScopeRule, "1:1 there is no fact \"tests.fialed\" | did you mean `tests.failed`?"},
		"a group":        {"metrics == 3", ScopeRule, "1:1 \"metrics\" is a group of facts, not one of them | name one below it, such as metrics.NAME"},
		"rollback":       {"latency.p90 > 1s", ScopeRollback, "1:1 there is no fact \"latency.p90\" | did you mean `latency.p50`?"},
		"shift":          {"shift(score.maen) > 1", ScopeRollback, "1:7 there is no fact \"score.maen\" | did you mean `score.mean`?"},
		"shift of value": {"shift(1 + 2) > 1", ScopeRollback, "1:9 shift takes the name of a fact, not an expression | for example shift(decision.rate) > 10% && shift(score.mean) < 60%"},
		"monitor":        {"value.ci_high < best - 0.02", ScopeMonitor, ""},
		"answers":        {"decision == 'approve'", ScopeAny, ""},
		"remainder":      {"metrics.a % metrics.b == 0", ScopeRule, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := CompileIn(tc.expr, tc.scope)
			got := ""
			var e *lastro.Error
			if errors.As(err, &e) {
				got = strings.TrimPrefix(lastro.Pos{File: "x", Line: e.Pos.Line, Col: e.Pos.Col}.String(), "x:") + " " + e.Msg + " | " + e.Hint
			}
			if got != tc.want {
				t.Errorf("CompileIn(%q) = %q, want %q", tc.expr, got, tc.want)
			}
		})
	}
}

func TestFunctionsHaveWorkingExamples(t *testing.T) {
	for _, f := range Functions {
		if got, err := EvalBool(f.Example, f.Facts); err != nil || !got {
			t.Errorf("%s: example %q = %v, %v", f.Name, f.Example, got, err)
		}
		if f.Doc == "" || f.Signature == "" {
			t.Errorf("%s has no doc or signature", f.Name)
		}
	}
}

func TestReads(t *testing.T) {
	got, err := Reads("shift(score.mean) > 60% || score.sd < 0.02 && has(errors.rate)")
	if want := "champion.score.mean errors.rate score.mean score.sd"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("Reads = %v, %v; want %s", got, err, want)
	}
}

// FuzzTranslate: the translation never panics, is stable, and every place in
// it lies within the original.
func FuzzTranslate(f *testing.F) {
	for _, s := range []string{"a > 5% && b < 200ms", "'5%", "1e-3%x", "7d7d", "5 % x", "r'\\' 5%", "\"\"\"5%\"\"\"", ".5%", "5%\n3%", "é5%é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tr := translate(s)
		lines := strings.Count(string(tr.original), "\n") + 1
		for i := range len([]rune(tr.text)) + 1 {
			if line, col := tr.at(i); line < 1 || line > lines || col < 1 || col > len(tr.original)+1 {
				t.Fatalf("place %d of %q is %d:%d", i, s, line, col)
			}
		}
		if len(s) < 200 {
			_ = CompileIn(s, ScopeRule)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compileNew("metrics.auc >= 0.74 && compare.auc.diff_ci_low >= -1%"); err != nil {
			b.Fatal(err)
		}
	}
}
