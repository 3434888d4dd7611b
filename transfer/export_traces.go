// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"

	"lastro/trace"
	"lastro/track"
)

// trace writes a trace with its assessments and spans.
func (x *Exporter) trace(ctx context.Context, t Trace) error {
	x.t.add(Traces, Count{Found: 1, Moved: 1})
	var took any
	if t.Took != nil {
		took = t.Took.Milliseconds()
	}
	generation := 0
	if len(t.Spans) > 0 {
		generation = 1
	}
	u := t.Usage
	cost := trace.Cost{}
	if u.Cost != nil {
		cost = *u.Cost
	}
	if err := x.insert(ctx, `trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id, request_preview, response_preview,
		db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens,
		input_cost, output_cost, total_cost)`,
		t.ID, t.ExperimentID, t.At.UnixMilli(), took, string(t.State), t.ClientID, t.Request, t.Response, generation, t.Name, t.Session,
		u.Input, u.Output, u.Total, u.CacheRead, u.CacheWrite, costly(u.Cost, cost.Input), costly(u.Cost, cost.Output), costly(u.Cost, cost.Total)); err != nil {
		return err
	}
	root := trace.Root(t.ExperimentID, t.ID)
	for table, list := range map[string]map[string]string{`trace_tags`: tagsOf(t, artifactScheme+"/"+root), `trace_request_metadata`: metadataOf(t)} {
		for k, v := range list {
			if err := x.insert(ctx, table+` (key, value, request_id)`, k, v, t.ID); err != nil {
				return err
			}
		}
	}
	for _, a := range t.Assessments {
		if err := x.assessment(ctx, t, a); err != nil {
			return err
		}
	}
	for _, s := range t.Spans {
		content, err := spanJSON(s)
		if err != nil {
			return err
		}
		var ended any
		if s.End != 0 {
			ended = s.End
		}
		if err := x.insert(ctx, `spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano, end_time_unix_nano, content)`,
			t.ID, t.ExperimentID, s.ID, orNull(s.Parent), s.Name, orNull(s.Type()), string(s.Status), s.Start, ended, string(content)); err != nil {
			return err
		}
	}
	return x.copyFiles(ctx, t.Root, root)
}

func costly(known *trace.Cost, v float64) any {
	if known == nil || v != v {
		return nil
	}
	return v
}

// tagsOf and metadataOf are those of a trace with what lastro keeps elsewhere.
func tagsOf(t Trace, root string) map[string]string {
	out := maps.Clone(t.Tags)
	out[trace.TagArtifacts] = root
	if t.Name != nil {
		out[trace.TagName] = *t.Name
	}
	if len(t.Spans) > 0 {
		out[trace.TagSpansLocation] = trace.SpansInStore
	}
	return out
}

func metadataOf(t Trace) map[string]string {
	out := maps.Clone(t.Metadata)
	if t.Session != nil {
		out[trace.MetaSession] = *t.Session
	}
	if text := t.Usage.JSON(); text != "" {
		out[trace.MetaUsage] = text
	}
	if text := t.Usage.Cost.JSON(); text != "" {
		out[trace.MetaCost] = text
	}
	if t.Finalized {
		out[trace.MetaFinalized] = "true"
	}
	return out
}

func (x *Exporter) assessment(ctx context.Context, t Trace, a trace.Assessment) error {
	var failure, meta, value any
	if len(a.Error) > 0 {
		failure = string(a.Error)
	}
	if len(a.Metadata) > 0 {
		raw, err := json.Marshal(a.Metadata)
		if err != nil {
			return err
		}
		meta = string(raw)
	}
	number, numeric := a.Number()
	if number != nil {
		value = *number
	}
	return x.insert(ctx, `assessments (assessment_id, trace_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp, source_type, source_id,
		run_id, span_id, rationale, overrides, valid, assessment_metadata, experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value)`,
		a.ID, t.ID, a.Name, string(a.Kind), string(a.Value), failure, a.CreatedAt.UnixMilli(), a.UpdatedAt.UnixMilli(), a.SourceType, orNull(a.SourceID),
		orNull(a.Run), orNull(a.Span), a.Rationale, orNull(a.Overrides), a.Valid, meta, t.ExperimentID, t.At.UnixMilli(), value, numeric)
}

// spanJSON is a span as MLflow keeps it in a row: ids in base64, and each
// attribute the JSON of its value in a string.
func spanJSON(s trace.Span) ([]byte, error) {
	type status struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	type event struct {
		Name       string                     `json:"name"`
		At         int64                      `json:"time_unix_nano"`
		Attributes map[string]json.RawMessage `json:"attributes"`
	}
	type link struct {
		Trace      string                     `json:"trace_id"`
		Span       string                     `json:"span_id"`
		Attributes map[string]json.RawMessage `json:"attributes"`
	}
	out := struct {
		Trace      string            `json:"trace_id"`
		ID         string            `json:"span_id"`
		Parent     *string           `json:"parent_span_id"`
		Name       string            `json:"name"`
		Start      int64             `json:"start_time_unix_nano"`
		End        *int64            `json:"end_time_unix_nano"`
		Events     []event           `json:"events"`
		Status     status            `json:"status"`
		Attributes map[string]string `json:"attributes"`
		Links      []link            `json:"links"`
	}{Trace: base64Of(s.OTelTrace), ID: base64Of(s.ID), Name: s.Name, Start: s.Start, Events: []event{}, Attributes: map[string]string{}, Links: []link{},
		Status: status{"STATUS_CODE_" + string(s.Status), s.Message}}
	if s.Parent != "" {
		out.Parent = new(base64Of(s.Parent))
	}
	if s.End != 0 {
		out.End = &s.End
	}
	for k, raw := range s.Attributes {
		out.Attributes[k] = trace.PythonJSON(raw)
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, event{e.Name, e.At, e.Attributes})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, link{l.Trace, l.Span, l.Attributes})
	}
	return json.Marshal(out)
}

func base64Of(text string) string {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return text
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// traces writes those of an experiment.
func (x *Exporter) traces(ctx context.Context, e track.Experiment) error {
	return x.source.Traces(ctx, e.ID, func(t Trace) error { return x.trace(ctx, t) })
}
