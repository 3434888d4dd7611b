// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
)

// memory is a content store in memory.
type memory struct {
	sync.Mutex
	content map[lastro.Digest][]byte
}

func (m *memory) Put(_ context.Context, r io.Reader) (lastro.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	d := lastro.DigestOf(b)
	m.Lock()
	defer m.Unlock()
	m.content[d] = b
	return d, int64(len(b)), nil
}

func (m *memory) Open(_ context.Context, d lastro.Digest) (io.ReadCloser, error) {
	m.Lock()
	defer m.Unlock()
	return io.NopCloser(bytes.NewReader(m.content[d])), nil
}

func newTracing(db *store.DB) (*trace.Service, *memory) {
	m := &memory{content: map[lastro.Digest][]byte{}}
	return trace.NewService(store.NewTrace(db), m, lastro.SystemClock{}), m
}

var person = trace.Caller{By: "user:ana"}

// stepOf is a step's token.
func stepOf(run string) trace.Caller {
	return trace.Caller{By: lastro.Actor("step:" + run + "/train"), Origin: trace.Origin{Run: run, Step: "train"}}
}

// span makes a span that began n milliseconds after base.
func span(id, parent, name string, n int64, attributes map[string]any) trace.Span {
	s := trace.Span{OTelTrace: strings.Repeat("a", 32), ID: id, Parent: parent, Name: name, Start: base + n*1e6, End: base + (n+10)*1e6, Status: trace.SpanOK,
		Attributes: map[string]json.RawMessage{}}
	for k, v := range attributes {
		s.Attributes[k], _ = json.Marshal(v)
	}
	return s
}

const base = int64(1_790_000_000_000_000_000) // nanoseconds

func ids(list []trace.Trace) string {
	var out []string
	for _, t := range list {
		out = append(out, t.ID)
	}
	return strings.Join(out, " ")
}

func find(t *testing.T, s *trace.Service, filter string, orders ...string) string {
	t.Helper()
	where, err := trace.ParseFilter(filter)
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	q := trace.Query{Experiments: []string{"0"}, Where: where, Limit: 100}
	for _, o := range orders {
		order, err := trace.ParseOrder(o)
		if err != nil {
			t.Fatalf("%s: %v", o, err)
		}
		q.Order = append(q.Order, order)
	}
	found, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	return ids(found.Traces)
}

func TestTraces(t *testing.T) { Each(t, testTraces) }

// testTraces: spans make a trace, its client completes it, spans that come later
// change nothing of what the client has told.
func testTraces(t *testing.T, db *store.DB) {
	s, _ := newTracing(db)
	ctx := t.Context()
	child := trace.TraceSpans{ID: "tr-1", Spans: []trace.Span{span("02", "01", "call", 5, map[string]any{"mlflow.chat.tokenUsage": map[string]int{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})}}
	for range 2 { // sent twice: kept once
		if err := s.AddSpans(ctx, person, "0", []trace.TraceSpans{child}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Trace(ctx, "tr-1")
	if err != nil || got.State != trace.InProgress || !got.HasSpans || got.Usage.JSON() != `{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}` {
		t.Fatalf("after its first span the trace is %+v, %v", got, err)
	}
	root := trace.TraceSpans{ID: "tr-1", Resource: map[string]string{"service.name": "shop"}, Spans: []trace.Span{
		span("01", "", "answer", 0, map[string]any{"mlflow.spanInputs": map[string]string{"q": "ação"}, "mlflow.spanOutputs": "42", "session.id": "s1",
			"mlflow.chat.tokenUsage": map[string]int{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})}}
	if err := s.AddSpans(ctx, person, "0", []trace.TraceSpans{root}); err != nil {
		t.Fatal(err)
	}
	got, _ = s.Trace(ctx, "tr-1")
	if got.State != trace.OK || *got.Request != `{"q":"ação"}` || *got.Response != `"42"` || *got.Session != "s1" || got.Tags["service.name"] != "shop" ||
		*got.Usage.Total != 7 || got.At.UnixNano() != base || *got.Took != 15*time.Millisecond {
		t.Errorf("after its root span the trace is %+v (request %v)", got, *got.Request)
	}
	took := 20 * time.Millisecond
	told, err := s.Start(ctx, person, trace.Trace{ID: "tr-1", ExperimentID: "0", State: trace.Failed, At: time.Unix(0, base), Took: &took, Finalized: true,
		Metadata: map[string]string{trace.MetaUsage: `{"input_tokens": 30, "output_tokens": 40, "total_tokens": 70}`, "k": "v"}, Tags: map[string]string{trace.TagName: "answer"},
		Assessments: []trace.Assessment{{Name: "good", Kind: trace.KindFeedback, Value: json.RawMessage("true")}}})
	if err != nil || told.State != trace.Failed || *told.Name != "answer" || *told.Usage.Total != 70 || len(told.Assessments) != 1 || *told.Request != `{"q":"ação"}` {
		t.Fatalf("Start = %+v, %v", told, err)
	}
	late := trace.TraceSpans{ID: "tr-1", Spans: []trace.Span{span("03", "01", "late", 500, map[string]any{"mlflow.chat.tokenUsage": map[string]int{"input_tokens": 1}})}}
	if err := s.AddSpans(ctx, person, "0", []trace.TraceSpans{late}); err != nil {
		t.Fatal(err)
	}
	got, _ = s.Trace(ctx, "tr-1")
	if *got.Took != took || *got.Usage.Total != 70 || got.State != trace.Failed {
		t.Errorf("a late span changed what the client has told: took %v, total %d, %s", *got.Took, *got.Usage.Total, got.State)
	}
	spans, err := s.Spans(ctx, []trace.Trace{got})
	if err != nil || len(spans[got.Number]) != 3 || spans[got.Number][0].ID != "01" || spans[got.Number][1].ID != "02" {
		t.Errorf("Spans = %+v, %v; want 3, the root first", spans, err)
	}

	if err := s.SetTag(ctx, person, "tr-1", "env", "prod"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTag(ctx, person, "tr-1", "none"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("DeleteTag of none = %v", err)
	}
	if err := s.SetTag(ctx, person, "tr-1", trace.TagSpansLocation, "x"); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("SetTag of the server's own = %v", err)
	}
	if err := s.SetTag(ctx, stepOf("7"), "tr-1", "env", "x"); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("SetTag by a step = %v, want EDenied", err)
	}
	if err := s.AddSpans(ctx, stepOf("7"), "0", []trace.TraceSpans{{ID: "tr-7", Spans: []trace.Span{span("01", "", "x", 0, nil)}}, late}); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("AddSpans by a step to somebody's trace = %v, want EDenied", err)
	}
	if _, err := s.Trace(ctx, "tr-7"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("half of a refused request was kept: %v", err)
	}
	if err := s.AddSpans(ctx, person, "99", []trace.TraceSpans{late}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("AddSpans to no experiment = %v", err)
	}
}

func TestTracesOfDeletedExperiments(t *testing.T) { Each(t, testTracesOfDeletedExperiments) }

func testTracesOfDeletedExperiments(t *testing.T, db *store.DB) {
	s, _ := newTracing(db)
	tracking := track.NewService(store.NewTrack(db), lastro.SystemClock{})
	e, err := tracking.CreateExperiment(t.Context(), track.Caller{By: "user:ana"}, "gone", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tracking.SetExperimentState(t.Context(), track.Caller{By: "user:ana"}, e.ID, track.Deleted); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), person, trace.Trace{ID: "tr-x", ExperimentID: e.ID, State: trace.OK}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("Start in a deleted experiment = %v", err)
	}
	if err := s.AddSpans(t.Context(), person, e.ID, []trace.TraceSpans{{ID: "tr-x", Spans: []trace.Span{span("01", "", "x", 0, nil)}}}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("AddSpans to a deleted experiment = %v", err)
	}
}

func TestTraceSearch(t *testing.T) { Each(t, testTraceSearch) }

func testTraceSearch(t *testing.T, db *store.DB) {
	s, _ := newTracing(db)
	ctx := t.Context()
	long := strings.Repeat("x", 300) + "needle"
	for i, tc := range []struct {
		state      trace.State
		took       int64 // ms
		tags, meta map[string]string
		spans      []trace.Span
	}{
		{trace.OK, 10, map[string]string{"env": "prod", trace.TagName: "alpha"}, map[string]string{trace.MetaSession: "s1"},
			[]trace.Span{span("01", "", "root", 0, map[string]any{"model": "gpt", "mlflow.spanType": "LLM"}), span("02", "01", "tool", 0, map[string]any{"model": "other", "depth": 3})}},
		{trace.Failed, 20, map[string]string{"env": "PROD"}, map[string]string{trace.MetaSession: "s1"},
			[]trace.Span{span("01", "", "root", 1, map[string]any{"note": long, "mlflow.spanInputs": "où est-il?"})}},
		{trace.OK, 30, nil, nil, []trace.Span{span("01", "", "tool", 2, map[string]any{"model": "gpt"})}},
	} {
		id, took := fmt.Sprintf("tr-%d", i), time.Duration(tc.took)*time.Millisecond
		if _, err := s.Start(ctx, person, trace.Trace{ID: id, ExperimentID: "0", State: tc.state, At: time.Unix(0, base+int64(i)*1e6), Took: &took, Tags: tc.tags, Metadata: tc.meta}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddSpans(ctx, person, "0", []trace.TraceSpans{{ID: id, Spans: tc.spans}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []trace.Assessment{
		{Trace: "tr-0", Name: "score", Kind: trace.KindFeedback, Value: json.RawMessage("0.9")},
		{Trace: "tr-1", Name: "score", Kind: trace.KindFeedback, Value: json.RawMessage("0.2")},
		{Trace: "tr-0", Name: "verdict", Kind: trace.KindFeedback, Value: json.RawMessage(`"yes"`), Metadata: map[string]string{trace.MetaSession: "s1"}},
		{Trace: "tr-2", Name: "truth", Kind: trace.KindExpectation, Value: json.RawMessage(`"42"`)},
	} {
		if _, err := s.AddAssessment(ctx, person, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.LinkPrompts(ctx, person, "tr-2", []string{"greet/1"}); err != nil {
		t.Fatal(err)
	}
	run, err := track.NewService(store.NewTrack(db), lastro.SystemClock{}).CreateRun(ctx, track.Caller{By: "user:ana"}, track.Run{ExperimentID: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LinkRun(ctx, person, []string{"tr-1", "tr-none"}, run.ID); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]string{
		"":                               "tr-2 tr-1 tr-0",
		"status = 'OK'":                  "tr-2 tr-0",
		"trace.status IN ('ERROR', 'x')": "tr-1",
		"status RLIKE '^ER'":             "tr-1",
		"execution_time > 10":            "tr-2 tr-1",
		"attributes.timestamp_ms = 1790000000001": "tr-1",
		"name = 'alpha'":                                         "tr-0",
		"tags.`mlflow.traceName` IS NULL":                        "tr-2 tr-1",
		"tags.env = 'prod'":                                      "tr-0",
		"tags.env ILIKE 'prod'":                                  "tr-1 tr-0",
		"tag.env RLIKE 'R.D'":                                    "tr-1",
		"tags.env IS NULL":                                       "tr-2",
		"metadata.`mlflow.trace.session` = 's1'":                 "tr-1 tr-0",
		"span.name = 'tool'":                                     "tr-2 tr-0",
		"span.type = 'LLM' AND span.name = 'root'":               "tr-0",
		"span.type = 'LLM' AND span.name = 'tool'":               "",
		"span.attributes.model = 'gpt'":                          "tr-2 tr-0",
		"span.attributes.model = 'gpt' AND span.name = 'tool'":   "tr-2",
		"span.attributes.model = 'other' AND span.name = 'root'": "",
		"span.attributes.depth = '3'":                            "tr-0",
		"span.attributes.note LIKE '%needle'":                    "tr-1",
		"span.attributes.note LIKE '%nothing'":                   "",
		"span.attributes.`mlflow.spanInputs` LIKE 'où%'":         "tr-1",
		"text LIKE '%est-il%'":                                   "tr-1",
		"trace.text ILIKE '%GPT%' AND status = 'OK'":             "tr-2 tr-0",
		"feedback.score > 0.5":                                   "tr-0",
		"feedback.score = '0.2'":                                 "tr-1",
		"feedback.verdict = 'yes'":                               "tr-1 tr-0", // of the session
		"feedback.score IS NULL":                                 "tr-2",
		"expectation.truth = '42'":                               "tr-2",
		"prompt = 'greet/1'":                                     "tr-2",
		"run_id = '" + run.ID + "'":                              "tr-1",
		"tags.env = '' OR 1=1":                                   "error",
		"tags.env = 'x'' --'":                                    "",
	} {
		if want == "error" {
			if _, err := trace.ParseFilter(filter); err == nil {
				t.Errorf("%s is understood", filter)
			}
			continue
		}
		if got := find(t, s, filter); got != want {
			t.Errorf("%s finds %q, want %q", filter, got, want)
		}
	}
	for order, want := range map[string]string{"timestamp_ms ASC": "tr-0 tr-1 tr-2", "execution_time DESC": "tr-2 tr-1 tr-0", "tags.env": "tr-1 tr-0 tr-2", "name DESC": "tr-0 tr-2 tr-1",
		"status": "tr-1 tr-2 tr-0"} {
		if got := find(t, s, "", order); got != want {
			t.Errorf("order by %s gives %q, want %q", order, got, want)
		}
	}
	// A page goes on after the last row, whatever came meanwhile.
	for _, filter := range []string{"status = 'OK'", "span.attributes.model = 'gpt'"} {
		where, _ := trace.ParseFilter(filter)
		q := trace.Query{Experiments: []string{"0"}, Where: where, Limit: 1}
		first, err := s.Search(ctx, q)
		if err != nil || ids(first.Traces) != "tr-2" || first.Next == "" {
			t.Fatalf("%s: first page %s %q, %v", filter, ids(first.Traces), first.Next, err)
		}
		if _, err := s.Start(ctx, person, trace.Trace{ID: "tr-new", ExperimentID: "0", State: trace.OK, At: time.Unix(0, base+9e6)}); err != nil {
			t.Fatal(err)
		}
		q.PageToken = first.Next
		second, err := s.Search(ctx, q)
		if err != nil || ids(second.Traces) != "tr-0" || second.Next != "" {
			t.Errorf("%s: second page %s %q, %v", filter, ids(second.Traces), second.Next, err)
		}
		q.Where = nil
		if _, err := s.Search(ctx, q); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("a token of another search = %v", err)
		}
	}

	points, err := s.Metrics(ctx, trace.MetricQuery{Experiments: []string{"0"}, View: trace.ViewSpans, Metric: "span_count", Aggregations: []trace.Aggregation{{Type: "COUNT"}}, Dimensions: []string{"span_name"}, Limit: 10})
	if err != nil || len(points) != 2 || points[0].Dimensions["span_name"] != "root" || points[0].Values["COUNT"] != 2 {
		t.Errorf("span_count by name = %+v, %v", points, err)
	}
	// numpy.percentile([10, 20, 30], 90) = 28.0
	points, err = s.Metrics(ctx, trace.MetricQuery{Experiments: []string{"0"}, View: trace.ViewTraces, Metric: "latency", Aggregations: []trace.Aggregation{{Type: "PERCENTILE", Percentile: 90}, {Type: "AVG"}},
		Step: time.Second, From: time.Unix(0, base), To: time.Unix(0, base+5e6), Limit: 10})
	if err != nil || len(points) != 1 || points[0].Values["P90.0"] != 28 || points[0].Values["AVG"] != 20 || points[0].Dimensions["time_bucket"] != "2026-09-21T14:13:20+00:00" {
		t.Errorf("latency = %+v, %v", points, err)
	}
	ok, _ := trace.ParseFilter("status = 'OK'")
	tool, _ := trace.ParseFilter("span.name = 'tool'")
	c, err := s.Correlate(ctx, []string{"0"}, ok, tool, nil)
	if err != nil || c.Universe != 4 || c.First != 3 || c.Second != 2 || c.Both != 2 {
		t.Errorf("Correlate = %+v, %v", c, err)
	}
	gpt, _ := trace.ParseFilter("span.attributes.model = 'gpt'")
	if c2, err := s.Correlate(ctx, []string{"0"}, ok, gpt, nil); err != nil || c2.Both != 2 || c2.Universe != 4 {
		t.Errorf("Correlate by spans = %+v, %v", c2, err)
	}
}

func TestTraceDeletion(t *testing.T) { Each(t, testTraceDeletion) }

// testTraceDeletion: a deleted trace leaves nothing, and its large spans are no
// longer needed content.
func testTraceDeletion(t *testing.T, db *store.DB) {
	s, blobs := newTracing(db)
	ctx := t.Context()
	big := make([]byte, 200<<10)
	for i := range big {
		big[i] = byte('a' + (i*i*7919+i/3)%26)
	}
	noise := map[string]any{"mlflow.spanInputs": lastro.DigestOf(big).Hex()}
	var spans []trace.Span
	for i := range 3000 { // hardly compresses: more than stays in a row
		s := span(fmt.Sprintf("%016x", i), "", "s", int64(i), noise)
		s.Attributes["h"] = json.RawMessage(`"` + lastro.DigestOf([]byte{byte(i), byte(i >> 8)}).Hex() + `"`)
		spans = append(spans, s)
	}
	if err := s.AddSpans(ctx, person, "0", []trace.TraceSpans{{ID: "tr-big", Spans: spans}}); err != nil {
		t.Fatal(err)
	}
	if len(blobs.content) != 1 {
		t.Fatalf("%d contents, want the spans in one", len(blobs.content))
	}
	got, err := s.Trace(ctx, "tr-big")
	if err != nil {
		t.Fatal(err)
	}
	if read, err := s.Spans(ctx, []trace.Trace{got}); err != nil || len(read[got.Number]) != 3000 {
		t.Fatalf("%d spans, %v; want 3000", len(read[got.Number]), err)
	}
	if err := s.PutArtifact(ctx, got, "attachments/a.png", lastro.DigestOf(big), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(needed(t, db)); n != 2 {
		t.Errorf("%d contents are needed, want the spans and the attachment", n)
	}
	if _, err := s.Delete(ctx, stepOf("7"), trace.Deletion{Experiment: "0", IDs: []string{"tr-big"}}); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("Delete by a step = %v", err)
	}
	if n, err := s.Delete(ctx, person, trace.Deletion{Experiment: "0", IDs: []string{"tr-big", "tr-none"}}); n != 1 || err != nil {
		t.Errorf("Delete = %d, %v; want 1", n, err)
	}
	if n := len(needed(t, db)); n != 0 {
		t.Errorf("%d contents are needed after the deletion", n)
	}
	if got := find(t, s, ""); got != "" {
		t.Errorf("after the deletion there is %s", got)
	}
	for i := range 5 {
		if _, err := s.Start(ctx, person, trace.Trace{ID: fmt.Sprint("t", i), ExperimentID: "0", State: trace.OK, At: time.UnixMilli(int64(1000 + i))}); err != nil {
			t.Fatal(err)
		}
	}
	until, most := time.UnixMilli(1003), 2
	if n, err := s.Delete(ctx, person, trace.Deletion{Experiment: "0", Until: &until, Most: &most}); n != 2 || err != nil {
		t.Errorf("Delete of the 2 oldest = %d, %v", n, err)
	}
	if got := find(t, s, ""); got != "t4 t3 t2" {
		t.Errorf("after the deletion of the oldest: %s", got)
	}
}

func needed(t *testing.T, db *store.DB) []lastro.Digest {
	t.Helper()
	var out []lastro.Digest
	err := store.NewBlobs(db).Roots(t.Context(), nil, func(r blob.Root) error {
		if !slices.Contains(out, r.Digest) {
			out = append(out, r.Digest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAssessments(t *testing.T) { Each(t, testAssessments) }

func testAssessments(t *testing.T, db *store.DB) {
	s, _ := newTracing(db)
	ctx := t.Context()
	if _, err := s.Start(ctx, person, trace.Trace{ID: "tr-1", ExperimentID: "0", State: trace.OK}); err != nil {
		t.Fatal(err)
	}
	first, err := s.AddAssessment(ctx, person, trace.Assessment{Trace: "tr-1", Name: "good", Kind: trace.KindFeedback, Value: json.RawMessage("true"), SourceType: "LLM_JUDGE", SourceID: "judge"})
	if err != nil || !first.Valid || !strings.HasPrefix(first.ID, "a-") {
		t.Fatalf("AddAssessment = %+v, %v", first, err)
	}
	second, err := s.AddAssessment(ctx, person, trace.Assessment{Trace: "tr-1", Name: "good", Kind: trace.KindFeedback, Value: json.RawMessage("false"), Overrides: first.ID})
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := s.Assessment(ctx, "tr-1", first.ID); a.Valid {
		t.Error("an assessment that was overridden is valid")
	}
	if _, err := s.AddAssessment(ctx, person, trace.Assessment{Trace: "tr-1", Name: "x", Kind: trace.KindFeedback, Value: json.RawMessage("1"), Overrides: "a-none"}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("overriding none = %v", err)
	}
	changed, err := s.UpdateAssessment(ctx, person, "tr-1", second.ID, trace.AssessmentChange{Kind: trace.KindFeedback, Value: json.RawMessage("3"), Rationale: new("porque não"), Metadata: map[string]string{"k": "v"}})
	if err != nil || string(changed.Value) != "3" || *changed.Rationale != "porque não" || changed.Metadata["k"] != "v" || changed.Name != "good" {
		t.Errorf("UpdateAssessment = %+v, %v", changed, err)
	}
	if _, err := s.UpdateAssessment(ctx, person, "tr-1", second.ID, trace.AssessmentChange{Kind: trace.KindExpectation, Value: json.RawMessage("3")}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a feedback became an expectation: %v", err)
	}
	if _, err := s.UpdateAssessment(ctx, stepOf("7"), "tr-1", second.ID, trace.AssessmentChange{Name: new("x")}); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("UpdateAssessment by a step = %v", err)
	}
	for range 2 {
		if err := s.DeleteAssessment(ctx, person, "tr-1", second.ID); err != nil {
			t.Errorf("DeleteAssessment: %v", err)
		}
	}
	if a, _ := s.Assessment(ctx, "tr-1", first.ID); !a.Valid {
		t.Error("an assessment whose successor was deleted is not valid")
	}
	if _, err := s.Assessment(ctx, "tr-none", first.ID); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("an assessment of no trace = %v", err)
	}
}

func TestEvaluationDatasets(t *testing.T) { Each(t, testEvaluationDatasets) }

func testEvaluationDatasets(t *testing.T, db *store.DB) {
	s, _ := newTracing(db)
	ctx := t.Context()
	if _, err := s.CreateDataset(ctx, person, "qa", []string{"99"}, nil); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("CreateDataset in no experiment = %v", err)
	}
	d, err := s.CreateDataset(ctx, person, "qa", []string{"0"}, map[string]string{"mlflow.user": "bob", "env": "prod"})
	if err != nil || d.CreatedBy != "bob" {
		t.Fatalf("CreateDataset = %+v, %v", d, err)
	}
	var records []trace.RecordInput
	if err := json.Unmarshal([]byte(`[{"inputs":{"a":1,"b":"é"},"expectations":{"x":1},"source":{"source_type":"trace","source_data":{"trace_id":"tr-9"}}},{"inputs":{"a":2},"outputs":"free text"}]`), &records); err != nil {
		t.Fatal(err)
	}
	if in, up, err := s.UpsertRecords(ctx, person, d.ID, records); in != 2 || up != 0 || err != nil {
		t.Fatalf("UpsertRecords = %d, %d, %v", in, up, err)
	}
	if err := json.Unmarshal([]byte(`[{"inputs":{"b":"é","a":1},"expectations":{"y":2.5},"tags":{"mlflow.user":"eve"}},{"inputs":{"a":1.0}}]`), &records); err != nil {
		t.Fatal(err)
	}
	if in, up, err := s.UpsertRecords(ctx, person, d.ID, records); in != 1 || up != 1 || err != nil {
		t.Fatalf("UpsertRecords again = %d, %d, %v; the order of keys does not count, 1 and 1.0 differ", in, up, err)
	}
	got, err := s.Dataset(ctx, d.ID)
	if err != nil || got.Profile != `{"num_records": 3}` || got.UpdatedBy != "eve" || len(got.Experiments) != 1 || got.Tags["env"] != "prod" ||
		got.Schema != `{"inputs": {"a": "integer", "b": "string"}, "outputs": "string", "expectations": {"x": "integer", "y": "float"}, "version": "1.0"}` {
		t.Errorf("Dataset = %+v, %v", got, err)
	}
	first, next, err := s.Records(ctx, trace.RecordQuery{Dataset: d.ID, Limit: 2})
	if err != nil || len(first) != 2 || next == "" {
		t.Fatalf("Records = %d, %q, %v", len(first), next, err)
	}
	rest, next, err := s.Records(ctx, trace.RecordQuery{Dataset: d.ID, Limit: 2, PageToken: next})
	if err != nil || len(rest) != 1 || next != "" {
		t.Fatalf("Records = %d, %q, %v", len(rest), next, err)
	}
	all := append(first, rest...)
	i := slices.IndexFunc(all, func(r trace.Record) bool { return r.SourceID == "tr-9" })
	if i < 0 || string(all[i].Expectations) != `{"x":1,"y":2.5}` || all[i].SourceType != "TRACE" || all[i].UpdatedBy != "eve" {
		t.Errorf("records = %+v", all)
	}
	if _, _, err := s.UpsertRecords(ctx, person, d.ID, []trace.RecordInput{{Inputs: json.RawMessage(`{"z":1}`)}, {Inputs: json.RawMessage(`[]`)}}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("records of which one is none = %v", err)
	}
	if _, _, err := s.UpsertRecords(ctx, stepOf("7"), d.ID, records); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("UpsertRecords by a step = %v", err)
	}
	if n, err := s.DeleteRecords(ctx, person, d.ID, []string{all[0].ID, "dr-none"}); n != 1 || err != nil {
		t.Errorf("DeleteRecords = %d, %v", n, err)
	}
	if got, _ := s.Dataset(ctx, d.ID); got.Profile != `{"num_records": 2}` {
		t.Errorf("profile after a deletion: %s", got.Profile)
	}
	other, err := s.CreateDataset(ctx, person, "other", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]int{"": 2, "name = 'qa'": 1, "name LIKE 'o%'": 1, "tags.env = 'prod'": 1, "created_by = 'bob'": 1, "created_time > 0": 2, "name IN ('qa', 'other')": 2} {
		where, err := trace.ParseDatasetFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		if list, _, err := s.SearchDatasets(ctx, trace.DatasetQuery{Where: where, Limit: 10}); err != nil || len(list) != want {
			t.Errorf("%s finds %d, %v; want %d", filter, len(list), err, want)
		}
	}
	if list, _, err := s.SearchDatasets(ctx, trace.DatasetQuery{Experiments: []string{"0"}, Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("datasets of experiment 0: %d, %v", len(list), err)
	}
	if list, next, err := s.SearchDatasets(ctx, trace.DatasetQuery{Limit: 1}); err != nil || len(list) != 1 || next == "" {
		t.Errorf("first page: %d, %q, %v", len(list), next, err)
	}
	if got, err := s.AddToExperiments(ctx, person, other.ID, []string{"0", "0"}); err != nil || len(got.Experiments) != 1 {
		t.Errorf("AddToExperiments = %+v, %v", got, err)
	}
	if got, err := s.RemoveFromExperiments(ctx, person, other.ID, []string{"0", "5"}); err != nil || len(got.Experiments) != 0 {
		t.Errorf("RemoveFromExperiments = %+v, %v", got, err)
	}
	if err := s.SetDatasetTags(ctx, person, d.ID, map[string]string{"env": "dev"}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteDatasetTag(ctx, person, d.ID, "mlflow.user"); err != nil {
		t.Error(err)
	}
	if got, _ := s.Dataset(ctx, d.ID); len(got.Tags) != 1 || got.Tags["env"] != "dev" {
		t.Errorf("tags = %v", got.Tags)
	}
	for range 2 {
		if err := s.DeleteDataset(ctx, person, d.ID); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := s.Records(ctx, trace.RecordQuery{Dataset: d.ID, Limit: 1}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("records of a deleted dataset = %v", err)
	}
}
