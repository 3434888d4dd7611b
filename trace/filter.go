// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// ParseFilter reads MLflow's filter of traces: comparisons joined by AND, such
// as status = 'OK' AND tags.env = 'prod' AND span.name LIKE '%call%' AND
// feedback.score > 0.8. Source: mlflow.org, "Search Traces".
func ParseFilter(filter string) ([]Clause, error) {
	return parse(filter, traceClause)
}

func parse(filter string, clause func(name string, c Clause) (Clause, error)) ([]Clause, error) {
	p := &parser{rest: filter, whole: filter}
	var out []Clause
	for p.space(); p.rest != ""; {
		name, err := p.identifier()
		if err != nil {
			return nil, err
		}
		c, err := p.comparison()
		if err != nil {
			return nil, err
		}
		if c, err = clause(name, c); err != nil {
			return nil, err
		}
		out = append(out, c)
		if p.space(); p.rest == "" {
			break
		}
		if !p.keyword("AND") {
			return nil, p.fail("AND or the end")
		}
		if p.space(); p.rest == "" {
			return nil, p.fail("a comparison after AND")
		}
	}
	return out, nil
}

// attributes are the names of attributes as they are written.
var attributes = map[string]string{
	"request_id": KeyID, "timestamp": KeyTime, "timestamp_ms": KeyTime, "execution_time": KeyTook, "execution_time_ms": KeyTook,
	"end_time": KeyEnd, "end_time_ms": KeyEnd, "status": KeyStatus, "client_request_id": KeyClientID, "name": KeyName, "experiment_id": KeyExperiment,
}

// numeric are the attributes that are numbers, in milliseconds.
var numeric = map[string]bool{KeyTime: true, KeyTook: true, KeyEnd: true}

var (
	textOps    = []Op{Eq, Ne, In, NotIn, Like, ILike, RLike}
	pairOps    = []Op{Eq, Ne, Like, ILike, RLike, IsNull, NotNull}
	numberOps  = []Op{Eq, Ne, Lt, Le, Gt, Ge}
	valueOps   = []Op{Eq, Ne, Lt, Le, Gt, Ge, Like, ILike, RLike, IsNull, NotNull}
	contentOps = []Op{Like, ILike}
)

// entities are the first parts of a name.
var entities = map[string]Field{
	"": Attribute, "attribute": Attribute, "attributes": Attribute, "trace": Attribute, "tag": Tag, "tags": Tag,
	"metadata": Metadata, "request_metadata": Metadata, "span": SpanField, "feedback": Feedback, "expectation": Expectation, "issue": Issue,
}

// resolve splits a name such as span.attributes.`a b` into a field and a key.
func resolve(name string) (Field, string, error) {
	entity, key, found := strings.Cut(name, ".")
	if !found {
		entity, key = "", name
	}
	entity = unquote(entity)
	field, ok := entities[entity]
	if !ok {
		return "", "", &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a search of traces knows no %.80q", entity),
			Hint: "use attributes (or trace), tags, metadata, span, feedback, expectation"}
	}
	if key == "" {
		return "", "", lastro.Errorf(lastro.EInvalid, "%.80q names nothing after its dot", name)
	}
	if rest, ok := strings.CutPrefix(key, "attributes."); ok && field == SpanField {
		if rest = unquote(rest); rest == "" {
			return "", "", lastro.Errorf(lastro.EInvalid, "span.attributes. is followed by no name")
		}
		return SpanValue, rest, nil
	}
	key = unquote(key)
	switch field {
	case Attribute:
		switch key {
		case "text":
			return SpanText, "", nil
		case "run_id":
			return Run, MetaRun, nil
		case "prompt":
			return Prompt, "", nil
		}
		known, ok := attributes[key]
		if !ok {
			return "", "", &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("traces have no attribute %.80q", key),
				Hint: "use " + strings.Join(sortedKeys(attributes), ", ") + ", run_id, prompt or text"}
		}
		return field, known, nil
	case SpanField:
		if key == "content" {
			return SpanText, "", nil
		}
		if key != "name" && key != "type" && key != "status" {
			return "", "", &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a span has no %.80q to search", key), Hint: "use span.name, span.type, span.status or span.attributes.NAME"}
		}
	case Issue:
		if key != "id" {
			return "", "", lastro.Errorf(lastro.EInvalid, "an issue has no %.80q to search; use issue.id", key)
		}
	}
	return field, key, nil
}

// named gives names that mean something special their own field.
func named(c Clause) Clause {
	switch {
	case c.Field == Tag && c.Key == TagName:
		c.Field, c.Key = Attribute, KeyName
	case c.Field == Tag && c.Key == TagLinkedPrompts:
		c.Field = Prompt
	case c.Field == Metadata && c.Key == MetaSession:
		c.Field, c.Key = Attribute, KeySession
	case c.Field == Metadata && c.Key == MetaUsage:
		c.Field, c.Key = Attribute, KeyUsage
	case c.Field == Metadata && c.Key == MetaCost:
		c.Field, c.Key = Attribute, KeyCost
	case c.Field == Metadata && c.Key == MetaRun && c.Op == Eq:
		c.Field = Run
	case c.Field == Run && c.Op != Eq:
		c.Field = Metadata
	}
	return c
}

func traceClause(name string, c Clause) (Clause, error) {
	var err error
	if c.Field, c.Key, err = resolve(name); err != nil {
		return c, err
	}
	var may []Op
	switch c.Field {
	case Attribute:
		may = textOps
		if numeric[c.Key] {
			may = numberOps
			if err := c.wantNumber(name); err != nil {
				return c, err
			}
		}
	case Tag, Metadata:
		may = pairOps
	case Run:
		may = append(slices.Clone(pairOps), In, NotIn)
	case SpanField, SpanValue:
		may = textOps
	case SpanText:
		may = contentOps
	case Feedback, Expectation:
		may = valueOps
		if slices.Contains([]Op{Lt, Le, Gt, Ge}, c.Op) {
			if err := c.wantNumber(name); err != nil {
				return c, err
			}
		}
	case Issue, Prompt:
		may = []Op{Eq}
	}
	if !slices.Contains(may, c.Op) {
		return c, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%.80q cannot be compared by %s", name, c.Op), Hint: "use " + joinOps(may)}
	}
	if c.IsNumber && !numeric[c.Key] && c.Field != Feedback && c.Field != Expectation {
		return c, lastro.Errorf(lastro.EInvalid, "%.80q is compared with %s; write the value in quotation marks", name, c.Text)
	}
	if c.Field == Prompt && strings.Count(c.Text, "/") != 1 {
		return c, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%.80q is not a version of a prompt", c.Text), Hint: "write prompt = 'name/version'"}
	}
	if c.Op == RLike {
		if _, err := matcher(c); err != nil {
			return c, err
		}
	}
	if c = named(c); (c.Key == KeyUsage || c.Key == KeyCost) && !slices.Contains([]Op{Eq, Ne, IsNull, NotNull}, c.Op) {
		return c, lastro.Errorf(lastro.EInvalid, "%.80q cannot be compared by %s", name, c.Op)
	}
	return c, nil
}

// wantNumber takes a number, also one in quotation marks.
func (c *Clause) wantNumber(name string) error {
	if c.IsNumber {
		return nil
	}
	n, err := strconv.ParseFloat(c.Text, 64)
	if err != nil || c.Values != nil {
		return lastro.Errorf(lastro.EInvalid, "%.80q is compared with %.80q, which is not a number", name, c.Text)
	}
	c.Number, c.IsNumber = n, true
	return nil
}

func joinOps(ops []Op) string {
	out := make([]string, len(ops))
	for i, o := range ops {
		out[i] = string(o)
	}
	return strings.Join(out, ", ")
}

// ParseOrder reads an order such as "timestamp_ms DESC" or "tags.env".
func ParseOrder(text string) (Order, error) {
	var o Order
	name := strings.TrimSpace(text)
	if i := strings.LastIndexAny(name, " \t"); i > 0 {
		switch strings.ToUpper(name[i+1:]) {
		case "DESC":
			o.Desc = true
			fallthrough
		case "ASC":
			name = strings.TrimSpace(name[:i])
		}
	}
	field, key, err := resolve(name)
	if err != nil {
		return o, err
	}
	if field == Run {
		field = Metadata
	}
	c := named(Clause{Field: field, Key: key})
	o.Field, o.Key = c.Field, c.Key
	if (o.Field != Attribute && o.Field != Tag && o.Field != Metadata) || o.Key == KeyClientID || o.Key == KeyUsage || o.Key == KeyCost || strings.ContainsAny(name, " \t") && !strings.ContainsAny(name, "`\"") {
		return o, lastro.Errorf(lastro.EInvalid, "traces cannot be ordered by %.80q", text)
	}
	return o, nil
}

type parser struct{ rest, whole string }

func (p *parser) fail(wanted string) error {
	return &lastro.Error{Code: lastro.EInvalid,
		Msg:  fmt.Sprintf("the filter %.200q is not understood at character %d: %s expected", p.whole, len(p.whole)-len(p.rest)+1, wanted),
		Hint: "write comparisons joined by AND, such as status = 'OK' AND tags.env = 'prod' (OR and parentheses are not possible)"}
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func nameByte(b byte) bool {
	return strings.IndexByte("_.-/:@", b) >= 0 || b >= 0x80 || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// identifier reads a dotted name whose parts may be quoted by ` or ".
func (p *parser) identifier() (string, error) {
	start := p.rest
	for p.rest != "" {
		if c := p.rest[0]; c == '`' || c == '"' {
			end := strings.IndexByte(p.rest[1:], c)
			if end < 0 {
				return "", p.fail("a closed quotation")
			}
			p.rest = p.rest[end+2:]
		} else if nameByte(c) {
			p.rest = p.rest[1:]
		} else {
			break
		}
	}
	if len(p.rest) == len(start) {
		return "", p.fail("a name")
	}
	return start[:len(start)-len(p.rest)], nil
}

// unquote takes the quotation marks off a part of a name.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '`' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// keyword takes a word, whatever its case, if it comes next and ends there.
func (p *parser) keyword(word string) bool {
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) || len(p.rest) > len(word) && nameByte(p.rest[len(word)]) {
		return false
	}
	p.rest = p.rest[len(word):]
	p.space()
	return true
}

func (p *parser) operator() Op {
	for _, op := range []Op{Ne, "<>", Le, Ge, Eq, Lt, Gt} {
		if rest, ok := strings.CutPrefix(p.rest, string(op)); ok {
			p.rest = rest
			if op == "<>" {
				return Ne
			}
			return op
		}
	}
	for _, op := range []Op{Like, ILike, RLike, In} {
		if p.keyword(string(op)) {
			return op
		}
	}
	switch {
	case p.keyword("NOT"):
		if p.keyword("IN") {
			return NotIn
		}
	case p.keyword("IS"):
		not := p.keyword("NOT")
		if p.keyword("NULL") {
			return map[bool]Op{false: IsNull, true: NotNull}[not]
		}
	}
	return ""
}

func (p *parser) comparison() (c Clause, err error) {
	p.space()
	if c.Op = p.operator(); c.Op == "" {
		return c, p.fail("an operator")
	}
	p.space()
	switch c.Op {
	case IsNull, NotNull:
		return c, nil
	case In, NotIn:
		c.Values, err = p.list()
		return c, err
	}
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		c.Text, err = p.quoted()
		return c, err
	}
	n := 0
	for n < len(p.rest) && (nameByte(p.rest[n]) || p.rest[n] == '+') {
		n++
	}
	c.Text = p.rest[:n]
	if c.Number, err = strconv.ParseFloat(c.Text, 64); err != nil {
		return c, p.fail("a number, or a value in quotation marks,")
	}
	c.IsNumber, p.rest = true, p.rest[n:]
	return c, nil
}

// quoted reads a string; its quotation mark is written twice inside it.
func (p *parser) quoted() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", p.fail("a value in quotation marks")
	}
	mark := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch {
		case p.rest[i] != mark:
			b.WriteByte(p.rest[i])
		case i+1 < len(p.rest) && p.rest[i+1] == mark:
			b.WriteByte(mark)
			i++
		default:
			p.rest = p.rest[i+1:]
			return clean(b.String()), nil
		}
	}
	return "", p.fail("a closed quotation")
}

// mostValues bounds a list: databases take a limited number of arguments.
const mostValues = 1000

func (p *parser) list() ([]string, error) {
	if !strings.HasPrefix(p.rest, "(") {
		return nil, p.fail("a list in parentheses")
	}
	p.rest = p.rest[1:]
	out := []string{}
	for len(out) <= mostValues {
		p.space()
		text, err := p.quoted()
		if err != nil {
			return nil, err
		}
		out = append(out, text)
		p.space()
		switch {
		case strings.HasPrefix(p.rest, ")"):
			p.rest = p.rest[1:]
			return out, nil
		case strings.HasPrefix(p.rest, ","):
			p.rest = p.rest[1:]
		default:
			return nil, p.fail("a comma or )")
		}
	}
	return nil, lastro.Errorf(lastro.EInvalid, "a list of the filter has more than %d values", mostValues)
}
