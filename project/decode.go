// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"

	"lastro"
)

// field is what the tags of a struct field say about a key.
type field struct {
	name     string   // yaml
	doc      string   // doc: one line
	enum     []string // enum: the values that may stand here
	later    []string // later: of those, the ones that are known but not supported yet
	pattern  string   // pattern: a name of patterns
	required bool     // req
	notYet   bool     // later:"*": the whole key
	types    []string // types: of an Any, for the schema
	min, max string   // of a number
	dflt     string   // default: what holds when the key is not there, as YAML
	implied  string   // implied: the same in words, where no value says it
	form     string   // form: scalar, list or map: what the struct is when it is not an object of keys
}

var fields sync.Map // type -> []field

// fieldsOf are the fields of a struct, in order; read once, because tags are
// slow to read.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fields.Load(t); ok {
		return known.([]field)
	}
	out := make([]field, t.NumField())
	for i := range out {
		out[i] = fieldOf(t.Field(i))
	}
	fields.Store(t, out)
	return out
}

func fieldOf(f reflect.StructField) field {
	out := field{
		name: f.Tag.Get("yaml"), doc: f.Tag.Get("doc"), pattern: f.Tag.Get("pattern"),
		required: f.Tag.Get("req") == "true", form: f.Tag.Get("form"), min: f.Tag.Get("min"), max: f.Tag.Get("max"),
		dflt: f.Tag.Get("default"), implied: f.Tag.Get("implied"),
	}
	split := func(key string) []string {
		if s := f.Tag.Get(key); s != "" {
			return strings.Split(s, "|")
		}
		return nil
	}
	out.enum, out.later, out.types = split("enum"), split("later"), split("types")
	if len(out.later) == 1 && out.later[0] == "*" {
		out.notYet, out.later = true, nil
	}
	return out
}

// has reports whether the field stands for this form.
func (f field) has(form string) bool {
	return f.form == form || strings.Contains(f.form, "|") && slices.Contains(strings.Split(f.form, "|"), form)
}

// spelled names the form for a person.
func (f field) spelled(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Bool]():
		return "true or false"
	case f.has("list"):
		return "a list"
	case f.has("map"):
		return "an object"
	}
	return "text"
}

// pattern is a form that text must have.
type pattern struct {
	re   *regexp.Regexp
	what string // "a duration such as 30s"
}

var patterns = map[string]pattern{
	"name":     {regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`), "a name has lower-case letters, digits and hyphens, begins with a letter and has at most 63 characters"},
	"ident":    {regexp.MustCompile(`^[a-z][a-z0-9_-]*$`), "a name has lower-case letters, digits, _ and -, and begins with a letter"},
	"duration": {regexp.MustCompile(`^\d+(ms|s|m|h|d)$`), "a duration is a whole number and ms, s, m, h or d: 200ms, 30s, 15m, 12h, 7d"},
	"percent":  {regexp.MustCompile(`^\d+(\.\d+)?%$`), "a share is a number and %: 5%"},
	"exit":     {regexp.MustCompile(`^(lost|oom|timeout|exit:([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]))$`), "lost, oom, timeout or exit:CODE with a status of 1 to 255"},
}

// decoder turns the tree of the file into the types of file.go and reports what
// does not fit.
type decoder struct {
	*source
	depth int
}

// maxDepth bounds the nesting of a file; nobody writes that much by hand.
const maxDepth = 64

// value decodes n into v, which is addressable.
func (d *decoder) value(v reflect.Value, n ast.Node, f field) {
	if d.depth++; d.depth > maxDepth {
		d.report(d.pos(n.GetToken()), "L0105", "the file is nested too deeply", "")
		d.depth--
		return
	}
	defer func() { d.depth-- }()
	n = rejoin(n)
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.unsupported(d.pos(n.GetToken()), "YAML's "+map[bool]string{true: "tag", false: "anchor or alias"}[isTag(n)], "write the value out")
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if own, ok := v.Addr().Interface().(interface {
		decode(*decoder, ast.Node, field)
	}); ok {
		own.decode(d, n, f)
		return
	}
	d.object(v, n, f)
}

func isTag(n ast.Node) bool { _, ok := n.(*ast.TagNode); return ok }

// object decodes n into a struct: keys, or one of the forms that stand for them.
func (d *decoder) object(v reflect.Value, n ast.Node, f field) {
	if at := v.FieldByName("At"); at.IsValid() {
		at.Set(reflect.ValueOf(d.pos(n.GetToken())))
	}
	form := "map"
	if _, _, ok := scalar(n); ok {
		form = "scalar"
	} else if _, ok := n.(*ast.SequenceNode); ok {
		form = "list"
	} else if _, ok := n.(*ast.NullNode); ok {
		form = "null"
	}
	var keys []string
	var forms []string
	t := v.Type()
	for i, sf := range fieldsOf(t) {
		if sf.has(form) {
			if sf.notYet {
				d.unsupported(d.pos(n.GetToken()), fmt.Sprintf("%s for %q", sf.doc, f.name), "")
			}
			sf.name = f.name
			d.value(v.Field(i), n, sf)
			return
		}
		if sf.form != "" {
			forms = append(forms, sf.spelled(t.Field(i).Type))
		} else if sf.name != "" {
			keys = append(keys, sf.name)
		}
	}
	if len(keys) > 0 {
		forms = append(forms, "an object")
	}
	pairs, ok := members(n)
	if !ok || len(keys) == 0 {
		d.report(d.pos(n.GetToken()), "L0105", fmt.Sprintf("%s wants %s, not %s", quoteKey(f.name), strings.Join(forms, " or "), kindOf(n)), hintKeys(keys))
		return
	}
	d.keys(v, n, pairs, keys, f)
}

func hintKeys(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return "it has " + strings.Join(keys, ", ")
}

func quoteKey(name string) string {
	if name == "" {
		return "the file"
	}
	return strconv.Quote(name)
}

// keys decodes the pairs of an object into the fields of a struct.
func (d *decoder) keys(v reflect.Value, n ast.Node, pairs []*ast.MappingValueNode, keys []string, f field) {
	seen := map[string]lastro.Pos{}
	t := v.Type()
	for _, pair := range pairs {
		key, ok := d.key(pair, seen)
		if !ok {
			continue
		}
		if !slices.Contains(keys, key.Value) {
			hint := hintKeys(keys)
			if near := lastro.Nearest(key.Value, keys); near != "" {
				hint = fmt.Sprintf("did you mean `%s`?", near)
			}
			d.report(key.At, "L0104", fmt.Sprintf("unknown key %q", key.Value), hint)
			continue
		}
		for i, sf := range fieldsOf(t) {
			if sf.name != key.Value || sf.form != "" {
				continue
			}
			if sf.notYet {
				d.unsupported(key.At, fmt.Sprintf("key %q", key.Value), supportedKeys(t))
				break
			}
			d.value(v.Field(i), pair.Value, sf)
		}
	}
	at := d.pos(n.GetToken())
	if len(pairs) > 0 {
		at = d.pos(pairs[0].Key.GetToken())
	}
	if f.name == "" {
		at = lastro.Pos{File: d.file, Line: 1, Col: 1}
	}
	for _, sf := range fieldsOf(t) {
		if sf.required && seen[sf.name].Line == 0 {
			d.report(at, "L0103", fmt.Sprintf("%s needs the key %q", quoteKey(f.name), sf.name), sf.doc)
		}
	}
}

func supportedKeys(t reflect.Type) string {
	var names []string
	for _, sf := range fieldsOf(t) {
		if sf.name != "" && sf.form == "" && !sf.notYet {
			names = append(names, sf.name)
		}
	}
	return "remove it; this lastro knows " + strings.Join(names, ", ")
}

// key reads a pair's key and reports one that was there before.
func (d *decoder) key(pair *ast.MappingValueNode, seen map[string]lastro.Pos) (Text, bool) {
	if _, ok := pair.Key.(*ast.MergeKeyNode); ok {
		d.unsupported(d.pos(pair.Key.GetToken()), "YAML's merge key <<", "write the keys out")
		return Text{}, false
	}
	value, style, ok := scalar(pair.Key)
	at := d.pos(pair.Key.GetToken())
	if !ok {
		d.report(at, "L0105", "a key must be text", "")
		return Text{}, false
	}
	if before, twice := seen[value]; twice {
		d.report(at, "L0107", fmt.Sprintf("key %q is given twice", value), fmt.Sprintf("the first is in line %d; keep one", before.Line))
		return Text{}, false
	}
	seen[value] = at
	return Text{Value: value, At: at, src: d.source, style: style}, true
}

func (d *decoder) wants(n ast.Node, f field, what string) {
	d.report(d.pos(n.GetToken()), "L0105", fmt.Sprintf("%s wants %s, not %s", quoteKey(f.name), what, kindOf(n)), "")
}

func (t *Text) decode(d *decoder, n ast.Node, f field) {
	value, style, ok := scalar(n)
	if !ok {
		d.wants(n, f, "text")
		return
	}
	*t = Text{Value: value, At: d.pos(n.GetToken()), src: d.source, style: style}
	if lit, ok := n.(*ast.LiteralNode); ok {
		t.At = d.pos(lit.Start)
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, value) {
		hint := "one of " + strings.Join(f.enum, ", ")
		if near := lastro.Nearest(value, f.enum); near != "" {
			hint = fmt.Sprintf("did you mean `%s`?", near)
		}
		d.report(t.At, "L0106", fmt.Sprintf("%s cannot be %q", quoteKey(f.name), value), hint)
		return
	}
	if slices.Contains(f.later, value) {
		d.unsupported(t.At, fmt.Sprintf("%q for %s", value, quoteKey(f.name)), "")
		return
	}
	if p, ok := patterns[f.pattern]; ok && !p.re.MatchString(value) {
		d.report(t.At, "L0106", fmt.Sprintf("%s cannot be %q", quoteKey(f.name), value), p.what)
	}
}

func (i *Int) decode(d *decoder, n ast.Node, f field) {
	value, _, _ := scalar(n)
	number, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
	if _, ok := n.(*ast.IntegerNode); !ok || err != nil {
		d.wants(n, f, "a whole number")
		return
	}
	*i = Int{Value: number, At: d.pos(n.GetToken())}
	d.bounds(float64(number), i.At, f)
}

func (d *decoder) bounds(v float64, at lastro.Pos, f field) {
	if low, err := strconv.ParseFloat(f.min, 64); err == nil && v < low {
		d.report(at, "L0106", fmt.Sprintf("%s cannot be %v", quoteKey(f.name), v), "at least "+f.min)
	}
	if high, err := strconv.ParseFloat(f.max, 64); err == nil && v > high {
		d.report(at, "L0106", fmt.Sprintf("%s cannot be %v", quoteKey(f.name), v), "at most "+f.max)
	}
}

func (x *Float) decode(d *decoder, n ast.Node, f field) {
	v, ok := plain(n).(float64)
	if i, isInt := plain(n).(int64); isInt {
		v, ok = float64(i), true
	}
	if !ok {
		d.wants(n, f, "a number")
		return
	}
	*x = Float{Value: v, At: d.pos(n.GetToken())}
	d.bounds(v, x.At, f)
}

func (b *Bool) decode(d *decoder, n ast.Node, f field) {
	if _, null := n.(*ast.NullNode); null && f.has("null") { // a key with nothing behind it
		*b = Bool{Value: true, At: d.pos(n.GetToken())}
		return
	}
	node, ok := n.(*ast.BoolNode)
	if !ok {
		d.wants(n, f, "true or false")
		return
	}
	*b = Bool{Value: node.Value, At: d.pos(n.GetToken())}
}

func (l *List[T]) decode(d *decoder, n ast.Node, f field) {
	seq, ok := n.(*ast.SequenceNode)
	l.At = d.pos(n.GetToken())
	if !ok {
		d.wants(n, f, "a list")
		return
	}
	f.required = false
	for _, item := range seq.Values {
		var v T
		value := reflect.ValueOf(&v).Elem()
		d.value(value, item, f)
		// What could be read at all goes on, so that all its problems are found.
		if at := value.FieldByName("At"); !at.IsValid() || at.Interface().(lastro.Pos).Line > 0 {
			l.Items = append(l.Items, v)
		}
	}
}

func (l *OneOrMany) decode(d *decoder, n ast.Node, f field) {
	var list List[Text]
	if _, _, ok := scalar(n); ok {
		var t Text
		t.decode(d, n, f)
		l.Items, l.At = []Text{t}, t.At
		return
	}
	if _, ok := n.(*ast.SequenceNode); !ok {
		d.wants(n, f, "text or a list of texts")
		return
	}
	list.decode(d, n, f)
	l.Items, l.At = list.Items, list.At
}

func (m *Map[T]) decode(d *decoder, n ast.Node, f field) {
	pairs, ok := members(n)
	m.At = d.pos(n.GetToken())
	if !ok {
		d.wants(n, f, "an object")
		return
	}
	seen := map[string]lastro.Pos{}
	names := patterns[f.pattern]
	for _, pair := range pairs {
		key, ok := d.key(pair, seen)
		if !ok {
			continue
		}
		if names.re != nil && !names.re.MatchString(key.Value) {
			d.report(key.At, "L0106", fmt.Sprintf("%q is no name for this", key.Value), names.what)
		}
		e := Entry[T]{Key: key}
		d.value(reflect.ValueOf(&e.Value).Elem(), pair.Value, field{name: key.Value})
		m.Entries = append(m.Entries, e)
	}
}

func (a *Any) decode(d *decoder, n ast.Node, _ field) {
	a.At = d.pos(n.GetToken())
	a.Value = d.free(n, &a.texts)
	if a.Value == nil && a.At.Line == 0 {
		a.At = lastro.Pos{File: d.file, Line: 1, Col: 1}
	}
}

// free reads a value of free form and collects its strings.
func (d *decoder) free(n ast.Node, texts *[]Text) any {
	d.depth++
	defer func() { d.depth-- }()
	if d.depth > maxDepth {
		d.report(d.pos(n.GetToken()), "L0105", "the file is nested too deeply", "")
		return nil
	}
	n = rejoin(n)
	if pairs, ok := members(n); ok {
		out, seen := map[string]any{}, map[string]lastro.Pos{}
		for _, pair := range pairs {
			if key, ok := d.key(pair, seen); ok {
				out[key.Value] = d.free(pair.Value, texts)
			}
		}
		return out
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		out := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			out = append(out, d.free(item, texts))
		}
		return out
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.unsupported(d.pos(n.GetToken()), "YAML's anchor, alias or tag", "write the value out")
		return nil
	case *ast.InfinityNode, *ast.NanNode:
		d.report(d.pos(n.GetToken()), "L0105", "a number must be finite", "")
		return nil
	}
	v := plain(n)
	if s, ok := v.(string); ok {
		var t Text
		t.decode(d, n, field{})
		*texts = append(*texts, t)
		return s
	}
	return v
}

// plain returns the Go value of a scalar.
func plain(n ast.Node) any {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case uint64:
			if v <= 1<<63-1 {
				return int64(v)
			}
			return v
		case int64:
			return v
		}
	}
	return nil
}
