// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"lastro"
	"lastro/trace"
)

// assessmentEndpoints is the part of the table about assessments.
func (h *handler) assessmentEndpoints() []endpoint {
	if h.Traces == nil {
		return nil
	}
	const a = "/3.0/mlflow/traces/{trace_id}/assessments"
	return []endpoint{
		{"POST", a, writeT, serve(h, h.createAssessment), false},
		{"GET", a + "/{assessment_id}", readT, serve(h, h.getAssessment), false},
		{"PATCH", a + "/{assessment_id}", writeT, serve(h, h.updateAssessment), false},
		{"DELETE", a + "/{assessment_id}", writeT, serve(h, h.deleteAssessment), false},
	}
}

// assessment is an assessment on the wire.
type assessment struct {
	ID          string            `json:"assessment_id,omitempty"`
	Name        string            `json:"assessment_name"`
	Trace       string            `json:"trace_id,omitempty"`
	Span        string            `json:"span_id,omitempty"`
	Source      *assessmentSource `json:"source,omitempty"`
	CreatedAt   *protoTime        `json:"create_time,omitempty"`
	UpdatedAt   *protoTime        `json:"last_update_time,omitempty"`
	Feedback    *feedback         `json:"feedback,omitempty"`
	Expectation *expectation      `json:"expectation,omitempty"`
	Issue       *struct {
		Name string `json:"issue_name"`
	} `json:"issue,omitempty"`
	Rationale *string           `json:"rationale,omitempty"`
	Error     json.RawMessage   `json:"error,omitempty"` // of older clients, beside the feedback
	Metadata  map[string]string `json:"metadata,omitempty"`
	Overrides string            `json:"overrides,omitempty"`
	Valid     *bool             `json:"valid,omitempty"`
}

type assessmentSource struct {
	Type string `json:"source_type"`
	ID   string `json:"source_id,omitempty"`
}

type feedback struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error json.RawMessage `json:"error,omitempty"`
}

// expectation holds what protobuf can say as it is, and the rest as JSON in a string.
type expectation struct {
	Value      json.RawMessage `json:"value,omitempty"`
	Serialized *struct {
		Format string `json:"serialization_format"`
		Value  string `json:"value"`
	} `json:"serialized_value,omitempty"`
}

func toAssessment(a trace.Assessment) assessment {
	out := assessment{ID: a.ID, Name: a.Name, Trace: a.Trace, Span: a.Span, Source: &assessmentSource{a.SourceType, a.SourceID},
		CreatedAt: new(protoTime(a.CreatedAt)), UpdatedAt: new(protoTime(a.UpdatedAt)), Rationale: a.Rationale, Metadata: a.Metadata, Overrides: a.Overrides, Valid: &a.Valid}
	switch a.Kind {
	case trace.KindFeedback:
		out.Feedback = &feedback{a.Value, a.Error}
	case trace.KindExpectation:
		out.Expectation = &expectation{Value: a.Value}
		if raw := a.Value; len(raw) > 0 && (raw[0] == '{' || raw[0] == '[' && !scalars(raw)) {
			out.Expectation = new(expectation)
			out.Expectation.Serialized = &struct {
				Format string `json:"serialization_format"`
				Value  string `json:"value"`
			}{"JSON_FORMAT", trace.PythonJSON(raw)}
		}
	case trace.KindIssue:
		out.Issue = &struct {
			Name string `json:"issue_name"`
		}{}
		_ = json.Unmarshal(a.Value, out.Issue) // made below
	}
	return out
}

// scalars reports whether a list holds nothing but strings, numbers and bools.
func scalars(raw json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	for _, e := range list {
		if e[0] == '{' || e[0] == '[' || e[0] == 'n' {
			return false
		}
	}
	return true
}

func (a assessment) assessment() (trace.Assessment, error) {
	out := trace.Assessment{ID: a.ID, Trace: a.Trace, Name: a.Name, Span: a.Span, Rationale: a.Rationale, Metadata: a.Metadata, Overrides: a.Overrides}
	if a.Source != nil {
		out.SourceType, out.SourceID = a.Source.Type, a.Source.ID
	}
	for from, to := range map[*protoTime]*time.Time{a.CreatedAt: &out.CreatedAt, a.UpdatedAt: &out.UpdatedAt} {
		if from != nil && time.Time(*from).Unix() > 0 {
			*to = time.Time(*from).Truncate(time.Millisecond)
		}
	}
	var err error
	out.Kind, out.Value, out.Error, err = a.value()
	return out, err
}

// value is what an assessment says: its kind, value and error.
func (a assessment) value() (trace.Kind, json.RawMessage, json.RawMessage, error) {
	switch {
	case a.Feedback != nil:
		value, problem := a.Feedback.Value, a.Feedback.Error
		if value == nil {
			value = json.RawMessage("null")
		}
		if problem == nil {
			problem = a.Error
		}
		if string(problem) == "null" {
			problem = nil
		}
		return trace.KindFeedback, value, problem, nil
	case a.Expectation != nil:
		value := a.Expectation.Value
		if s := a.Expectation.Serialized; s != nil {
			if !json.Valid([]byte(s.Value)) {
				return "", nil, nil, lastro.Errorf(lastro.EInvalid, "expectation.serialized_value.value is not JSON")
			}
			value = json.RawMessage(s.Value)
		}
		if value == nil {
			value = json.RawMessage("null")
		}
		return trace.KindExpectation, value, nil, nil
	case a.Issue != nil:
		value, err := json.Marshal(a.Issue)
		return trace.KindIssue, value, nil, err
	}
	return "", nil, nil, nil
}

type assessmentAnswer struct {
	Assessment assessment `json:"assessment"`
}

func (h *handler) createAssessment(ctx context.Context, req struct {
	Trace      string      `json:"trace_id"`
	Assessment *assessment `json:"assessment" need:"yes"`
}) (any, error) {
	a, err := req.Assessment.assessment()
	if err != nil {
		return nil, err
	}
	a.Trace = req.Trace
	a, err = h.Traces.AddAssessment(ctx, tracer(ctx), a)
	return assessmentAnswer{toAssessment(a)}, err
}

func (h *handler) getAssessment(ctx context.Context, req struct {
	Trace string `json:"trace_id"`
	ID    string `json:"assessment_id"`
}) (any, error) {
	a, err := h.Traces.Assessment(ctx, req.Trace, req.ID)
	return assessmentAnswer{toAssessment(a)}, err
}

func (h *handler) updateAssessment(ctx context.Context, req struct {
	Trace      string      `json:"trace_id"`
	ID         string      `json:"assessment_id"`
	Assessment *assessment `json:"assessment" need:"yes"`
	Mask       string      `json:"update_mask" need:"yes"`
}) (any, error) {
	a := req.Assessment
	var change trace.AssessmentChange
	for path := range strings.SplitSeq(req.Mask, ",") {
		switch path { // protobuf's JSON writes paths in camel case
		case "assessmentName", "assessment_name":
			change.Name = &a.Name
		case "feedback", "expectation":
			var err error
			if change.Kind, change.Value, change.Error, err = a.value(); err != nil {
				return nil, err
			}
			if string(change.Kind) != path {
				return nil, lastro.Errorf(lastro.EInvalid, "update_mask names %s, and the assessment has none", path)
			}
		case "rationale":
			if change.Rationale = a.Rationale; a.Rationale == nil {
				change.Rationale = new("")
			}
		case "metadata":
			change.Metadata = a.Metadata
		default:
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0751", Msg: "update_mask names " + path + ", which cannot be changed",
				Hint: "use assessment_name, feedback, expectation, rationale or metadata; to replace an assessment, create one with overrides"}
		}
	}
	out, err := h.Traces.UpdateAssessment(ctx, tracer(ctx), req.Trace, req.ID, change)
	return assessmentAnswer{toAssessment(out)}, err
}

func (h *handler) deleteAssessment(ctx context.Context, req struct {
	Trace string `json:"trace_id"`
	ID    string `json:"assessment_id"`
}) (any, error) {
	return empty{}, h.Traces.DeleteAssessment(ctx, tracer(ctx), req.Trace, req.ID)
}
