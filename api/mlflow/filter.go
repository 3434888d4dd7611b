// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

// comparison is one part of a filter, as written: entity "metrics" and key
// "auc", or entity "" and key "name".
type comparison struct {
	entity, key string
	op          string
	text        string
	number      float64
	isNumber    bool
	values      []string
}

// parseFilter reads MLflow's search grammar: comparisons joined by AND, each
// "identifier op value" with = != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL and
// IS NOT NULL. Keys may be quoted by ` or ", strings by ' or ".
// Source: mlflow.org, "Search Runs", syntax.
func parseFilter(filter string) ([]comparison, error) {
	p := &filterParser{rest: filter, whole: filter}
	var out []comparison
	p.space()
	for p.rest != "" {
		c, err := p.comparison()
		if err != nil {
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

type filterParser struct{ rest, whole string }

func (p *filterParser) fail(wanted string) error {
	return &lastro.Error{Code: lastro.EInvalid,
		Msg:  fmt.Sprintf("the filter %.200q is not understood at character %d: %s expected", p.whole, len(p.whole)-len(p.rest)+1, wanted),
		Hint: "write comparisons joined by AND, such as metrics.auc > 0.8 AND params.depth = '3' (OR and parentheses are not possible)"}
}

func (p *filterParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// keyword takes a word, whatever its case, if it comes next and ends there.
func (p *filterParser) keyword(word string) bool {
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) {
		return false
	}
	if len(p.rest) > len(word) && isKeyByte(p.rest[len(word)]) {
		return false
	}
	p.rest = p.rest[len(word):]
	p.space()
	return true
}

func (p *filterParser) comparison() (comparison, error) {
	var c comparison
	var err error
	if c.entity, c.key, err = p.identifier(); err != nil {
		return c, err
	}
	p.space()
	if c.op = p.operator(); c.op == "" {
		return c, p.fail("an operator")
	}
	p.space()
	switch c.op {
	case "IS NULL", "IS NOT NULL":
		return c, nil
	case "IN", "NOT IN":
		c.values, err = p.list()
		return c, err
	}
	return c, p.value(&c)
}

// identifier reads entity.key, or a bare key, either part possibly quoted.
func (p *filterParser) identifier() (entity, key string, err error) {
	first, quoted, err := p.part()
	if err != nil {
		return "", "", err
	}
	if strings.HasPrefix(p.rest, ".") {
		p.rest = p.rest[1:]
		key, _, err = p.part()
		return first, key, err
	}
	if entity, key, found := strings.Cut(first, "."); found && !quoted {
		return entity, key, nil
	}
	return "", first, nil
}

func isKeyByte(b byte) bool {
	return b == '_' || b == '.' || b == '-' || b == '/' || b == ':' || b == '@' || b >= 0x80 ||
		'0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func (p *filterParser) part() (text string, quoted bool, err error) {
	if p.rest != "" && (p.rest[0] == '`' || p.rest[0] == '"') {
		end := strings.IndexByte(p.rest[1:], p.rest[0])
		if end < 1 {
			return "", true, p.fail("a closed quotation")
		}
		text, p.rest = p.rest[1:end+1], p.rest[end+2:]
		return text, true, nil
	}
	n := 0
	for n < len(p.rest) && isKeyByte(p.rest[n]) {
		n++
	}
	text = p.rest[:n]
	// metrics.`a b`: the dot before the quotation is left for the caller.
	if n < len(p.rest) && strings.HasSuffix(text, ".") && (p.rest[n] == '`' || p.rest[n] == '"') {
		n--
		text = text[:n]
	}
	if n == 0 {
		return "", false, p.fail("a name")
	}
	p.rest = p.rest[n:]
	return text, false, nil
}

func (p *filterParser) operator() string {
	for _, op := range []string{"!=", "<>", "<=", ">=", "=", "<", ">"} {
		if rest, ok := strings.CutPrefix(p.rest, op); ok {
			p.rest = rest
			if op == "<>" {
				return "!="
			}
			return op
		}
	}
	switch {
	case p.keyword("LIKE"):
		return "LIKE"
	case p.keyword("ILIKE"):
		return "ILIKE"
	case p.keyword("IN"):
		return "IN"
	case p.keyword("NOT"):
		if p.keyword("IN") {
			return "NOT IN"
		}
	case p.keyword("IS"):
		not := p.keyword("NOT")
		if p.keyword("NULL") {
			return map[bool]string{false: "IS NULL", true: "IS NOT NULL"}[not]
		}
	}
	return ""
}

func (p *filterParser) value(c *comparison) (err error) {
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		c.text, err = p.quoted()
		return err
	}
	n := 0
	for n < len(p.rest) && (isKeyByte(p.rest[n]) || p.rest[n] == '+') {
		n++
	}
	number, err := strconv.ParseFloat(p.rest[:n], 64)
	if err != nil {
		return p.fail("a number, or a value in quotation marks,")
	}
	c.number, c.isNumber, c.text = number, true, p.rest[:n]
	p.rest = p.rest[n:]
	return nil
}

// quoted reads a string; its quotation mark is written twice inside it.
func (p *filterParser) quoted() (string, error) {
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
			return b.String(), nil
		}
	}
	return "", p.fail("a closed quotation")
}

func (p *filterParser) list() ([]string, error) {
	if !strings.HasPrefix(p.rest, "(") {
		return nil, p.fail("a list in parentheses")
	}
	p.rest = p.rest[1:]
	out := []string{}
	for {
		p.space()
		if rest, ok := strings.CutPrefix(p.rest, ")"); ok && len(out) > 0 {
			p.rest = rest
			return out, nil
		}
		var c comparison
		if err := p.value(&c); err != nil {
			return nil, err
		}
		out = append(out, c.text)
		p.space()
		if rest, ok := strings.CutPrefix(p.rest, ","); ok {
			p.rest = rest
		} else if !strings.HasPrefix(p.rest, ")") {
			return nil, p.fail("a comma or )")
		}
	}
}

// words are the names that one kind of search knows.
type words struct {
	what       string
	entities   map[string]track.Field
	attributes map[string]string // as written -> as track knows it
	numeric    map[string]bool   // attributes that are numbers
}

var allEntities = map[string]track.Field{
	"metric": track.MetricField, "metrics": track.MetricField,
	"param": track.ParamField, "params": track.ParamField, "parameter": track.ParamField, "parameters": track.ParamField,
	"tag": track.TagField, "tags": track.TagField,
	"attribute": track.Attribute, "attributes": track.Attribute, "attr": track.Attribute, "run": track.Attribute, "": track.Attribute,
	"dataset": track.Dataset, "datasets": track.Dataset,
}

var runWords = words{"runs", allEntities, map[string]string{
	"run_id": "run_id", "run_name": "run_name", "run name": "run_name", "Run name": "run_name", "Run Name": "run_name", "status": "status",
	"user_id": "user_id", "artifact_uri": "artifact_uri", "experiment_id": "experiment_id",
	"start_time": "start_time", "created": "start_time", "Created": "start_time", "end_time": "end_time",
}, map[string]bool{"start_time": true, "end_time": true}}

var experimentWords = words{"experiments", map[string]track.Field{"tag": track.TagField, "tags": track.TagField,
	"attribute": track.Attribute, "attributes": track.Attribute, "attr": track.Attribute, "": track.Attribute}, map[string]string{
	"name": "name", "experiment_id": "experiment_id", "creation_time": "creation_time", "last_update_time": "last_update_time",
}, map[string]bool{"creation_time": true, "last_update_time": true}}

var loggedModelWords = words{"logged models", map[string]track.Field{
	"metrics": track.MetricField, "params": track.ParamField, "tags": track.TagField, "attributes": track.Attribute, "": track.Attribute}, map[string]string{
	"name": "name", "model_name": "name", "model_id": "model_id", "model_type": "model_type", "status": "status", "source_run_id": "source_run_id",
	"experiment_id":      "experiment_id",
	"creation_timestamp": "creation_timestamp", "creation_time": "creation_timestamp", "creation_timestamp_ms": "creation_timestamp",
	"last_updated_timestamp": "last_updated_timestamp", "last_updated_timestamp_ms": "last_updated_timestamp",
}, map[string]bool{"creation_timestamp": true, "last_updated_timestamp": true}}

// query reads a filter and orders such as "metrics.auc DESC".
func (w words) query(filter string, orders []string) (track.Query, error) {
	var q track.Query
	comparisons, err := parseFilter(filter)
	if err != nil {
		return q, err
	}
	for _, c := range comparisons {
		clause, err := w.clause(c)
		if err != nil {
			return q, err
		}
		q.Where = append(q.Where, clause)
	}
	for _, text := range orders {
		entity, key, desc, err := parseOrder(text)
		if err != nil {
			return q, err
		}
		field, key, err := w.resolve(entity, key)
		if err != nil {
			return q, err
		}
		q.Order = append(q.Order, track.Order{Field: field, Key: key, Desc: desc})
	}
	return q, nil
}

func (w words) resolve(entity, key string) (track.Field, string, error) {
	field, ok := w.entities[entity]
	if !ok {
		return "", "", &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a search of %s knows no %q", w.what, entity),
			Hint: "use " + strings.Join(lengthen(w.entities), ", ")}
	}
	if field != track.Attribute {
		return field, key, nil
	}
	known, ok := w.attributes[key]
	if !ok {
		return "", "", lastro.Errorf(lastro.EInvalid, "%s have no attribute %q", w.what, key)
	}
	return field, known, nil
}

// lengthen lists the long spellings of the entities, for hints.
func lengthen(entities map[string]track.Field) []string {
	var out []string
	for _, name := range []string{"metrics", "params", "tags", "attributes", "datasets"} {
		if _, ok := entities[name]; ok {
			out = append(out, name)
		}
	}
	return out
}

func (w words) clause(c comparison) (track.Clause, error) {
	field, key, err := w.resolve(c.entity, c.key)
	clause := track.Clause{Field: field, Key: key, Op: track.Op(c.op), Text: c.text, Number: c.number, IsNumber: c.isNumber, Values: c.values}
	if err != nil {
		return clause, err
	}
	wantsNumber := field == track.MetricField || field == track.Attribute && w.numeric[key]
	hasValue := c.values == nil && c.op != "IS NULL" && c.op != "IS NOT NULL"
	if hasValue && wantsNumber && !c.isNumber {
		return clause, lastro.Errorf(lastro.EInvalid, "%s %q is compared with a number, not with %q", field, key, c.text)
	}
	if hasValue && !wantsNumber && c.isNumber {
		return clause, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%s %q is compared with a string", field, key), Hint: "put " + c.text + " in quotation marks"}
	}
	return clause, nil
}

// parseOrder reads "identifier [ASC|DESC]".
func parseOrder(text string) (entity, key string, desc bool, err error) {
	p := &filterParser{rest: strings.TrimSpace(text), whole: text}
	if entity, key, err = p.identifier(); err != nil {
		return
	}
	p.space()
	if desc = p.keyword("DESC"); !desc {
		p.keyword("ASC")
	}
	if p.rest != "" {
		err = &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("the order %.200q is not understood", text), Hint: "write a name, then ASC or DESC"}
	}
	return
}

// promptTag marks the models that MLflow keeps prompts in. Its clients add
// "is not 'true'" to every search of models, and mean those without the tag too.
const promptTag = "mlflow.prompt.is_prompt"

// registryQuery reads the filter and order of a search of models or versions;
// keys are the names that it may use beside tags.
func registryQuery(filter string, orders []string, keys ...string) (registry.Query, error) {
	var q registry.Query
	comparisons, err := parseFilter(filter)
	if err != nil {
		return q, err
	}
	for _, c := range comparisons {
		key := c.key
		switch c.entity {
		case "tags", "tag":
			if key == promptTag && (c.op == "!=" && c.text == "true" || c.op == "=" && c.text == "false") {
				c.op, c.text = "LACKS", "true"
			}
			key = "tags." + key
		case "", "attribute", "attributes":
			if !slices.Contains(keys, key) {
				return q, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("this search knows no %q", key), Hint: "use " + strings.Join(keys, ", ") + " or tags"}
			}
		default:
			return q, lastro.Errorf(lastro.EInvalid, "this search knows no %q", c.entity)
		}
		q.Where = append(q.Where, registry.Clause{Key: key, Op: c.op, Text: c.text, Values: c.values})
	}
	for _, text := range orders {
		_, key, desc, err := parseOrder(text)
		if err != nil {
			return q, err
		}
		if key == "timestamp" {
			key = "last_updated_timestamp"
		}
		q.Order = append(q.Order, registry.Order{Key: key, Desc: desc})
	}
	return q, nil
}
