// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"sort"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/trace"
)

// traceLocation is where a trace belongs: an experiment.
type traceLocation struct {
	Type       string             `json:"type"`
	Experiment *locatedExperiment `json:"mlflow_experiment,omitempty"`
}

type locatedExperiment struct {
	ID string `json:"experiment_id"`
}

// traceInfo is a trace without its spans, in the protocol's third version.
type traceInfo struct {
	ID          string            `json:"trace_id"`
	ClientID    *string           `json:"client_request_id,omitempty"`
	Location    traceLocation     `json:"trace_location"`
	Request     *string           `json:"request_preview,omitempty"`
	Response    *string           `json:"response_preview,omitempty"`
	At          protoTime         `json:"request_time"`
	Took        *protoDuration    `json:"execution_duration,omitempty"`
	State       stateName         `json:"state"`
	Metadata    map[string]string `json:"trace_metadata"`
	Tags        map[string]string `json:"tags"`
	Assessments []assessment      `json:"assessments,omitempty"`
}

// stateName is a state; protobuf's JSON lets clients send its number.
type stateName string

// UnmarshalJSON reads "OK" and 1.
func (s *stateName) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if name, ok := map[string]string{"0": "STATE_UNSPECIFIED", "1": "OK", "2": "ERROR", "3": "IN_PROGRESS"}[text]; ok {
		text = name
	}
	*s = stateName(text)
	return nil
}

// protoTime is a time as protobuf's JSON writes it: RFC 3339 in UTC.
type protoTime time.Time

// MarshalJSON writes 3 digits of a second when there are any.
func (t protoTime) MarshalJSON() ([]byte, error) {
	at := time.Time(t).UTC()
	layout := "2006-01-02T15:04:05Z"
	if at.Nanosecond() != 0 {
		layout = "2006-01-02T15:04:05.000Z"
	}
	return json.Marshal(at.Format(layout))
}

// UnmarshalJSON reads RFC 3339.
func (t *protoTime) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return lastro.Errorf(lastro.EInvalid, "%.60s is not a time such as \"2026-11-24T10:00:00.123Z\"", b)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return lastro.Errorf(lastro.EInvalid, "%.60q is not a time such as 2026-11-24T10:00:00.123Z", text)
	}
	*t = protoTime(at)
	return nil
}

// protoDuration is a duration as protobuf's JSON writes it: "1.500s".
type protoDuration time.Duration

// MarshalJSON writes seconds, with 3 digits when there are any.
func (d protoDuration) MarshalJSON() ([]byte, error) {
	ms := time.Duration(d).Milliseconds()
	if ms%1000 == 0 {
		return json.Marshal(fmt.Sprintf("%ds", ms/1000))
	}
	return json.Marshal(fmt.Sprintf("%d.%03ds", ms/1000, ms%1000))
}

// UnmarshalJSON reads "1.5s".
func (d *protoDuration) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil || !strings.HasSuffix(text, "s") || seconds < 0 || seconds > 1e9 {
		return lastro.Errorf(lastro.EInvalid, "%.60q is not a duration such as 1.5s", text)
	}
	*d = protoDuration(time.Duration(seconds*1e3+0.5) * time.Millisecond)
	return nil
}

// allTags and allMetadata are those of a trace with the ones that the server keeps elsewhere.
func allTags(t trace.Trace) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, t.Tags)
	tags[trace.TagArtifacts] = scheme + trace.Root(t.ExperimentID, t.ID)
	if t.Name != nil {
		tags[trace.TagName] = *t.Name
	}
	if t.HasSpans {
		tags[trace.TagSpansLocation] = trace.SpansInStore
	}
	return tags
}

func allMetadata(t trace.Trace) map[string]string {
	meta := map[string]string{}
	maps.Copy(meta, t.Metadata)
	if t.Session != nil {
		meta[trace.MetaSession] = *t.Session
	}
	for key, text := range map[string]string{trace.MetaUsage: t.Usage.JSON(), trace.MetaCost: t.Usage.Cost.JSON()} {
		if text != "" {
			meta[key] = text
		}
	}
	if t.Finalized {
		meta[trace.MetaFinalized] = "true"
	}
	return meta
}

func toTraceInfo(t trace.Trace) traceInfo {
	out := traceInfo{ID: t.ID, ClientID: t.ClientID, Location: traceLocation{"MLFLOW_EXPERIMENT", &locatedExperiment{t.ExperimentID}}, Request: t.Request, Response: t.Response,
		At: protoTime(t.At), State: stateName(t.State), Metadata: allMetadata(t), Tags: allTags(t)}
	if t.Took != nil {
		out.Took = new(protoDuration(*t.Took))
	}
	for _, a := range t.Assessments {
		out.Assessments = append(out.Assessments, toAssessment(a))
	}
	return out
}

func toTraceInfos(list []trace.Trace) []traceInfo {
	out := make([]traceInfo, len(list))
	for i, t := range list {
		out[i] = toTraceInfo(t)
	}
	return out
}

// trace reads a trace as a client tells it.
func (i traceInfo) trace() (trace.Trace, error) {
	t := trace.Trace{ID: i.ID, State: trace.State(i.State), At: time.Time(i.At), ClientID: i.ClientID, Request: i.Request, Response: i.Response,
		Metadata: i.Metadata, Tags: i.Tags, Finalized: true}
	if t.State == "" {
		t.State = trace.Unspecified
	}
	if i.Location.Experiment != nil {
		t.ExperimentID = i.Location.Experiment.ID
	}
	if i.Took != nil {
		t.Took = new(time.Duration(*i.Took))
	}
	for _, a := range i.Assessments {
		read, err := a.assessment()
		if err != nil {
			return t, err
		}
		t.Assessments = append(t.Assessments, read)
	}
	return t, nil
}

// traceInfo2 is a trace without its spans in the protocol's second version.
type traceInfo2 struct {
	ID           string     `json:"request_id"`
	ExperimentID string     `json:"experiment_id"`
	At           int64s     `json:"timestamp_ms"`
	Took         int64s     `json:"execution_time_ms"`
	Status       string     `json:"status"`
	Metadata     []keyValue `json:"request_metadata"`
	Tags         []keyValue `json:"tags"`
}

func toTraceInfo2(t trace.Trace) traceInfo2 {
	status := string(t.State)
	if t.State == trace.Unspecified {
		status = "TRACE_STATUS_UNSPECIFIED"
	}
	out := traceInfo2{ID: t.ID, ExperimentID: t.ExperimentID, At: millis(t.At), Status: status, Metadata: keyValues(allMetadata(t)), Tags: keyValues(allTags(t))}
	if t.Took != nil {
		out.Took = int64s(t.Took.Milliseconds())
	}
	return out
}

// statuses2 are the states as the second version spells and numbers them.
var statuses2 = map[string]trace.State{"": trace.Unspecified, "TRACE_STATUS_UNSPECIFIED": trace.Unspecified, "0": trace.Unspecified,
	"OK": trace.OK, "1": trace.OK, "ERROR": trace.Failed, "2": trace.Failed, "IN_PROGRESS": trace.InProgress, "3": trace.InProgress}

// wireSpan is a span in protobuf's JSON, with the field names of the protocol.
type wireSpan struct {
	TraceID    string      `json:"trace_id"`
	SpanID     string      `json:"span_id"`
	ParentID   string      `json:"parent_span_id,omitempty"`
	Name       string      `json:"name,omitempty"`
	Start      string      `json:"start_time_unix_nano"`
	End        string      `json:"end_time_unix_nano,omitempty"`
	Attributes []wireValue `json:"attributes,omitempty"`
	Events     []wireEvent `json:"events,omitempty"`
	Links      []wireLink  `json:"links,omitempty"`
	Status     wireStatus  `json:"status"`
}

type wireStatus struct {
	Message string `json:"message,omitempty"`
	Code    string `json:"code,omitempty"`
}

type wireEvent struct {
	Time       string      `json:"time_unix_nano"`
	Name       string      `json:"name"`
	Attributes []wireValue `json:"attributes,omitempty"`
}

type wireLink struct {
	TraceID    string      `json:"trace_id"`
	SpanID     string      `json:"span_id"`
	Attributes []wireValue `json:"attributes,omitempty"`
}

type wireValue struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// statusCodes are the names of OpenTelemetry's status codes.
var statusCodes = map[trace.SpanStatus]string{trace.SpanUnset: "STATUS_CODE_UNSET", trace.SpanOK: "STATUS_CODE_OK", trace.SpanError: "STATUS_CODE_ERROR"}

func nanos(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// base64ID turns an id in hex into protobuf's JSON of bytes.
func base64ID(id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return "" // ids are checked when they come
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func toWireSpan(s trace.Span) wireSpan {
	out := wireSpan{TraceID: base64ID(s.OTelTrace), SpanID: base64ID(s.ID), ParentID: base64ID(s.Parent), Name: s.Name, Start: strconv.FormatInt(s.Start, 10), End: nanos(s.End),
		Attributes: wireValues(s.Attributes), Status: wireStatus{s.Message, ""}}
	if s.Status != trace.SpanUnset {
		out.Status.Code = statusCodes[s.Status]
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, wireEvent{strconv.FormatInt(e.At, 10), e.Name, wireValues(e.Attributes)})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, wireLink{base64ID(strings.TrimPrefix(l.Trace, "tr-")), base64ID(l.Span), wireValues(l.Attributes)})
	}
	return out
}

func wireValues(m map[string]json.RawMessage) []wireValue {
	out := make([]wireValue, 0, len(m))
	for key, raw := range m {
		out = append(out, wireValue{key, anyValue(raw)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// anyValue writes JSON as OpenTelemetry's value.
func anyValue(raw json.RawMessage) json.RawMessage {
	field := func(name string, value []byte) json.RawMessage { return fmt.Appendf(nil, `{"%s":%s}`, name, value) }
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return json.RawMessage("{}")
	case raw[0] == '"':
		return field("string_value", raw)
	case raw[0] == 't' || raw[0] == 'f':
		return field("bool_value", raw)
	case raw[0] == '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // it was JSON when it came
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = string(anyValue(e))
		}
		return field("array_value", []byte(`{"values":[`+strings.Join(parts, ",")+`]}`))
	case raw[0] == '{':
		var m map[string]json.RawMessage
		_ = json.Unmarshal(raw, &m)
		values, _ := json.Marshal(wireValues(m))
		return field("kvlist_value", []byte(`{"values":`+string(values)+`}`))
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return field("int_value", []byte(`"`+strconv.FormatInt(n, 10)+`"`))
	}
	return field("double_value", raw)
}

// wireTrace is a trace with its spans.
type wireTrace struct {
	Info  traceInfo  `json:"trace_info"`
	Spans []wireSpan `json:"spans,omitempty"`
}

func toWireTrace(t trace.Trace, spans []trace.Span) wireTrace {
	out := wireTrace{Info: toTraceInfo(t)}
	for _, s := range spans {
		out.Spans = append(out.Spans, toWireSpan(s))
	}
	return out
}
