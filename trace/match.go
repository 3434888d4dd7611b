// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"lastro"
)

// Inexact reports whether the store only narrows by a clause: the service then
// looks at the trace itself.
func (c Clause) Inexact() bool { return c.Op == RLike || c.Field == SpanValue || c.Field == SpanText }

// OfSpan reports whether a clause is about one span.
func (c Clause) OfSpan() bool {
	return c.Field == SpanField || c.Field == SpanValue || c.Field == SpanText
}

// check is a clause ready to be held against texts.
type check struct {
	Clause
	match func(string) bool
}

// matcher returns what a clause says of a text.
func matcher(c Clause) (func(string) bool, error) {
	switch c.Op {
	case Eq:
		return func(s string) bool { return s == c.Text }, nil
	case Ne:
		return func(s string) bool { return s != c.Text }, nil
	case In, NotIn:
		set := map[string]bool{}
		for _, v := range c.Values {
			set[v] = true
		}
		return func(s string) bool { return set[s] == (c.Op == In) }, nil
	case Like, ILike:
		return like(c.Text, c.Op == ILike), nil
	case RLike:
		re, err := regexp.Compile(c.Text)
		if err != nil {
			return nil, lastro.Errorf(lastro.EInvalid, "%.100q is not a regular expression: %v", c.Text, err)
		}
		return re.MatchString, nil
	}
	return nil, lastro.Errorf(lastro.EInvalid, "a text cannot be compared by %s", c.Op)
}

// like matches % and _ as SQL does.
func like(pattern string, fold bool) func(string) bool {
	if literal, ok := literalOf(pattern); ok && !fold {
		return func(s string) bool { return strings.Contains(s, literal) }
	}
	var b strings.Builder
	b.WriteString("(?s)")
	if fold {
		b.WriteString("(?i)")
	}
	b.WriteByte('^')
	for _, r := range pattern {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(b.String() + "$").MatchString
}

// literalOf returns x of the pattern %x%.
func literalOf(pattern string) (string, bool) {
	if len(pattern) < 3 || pattern[0] != '%' || pattern[len(pattern)-1] != '%' {
		return "", false
	}
	inner := pattern[1 : len(pattern)-1]
	return inner, !strings.ContainsAny(inner, "%_")
}

// checks are the clauses that have to be looked at, split into those about the
// trace and those that one span must meet together.
type checks struct {
	ofTrace, ofSpan []check
	literal         [][]byte // in the JSON of the spans of every trace that is found
}

func newChecks(where []Clause) (checks, error) {
	var out checks
	spans := false
	for _, c := range where {
		spans = spans || c.OfSpan() && c.Inexact()
	}
	for _, c := range where {
		if !c.Inexact() && !(spans && c.OfSpan()) {
			continue
		}
		m, err := matcher(c)
		if err != nil {
			return out, err
		}
		if !c.OfSpan() {
			out.ofTrace = append(out.ofTrace, check{c, m})
			continue
		}
		out.ofSpan = append(out.ofSpan, check{c, m})
		if literal, ok := literalOf(c.Text); ok && c.Op == Like && plain(literal) {
			out.literal = append(out.literal, []byte(literal))
		}
	}
	return out, nil
}

// plain reports whether JSON writes a text as it is.
func plain(s string) bool {
	raw, err := json.Marshal(s)
	return err == nil && string(raw) == `"`+s+`"`
}

func (c checks) none() bool { return len(c.ofTrace)+len(c.ofSpan) == 0 }

// worth reports whether the JSON of spans may hold one that is looked for. Each
// literal may be in another request's spans only if it is of another span.
func (c checks) worth(raw []byte) bool {
	for _, l := range c.literal {
		if !bytes.Contains(raw, l) {
			return false
		}
	}
	return true
}

func (c checks) trace(t Trace) bool {
	for _, k := range c.ofTrace {
		if !k.holds(t) {
			return false
		}
	}
	return true
}

func (k check) holds(t Trace) bool {
	switch k.Field {
	case Tag:
		v, ok := t.Tags[k.Key]
		return ok && k.match(v)
	case Metadata, Run:
		v, ok := t.Metadata[k.Key]
		return ok && k.match(v)
	case Feedback, Expectation:
		for _, a := range t.Assessments {
			if string(a.Kind) == string(k.Field) && a.Name == k.Key && a.Valid && k.match(string(a.Value)) {
				return true
			}
		}
		return false
	}
	var v *string
	switch k.Key {
	case KeyID:
		v = &t.ID
	case KeyStatus:
		v = new(string(t.State))
	case KeyClientID:
		v = t.ClientID
	case KeyName:
		v = t.Name
	case KeySession:
		v = t.Session
	case KeyExperiment:
		v = &t.ExperimentID
	}
	return v != nil && k.match(*v)
}

func (c checks) span(s Span) bool {
	for _, k := range c.ofSpan {
		if !k.ofSpan(s) {
			return false
		}
	}
	return true
}

func (k check) ofSpan(s Span) bool {
	switch k.Field {
	case SpanField:
		return k.match(map[string]string{"name": s.Name, "type": s.Type(), "status": string(s.Status)}[k.Key])
	case SpanValue:
		raw, ok := s.Attributes[k.Key]
		return ok && k.match(attributeText(raw))
	}
	if k.match(s.Name) {
		return true
	}
	for key, raw := range s.Attributes {
		if k.match(key) || k.match(attributeText(raw)) {
			return true
		}
	}
	for _, e := range s.Events {
		if k.match(e.Name) {
			return true
		}
		for _, raw := range e.Attributes {
			if k.match(attributeText(raw)) {
				return true
			}
		}
	}
	return false
}
