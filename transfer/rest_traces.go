// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lastro/trace"
)

// wireTrace is a trace without its spans, since 3.0.
type wireTrace struct {
	ID          string            `json:"trace_id"`
	ClientID    *string           `json:"client_request_id"`
	Request     *string           `json:"request_preview"`
	Response    *string           `json:"response_preview"`
	At          time.Time         `json:"request_time"`
	Took        string            `json:"execution_duration"`
	State       string            `json:"state"`
	Metadata    map[string]string `json:"trace_metadata"`
	Tags        map[string]string `json:"tags"`
	Assessments []wireAssessment  `json:"assessments"`
}

type wireAssessment struct {
	ID     string `json:"assessment_id"`
	Name   string `json:"assessment_name"`
	Source struct {
		Type string `json:"source_type"`
		ID   string `json:"source_id"`
	} `json:"source"`
	Created   time.Time         `json:"create_time"`
	Updated   time.Time         `json:"last_update_time"`
	Rationale *string           `json:"rationale"`
	Metadata  map[string]string `json:"metadata"`
	Span      string            `json:"span_id"`
	Overrides string            `json:"overrides"`
	Valid     *bool             `json:"valid"`
	Feedback  *struct {
		Value json.RawMessage `json:"value"`
		Error json.RawMessage `json:"error"`
	} `json:"feedback"`
	Expectation *struct {
		Value      json.RawMessage `json:"value"`
		Serialized *struct {
			Value string `json:"value"`
		} `json:"serialized_value"`
	} `json:"expectation"`
}

func (w wireAssessment) assessment(id string) (trace.Assessment, bool) {
	a := trace.Assessment{ID: w.ID, Trace: id, Name: w.Name, SourceType: w.Source.Type, SourceID: w.Source.ID, Span: w.Span, Rationale: w.Rationale,
		Metadata: w.Metadata, Overrides: w.Overrides, Valid: w.Valid == nil || *w.Valid, CreatedAt: w.Created, UpdatedAt: w.Updated}
	switch {
	case w.Feedback != nil:
		a.Kind, a.Value = trace.KindFeedback, w.Feedback.Value
		if len(w.Feedback.Error) > 0 && string(w.Feedback.Error) != "null" {
			a.Error = w.Feedback.Error
		}
	case w.Expectation != nil && w.Expectation.Serialized != nil:
		a.Kind, a.Value = trace.KindExpectation, json.RawMessage(w.Expectation.Serialized.Value)
	case w.Expectation != nil:
		a.Kind, a.Value = trace.KindExpectation, w.Expectation.Value
	default:
		return a, false
	}
	if len(a.Value) == 0 {
		a.Value = json.RawMessage("null")
	}
	return a, true
}

// Traces implements Source.
func (s *Server) Traces(ctx context.Context, experiment string, fn func(Trace) error) error {
	err := pages(func(token string) (string, error) {
		var answer struct {
			Traces []wireTrace `json:"traces"`
			Next   string      `json:"next_page_token"`
		}
		q := map[string]any{"max_results": runsAtOnce, "order_by": []string{"timestamp_ms ASC"},
			"locations": []any{map[string]any{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": map[string]string{"experiment_id": experiment}}}}
		if token != "" {
			q["page_token"] = token
		}
		if err := s.post(ctx, "/api/3.0/mlflow/traces/search", q, &answer); err != nil {
			return "", err
		}
		for _, w := range answer.Traces {
			t := Trace{}
			t.ID, t.ExperimentID, t.State, t.At, t.ClientID, t.Request, t.Response = w.ID, experiment, trace.State(w.State), w.At, w.ClientID, w.Request, w.Response
			t.finish()
			t.take(w.Tags, w.Metadata)
			if d, err := time.ParseDuration(w.Took); err == nil {
				t.Took = &d
			}
			for _, a := range w.Assessments {
				if read, ok := a.assessment(t.ID); ok {
					t.Assessments = append(t.Assessments, read)
				}
			}
			if err := s.give(ctx, t, fn); err != nil {
				return "", err
			}
		}
		return answer.Next, nil
	})
	if isMissing(err) {
		return s.traces2(ctx, experiment, fn)
	}
	return err
}

func (t *Trace) take(tags, metadata map[string]string) {
	for k, v := range tags {
		t.Tags[k] = v
	}
	for k, v := range metadata {
		t.Metadata[k] = v
	}
	t.Root, t.Finalized = t.Tags[trace.TagArtifacts], true
	if !strings.HasPrefix(t.Root, artifactScheme) {
		t.Root = ""
	}
}

// traces2 reads traces of servers before 3.0.
func (s *Server) traces2(ctx context.Context, experiment string, fn func(Trace) error) error {
	err := pages(func(token string) (string, error) {
		var answer struct {
			Traces []struct {
				ID       string     `json:"request_id"`
				At       whole64    `json:"timestamp_ms"`
				Took     *whole64   `json:"execution_time_ms"`
				Status   string     `json:"status"`
				Metadata []wirePair `json:"request_metadata"`
				Tags     []wirePair `json:"tags"`
			} `json:"traces"`
			Next string `json:"next_page_token"`
		}
		q := url.Values{"experiment_ids": {experiment}, "max_results": {strconv.Itoa(runsAtOnce)}, "order_by": {"timestamp_ms ASC"}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := s.get(ctx, api+"traces", q, &answer); err != nil {
			return "", err
		}
		for _, w := range answer.Traces {
			t := Trace{}
			t.ID, t.ExperimentID, t.State, t.At = w.ID, experiment, trace.State(w.Status), time.UnixMilli(int64(w.At)).UTC()
			t.finish()
			t.take(mapOf(w.Tags), mapOf(w.Metadata))
			if w.Took != nil {
				t.Took = new(time.Duration(*w.Took) * time.Millisecond)
			}
			if err := s.give(ctx, t, fn); err != nil {
				return "", err
			}
		}
		return answer.Next, nil
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// give adds the spans, which servers of every release hand out as a file.
func (s *Server) give(ctx context.Context, t Trace, fn func(Trace) error) error {
	raw, err := s.patiently(ctx, http.MethodGet, "/ajax-api/2.0/mlflow/get-trace-artifact?"+url.Values{"request_id": {t.ID}}.Encode(), nil)
	switch {
	case isMissing(err) || isNoData(err):
	case err != nil:
		return err
	default:
		if t.Spans, err = parseSpans(raw); err != nil {
			return err
		}
	}
	return fn(t)
}
