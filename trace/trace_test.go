// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func row(id, parent, usage, cost string) SpanRow {
	r := SpanRow{ID: id, Parent: parent, Cost: ParseCost([]byte(cost))}
	if usage != "" {
		r.Usage = json.RawMessage(usage)
	}
	return r
}

// TestAggregate: what a parent tells of its children counts once, at any depth
// and in any order, and broken trees end.
func TestAggregate(t *testing.T) {
	const five, seven = `{"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}`, `{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "cache_read_input_tokens": 1}`
	for name, tc := range map[string]struct {
		spans       []SpanRow
		usage, cost string
	}{
		"nobody tells":          {[]SpanRow{row("1", "", "", "")}, "", ""},
		"two children":          {[]SpanRow{row("1", "", "", ""), row("2", "1", five, ""), row("3", "1", seven, "")}, `{"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "cache_read_input_tokens": 1}`, ""},
		"the parent too":        {[]SpanRow{row("3", "2", five, ""), row("2", "1", "", ""), row("1", "", seven, "")}, seven, ""},
		"cost by itself":        {[]SpanRow{row("1", "", seven, ""), row("2", "1", five, `{"total_cost": 0.5}`), row("3", "1", "", `{"total_cost": 0.25, "input_cost": 1e-05}`)}, seven, `{"input_cost": 1e-05, "output_cost": 0.0, "total_cost": 0.75}`},
		"a parent that is gone": {[]SpanRow{row("2", "9", five, "")}, five, ""},
		"a ring":                {[]SpanRow{row("1", "2", five, ""), row("2", "1", "", "")}, five, ""},
	} {
		u := Aggregate(tc.spans)
		if u.JSON() != tc.usage || u.Cost.JSON() != tc.cost {
			t.Errorf("%s: %s %s, want %s %s", name, u.JSON(), u.Cost.JSON(), tc.usage, tc.cost)
		}
	}
}

// TestAggregateDeep: a chain of 10,000 spans is summed in a moment.
func TestAggregateDeep(t *testing.T) {
	spans := make([]SpanRow, 10_000)
	for i := range spans {
		spans[i] = row(fmt.Sprint(i+1), fmt.Sprint(i), "", "")
	}
	spans[len(spans)-1].Usage = json.RawMessage(`{"total_tokens": 1}`)
	began := time.Now()
	if u := Aggregate(spans); *u.Total != 1 || time.Since(began) > 5*time.Second {
		t.Errorf("total %d in %v", *u.Total, time.Since(began))
	}
}

// TestQuantile: numpy.percentile([1, 2, 3, 4], [0, 25, 50, 90, 100]).
func TestQuantile(t *testing.T) {
	for q, want := range map[float64]float64{0: 1, 0.25: 1.75, 0.5: 2.5, 0.9: 3.7, 1: 4} {
		if got := quantile([]float64{1, 2, 3, 4}, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
}

// TestNPMI: ln(p11 / (p1 p2)) / -ln(p11), by hand.
func TestNPMI(t *testing.T) {
	for _, tc := range []struct {
		c            Correlation
		smooth, want float64
	}{
		{Correlation{Both: 10, First: 20, Second: 15, Universe: 100}, 0, 0.5228787452803376}, // ln(0.1/0.03) / ln(10)
		{Correlation{Both: 4, First: 4, Second: 4, Universe: 4}, 0, 1},
		{Correlation{Both: 25, First: 50, Second: 50, Universe: 100}, 0, 0},
		{Correlation{Both: 0, First: 1, Second: 1, Universe: 2}, 0.5, -0.33333333333333337}, // what MLflow 3.17.2 answers
		{Correlation{Both: 0, First: 0, Second: 1, Universe: 2}, 0, math.NaN()},
		{Correlation{Both: 3, First: 2, Second: 4, Universe: 5}, 0, math.NaN()},
	} {
		got := npmi(tc.c, tc.smooth)
		if math.Abs(got-tc.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(tc.want) {
			t.Errorf("npmi(%+v, %v) = %v, want %v", tc.c, tc.smooth, got, tc.want)
		}
	}
}

func TestPreview(t *testing.T) {
	for raw, want := range map[string]string{
		`{"x": 4}`: `{"x": 4}`,
		`{"messages":[{"role":"user","content":"first"},{"role":"assistant","content":"no"},{"role":"user","content":[{"type":"text","text":"last"}]}]}`: "last",
		`{"request":{"input":[{"role":"user","content":"deep"}]}}`:                                                                                       "deep",
		`{"messages":[]}`:                     `{"messages":[]}`,
		`"` + strings.Repeat("é", 2000) + `"`: `"` + strings.Repeat("é", 996) + "...",
	} {
		if got := preview(json.RawMessage(raw), "user"); got != want {
			t.Errorf("preview of %.60s = %.80s, want %.80s", raw, got, want)
		}
	}
}

func TestPythonJSON(t *testing.T) {
	if got := PythonJSON([]byte(`{"a":[1,2.50,"x:,\"y"],"b":{"c":null}}`)); got != `{"a": [1, 2.50, "x:,\"y"], "b": {"c": null}}` {
		t.Error(got)
	}
	for f, want := range map[float64]string{1: "1.0", 0.001: "0.001", 1e-5: "1e-05", 1e16: "1e+16", 123456789: "123456789.0"} {
		if got := pythonFloat(f); got != want {
			t.Errorf("%v is %s, want %s as Python's repr", f, got, want)
		}
	}
}

func TestMetricFilter(t *testing.T) {
	for filter, want := range map[string]Clause{
		"trace.status = 'OK'":                   {Field: Attribute, Key: KeyStatus, Op: Eq, Text: "OK"},
		"trace.tag.`a b` = 'x'":                 {Field: Tag, Key: "a b", Op: Eq, Text: "x"},
		"trace.metadata.mlflow.sourceRun = 'r'": {Field: Run, Key: MetaRun, Op: Eq, Text: "r"},
		"span.type = 'LLM'":                     {Field: SpanField, Key: "type", Op: Eq, Text: "LLM"},
		"assessment.name = 'x'":                 {Field: Feedback, Key: "name", Op: Eq, Text: "x"},
	} {
		got, err := MetricFilter(filter)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s = %+v, %v; want %+v", filter, got, err, want)
		}
	}
	for _, wrong := range []string{"", "x = 'y'", "trace.status != 'OK'", "trace.status = OK", "trace.tag = 'x'", "span.name.x = 'y'", "trace.status = 'OK' AND span.name = 'x'"} {
		if c, err := MetricFilter(wrong); err == nil {
			t.Errorf("%q is understood: %+v", wrong, c)
		}
	}
}

// FuzzParseFilter: no filter ends the program, and what is understood can be
// held against a span.
func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"status = 'OK'", "span.attributes.`a.b` LIKE '%x_%' AND tags.x IS NOT NULL", "feedback.x >= -1.5e3", "name IN ('a', 'b''c')", "text ILIKE '%É%'", "name RLIKE '(a|b)+'", "tags.\"q\" != ''", "` = 1", "prompt = 'a/1'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		where, err := ParseFilter(filter)
		if err != nil {
			return
		}
		look, err := newChecks(where)
		if err != nil {
			return // a regular expression
		}
		look.worth([]byte(filter))
		look.trace(Trace{Tags: map[string]string{"x": filter}})
		look.span(Span{Name: filter, Attributes: map[string]json.RawMessage{"a": json.RawMessage(`"x"`)}})
	})
}
