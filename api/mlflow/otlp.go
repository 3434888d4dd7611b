// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"lastro"
	"lastro/trace"
)

// The largest OTLP request, as it comes and after it was decompressed.
const (
	maxOTLP         = 32 << 20
	maxOTLPInflated = 64 << 20
)

// The headers that say where spans belong, as MLflow names them.
const (
	headerExperiment = "x-mlflow-experiment-id"
	headerRun        = "x-mlflow-run-id"
)

// exportTraces answers POST /v1/traces, OpenTelemetry's protocol over HTTP, in
// protobuf or JSON. All spans of a request are kept or none. TracesData is the
// same on the wire as the protocol's ExportTraceServiceRequest, and needs no gRPC.
func (h *handler) exportTraces(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err := h.export(w, r, kind); err != nil {
		h.fail(w, r, err)
		return
	}
	if kind == "application/json" {
		writeJSON(w, http.StatusOK, empty{})
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK) // an answer without fields has no bytes
}

func (h *handler) export(w http.ResponseWriter, r *http.Request, kind string) error {
	ctx := r.Context()
	experiment := r.Header.Get(headerExperiment)
	if experiment == "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0748", Msg: "the header " + headerExperiment + " is missing",
			Hint: "set OTEL_EXPORTER_OTLP_TRACES_HEADERS=" + headerExperiment + "=ID"}
	}
	var data otlp.TracesData
	raw, err := readOTLP(w, r)
	if err != nil {
		return err
	}
	switch kind {
	case "application/x-protobuf":
		err = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, &data)
	case "application/json":
		if raw, err = base64IDs(raw); err == nil {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, &data)
		}
	default:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0749", Msg: fmt.Sprintf("the content type %.60q is not accepted here", r.Header.Get("Content-Type")),
			Hint: "send application/x-protobuf or application/json"}
	}
	if err != nil {
		return lastro.Errorf(lastro.EInvalid, "the body is not OpenTelemetry's %s of traces: %v", kind, err)
	}
	traces, completed, err := tracesOf(&data)
	if err != nil {
		return err
	}
	if len(traces) == 0 {
		return lastro.Errorf(lastro.EInvalid, "the request holds no spans")
	}
	if traces, err = h.masked(ctx, traces); err != nil {
		return err
	}
	if err := h.Traces.AddSpans(ctx, tracer(ctx), experiment, traces); err != nil {
		return err
	}
	if run := r.Header.Get(headerRun); run != "" && len(completed) > 0 {
		// The spans are kept whatever becomes of the link, as MLflow's server does it: an
		// exporter that is told of an error sends the same spans again for minutes.
		for len(completed) > 0 && err == nil {
			n := min(len(completed), trace.MaxLinks)
			err = h.Traces.LinkRun(ctx, tracer(ctx), completed[:n], run)
			completed = completed[n:]
		}
		if err != nil && h.Log != nil {
			h.Log.WarnContext(ctx, "traces not linked to their run", slog.String("run", run), "err", err)
		}
	}
	return nil
}

// readOTLP reads a body, which may be compressed.
func readOTLP(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body := http.MaxBytesReader(w, r.Body, maxOTLP)
	var in io.Reader = body
	var err error
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		in, err = gzip.NewReader(body)
	case "deflate":
		in, err = zlib.NewReader(body)
	default:
		return nil, lastro.Errorf(lastro.EInvalid, "Content-Encoding %.40q is not gzip or deflate", encoding)
	}
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(io.LimitReader(in, maxOTLPInflated+1))
	}
	var large *http.MaxBytesError
	switch {
	case len(raw) > maxOTLPInflated:
		return nil, &http.MaxBytesError{Limit: maxOTLPInflated}
	case err != nil && !asError(err, &large):
		return nil, lastro.Errorf(lastro.EInvalid, "the body could not be read: %v", err)
	}
	return raw, err
}

// hexIDs are the ids that OpenTelemetry's JSON writes in hex where protobuf's
// has base64.
var hexIDs = []string{"traceId", "spanId", "parentSpanId"}

func base64IDs(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if err := eachObject(v, func(m map[string]any) error {
		for _, key := range hexIDs {
			text, ok := m[key].(string)
			if !ok {
				continue
			}
			id, err := hex.DecodeString(text)
			if err != nil {
				return fmt.Errorf("%s %.40q is not hex", key, text)
			}
			m[key] = base64.StdEncoding.EncodeToString(id)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func eachObject(v any, fn func(map[string]any) error) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := eachObject(e, fn); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := fn(v); err != nil {
			return err
		}
		for key, e := range v {
			if key == "attributes" { // whatever a program says there is its own
				continue
			}
			if err := eachObject(e, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// tracesOf groups spans by their trace; completed are the traces whose root is
// among them.
func tracesOf(data *otlp.TracesData) (traces []trace.TraceSpans, completed []string, err error) {
	at := map[string]int{}
	for _, rs := range data.ResourceSpans {
		resource := resourceTags(rs.GetResource().GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				span, err := spanOf(s)
				if err != nil {
					return nil, nil, err
				}
				id := "tr-" + span.OTelTrace
				i, ok := at[id]
				if !ok {
					i = len(traces)
					at[id], traces = i, append(traces, trace.TraceSpans{ID: id, Resource: map[string]string{}})
				}
				maps.Copy(traces[i].Resource, resource)
				traces[i].Spans = append(traces[i].Spans, span)
				if span.Parent == "" {
					completed = append(completed, id)
				}
			}
		}
	}
	return traces, completed, nil
}

// resourceTags are the tags that a trace gets from what sent it.
func resourceTags(attributes []*common.KeyValue) map[string]string {
	tags := map[string]string{}
	for _, kv := range attributes {
		if strings.HasPrefix(kv.Key, "telemetry.sdk.") || strings.HasPrefix(kv.Key, "mlflow.") {
			continue
		}
		raw := anyJSON(kv.Value)
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = trace.PythonJSON(raw)
		}
		tags[kv.Key] = text
	}
	return tags
}

func spanOf(s *otlp.Span) (trace.Span, error) {
	if len(s.TraceId) != 16 || len(s.SpanId) != 8 || len(s.ParentSpanId) != 0 && len(s.ParentSpanId) != 8 {
		return trace.Span{}, lastro.Errorf(lastro.EInvalid, "span %.80q has a trace_id of %d bytes and a span_id of %d; they have 16 and 8", s.Name, len(s.TraceId), len(s.SpanId))
	}
	if s.StartTimeUnixNano > math.MaxInt64 || s.EndTimeUnixNano > math.MaxInt64 {
		return trace.Span{}, lastro.Errorf(lastro.EInvalid, "span %.80q has a time after the year 2262", s.Name)
	}
	out := trace.Span{OTelTrace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), Name: s.Name,
		Start: int64(s.StartTimeUnixNano), End: int64(s.EndTimeUnixNano), Status: trace.SpanUnset, Message: s.Status.GetMessage(), Attributes: attributes(s.Attributes, true)}
	switch s.Status.GetCode() {
	case otlp.Status_STATUS_CODE_OK:
		out.Status = trace.SpanOK
	case otlp.Status_STATUS_CODE_ERROR:
		out.Status = trace.SpanError
	}
	id, err := json.Marshal("tr-" + out.OTelTrace)
	if err != nil {
		return out, err
	}
	out.Attributes[trace.AttrRequestID] = id // never the one that the client names
	for _, e := range s.Events {
		out.Events = append(out.Events, trace.Event{Name: e.Name, At: int64(e.TimeUnixNano), Attributes: attributes(e.Attributes, false)})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, trace.Link{Trace: "tr-" + hex.EncodeToString(l.TraceId), Span: hex.EncodeToString(l.SpanId), Attributes: attributes(l.Attributes, false)})
	}
	translate(&out)
	return out, nil
}

// attributes are JSON values. A string that is itself the JSON of a string, list
// or object is one that an exporter has encoded twice: unwrap takes one layer off.
func attributes(list []*common.KeyValue, unwrap bool) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(list)+1)
	for _, kv := range list {
		raw := anyJSON(kv.Value)
		if text, ok := kv.GetValue().GetValue().(*common.AnyValue_StringValue); ok && unwrap && nested(text.StringValue) {
			raw = json.RawMessage(text.StringValue)
		}
		out[kv.Key] = raw
	}
	return out
}

func nested(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && strings.IndexByte(`"[{`, text[0]) >= 0 && json.Valid([]byte(text))
}

// anyJSON turns a value of OpenTelemetry into JSON, spaced as Python does it, in
// which whole floats keep their ".0". What JSON cannot say becomes a string.
func anyJSON(v *common.AnyValue) json.RawMessage {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return quote(v.StringValue)
	case *common.AnyValue_BoolValue:
		return json.RawMessage(strconv.FormatBool(v.BoolValue))
	case *common.AnyValue_IntValue:
		return json.RawMessage(strconv.FormatInt(v.IntValue, 10))
	case *common.AnyValue_DoubleValue:
		return floatJSON(v.DoubleValue)
	case *common.AnyValue_BytesValue:
		return quote(base64.StdEncoding.EncodeToString(v.BytesValue))
	case *common.AnyValue_ArrayValue:
		parts := make([]string, len(v.ArrayValue.GetValues()))
		for i, e := range v.ArrayValue.GetValues() {
			parts[i] = string(anyJSON(e))
		}
		return json.RawMessage("[" + strings.Join(parts, ", ") + "]")
	case *common.AnyValue_KvlistValue:
		parts := make([]string, len(v.KvlistValue.GetValues()))
		for i, e := range v.KvlistValue.GetValues() {
			parts[i] = string(quote(e.Key)) + ": " + string(anyJSON(e.Value))
		}
		return json.RawMessage("{" + strings.Join(parts, ", ") + "}")
	}
	return json.RawMessage("null")
}

// quote is the JSON of a string, with < > & as they are.
func quote(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func floatJSON(f float64) json.RawMessage {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return quote(map[bool]string{true: "NaN", false: map[bool]string{true: "Infinity", false: "-Infinity"}[f > 0]}[math.IsNaN(f)])
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.RawMessage(text)
}
