// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

// words are the names that one kind of search knows, and what may be asked
// about them.
type words struct {
	what       string
	entities   map[string]track.Field
	attributes map[string]searchWord
	orders     []string // attributes that it can be ordered by, as written
	orderBy    []track.Field
	operators  map[track.Field][]string // of everything but attributes
}

// searchWord is an attribute.
type searchWord struct {
	name      string // as the store knows it
	operators []string
	// number: compared with a number; whole: without a fraction; both: also in quotation marks.
	number, whole, both bool
}

var (
	compareNumbers = []string{"=", "!=", "<", "<=", ">", ">="}
	compareText    = []string{"=", "!=", "LIKE", "ILIKE"}
	compareLists   = []string{"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"}
	compareKeys    = []string{"=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"}
)

// plain are words that the store knows under the same name.
func plain(operators []string, names ...string) map[string]searchWord {
	out := map[string]searchWord{}
	for _, name := range names {
		out[name] = searchWord{name: name, operators: operators}
	}
	return out
}

func join(maps ...map[string]searchWord) map[string]searchWord {
	out := map[string]searchWord{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// numbers are words for one number.
func numbers(w searchWord, names ...string) map[string]searchWord {
	w.operators, w.number = compareNumbers, true
	out := map[string]searchWord{}
	for _, name := range names {
		out[name] = w
	}
	return out
}

var allEntities = map[string]track.Field{
	"metric": track.MetricField, "metrics": track.MetricField,
	"param": track.ParamField, "params": track.ParamField, "parameter": track.ParamField, "parameters": track.ParamField,
	"tag": track.TagField, "tags": track.TagField,
	"attribute": track.Attribute, "attributes": track.Attribute, "attr": track.Attribute, "run": track.Attribute, "": track.Attribute,
	"dataset": track.Dataset, "datasets": track.Dataset,
}

var tagEntities = map[string]track.Field{"tag": track.TagField, "tags": track.TagField,
	"attribute": track.Attribute, "attributes": track.Attribute, "attr": track.Attribute, "": track.Attribute}

var runWords = words{
	what: "runs", entities: allEntities,
	attributes: join(plain(compareLists, "run_id"), plain(compareText, "run_name", "status", "user_id", "artifact_uri"),
		map[string]searchWord{"run name": {name: "run_name", operators: compareText}, "Run name": {name: "run_name", operators: compareText}, "Run Name": {name: "run_name", operators: compareText}},
		numbers(searchWord{name: "start_time"}, "start_time", "created", "Created"), numbers(searchWord{name: "end_time"}, "end_time")),
	orders:  []string{"run_id", "run_name", "status", "user_id", "artifact_uri", "start_time", "created", "Created", "end_time"},
	orderBy: []track.Field{track.Attribute, track.MetricField, track.ParamField, track.TagField},
	operators: map[track.Field][]string{track.MetricField: compareNumbers, track.ParamField: compareKeys, track.TagField: compareKeys,
		track.Dataset: compareLists},
}

var experimentWords = words{
	what: "experiments", entities: tagEntities,
	attributes: join(plain(compareText, "name"), map[string]searchWord{"experiment_id": {name: "experiment_id", operators: []string{"=", "!=", "IN", "NOT IN"}, whole: true}},
		numbers(searchWord{name: "creation_time", whole: true}, "creation_time"), numbers(searchWord{name: "last_update_time", whole: true}, "last_update_time")),
	orders:    []string{"name", "experiment_id", "creation_time", "last_update_time"},
	orderBy:   []track.Field{track.Attribute},
	operators: map[track.Field][]string{track.TagField: compareKeys},
}

var loggedModelWords = words{
	what: "logged models",
	entities: map[string]track.Field{"metrics": track.MetricField, "params": track.ParamField, "tags": track.TagField,
		"attributes": track.Attribute, "": track.Attribute},
	attributes: join(plain(compareLists, "name", "model_id", "model_type", "status", "source_run_id", "experiment_id"),
		map[string]searchWord{"model_name": {name: "name", operators: compareLists}},
		numbers(searchWord{name: "creation_timestamp"}, "creation_timestamp", "creation_time", "creation_timestamp_ms"),
		numbers(searchWord{name: "last_updated_timestamp"}, "last_updated_timestamp", "last_updated_timestamp_ms")),
	orders: []string{"name", "model_name", "model_id", "model_type", "status", "source_run_id", "experiment_id", "creation_timestamp", "creation_time", "creation_timestamp_ms",
		"last_updated_timestamp", "last_updated_timestamp_ms"},
	orderBy:   []track.Field{track.Attribute, track.MetricField},
	operators: map[track.Field][]string{track.MetricField: compareNumbers, track.ParamField: compareLists, track.TagField: compareLists},
}

var modelWords = words{
	what: "registered models", entities: tagEntities,
	attributes: join(plain(compareLists, "name"), map[string]searchWord{"last_updated_timestamp": {name: "last_updated_timestamp"}, "timestamp": {name: "last_updated_timestamp"}}),
	orders:     []string{"name", "last_updated_timestamp", "timestamp"},
	orderBy:    []track.Field{track.Attribute},
	operators:  map[track.Field][]string{track.TagField: compareText},
}

var versionWords = words{
	what: "model versions", entities: tagEntities,
	attributes: join(plain(compareLists, "name", "run_id"), plain(compareText, "source_path"),
		numbers(searchWord{name: "version_number", whole: true, both: true}, "version_number"), plain(nil, "creation_timestamp", "last_updated_timestamp")),
	orders:    []string{"name", "version_number", "creation_timestamp", "last_updated_timestamp"},
	orderBy:   []track.Field{track.Attribute},
	operators: map[track.Field][]string{track.TagField: compareText},
}

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
		o, err := w.order(text)
		if err != nil {
			return q, err
		}
		if slices.ContainsFunc(q.Order, func(have track.Order) bool { return have.Field == o.Field && have.Key == o.Key }) {
			return q, &lastro.Error{Code: lastro.EInvalid, ID: "L0705", Msg: fmt.Sprintf("order_by names %q twice", o.Key), Hint: "name each field once"}
		}
		q.Order = append(q.Order, o)
	}
	return q, nil
}

// resolve says what a name of a filter or an order means.
func (w words) resolve(entity, key string) (track.Field, searchWord, error) {
	field, ok := w.entities[entity]
	if !ok {
		return "", searchWord{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0705", Msg: fmt.Sprintf("a search of %s knows no %q", w.what, entity),
			Hint: "use " + strings.Join(lengthen(w.entities), ", ")}
	}
	if field == track.Dataset && !slices.Contains([]string{"name", "digest", "context"}, key) {
		return "", searchWord{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0705", Msg: fmt.Sprintf("datasets have no %q", key), Hint: "use dataset.name, dataset.digest or dataset.context"}
	}
	if field != track.Attribute {
		return field, searchWord{name: key, operators: w.operators[field], number: field == track.MetricField}, nil
	}
	known, ok := w.attributes[key]
	if !ok {
		var names []string
		for name := range w.attributes {
			names = append(names, name)
		}
		slices.Sort(names)
		return "", searchWord{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0705", Msg: fmt.Sprintf("%s have no attribute %q", w.what, key), Hint: "use " + strings.Join(names, ", ")}
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
	field, known, err := w.resolve(c.entity, c.key)
	clause := track.Clause{Field: field, Key: known.name, Op: track.Op(c.op), Text: c.text, Number: c.number, IsNumber: c.isNumber, Values: c.values}
	if err != nil {
		return clause, err
	}
	bad := &lastro.Error{Code: lastro.EInvalid, ID: "L0706"}
	switch {
	case !slices.Contains(known.operators, c.op):
		bad.Msg = fmt.Sprintf("%s %q of %s cannot be compared by %s", field, c.key, w.what, c.op)
		bad.Hint = "use " + strings.Join(known.operators, ", ")
		return clause, bad
	case c.values != nil || c.op == "IS NULL" || c.op == "IS NOT NULL":
	case known.number && !c.isNumber && known.both:
		n, err := strconv.ParseInt(c.text, 10, 64)
		if err != nil {
			bad.Msg = fmt.Sprintf("%s %q is compared with a number, not with %q", field, c.key, c.text)
			return clause, bad
		}
		clause.Number, clause.IsNumber = float64(n), true
	case known.number && !c.isNumber:
		bad.Msg, bad.Hint = fmt.Sprintf("%s %q is compared with a number, not with %q", field, c.key, c.text), "leave out the quotation marks"
		return clause, bad
	case known.number && known.whole && strings.ContainsAny(c.text, ".eE"):
		bad.Msg = fmt.Sprintf("%s %q is compared with a whole number, not with %s", field, c.key, c.text)
		return clause, bad
	case !known.number && c.isNumber:
		bad.Msg, bad.Hint = fmt.Sprintf("%s %q is compared with a string", field, c.key), "put "+c.text+" in quotation marks: '"+c.text+"'"
		return clause, bad
	}
	if known.whole && !known.number && slices.ContainsFunc(append([]string{c.text}, c.values...), func(v string) bool { return v != "" && !isDigits(v) }) {
		bad.Msg = fmt.Sprintf("%s is a number in quotation marks, not %q", c.key, append(c.values, c.text)[0])
		return clause, bad
	}
	return clause, nil
}

func isDigits(text string) bool { return strings.Trim(text, "0123456789") == "" }

// order reads "identifier [ASC|DESC]".
func (w words) order(text string) (track.Order, error) {
	var o track.Order
	entity, key, desc, err := parseOrder(text)
	if err != nil {
		return o, err
	}
	field, known, err := w.resolve(entity, key)
	if err == nil && (!slices.Contains(w.orderBy, field) || field == track.Attribute && !slices.Contains(w.orders, key)) {
		err = &lastro.Error{Code: lastro.EInvalid, ID: "L0707", Msg: fmt.Sprintf("%s cannot be ordered by %q", w.what, text), Hint: "use " + strings.Join(w.orders, ", ")}
	}
	return track.Order{Field: field, Key: known.name, Desc: desc}, err
}

// parseOrder reads "identifier [ASC|DESC]".
func parseOrder(text string) (entity, key string, desc bool, err error) {
	bad := &lastro.Error{Code: lastro.EInvalid, ID: "L0707", Msg: fmt.Sprintf("the order %.200q is not understood", text), Hint: "write a name, then ASC or DESC"}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", "", false, bad
	}
	p := &filterParser{rest: strings.TrimSpace(text), whole: text}
	if entity, key, err = p.identifier(); err != nil {
		return "", "", false, bad
	}
	p.space()
	if desc = p.keyword("DESC"); !desc {
		p.keyword("ASC")
	}
	if p.rest != "" {
		return "", "", false, bad
	}
	return entity, key, desc, nil
}

// promptTag marks the models that MLflow keeps prompts in. A search of models
// that does not ask for them leaves them out, as MLflow's does: those without
// the tag are meant, too.
const promptTag = "mlflow.prompt.is_prompt"

// registryQuery reads the filter and order of a search of models or versions.
func (w words) registryQuery(filter string, orders []string) (registry.Query, error) {
	var q registry.Query
	asked, err := w.query(filter, orders)
	if err != nil {
		return q, err
	}
	prompts := w.what != modelWords.what
	for _, c := range asked.Where {
		key := c.Key
		if c.Field == track.TagField {
			if key == promptTag && w.what == modelWords.what {
				if prompts = c.Op == track.Eq && c.Text == "true"; !prompts {
					continue
				}
			}
			key = "tags." + key
		}
		text := c.Text
		if c.IsNumber {
			text = strconv.FormatFloat(c.Number, 'f', -1, 64)
		}
		q.Where = append(q.Where, registry.Clause{Key: key, Op: string(c.Op), Text: text, Values: c.Values})
	}
	if !prompts {
		q.Where = append(q.Where, registry.Clause{Key: "tags." + promptTag, Op: "LACKS", Text: "true"})
	}
	for _, o := range asked.Order {
		q.Order = append(q.Order, registry.Order{Key: o.Key, Desc: o.Desc})
	}
	return q, nil
}
