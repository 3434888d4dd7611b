// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// SpanRow is what of a span can be searched without its body.
type SpanRow struct {
	ID, Parent string
	Name, Type string
	Status     SpanStatus
	Start, End int64 // nanoseconds; End 0 = not ended
	Model      *string
	Provider   *string
	Usage      json.RawMessage // token usage as the span has it; nil = none
	Cost       *Cost
	Values     []SpanAttr
}

// SpanAttr is one attribute of a span as a search compares it. Whole is false
// for a value that was cut.
type SpanAttr struct {
	Key, Value string
	Whole      bool
}

// SpanFacts is what the spans of one request tell of their trace.
type SpanFacts struct {
	Start, End time.Time // of the first and the last; End zero when none has ended
	State      State     // of the root span; "" when it is not among them
	Request    *string   // previews, from the root span
	Response   *string
	Session    *string
	User       string
	Tags       map[string]string
	Usage      Usage
}

// searched are how many characters of an attribute are searched by an index.
const searched = 250

// hidden are attributes that are in columns, the same in all spans, or as long
// as a document: a search reads them from the spans themselves.
var hidden = map[string]bool{AttrRequestID: true, AttrExperimentID: true, AttrInputs: true, AttrOutputs: true,
	AttrType: true, AttrFunction: true, AttrUsage: true, AttrCost: true}

// Indexed reports whether an attribute's values are in SpanRow.Values.
func Indexed(key string) bool { return !hidden[key] && !strings.HasPrefix(key, AttrTagPrefix) }

// rowOf reduces a span to what can be searched.
func rowOf(s Span) SpanRow {
	r := SpanRow{ID: s.ID, Parent: s.Parent, Name: cut(s.Name, MaxSpanName), Type: cut(s.Type(), MaxKey), Status: s.Status, Start: s.Start, End: s.End}
	if model := s.text(AttrModel); model != "" {
		r.Model = new(cut(model, 500))
	}
	if provider := s.text(AttrProvider); provider != "" {
		r.Provider = new(cut(provider, 500))
	}
	if raw := s.Attributes[AttrUsage]; isObject(raw) {
		r.Usage = raw
	}
	r.Cost = costOf(s.Attributes[AttrCost])
	for key, raw := range s.Attributes {
		if !Indexed(key) || len(key) > MaxKey {
			continue
		}
		value := attributeText(raw)
		short := cut(value, searched)
		r.Values = append(r.Values, SpanAttr{cut(key, MaxKey), short, len(short) == len(value)})
	}
	return r
}

// attributeText is an attribute as a search compares it: a string's characters,
// the JSON of everything else.
func attributeText(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return clean(s)
	}
	return string(raw)
}

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// factsOf sums up the spans of one trace that came together.
func factsOf(spans []Span) SpanFacts {
	f := SpanFacts{Tags: map[string]string{}}
	first, last := int64(math.MaxInt64), int64(0)
	for _, s := range spans {
		first, last = min(first, s.Start), max(last, s.End)
		if id := s.text("session.id"); f.Session == nil && id != "" {
			f.Session = new(cut(id, MaxMetadata))
		} else if id := s.text("gen_ai.conversation.id"); f.Session == nil && id != "" {
			f.Session = new(cut(id, MaxMetadata))
		}
		if f.User == "" {
			f.User = cut(s.text("user.id"), MaxMetadata)
		}
		if s.Parent == "" {
			f.ofRoot(s)
		}
	}
	f.Start = millisecond(first)
	if last > 0 {
		f.End = millisecond(last)
	}
	f.Usage = Aggregate(rowsOf(spans))
	return f
}

func rowsOf(spans []Span) []SpanRow {
	rows := make([]SpanRow, len(spans))
	for i, s := range spans {
		rows[i] = rowOf(s)
	}
	return rows
}

func (f *SpanFacts) ofRoot(s Span) {
	f.State = OK
	if s.Status == SpanError {
		f.State = Failed
	}
	if raw, ok := s.Attributes[AttrInputs]; ok {
		f.Request = new(preview(raw, "user"))
	}
	if raw, ok := s.Attributes[AttrOutputs]; ok {
		f.Response = new(preview(raw, "assistant"))
	}
	for key := range s.Attributes {
		if name, ok := strings.CutPrefix(key, AttrTagPrefix); ok && checkKey("tag", name) == nil {
			f.Tags[name] = cut(attributeText(s.Attributes[key]), MaxTag)
		}
	}
}

func millisecond(ns int64) time.Time { return time.UnixMilli(ns / 1e6).UTC() }

// Usage is what calls of language models took, summed over a trace; nil = unknown.
type Usage struct {
	Input, Output, Total                 *int64 // tokens
	CacheRead, CacheWrite, CacheWriteOne *int64 // the last: kept for an hour
	Cost                                 *Cost
}

// Cost is in US dollars; NaN stands for a part that is unknown.
type Cost struct{ Input, Output, Total float64 }

// parts are the keys of MLflow's token usage, in its order.
func (u *Usage) parts() []part {
	return []part{{"input_tokens", &u.Input}, {"output_tokens", &u.Output}, {"total_tokens", &u.Total}, {"cache_read_input_tokens", &u.CacheRead},
		{"cache_creation_input_tokens", &u.CacheWrite}, {"cache_creation_input_tokens_above_1hr", &u.CacheWriteOne}}
}

type part struct {
	key    string
	tokens **int64
}

// Any reports whether any number of tokens is known.
func (u Usage) Any() bool {
	for _, p := range u.parts() {
		if *p.tokens != nil {
			return true
		}
	}
	return false
}

// ParseUsage reads MLflow's JSON of token usage; what it cannot read is unknown.
func ParseUsage(raw []byte) Usage {
	var u Usage
	var m map[string]json.Number
	if json.Unmarshal(raw, &m) != nil {
		return u
	}
	for _, p := range u.parts() {
		if f, err := m[p.key].Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			*p.tokens = new(int64(f))
		}
	}
	return u
}

// JSON is what MLflow's clients find in metadata, "" when nothing is known.
func (u Usage) JSON() string {
	var parts []string
	for _, p := range u.parts() {
		if *p.tokens != nil {
			parts = append(parts, strconv.Quote(p.key)+": "+strconv.FormatInt(**p.tokens, 10))
		}
	}
	return object(parts)
}

func object(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// ParseCost reads MLflow's JSON of costs; nil when it names none.
func ParseCost(raw []byte) *Cost { return costOf(raw) }

func costOf(raw []byte) *Cost {
	var m map[string]json.Number
	if !isObject(raw) || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	c, any := Cost{math.NaN(), math.NaN(), math.NaN()}, false
	for key, v := range map[string]*float64{"input_cost": &c.Input, "output_cost": &c.Output, "total_cost": &c.Total} {
		if f, err := m[key].Float64(); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			*v, any = f, true
		}
	}
	if !any {
		return nil
	}
	return &c
}

// JSON is what MLflow's clients find in metadata.
func (c *Cost) JSON() string {
	if c == nil {
		return ""
	}
	var parts []string
	for _, p := range []struct {
		key   string
		value float64
	}{{"input_cost", c.Input}, {"output_cost", c.Output}, {"total_cost", c.Total}} {
		if !math.IsNaN(p.value) {
			parts = append(parts, strconv.Quote(p.key)+": "+pythonFloat(p.value))
		}
	}
	return object(parts)
}

// pythonFloat writes a float as Python does, so that what a client has written
// is equal to what it reads.
func pythonFloat(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Aggregate sums usage and cost over spans. A span whose ancestor has told
// already counts nothing: many libraries write the sum to the parent too.
func Aggregate(spans []SpanRow) Usage {
	var u Usage
	parent := make(map[string]string, len(spans))
	usage, cost := map[string]bool{}, map[string]bool{}
	for _, s := range spans {
		parent[s.ID] = s.Parent
		usage[s.ID], cost[s.ID] = s.Usage != nil, s.Cost != nil
	}
	for _, s := range spans {
		if s.Usage != nil && !above(s.ID, parent, usage) {
			u.add(ParseUsage(s.Usage))
		}
		if s.Cost != nil && !above(s.ID, parent, cost) {
			u.addCost(*s.Cost)
		}
	}
	return u
}

// above reports whether an ancestor of a span is in told. A ring of parents,
// which a broken client may send, ends the climb.
func above(id string, parent map[string]string, told map[string]bool) bool {
	at := id
	for range len(parent) {
		at = parent[at]
		if at == "" || at == id {
			return false
		}
		if told[at] {
			return true
		}
	}
	return false
}

func (u *Usage) add(v Usage) {
	mine := u.parts()
	for i, p := range v.parts() {
		switch {
		case *p.tokens == nil && (i > 2 || *mine[i].tokens != nil):
		case *p.tokens == nil:
			*mine[i].tokens = new(int64)
		case *mine[i].tokens == nil:
			*mine[i].tokens = new(**p.tokens)
		default:
			**mine[i].tokens += **p.tokens
		}
	}
}

func (u *Usage) addCost(c Cost) {
	if u.Cost == nil {
		u.Cost = &Cost{}
	}
	for _, p := range []struct{ to, from *float64 }{{&u.Cost.Input, &c.Input}, {&u.Cost.Output, &c.Output}, {&u.Cost.Total, &c.Total}} {
		if !math.IsNaN(*p.from) {
			*p.to += *p.from
		}
	}
}

// preview is a short text of a root span's inputs or outputs: of a conversation
// the last message of the role, else the value itself.
func preview(raw json.RawMessage, role string) string {
	text := string(raw)
	var v any
	if json.Unmarshal(raw, &v) == nil {
		if said := lastMessage(v, role); said != "" {
			text = said
		}
	}
	if utf8.RuneCountInString(text) <= MaxPreview {
		return clean(text)
	}
	return cut(text, MaxPreview-3) + "..."
}

// lastMessage finds the last message of a role in what language models take
// and give: messages, choices, input and output, as OpenAI's APIs name them.
func lastMessage(v any, role string) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	var list []any
	switch {
	case isList(m["messages"]):
		list = m["messages"].([]any)
	case isList(m["choices"]):
		if c, ok := m["choices"].([]any)[0].(map[string]any); ok {
			list = []any{c["message"]}
		}
	case isList(m["input"]):
		list = m["input"].([]any)
	case isList(m["output"]):
		list = m["output"].([]any)
	case m["request"] != nil:
		return lastMessage(m["request"], role)
	}
	said, fallback := "", ""
	for _, e := range list {
		msg, ok := e.(map[string]any)
		if !ok || msg["role"] == nil || msg["content"] == nil {
			continue
		}
		fallback = contentText(msg["content"])
		if msg["role"] == role {
			said = fallback
		}
	}
	if said == "" {
		return fallback
	}
	return said
}

func isList(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) > 0
}

// contentText is the text of a message: a string, or the last part that has one.
func contentText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for i := len(v) - 1; i >= 0; i-- {
			if part, ok := v[i].(map[string]any); ok {
				if text, ok := part["text"].(string); ok {
					return text
				}
			}
		}
	}
	return ""
}
