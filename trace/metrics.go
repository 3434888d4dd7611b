// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// View is what a metric query counts.
type View string

// The views.
const (
	ViewTraces      View = "TRACES"
	ViewSpans       View = "SPANS"
	ViewAssessments View = "ASSESSMENTS"
)

// Aggregation is COUNT, SUM, AVG, MIN, MAX or PERCENTILE.
type Aggregation struct {
	Type       string
	Percentile float64 // 0 to 100
}

// Label is the name under which MLflow's clients find the value.
func (a Aggregation) Label() string {
	if a.Type == "PERCENTILE" {
		return "P" + pythonFloat(a.Percentile)
	}
	return a.Type
}

// MetricQuery asks for a number of traces, spans or assessments.
type MetricQuery struct {
	Experiments  []string
	View         View
	Metric       string
	Aggregations []Aggregation
	Dimensions   []string
	Filters      []Clause
	Step         time.Duration // of time buckets; 0 = none
	From, To     time.Time     // inclusive; zero = open
	Limit        int
}

// Group is the values of one combination of dimensions. Bucket is its time, -1
// without time buckets.
type Group struct {
	Bucket     int64 // milliseconds since 1970
	Dimensions []string
	Count      int64
	Values     []float64 // sorted; nil when only a count was asked for
}

// DataPoint is one answer of a metric query.
type DataPoint struct {
	Dimensions map[string]string
	Values     map[string]float64
}

type measure struct{ aggregations, dimensions string }

const (
	sums   = "SUM AVG MIN MAX PERCENTILE"
	means  = "AVG MIN MAX PERCENTILE"
	models = "span_model_name span_model_provider"
)

// measures are the metrics of each view with what can be asked of them, as
// MLflow's server allows it.
var measures = map[View]map[string]measure{
	ViewTraces: {
		"trace_count": {"COUNT", "trace_name trace_status"}, "session_count": {"COUNT", ""}, "latency": {means, "trace_name"},
		"input_tokens": {sums, "trace_name"}, "output_tokens": {sums, "trace_name"}, "total_tokens": {sums, "trace_name"},
		"cache_read_input_tokens": {sums, "trace_name"}, "cache_creation_input_tokens": {sums, "trace_name"},
	},
	ViewSpans: {
		"span_count": {"COUNT", "span_name span_type span_status " + models}, "latency": {means, "span_name span_status"},
		"input_cost": {sums, models}, "output_cost": {sums, models}, "total_cost": {sums, models},
	},
	ViewAssessments: {
		"assessment_count": {"COUNT", "assessment_name assessment_value"}, "assessment_value": {means, "assessment_name"},
	},
}

func (q MetricQuery) check() error {
	metrics, ok := measures[q.View]
	if !ok {
		return lastro.Errorf(lastro.EInvalid, "view_type %q is not one of TRACES, SPANS and ASSESSMENTS", string(q.View))
	}
	m, ok := metrics[q.Metric]
	if !ok {
		return lastro.Errorf(lastro.EInvalid, "metric_name %q is not one of %s", q.Metric, strings.Join(sortedKeys(metrics), ", "))
	}
	if len(q.Aggregations) == 0 {
		return lastro.Errorf(lastro.EInvalid, "aggregations is empty; %s has %s", q.Metric, m.aggregations)
	}
	for _, a := range q.Aggregations {
		if !slices.Contains(strings.Fields(m.aggregations), a.Type) {
			return lastro.Errorf(lastro.EInvalid, "%s has no aggregation %q; it has %s", q.Metric, a.Type, m.aggregations)
		}
		if a.Percentile < 0 || a.Percentile > 100 || math.IsNaN(a.Percentile) {
			return lastro.Errorf(lastro.EInvalid, "percentile_value is %v; it must be between 0 and 100", a.Percentile)
		}
	}
	for _, d := range q.Dimensions {
		if !slices.Contains(strings.Fields(m.dimensions), d) {
			return lastro.Errorf(lastro.EInvalid, "%s has no dimension %q; it has %s", q.Metric, d, m.dimensions)
		}
	}
	if q.Step != 0 && (q.From.IsZero() || q.To.IsZero()) {
		return lastro.Errorf(lastro.EInvalid, "time_interval_seconds needs start_time_ms and end_time_ms")
	}
	if q.Step < 0 {
		return lastro.Errorf(lastro.EInvalid, "time_interval_seconds is negative")
	}
	return nil
}

// Metrics answers a metric query, ordered by time and dimensions.
func (s *Service) Metrics(ctx context.Context, q MetricQuery) ([]DataPoint, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	groups, err := s.store.Metrics(ctx, q)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(groups, func(a, b Group) int {
		if a.Bucket != b.Bucket {
			return int(min(max(a.Bucket-b.Bucket, -1), 1))
		}
		return slices.Compare(a.Dimensions, b.Dimensions)
	})
	out := []DataPoint{}
	for _, g := range groups {
		if len(out) == q.Limit {
			break
		}
		if g.Count == 0 && q.Aggregations[0].Type != "COUNT" {
			continue
		}
		out = append(out, g.point(q))
	}
	return out, nil
}

func (g Group) point(q MetricQuery) DataPoint {
	p := DataPoint{map[string]string{}, map[string]float64{}}
	for i, name := range q.Dimensions {
		p.Dimensions[name] = g.Dimensions[i]
	}
	if q.Step > 0 {
		p.Dimensions["time_bucket"] = isoTime(g.Bucket)
	}
	for _, a := range q.Aggregations {
		p.Values[a.Label()] = g.value(a)
	}
	return p
}

// isoTime writes a time as Python's datetime.isoformat does.
func isoTime(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05+00:00")
	}
	return t.Format("2006-01-02T15:04:05.000000+00:00")
}

func (g Group) value(a Aggregation) float64 {
	n := len(g.Values)
	switch {
	case a.Type == "COUNT":
		return float64(g.Count)
	case n == 0:
		return math.NaN()
	case a.Type == "MIN":
		return g.Values[0]
	case a.Type == "MAX":
		return g.Values[n-1]
	case a.Type == "PERCENTILE":
		return quantile(g.Values, a.Percentile/100)
	}
	sum := 0.0
	for _, v := range g.Values {
		sum += v
	}
	if a.Type == "AVG" {
		return sum / float64(n)
	}
	return sum
}

// quantile interpolates linearly between order statistics (Hyndman and Fan's
// type 7, the default of numpy and of PostgreSQL's percentile_cont).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Correlation is how often traces match two filters together.
type Correlation struct {
	NPMI, Smoothed                float64 // -1 to 1; NaN = undefined
	First, Second, Both, Universe int64
}

// Correlate counts the traces that match the filters, on top of base.
func (s *Service) Correlate(ctx context.Context, experiments []string, first, second, base []Clause) (Correlation, error) {
	var c Correlation
	for _, n := range []struct {
		count *int64
		where [][]Clause
	}{{&c.Universe, [][]Clause{base}}, {&c.First, [][]Clause{base, first}}, {&c.Second, [][]Clause{base, second}}, {&c.Both, [][]Clause{base, first, second}}} {
		var err error
		if *n.count, err = s.count(ctx, experiments, n.where); err != nil {
			return c, err
		}
	}
	c.NPMI, c.Smoothed = npmi(c, 0), npmi(c, 0.5)
	if c.Both == 0 && c.First > 0 && c.Second > 0 && c.Universe > 0 {
		c.NPMI = -1
	}
	return c, nil
}

// npmi is the normalised pointwise mutual information of two events (Bouma,
// 2009), with smooth added to each of the four counts (0.5 is Jeffreys' prior).
func npmi(c Correlation, smooth float64) float64 {
	n11, n10, n01 := float64(c.Both), float64(c.First-c.Both), float64(c.Second-c.Both)
	n00 := float64(c.Universe - c.First - c.Second + c.Both)
	if c.Universe <= 0 || c.First == 0 || c.Second == 0 || min(n11, n10, n01, n00) < 0 {
		return math.NaN()
	}
	if n10 == 0 && n01 == 0 && n00 == 0 {
		return 1
	}
	n11, n10, n01, n00 = n11+smooth, n10+smooth, n01+smooth, n00+smooth
	n := n11 + n10 + n01 + n00
	if n11 <= 0 {
		return math.NaN()
	}
	pmi := math.Log(n11) + math.Log(n) - math.Log(n11+n10) - math.Log(n11+n01)
	return max(-1, min(1, pmi/-(math.Log(n11)-math.Log(n))))
}

// MetricFilter reads one filter of a metric query, such as trace.status = 'OK',
// trace.tag.`env` = 'prod', span.name = 'x' or assessment.name = 'y'.
func MetricFilter(filter string) (Clause, error) {
	p := &parser{rest: filter, whole: filter}
	p.space()
	name, err := p.identifier()
	if err != nil {
		return Clause{}, err
	}
	p.space()
	if op := p.operator(); op != Eq {
		return Clause{}, p.fail("=")
	}
	p.space()
	c := Clause{Op: Eq}
	if c.Text, err = p.quoted(); err != nil {
		return c, err
	}
	if p.space(); p.rest != "" {
		return c, p.fail("the end")
	}
	view, rest, _ := strings.Cut(name, ".")
	entity, key, keyed := strings.Cut(rest, ".")
	key = unquote(key)
	switch {
	case view == "trace" && entity == "status" && !keyed:
		c.Field, c.Key = Attribute, KeyStatus
	case view == "trace" && entity == "tag" && key != "":
		c.Field, c.Key = Tag, key
	case view == "trace" && entity == "metadata" && key != "":
		c.Field, c.Key = Metadata, key
	case view == "span" && !keyed && (entity == "name" || entity == "status" || entity == "type"):
		c.Field, c.Key = SpanField, entity
	case view == "assessment" && !keyed && (entity == "name" || entity == "type"):
		c.Field, c.Key = Feedback, entity
	default:
		return c, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a filter of metrics knows no %s", strconv.Quote(name)),
			Hint: "use trace.status, trace.tag.KEY, trace.metadata.KEY, span.name, span.type, span.status, assessment.name or assessment.type"}
	}
	return named(c), nil
}
