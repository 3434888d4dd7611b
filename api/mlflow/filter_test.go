// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"math"
	"reflect"
	"testing"

	"lastro"
)

func TestParseFilter(t *testing.T) {
	for text, want := range map[string][]comparison{
		"":                                        nil,
		"  ":                                      nil,
		"metrics.auc > 0.9":                       {{entity: "metrics", key: "auc", op: ">", text: "0.9", number: 0.9, isNumber: true}},
		"metrics.auc>=-1e-3":                      {{entity: "metrics", key: "auc", op: ">=", text: "-1e-3", number: -0.001, isNumber: true}},
		"metrics.`f1 score` != 1":                 {{entity: "metrics", key: "f1 score", op: "!=", text: "1", number: 1, isNumber: true}},
		"metrics.'f1 score'<.5":                   {{entity: "metrics", key: "f1 score", op: "<", text: ".5", number: 0.5, isNumber: true}},
		"AND x = 'a' y = 'b' AND":                 {{key: "x", op: "=", text: "a"}, {key: "y", op: "=", text: "b"}},
		"run_id IN ('a',)":                        {{key: "run_id", op: "IN", values: []string{"a"}}},
		"x > 1e400":                               {{key: "x", op: ">", text: "1e400", number: math.Inf(1), isNumber: true}},
		`params."a b" = "c"`:                      {{entity: "params", key: "a b", op: "=", text: "c"}},
		"tags.mlflow.user = 'ana'":                {{entity: "tags", key: "mlflow.user", op: "=", text: "ana"}},
		"name = 'it''s' and name != ''":           {{key: "name", op: "=", text: "it's"}, {key: "name", op: "!="}},
		"name like 'a%' AND tags.x ILIKE 'B'":     {{key: "name", op: "LIKE", text: "a%"}, {entity: "tags", key: "x", op: "ILIKE", text: "B"}},
		"run_id IN ('a', \"b\",'c')":              {{key: "run_id", op: "IN", values: []string{"a", "b", "c"}}},
		"run_id not in ('a')":                     {{key: "run_id", op: "NOT IN", values: []string{"a"}}},
		"params.x IS NULL and tags.y is not null": {{entity: "params", key: "x", op: "IS NULL"}, {entity: "tags", key: "y", op: "IS NOT NULL"}},
		"params.android = 'AND'":                  {{entity: "params", key: "android", op: "=", text: "AND"}},
	} {
		got, err := parseFilter(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parseFilter(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "x =", "= 1", "x = 'a", "x = `a`", "x IN ()", "x IN ('a'", "x IN 'a'", "x = 1 OR y = 2", "(x = 1)", "x <> 1",
		"x = +1", "x = 0x10", "x = 1_0", "x = inf", "x IN (1)", "'x' = 'a'", "x. = 1", ".x = 1", "x = 'a\x00'", "x = '\xff'", "x == 1", "x NOT 'a'", "x IS 3", "x = 1; DROP TABLE models", "x = y", "tags.` = 'a'", "x BETWEEN 1 AND 2"} {
		if got, err := parseFilter(text); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("parseFilter(%q) = %+v, %v; want invalid", text, got, err)
		}
	}
}
