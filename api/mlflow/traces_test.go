// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/trace"
)

// TestTraceRoutesAskWho walks the table of traces, assessments and evaluation
// datasets: without a token 401, with a viewer's no write.
func TestTraceRoutesAskWho(t *testing.T) {
	s := start(t, nil)
	n := 0
	for _, r := range mlflow.Routes(mlflow.Deps{Traces: new(trace.Service)}) {
		method, path, found := strings.Cut(r.Pattern, " ")
		if !found || !strings.Contains(path, "/traces") && !strings.Contains(path, "/datasets") && !strings.Contains(path, "trace-artifact") {
			continue
		}
		n++
		for _, wild := range []string{"trace_id", "request_id", "assessment_id", "dataset_id", "key...", "experiment", "trace", "file..."} {
			path = strings.ReplaceAll(path, "{"+wild+"}", "x")
		}
		if status, body := s.call(t, "", method, path, "{}"); status != 401 {
			t.Errorf("%s without a token = %d %s", r.Pattern, status, body)
		}
		status, body := s.call(t, s.viewer, method, path, "{}")
		if (r.Permission == auth.WriteTracking) != (status == 403) || status >= 500 {
			t.Errorf("%s by a viewer = %d %s; it asks for %s", r.Pattern, status, body, r.Permission)
		}
		if status, body = s.call(t, s.admin, method, path, "{}"); status >= 500 {
			t.Errorf("%s with {} = %d %s", r.Pattern, status, body)
		}
		if status, body = s.call(t, s.admin, method, path, `{"trace_id":5,"request_id":[],"max_results":"x"}`); status >= 500 {
			t.Errorf("%s with wrong types = %d %s", r.Pattern, status, body)
		}
	}
	if n < 80 {
		t.Errorf("%d routes of traces and datasets, want both prefixes of 40", n)
	}
}

// export makes a request of n spans, the first of which is the root.
func export(traceID byte, n int) *otlp.TracesData {
	text := func(s string) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
	}
	scope := &otlp.ScopeSpans{}
	for i := range n {
		s := &otlp.Span{TraceId: bytes.Repeat([]byte{traceID}, 16), SpanId: []byte{0, 0, 0, 0, 0, 0, byte(i >> 8), byte(i)}, Name: fmt.Sprint("span ", i),
			StartTimeUnixNano: 1_790_000_000_000_000_000 + uint64(i), EndTimeUnixNano: 1_790_000_000_500_000_000 + uint64(i),
			Attributes: []*common.KeyValue{{Key: "text", Value: text("plain")}, {Key: "json", Value: text(`{"a":1}`)}, {Key: "secret", Value: text("hunter2hunter2")},
				{Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 7}}}, {Key: "f", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 2}}}}}
		if i > 0 {
			s.ParentSpanId = scope.Spans[0].SpanId
		}
		scope.Spans = append(scope.Spans, s)
	}
	return &otlp.TracesData{ResourceSpans: []*otlp.ResourceSpans{{Resource: &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: text("shop")},
		{Key: "telemetry.sdk.name", Value: text("x")}, {Key: "mlflow.trace.spansLocation", Value: text("elsewhere")}}}, ScopeSpans: []*otlp.ScopeSpans{scope}}}}
}

func marshal(t *testing.T, m proto.Message) string {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	protobufType = "application/x-protobuf"
	experimentID = "X-Mlflow-Experiment-Id"
)

func TestOTLP(t *testing.T) {
	s := start(t, nil)
	raw := marshal(t, export(0xab, 3))
	jsonBody := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"j","startTimeUnixNano":"1544712660000000000",
		"endTimeUnixNano":"1544712661000000000","attributes":[{"key":"traceId","value":{"stringValue":"not an id"}}],"status":{"code":2,"message":"no"},"unknownField":1}]}]}]}`
	broken := export(0xcd, 2)
	broken.ResourceSpans[0].ScopeSpans[0].Spans[1].SpanId = nil
	for _, tc := range []struct {
		name, body string
		header     []string
		status     int
	}{
		{"protobuf", raw, []string{"Content-Type", protobufType, experimentID, "0"}, 200},
		{"the same again", raw, []string{"Content-Type", protobufType, experimentID, "0"}, 200},
		{"gzip", gzipped(t, marshal(t, export(0xac, 2))), []string{"Content-Type", protobufType, experimentID, "0", "Content-Encoding", "gzip"}, 200},
		{"JSON", jsonBody, []string{experimentID, "0"}, 200},
		{"no experiment", raw, []string{"Content-Type", protobufType}, 400},
		{"an experiment that is not there", marshal(t, export(0xcd, 1)), []string{"Content-Type", protobufType, experimentID, "99"}, 404},
		{"another type", raw, []string{"Content-Type", "text/plain", experimentID, "0"}, 400},
		{"no protobuf", "\xff\xff\xff", []string{"Content-Type", protobufType, experimentID, "0"}, 400},
		{"no spans", "", []string{"Content-Type", protobufType, experimentID, "0"}, 400},
		{"no gzip", raw, []string{"Content-Type", protobufType, experimentID, "0", "Content-Encoding", "gzip"}, 400},
		{"a bomb", gzipped(t, strings.Repeat("\x00", 65<<20)), []string{"Content-Type", protobufType, experimentID, "0", "Content-Encoding", "gzip"}, 413},
		{"a span without an id", marshal(t, broken), []string{"Content-Type", protobufType, experimentID, "0"}, 400},
		{"JSON with an id that is not hex", strings.Replace(jsonBody, "5b8e", "zzzz", 1), []string{experimentID, "0"}, 400},
		{"from a page of another site", raw, []string{"Content-Type", protobufType, experimentID, "0", "Origin", "http://evil.example"}, 403},
	} {
		status, body := s.call(t, s.admin, "POST", "/v1/traces", tc.body, tc.header...)
		if status != tc.status || status != 200 && errorCode(body) == "" {
			t.Errorf("%s: %d %.200s, want %d", tc.name, status, body, tc.status)
		}
	}
	if status, _ := s.call(t, s.admin, "GET", "/api/3.0/mlflow/traces/tr-"+strings.Repeat("cd", 16), ""); status != 404 {
		t.Errorf("half of a refused request was kept: %d", status)
	}
	id := "tr-" + hex.EncodeToString(bytes.Repeat([]byte{0xab}, 16))
	_, body := s.call(t, s.viewer, "GET", "/api/3.0/mlflow/traces/get?trace_id="+id, "")
	for _, want := range []string{`"trace_id":"q6urq6urq6urq6urq6urqw=="`, `"service.name":"shop"`, `"mlflow.trace.spansLocation":"TRACKING_STORE"`, `{"key":"f","value":{"double_value":2.0}}`,
		`{"key":"json","value":{"kvlist_value":{"values":[{"key":"a","value":{"int_value":"1"}}]}}}`, `"execution_duration":"0.500s"`, `"state":"OK"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the trace lacks %s: %s", want, body)
		}
	}
	if n := strings.Count(body, `"span_id"`); n != 3 || strings.Contains(body, "telemetry.sdk") {
		t.Errorf("%d spans, want 3 without the SDK's own tags: %s", n, body)
	}
	_, body = s.call(t, s.viewer, "GET", "/api/3.0/mlflow/traces/batchGet?trace_ids=tr-5b8efff798038103d269b633813fc60c", "")
	if !strings.Contains(body, `"status":{"message":"no","code":"STATUS_CODE_ERROR"}`) || !strings.Contains(body, `"state":"ERROR"`) {
		t.Errorf("the trace of the JSON: %s", body)
	}
}

// TestTracesOfSteps: a step writes its own traces only, and its secrets are
// hidden in them.
func TestTracesOfSteps(t *testing.T) {
	masked := func(context.Context) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("hunter2hunter2"), []byte("***")) }
	}
	s := start(t, nil, func(d *mlflow.Deps) { d.Mask = masked })
	mine, other := s.step(t, "142", "train"), s.step(t, "143", "train")
	header := []string{"Content-Type", protobufType, experimentID, "0"}
	raw := marshal(t, export(0xab, 2))
	if status, body := s.call(t, mine, "POST", "/v1/traces", raw, header...); status != 200 {
		t.Fatalf("a step's spans = %d %s", status, body)
	}
	id := "tr-" + strings.Repeat("ab", 16)
	if _, body := s.call(t, s.viewer, "GET", "/api/3.0/mlflow/traces/get?trace_id="+id, ""); strings.Contains(body, "hunter2") || !strings.Contains(body, "***") {
		t.Errorf("a secret is shown: %s", body)
	}
	more := marshal(t, export(0xab, 5))
	start := fmt.Sprintf(`{"trace":{"trace_info":{"trace_id":%q,"trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"0"}},"request_time":"2026-11-24T10:00:00Z","state":"OK"}}}`, id)
	feedback := `{"assessment":{"assessment_name":"good","feedback":{"value":true},"source":{"source_type":"CODE"}}}`
	for _, tc := range []struct{ method, path, body string }{
		{"POST", "/v1/traces", more},
		{"POST", "/api/3.0/mlflow/traces", start},
		{"PATCH", "/api/2.0/mlflow/traces/" + id + "/tags", `{"key":"k","value":"v"}`},
		{"POST", "/api/3.0/mlflow/traces/" + id + "/assessments", feedback},
		{"POST", "/api/2.0/mlflow/traces/link-prompts", fmt.Sprintf(`{"trace_id":%q,"prompt_versions":[{"name":"p","version":"1"}]}`, id)},
		{"PUT", "/api/2.0/mlflow-artifacts/artifacts/0/traces/" + id + "/artifacts/attachments/a.txt", "bytes"},
		{"POST", "/api/2.0/mlflow/traces/delete-traces", fmt.Sprintf(`{"experiment_id":"0","request_ids":[%q]}`, id)},
	} {
		var with []string
		if tc.path == "/v1/traces" {
			with = header
		}
		if status, body := s.call(t, other, tc.method, tc.path, tc.body, with...); status != 403 || errorCode(body) != "PERMISSION_DENIED" {
			t.Errorf("%s %s by another step = %d %s, want 403", tc.method, tc.path, status, body)
		}
		if status, body := s.call(t, mine, tc.method, tc.path, tc.body, with...); status != 200 {
			t.Errorf("%s %s by its step = %d %s", tc.method, tc.path, status, body)
		}
	}
}

// TestTraceFiles: the spans of a traces.json, as clients before 3.4 send them,
// are spans as any; a client of version 2 reads them in its own form.
func TestTraceFiles(t *testing.T) {
	s := start(t, nil)
	_, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/traces", `{"experiment_id":"0","timestamp_ms":1000,"request_metadata":[],"tags":[{"key":"mlflow.traceName","value":"old"}]}`)
	var made struct {
		Info struct {
			ID string `json:"request_id"`
		} `json:"trace_info"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.Info.ID == "" {
		t.Fatalf("%s: %v", body, err)
	}
	id := made.Info.ID
	s.call(t, s.admin, "PATCH", "/api/2.0/mlflow/traces/"+id, `{"timestamp_ms":1500,"status":"OK"}`)
	file := "/api/2.0/mlflow-artifacts/artifacts/0/traces/" + id + "/artifacts/traces.json"
	version2 := `{"spans":[{"name":"outer","context":{"span_id":"0000000000000001","trace_id":"` + strings.Repeat("0a", 16) + `"},"parent_id":null,"start_time":1000000000,"end_time":1500000000,
		"status_code":"OK","status_message":"","attributes":{"mlflow.traceRequestId":"\"` + id + `\"","mlflow.spanInputs":"{\"x\": 4}"},"events":[{"name":"e","timestamp":5,"attributes":{"k":"v"}}]}],"request":"{}","response":"1"}`
	if status, body := s.call(t, s.admin, "PUT", file, version2, "Content-Type", "application/octet-stream"); status != 200 {
		t.Fatalf("upload = %d %s", status, body)
	}
	if _, got := s.call(t, s.viewer, "GET", file, "", "User-Agent", "mlflow-python-client/2.22.5"); !strings.Contains(got, `"context":{"span_id":"0000000000000001"`) || !strings.Contains(got, `"mlflow.spanInputs":"{\"x\": 4}"`) {
		t.Errorf("a client of version 2 reads %s", got)
	}
	if _, got := s.call(t, s.viewer, "GET", file, "", "User-Agent", "mlflow-python-client/3.0.0"); !strings.Contains(got, `"span_id":"AAAAAAAAAAE="`) || strings.Contains(got, `"context"`) {
		t.Errorf("a client of version 3 reads %s", got)
	}
	found := `{"locations":[{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"0"}}],"filter":"span.name = 'outer' AND name = 'old'"}`
	if _, got := s.call(t, s.viewer, "POST", "/api/3.0/mlflow/traces/search", found); !strings.Contains(got, id) {
		t.Errorf("a search by its span finds %s", got)
	}
	root := "/api/2.0/mlflow-artifacts/artifacts/0/traces/" + id + "/artifacts/"
	for _, path := range []string{root + "..%2f..%2fx", "/api/2.0/mlflow-artifacts/artifacts/7/traces/" + id + "/artifacts/x", "/api/2.0/mlflow-artifacts/artifacts/0/traces/none/artifacts/x"} {
		if status, body := s.call(t, s.admin, "PUT", path, "x", "Content-Type", "application/octet-stream"); status != 400 && status != 404 {
			t.Errorf("PUT %s = %d %s", path, status, body)
		}
	}
	s.call(t, s.admin, "PUT", root+"attachments/a.txt", "bytes", "Content-Type", "application/octet-stream")
	if status, got := s.call(t, s.viewer, "GET", "/ajax-api/2.0/mlflow/get-trace-artifact?request_id="+id+"&path=a.txt", ""); status != http.StatusOK || got != "bytes" {
		t.Errorf("an attachment = %d %q", status, got)
	}
}
