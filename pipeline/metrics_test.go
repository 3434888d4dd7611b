// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"lastro"
)

func TestReadMetrics(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want map[string]float64 // nil = refused
	}{
		"flat":                 {`{"auc": 0.71, "n": 12, "ok": true, "name": "x", "list": [1], "none": null}`, map[string]float64{"metrics.auc": 0.71, "metrics.n": 12, "metrics.ok": 1}},
		"nested":               {`{"a": {"b": {"c": 1}}, "a.d": 2}`, map[string]float64{"metrics.a.b.c": 1, "metrics.a.d": 2}},
		"interval":             {`{"auc": {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8}}`, map[string]float64{"metrics.auc": 0.7, "metrics.auc.ci_low": 0.6, "metrics.auc.ci_high": 0.8}},
		"a metric named value": {`{"value": 3}`, map[string]float64{"metrics.value": 3}},
		"empty":                {`{}`, map[string]float64{}},
		"list":                 {`[1]`, nil},
		"nothing":              {``, nil},
		"NaN of Python":        {`{"auc": NaN}`, nil},
	} {
		got := map[string]float64{}
		err := readMetrics([]byte(tc.text), got)
		if tc.want == nil {
			if !lastro.Is(err, lastro.EFailed) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tc.want)
		}
	}
	var e *lastro.Error
	if err := readMetrics([]byte(`{"auc": NaN}`), map[string]float64{}); err != nil {
		e = asError(err)
	}
	if e == nil || !strings.Contains(e.Hint, "NaN") {
		t.Errorf("no word about NaN: %+v", e)
	}
}

func TestCollectFacts(t *testing.T) {
	f := collectFacts([]StepRun{
		{Step: "train", State: Cached, Selected: true, Facts: map[string]float64{"metrics.auc": 0.7, "tests.total": 2, "tests.failed": 0}, Report: json.RawMessage(`{}`)},
		{Step: "train", Cell: 2, State: Succeeded, Facts: map[string]float64{"metrics.auc": 0.1}},
		{Step: "evaluate", State: Succeeded, Selected: true, Facts: map[string]float64{"metrics.auc": 0.8, "metrics.r2": 1, "tests.total": 3, "tests.failed": 1}},
		{Step: "old", State: Failed, Selected: true, Facts: map[string]float64{"metrics.r2": 5}},
	})
	want := map[string]float64{"metrics.r2": 1, "tests.total": 5, "tests.failed": 1, "steps.train.metrics.auc": 0.7, "steps.train.tests.total": 2, "steps.train.tests.failed": 0,
		"steps.evaluate.metrics.auc": 0.8, "steps.evaluate.metrics.r2": 1, "steps.evaluate.tests.total": 3, "steps.evaluate.tests.failed": 1}
	if !maps.Equal(f.Values, want) {
		t.Errorf("values %v\nwant   %v", f.Values, want)
	}
	if len(f.Ambiguous) != 1 || !strings.Contains(f.Ambiguous["metrics.auc"], "train and evaluate") || len(f.Reports) != 1 {
		t.Errorf("ambiguous %v, reports %v", f.Ambiguous, f.Reports)
	}
}

func TestCacheKeyIsStable(t *testing.T) {
	// Oracle: printf '{"a":"1","b":"x"}' | sha256sum
	got, err := cacheKey(map[string]string{"b": "x", "a": "1"})
	if want := lastro.DigestOf([]byte(`{"a":"1","b":"x"}`)); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestExpand(t *testing.T) {
	s := newScope(map[string]any{"depth": json.Number("4"), "model": map[string]any{"rate": 0.1}}, Git{Commit: "abc"}, map[string]any{"kind": "person"}, map[string]any{"seed": 2})
	in := json.RawMessage(`{"a":"${{ params.depth }}","b":["x ${{params.model.rate}} ${{ matrix.seed }}"],"c":{"d":"${{ run.id }}"},"e":"${{ git.commit }}","f":"${{ event.nothing }}"}`)
	got, used, err := expand(in, s)
	want := `{"a":4,"b":["x 0.1 2"],"c":{"d":"${{ run.id }}"},"e":"abc","f":""}`
	if err != nil || string(got) != want || strings.Join(used, " ") != "event.nothing git.commit matrix.seed params.depth params.model.rate run.id" {
		t.Errorf("%s, %v, %v", got, used, err)
	}
	got, _, err = expand(got, s.withRun(7))
	if err != nil || !strings.Contains(string(got), `{"d":7}`) {
		t.Errorf("with the run: %s, %v", got, err)
	}
	if _, _, err := expand(json.RawMessage(`"${{ params.dept }}"`), s); err == nil || !strings.Contains(asError(err).Hint, "params.depth") {
		t.Errorf("unknown: %v", err)
	}
}
