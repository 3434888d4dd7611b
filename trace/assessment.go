// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"lastro"
)

// Kind is what an assessment is.
type Kind string

// The kinds of assessments.
const (
	KindFeedback    Kind = "feedback"
	KindExpectation Kind = "expectation"
	KindIssue       Kind = "issue"
)

// Assessment is a judgement of a trace or of one span: feedback on how good it
// was, what would have been right, or a known issue. Value and Error are JSON.
type Assessment struct {
	ID         string // "a-" and 32 hex digits, or what the client chose
	Trace      string
	Name       string
	Kind       Kind
	Value      json.RawMessage
	Error      json.RawMessage // {"error_code", "error_message", "stack_trace"}; nil = none
	SourceType string          // HUMAN, LLM_JUDGE or CODE
	SourceID   string
	Run        string
	Span       string
	Rationale  *string
	Metadata   map[string]string
	Overrides  string // the assessment that this one replaces
	Valid      bool   // not replaced by another
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Number is an assessment's value as metrics sum it: yes and true are 1, no and
// false 0. Numeric says that the value itself is a number, which only then is
// compared by < and >.
func (a Assessment) Number() (value *float64, numeric bool) {
	var v any
	if json.Unmarshal(a.Value, &v) != nil {
		return nil, false
	}
	switch v := v.(type) {
	case bool:
		return new(map[bool]float64{true: 1}[v]), false
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, false
		}
		return &v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "yes":
			return new(1.0), false
		case "no":
			return new(0.0), false
		}
	}
	return nil, false
}

// SessionWide reports whether an assessment judges the whole session of its trace.
func (a Assessment) SessionWide() bool { _, ok := a.Metadata[MetaSession]; return ok }

func (a Assessment) check() error {
	if err := checkKey("the name of an assessment", a.Name); err != nil {
		return err
	}
	if len(a.Value)+len(a.Error) > MaxAssessment {
		return lastro.Errorf(lastro.EInvalid, "the value of assessment %q has %d bytes; %d is the most", a.Name, len(a.Value)+len(a.Error), MaxAssessment)
	}
	if a.Rationale != nil {
		if err := lastro.CheckText("the rationale of assessment "+a.Name, *a.Rationale, 0, MaxAssessment); err != nil {
			return err
		}
	}
	if a.Kind != KindFeedback && a.Kind != KindExpectation && a.Kind != KindIssue {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0742", Msg: fmt.Sprintf("assessment %q says nothing", a.Name), Hint: "give it a feedback, an expectation or an issue"}
	}
	if a.Kind == KindExpectation && string(a.Value) == "null" {
		return lastro.Errorf(lastro.EInvalid, "expectation %q has no value", a.Name)
	}
	return nil
}

// filled is an assessment with what the server gives it.
func (s *Service) filled(a Assessment) Assessment {
	now := s.clock.Now().Truncate(time.Millisecond)
	if a.ID == "" {
		a.ID = "a-" + newID()
	}
	if a.CreatedAt.IsZero() {
		a.CreatedAt = now
	}
	if a.UpdatedAt.IsZero() {
		a.UpdatedAt = now
	}
	if a.SourceType == "" {
		a.SourceType = "HUMAN"
	}
	a.Valid = true
	return a
}

// AddAssessment records an assessment. One that it overrides is no longer valid.
func (s *Service) AddAssessment(ctx context.Context, c Caller, a Assessment) (Assessment, error) {
	a = s.filled(a)
	if err := a.check(); err != nil {
		return a, err
	}
	if err := checkID(a.ID); err != nil {
		return a, err
	}
	return s.store.AddAssessment(ctx, c, a)
}

// Assessment returns one assessment.
func (s *Service) Assessment(ctx context.Context, trace, id string) (Assessment, error) {
	return s.store.Assessment(ctx, trace, id)
}

// AssessmentChange is what an update changes; nil leaves things as they are.
type AssessmentChange struct {
	Name      *string
	Kind      Kind // of Value, "" = the value stays
	Value     json.RawMessage
	Error     json.RawMessage
	Rationale *string
	Metadata  map[string]string // merged into what is there
}

// UpdateAssessment changes an assessment; its kind, source and span stay.
func (s *Service) UpdateAssessment(ctx context.Context, c Caller, trace, id string, change AssessmentChange) (Assessment, error) {
	return s.store.UpdateAssessment(ctx, c, trace, id, func(a *Assessment) error {
		if change.Kind != "" && change.Kind != a.Kind {
			return lastro.Errorf(lastro.EInvalid, "assessment %s is a %s; its value cannot become a %s", id, a.Kind, change.Kind)
		}
		if change.Kind != "" {
			a.Value, a.Error = change.Value, change.Error
		}
		if change.Name != nil {
			a.Name = *change.Name
		}
		if change.Rationale != nil && a.Kind != KindExpectation {
			a.Rationale = change.Rationale
		}
		for k, v := range change.Metadata {
			if a.Metadata == nil {
				a.Metadata = map[string]string{}
			}
			a.Metadata[k] = v
		}
		a.UpdatedAt = s.clock.Now().Truncate(time.Millisecond)
		return a.check()
	})
}

// DeleteAssessment removes an assessment; one that it overrode is valid again.
// An id that does not exist is no error, a trace that does not is.
func (s *Service) DeleteAssessment(ctx context.Context, c Caller, trace, id string) error {
	return s.store.DeleteAssessment(ctx, c, trace, id)
}
