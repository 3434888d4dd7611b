// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"lastro/trace"
)

// spansFile is the artifact in which MLflow keeps the spans of a trace where
// they are not rows.
const spansFile = "traces.json"

// wireSpan is a span as MLflow writes it into a row or a file: since 3.0 with
// the names of OpenTelemetry, before with its own.
type wireSpan struct {
	Name       string  `json:"name"`
	Trace      string  `json:"trace_id"`
	ID         string  `json:"span_id"`
	ParentSpan string  `json:"parent_span_id"`
	Start      whole64 `json:"start_time_unix_nano"`
	End        whole64 `json:"end_time_unix_nano"`
	Status     struct{ Code, Message string }
	Attributes map[string]json.RawMessage `json:"attributes"`
	Events     []struct {
		Name       string                     `json:"name"`
		Time       whole64                    `json:"time_unix_nano"`
		Timestamp  whole64                    `json:"timestamp"`
		Attributes map[string]json.RawMessage `json:"attributes"`
	} `json:"events"`
	Links []struct {
		Trace      string                     `json:"trace_id"`
		ID         string                     `json:"span_id"`
		Attributes map[string]json.RawMessage `json:"attributes"`
	} `json:"links"`

	Context struct {
		Span  string `json:"span_id"`
		Trace string `json:"trace_id"`
	} `json:"context"`
	Parent  string  `json:"parent_id"`
	Begin   whole64 `json:"start_time"`
	Finish  whole64 `json:"end_time"`
	Code    string  `json:"status_code"`
	Message string  `json:"status_message"`
}

// parseSpans reads the file of a trace's spans.
func parseSpans(raw []byte) ([]trace.Span, error) {
	var file struct{ Spans []json.RawMessage }
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("the spans cannot be read: %w", err)
	}
	out := make([]trace.Span, len(file.Spans))
	for i, one := range file.Spans {
		s, err := parseSpan(one)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

func parseSpan(raw []byte) (s trace.Span, err error) {
	var w wireSpan
	if err := json.Unmarshal(raw, &w); err != nil {
		return s, fmt.Errorf("a span cannot be read: %w", err)
	}
	if w.ID == "" { // before 3.0
		w.ID, w.Trace, w.ParentSpan, w.Start, w.End = w.Context.Span, w.Context.Trace, w.Parent, w.Begin, w.Finish
		w.Status.Code, w.Status.Message = w.Code, w.Message
	}
	s = trace.Span{OTelTrace: hexOf(w.Trace, 16), ID: hexOf(w.ID, 8), Parent: hexOf(w.ParentSpan, 8), Name: w.Name, Start: int64(w.Start), End: int64(w.End),
		Status: trace.SpanStatus(strings.TrimPrefix(w.Status.Code, "STATUS_CODE_")), Message: w.Status.Message, Attributes: values(w.Attributes)}
	if s.Status != trace.SpanOK && s.Status != trace.SpanError {
		s.Status = trace.SpanUnset
	}
	for _, e := range w.Events {
		at := int64(e.Time)
		if at == 0 {
			at = int64(e.Timestamp)
		}
		s.Events = append(s.Events, trace.Event{Name: e.Name, At: at, Attributes: plainValues(e.Attributes)})
	}
	for _, l := range w.Links {
		s.Links = append(s.Links, trace.Link{Trace: hexOf(l.Trace, 16), Span: hexOf(l.ID, 8), Attributes: plainValues(l.Attributes)})
	}
	if s.ID == "" {
		return s, fmt.Errorf("span %.80q has no id that can be read", w.Name)
	}
	return s, nil
}

// hexOf reads an id of n bytes in hexadecimal, with 0x before it, or in base64.
func hexOf(text string, n int) string {
	plain := strings.TrimPrefix(text, "0x")
	if len(plain) == 2*n {
		if _, err := hex.DecodeString(plain); err == nil {
			return strings.ToLower(plain)
		}
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == n {
		return hex.EncodeToString(raw)
	}
	return ""
}

// values are attributes, each the JSON of a value in a string.
func values(m map[string]json.RawMessage) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(m))
	for k, raw := range m {
		var text string
		if json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)) {
			raw = json.RawMessage(text)
		}
		out[k] = raw
	}
	return out
}

func plainValues(m map[string]json.RawMessage) map[string]json.RawMessage {
	if len(m) == 0 {
		return nil
	}
	return m
}

// compact is JSON without the spaces between its parts.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
