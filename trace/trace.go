// SPDX-License-Identifier: Apache-2.0

// Package trace holds what a program tells of its calls: traces made of spans,
// assessments of them (feedback and expectations), and evaluation datasets. It
// knows no wire format: api/mlflow speaks MLflow's and OpenTelemetry's.
package trace

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
	"unicode"

	"lastro"
)

// Origin says which step of which lastro run created a thing; it comes from the
// caller's token. The zero Origin is a client outside any step.
type Origin struct {
	Run, Step, Cell string
}

// Caller is who reports: an actor and, for a step's token, the step. A step
// writes only what it created itself.
type Caller struct {
	By     lastro.Actor
	Origin Origin
}

// MayWrite refuses a step that touches what another step, or a person, made.
func (c Caller) MayWrite(what, id string, o Origin) error {
	if c.Origin == (Origin{}) || c.Origin == o {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied, ID: "L0740",
		Msg:  fmt.Sprintf("step %s of run %s did not create %s %.80s, so it may read but not change it", c.Origin.Step, c.Origin.Run, what, id),
		Hint: "trace in this step, or use a token of your own outside the pipeline"}
}

// State is how a trace ended, as MLflow spells it.
type State string

// The states of a trace.
const (
	OK          State = "OK"
	Failed      State = "ERROR"
	InProgress  State = "IN_PROGRESS"
	Unspecified State = "STATE_UNSPECIFIED"
)

// Known reports whether s is one of the states.
func (s State) Known() bool { return s == OK || s == Failed || s == InProgress || s == Unspecified }

// Trace is one call of a program: what is known of it without its spans. Texts
// that may be missing are pointers, because clients tell "" from nothing.
type Trace struct {
	Number       int64  // of the row; unknown outside this server
	ID           string // "tr-" and the trace id of OpenTelemetry, or what the client chose
	ExperimentID string
	State        State
	At           time.Time      // when it began, to the millisecond
	Took         *time.Duration // to the millisecond; nil = unknown
	Name         *string
	ClientID     *string // the request's id in the client's own system
	Request      *string // previews, up to 1,000 characters
	Response     *string
	Session      *string
	Usage        Usage
	Metadata     map[string]string // written once, when the trace is
	Tags         map[string]string
	Assessments  []Assessment // oldest first
	Finalized    bool         // the client has told of the whole trace, not only of spans
	HasSpans     bool
	By           lastro.Actor
	Origin       Origin
}

// Ref returns "trace:ID".
func (t Trace) Ref() lastro.Ref { return lastro.NewRef("trace", t.ID, "") }

// Root is the artifact root of a trace, below which clients put attachments.
func Root(experimentID, traceID string) string {
	return experimentID + "/traces/" + traceID + "/artifacts"
}

// SpanStatus is how a span ended, as OpenTelemetry spells it.
type SpanStatus string

// The statuses of a span.
const (
	SpanUnset SpanStatus = "UNSET"
	SpanOK    SpanStatus = "OK"
	SpanError SpanStatus = "ERROR"
)

// Span is one unit of work within a trace.
type Span struct {
	OTelTrace string     `json:"t"`           // 32 hex digits
	ID        string     `json:"i"`           // 16 hex digits, unique within the trace
	Parent    string     `json:"p,omitempty"` // "" for a root
	Name      string     `json:"n"`
	Start     int64      `json:"s"`           // nanoseconds since 1970, UTC
	End       int64      `json:"e,omitempty"` // 0 = not ended
	Status    SpanStatus `json:"c"`
	Message   string     `json:"m,omitempty"` // of the status
	// Attributes are JSON values by key; MLflow's own begin with "mlflow.".
	Attributes map[string]json.RawMessage `json:"a,omitempty"`
	Events     []Event                    `json:"v,omitempty"`
	Links      []Link                     `json:"l,omitempty"`
}

// Event is something that happened within a span.
type Event struct {
	Name       string                     `json:"n"`
	At         int64                      `json:"s"` // nanoseconds since 1970
	Attributes map[string]json.RawMessage `json:"a,omitempty"`
}

// Link names a span of another trace that a span belongs with.
type Link struct {
	Trace      string                     `json:"t"`
	Span       string                     `json:"i"`
	Attributes map[string]json.RawMessage `json:"a,omitempty"`
}

// text returns an attribute that is a string, "" for every other.
func (s Span) text(key string) string {
	var out string
	if raw, ok := s.Attributes[key]; ok {
		_ = json.Unmarshal(raw, &out)
	}
	return out
}

// Type returns MLflow's type of a span, such as LLM or TOOL.
func (s Span) Type() string { return s.text(AttrType) }

// Attributes, tags and metadata that MLflow's clients give a meaning to.
const (
	AttrRequestID    = "mlflow.traceRequestId"
	AttrExperimentID = "mlflow.experimentId"
	AttrInputs       = "mlflow.spanInputs"
	AttrOutputs      = "mlflow.spanOutputs"
	AttrType         = "mlflow.spanType"
	AttrFunction     = "mlflow.spanFunctionName"
	AttrUsage        = "mlflow.chat.tokenUsage"
	AttrCost         = "mlflow.llm.cost"
	AttrModel        = "mlflow.llm.model"
	AttrProvider     = "mlflow.llm.provider"
	AttrTagPrefix    = "mlflow.traceTag."

	TagName           = "mlflow.traceName"
	TagSpansLocation  = "mlflow.trace.spansLocation"
	TagArtifacts      = "mlflow.artifactLocation"
	SpansInStore      = "TRACKING_STORE"
	MetaSession       = "mlflow.trace.session"
	MetaUser          = "mlflow.trace.user"
	MetaUsage         = "mlflow.trace.tokenUsage"
	MetaCost          = "mlflow.trace.cost"
	MetaRun           = "mlflow.sourceRun"
	MetaFinalized     = "mlflow.trace.infoFinalized"
	MetaSizeStats     = "mlflow.trace.sizeStats"
	TagLinkedPrompts  = "mlflow.linkedPrompts"
	tagArchive        = "mlflow.trace.archiveLocation"
	tagArchiveFailure = "mlflow.trace.archivalFailure"
)

// Limits, as MLflow's clients know them; lengths are in characters.
const (
	MaxID         = 50
	MaxKey        = 250
	MaxMetadata   = 250   // value; longer ones are cut
	MaxTag        = 8000  // value; longer ones are cut
	MaxPreview    = 1000  // longer ones are cut
	MaxSpanName   = 1000  // longer ones are cut in searches, not in the span
	MaxSpans      = 50000 // of one request
	MaxAssessment = 1 << 20
	MaxLinks      = 100 // traces of one request
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$`)

// checkID refuses ids that could not be a part of an artifact's name.
func checkID(id string) error {
	if !idForm.MatchString(id) {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0741", Msg: fmt.Sprintf("%.80q cannot be the id of a trace", id),
			Hint: "use up to 50 letters, digits and . _ -, beginning with a letter or digit"}
	}
	return nil
}

func checkKey(what, key string) error {
	for _, r := range key {
		if unicode.IsControl(r) {
			return lastro.Errorf(lastro.EInvalid, "%s %.40q has a control character", what, key)
		}
	}
	return lastro.CheckText(what+fmt.Sprintf(" %.40q", key), key, 1, MaxKey)
}

// cut shortens text to most characters and makes it valid UTF-8 without NUL,
// which PostgreSQL does not keep.
func cut(text string, most int) string {
	text = clean(text)
	if len(text) <= most {
		return text
	}
	n := 0
	for i := range text {
		if n == most {
			return text[:i]
		}
		n++
	}
	return text
}
