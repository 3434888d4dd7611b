// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"reflect"
	"strings"
	"testing"

	"lastro"
)

// Values computed by hand.
func TestExpressionsEval(t *testing.T) {
	names := map[string]any{"params.depth": int64(6), "params.rate": 0.5, "matrix.algo": "tree", "params.on": true, "event.kind": "push", "git.branch": "main",
		"steps.train.metrics.auc": 0.75, "params.list": []any{int64(1), "b"}, "params.object": map[string]any{"a": 1.5}, "steps.pre-train.values.tag": "v1"}
	for expr, want := range map[string]any{
		"params.depth * 2":                      12.0,
		"params.depth / 4":                      1.5,
		"params.depth % 4":                      2.0,
		`matrix.algo + "-" + git.branch`:        "tree-main",
		`params.on ? "a" : "b"`:                 "a",
		"params.on":                             true,
		`event.branch == ""`:                    true,
		"has(event.branch)":                     false,
		"has(event.kind)":                       true,
		"steps.train.metrics.auc > 70%":         true,
		"abs(params.rate - 1)":                  0.5,
		"[params.depth, 2]":                     []any{6.0, 2.0},
		"params.list":                           []any{1.0, "b"},
		"params.object.a":                       1.5,
		`{"a": params.depth}`:                   map[string]any{"a": 6.0},
		`matrix.algo.startsWith("t")`:           true,
		`steps["pre-train"].values.tag`:         "v1",
		`string(params.depth)`:                  "6",
		"null":                                  nil,
		"1.0 / 0.0":                             "+Inf",
		`size(git.branch)`:                      4.0,
		`git.branch in ["main", "next"]`:        true,
		`matrix.algo == "tree" ? 30s : 2m`:      30.0,
		`params.list.exists(x, x == "b")`:       true,
		`event.title == "" && git.branch != ""`: true,
	} {
		got, err := Expressions{}.Eval(expr, names)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, %v; want %#v", expr, got, err, want)
		}
	}
}

func TestExpressionsRefuse(t *testing.T) {
	names := map[string]any{"params.depth": 6, "params.name": "a"}
	for expr, want := range map[string]string{
		"params.dept * 2":       "L0334 params.dept has no value did you mean params.depth?",
		"params.depth *":        "L0181",
		"params.name * 2":       "L0181",
		"metrics.auc + 1":       "L0334 metrics.auc has no value there is no fact that begins with metrics",
		"nope(params.depth)":    "L0181 there is no function nope",
		"":                      "L0181 the expression is empty",
		"parmas.a + parmas.b":   "L0334 parmas.a, parmas.b have no value",
		"[1, 2].map(x, x / 0u)": "",
	} {
		v, err := Expressions{}.Eval(expr, names)
		e, ok := err.(*lastro.Error)
		if want == "" {
			continue
		}
		if !ok || !strings.HasPrefix(e.ID+" "+e.Msg+" "+e.Hint, want) {
			t.Errorf("%s: %v, %#v; want %s", expr, v, err, want)
		}
	}
	if _, err := (Expressions{}).Bool("params.depth + 1", names); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("a number is no condition: %v", err)
	}
	if err := (Expressions{}).Condition("params.depth + 1"); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("a number is no condition: %v", err)
	}
	if err := (Expressions{}).Condition("params.depth > 1"); err != nil {
		t.Error(err)
	}
}

func TestExpressionsReads(t *testing.T) {
	got, err := Expressions{}.Reads(`params.depth > 4 && has(steps.train.metrics.auc) && ["x"].exists(x, x == event.kind)`)
	if want := []string{"event.kind", "params.depth", "steps.train.metrics.auc"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
