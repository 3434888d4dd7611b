// SPDX-License-Identifier: Apache-2.0

package trace

// Field is what a clause or an order looks at.
type Field string

// The fields of a search.
const (
	Attribute   Field = "attribute" // a column of the trace; Key names it
	Tag         Field = "tag"
	Metadata    Field = "metadata"
	SpanField   Field = "span"           // Key: name, type or status
	SpanValue   Field = "span attribute" // Key: the attribute's
	SpanText    Field = "text"           // anything in a span
	Feedback    Field = "feedback"       // Key: the assessment's name
	Expectation Field = "expectation"
	Issue       Field = "issue"
	Prompt      Field = "prompt" // Text: name/version
	Run         Field = "run"    // linked, or the run in which the trace was made
)

// Op compares.
type Op string

// The comparisons.
const (
	Eq      Op = "="
	Ne      Op = "!="
	Lt      Op = "<"
	Le      Op = "<="
	Gt      Op = ">"
	Ge      Op = ">="
	Like    Op = "LIKE"
	ILike   Op = "ILIKE"
	RLike   Op = "RLIKE"
	In      Op = "IN"
	NotIn   Op = "NOT IN"
	IsNull  Op = "IS NULL"
	NotNull Op = "IS NOT NULL"
)

// The attributes of a trace that can be searched and ordered by.
const (
	KeyID         = "request_id"
	KeyTime       = "timestamp_ms"
	KeyTook       = "execution_time_ms"
	KeyEnd        = "end_time_ms"
	KeyStatus     = "status"
	KeyClientID   = "client_request_id"
	KeyName       = "name"
	KeyExperiment = "experiment_id"
	KeySession    = "session"
	KeyUsage      = "token usage"
	KeyCost       = "cost"
)

// Clause is one condition. Clauses about spans must hold for one span together.
type Clause struct {
	Field    Field
	Key      string
	Op       Op
	Text     string
	Number   float64
	IsNumber bool
	Values   []string
}

// Order is one part of an order. What has no value comes last.
type Order struct {
	Field Field
	Key   string
	Desc  bool
}

// Query asks for traces. After its orders come the newest first, then the id.
type Query struct {
	Experiments []string // nil = all
	Where       []Clause
	Order       []Order
	PageToken   string // "" = the first page
	Limit       int
	// Bare asks for traces without metadata, tags and assessments.
	Bare bool
}

// Found is one page of a search.
type Found struct {
	Traces []Trace
	Next   string // token of the next page, "" at the end
}
