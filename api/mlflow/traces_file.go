// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"lastro"
	"lastro/trace"
)

// tracesFile is the artifact in which clients that do not send spans upload
// them, and from which older clients read them.
const tracesFile = "traces.json"

// fileSpan is a span of that file: the fields of version 3, and those of
// version 2, which calls the same things otherwise.
type fileSpan struct {
	Name       string                     `json:"name"`
	TraceID    string                     `json:"trace_id,omitempty"`
	SpanID     string                     `json:"span_id,omitempty"`
	ParentSpan *string                    `json:"parent_span_id,omitempty"`
	Start      json.Number                `json:"start_time_unix_nano,omitempty"`
	End        *json.Number               `json:"end_time_unix_nano,omitempty"`
	Status     *fileStatus                `json:"status,omitempty"`
	Attributes map[string]json.RawMessage `json:"attributes"`
	Events     []fileEvent                `json:"events"`
	Links      []fileLink                 `json:"links,omitempty"`

	Context       *fileContext `json:"context,omitempty"`
	Parent        *string      `json:"parent_id,omitempty"`
	StartTime     int64        `json:"start_time,omitempty"`
	EndTime       *int64       `json:"end_time,omitempty"`
	StatusCode    string       `json:"status_code,omitempty"`
	StatusMessage *string      `json:"status_message,omitempty"`
}

type fileContext struct {
	SpanID  string `json:"span_id"`
	TraceID string `json:"trace_id"`
}

type fileStatus struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type fileEvent struct {
	Name       string                     `json:"name"`
	Time       json.Number                `json:"time_unix_nano,omitempty"`
	Timestamp  json.Number                `json:"timestamp,omitempty"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

type fileLink struct {
	Trace      string                     `json:"trace_id"`
	Span       string                     `json:"span_id"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// parseTraces reads the spans of a traces.json.
func parseTraces(raw []byte) ([]trace.Span, error) {
	var file struct {
		Spans []fileSpan `json:"spans"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, badJSON(err)
	}
	out := make([]trace.Span, len(file.Spans))
	for i, f := range file.Spans {
		s, err := f.span()
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

func (f fileSpan) span() (trace.Span, error) {
	s := trace.Span{Name: f.Name, Status: trace.SpanUnset, Attributes: map[string]json.RawMessage{}}
	if f.Context != nil {
		s.OTelTrace, s.ID, s.Start = hexID(f.Context.TraceID, 16), hexID(f.Context.SpanID, 8), f.StartTime
		if f.EndTime != nil {
			s.End = *f.EndTime
		}
		if f.Parent != nil {
			s.Parent = hexID(*f.Parent, 8)
		}
		if f.StatusMessage != nil {
			s.Message = *f.StatusMessage
		}
		s.Status = trace.SpanStatus(f.StatusCode)
	} else {
		s.OTelTrace, s.ID, s.Start = hexID(f.TraceID, 16), hexID(f.SpanID, 8), integer(f.Start)
		if f.End != nil {
			s.End = integer(*f.End)
		}
		if f.ParentSpan != nil {
			s.Parent = hexID(*f.ParentSpan, 8)
		}
		if f.Status != nil {
			s.Message, s.Status = f.Status.Message, trace.SpanStatus(strings.TrimPrefix(f.Status.Code, "STATUS_CODE_"))
		}
	}
	if s.ID == "" || s.OTelTrace == "" {
		return s, lastro.Errorf(lastro.EInvalid, "span %.80q of %s has no trace_id and span_id that can be read", f.Name, tracesFile)
	}
	if s.Status != trace.SpanOK && s.Status != trace.SpanError {
		s.Status = trace.SpanUnset
	}
	for key, raw := range f.Attributes { // each the JSON of a value, in a string
		var text string
		if json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)) {
			raw = json.RawMessage(text)
		}
		s.Attributes[key] = raw
	}
	for _, e := range f.Events {
		at := integer(e.Time)
		if at == 0 {
			at = integer(e.Timestamp)
		}
		s.Events = append(s.Events, trace.Event{Name: e.Name, At: at, Attributes: e.Attributes})
	}
	for _, l := range f.Links {
		s.Links = append(s.Links, trace.Link{Trace: l.Trace, Span: l.Span, Attributes: l.Attributes})
	}
	return s, nil
}

// hexID reads an id in hex, with or without 0x or tr-, or in base64, of size bytes.
func hexID(text string, size int) string {
	plain := strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "tr-")
	if raw, err := hex.DecodeString(plain); err == nil && len(raw) == size {
		return strings.ToLower(plain)
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == size {
		return hex.EncodeToString(raw)
	}
	return ""
}

func integer(n json.Number) int64 {
	v, err := n.Int64()
	if err != nil {
		f, _ := n.Float64()
		return int64(f)
	}
	return v
}

// tracesJSON writes the file, for a client of version 2 or for later ones.
func tracesJSON(spans []trace.Span, version2 bool) ([]byte, error) {
	file := map[string]any{}
	list := make([]fileSpan, len(spans))
	for i, s := range spans {
		list[i] = toFileSpan(s, version2)
		if s.Parent == "" && version2 {
			file["request"], file["response"] = asText(s.Attributes[trace.AttrInputs]), asText(s.Attributes[trace.AttrOutputs])
		}
	}
	file["spans"] = list
	return json.Marshal(file)
}

func asText(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	return trace.PythonJSON(raw)
}

func toFileSpan(s trace.Span, version2 bool) fileSpan {
	f := fileSpan{Name: s.Name, Attributes: map[string]json.RawMessage{}, Events: []fileEvent{}}
	for key, raw := range s.Attributes {
		f.Attributes[key] = quote(trace.PythonJSON(raw))
	}
	for _, e := range s.Events {
		at := json.Number(nanos(e.At))
		if version2 {
			f.Events = append(f.Events, fileEvent{Name: e.Name, Timestamp: at, Attributes: e.Attributes})
		} else {
			f.Events = append(f.Events, fileEvent{Name: e.Name, Time: at, Attributes: e.Attributes})
		}
	}
	if version2 {
		f.Context, f.StartTime, f.StatusCode = &fileContext{s.ID, s.OTelTrace}, s.Start, string(s.Status)
		f.EndTime, f.StatusMessage = &s.End, &s.Message
		f.Parent = new(s.Parent)
		return f
	}
	f.TraceID, f.SpanID, f.ParentSpan = base64ID(s.OTelTrace), base64ID(s.ID), new(base64ID(s.Parent))
	f.Start, f.End = json.Number(nanos(s.Start)), new(json.Number(nanos(s.End)))
	f.Status = &fileStatus{statusCodes[s.Status], s.Message}
	for _, l := range s.Links {
		f.Links = append(f.Links, fileLink(l))
	}
	return f
}
