// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"lastro"
)

func TestParseFilter(t *testing.T) {
	for text, want := range map[string][]comparison{
		"":                                        nil,
		"  ":                                      nil,
		"metrics.auc > 0.9":                       {{entity: "metrics", key: "auc", op: ">", text: "0.9", number: 0.9, isNumber: true}},
		"metrics.auc>=-1e-3":                      {{entity: "metrics", key: "auc", op: ">=", text: "-1e-3", number: -0.001, isNumber: true}},
		"metrics.`f1 score` <> 1":                 {{entity: "metrics", key: "f1 score", op: "!=", text: "1", number: 1, isNumber: true}},
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
	for _, text := range []string{"x", "x =", "= 1", "x = 'a", "x = `a`", "x IN ()", "x IN ('a'", "x IN 'a'", "x = 1 OR y = 2", "(x = 1)", "x = 1 AND",
		"x = 1 y = 2", "x == 1", "x NOT 'a'", "x IS 3", "x = 1; DROP TABLE models", "x = y", "tags.` = 'a'", "x BETWEEN 1 AND 2"} {
		if got, err := parseFilter(text); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("parseFilter(%q) = %+v, %v; want invalid", text, got, err)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"metrics.a > 1 AND tags.`b` IN ('c','d')", "a = ''''", "\"", "IS NOT NULL", strings.Repeat("(", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		if _, err := parseFilter(text); err != nil && !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("parseFilter(%q) = %v", text, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("parseFilter of %d bytes took %s", len(text), took)
		}
	})
}

func TestPage(t *testing.T) {
	p, err := newPage("", 2, 100, 1000, "question")
	if err != nil || p.limit != 2 {
		t.Fatal(p, err)
	}
	list, token := cut(p, []int{1, 2, 3})
	if len(list) != 2 || token == "" {
		t.Fatalf("cut = %v, %q", list, token)
	}
	if next, err := newPage(token, 2, 100, 1000, "question"); err != nil || next.offset != 2 {
		t.Errorf("the next page begins at %d, %v; want 2", next.offset, err)
	}
	for _, bad := range []string{"x", "%%%", token + "x", "eyJvIjotMX0"} {
		if _, err := newPage(bad, 2, 100, 1000, "question"); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("token %q = %v, want invalid", bad, err)
		}
	}
	if _, err := newPage(token, 2, 100, 1000, "another question"); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("the token of another search = %v, want invalid", err)
	}
	if _, err := newPage("", 1001, 100, 1000); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("1001 results = %v, want invalid", err)
	}
}
