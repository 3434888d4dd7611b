// SPDX-License-Identifier: Apache-2.0

package project

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// Expanded returns the pipeline file of a project with every default that it
// implies written out, and what no key can say as a comment. It loads to the
// same plan.
func Expanded(p *Project) []byte {
	w := &yamlWriter{}
	w.object(reflect.ValueOf(p.file).Elem(), 0)
	return []byte(w.out.String())
}

// yamlWriter writes the types of file.go as YAML: keys in the order of the
// types, short forms in full.
type yamlWriter struct{ out strings.Builder }

func (w *yamlWriter) line(depth int, text string) {
	w.out.WriteString(strings.Repeat("  ", depth) + text + "\n")
}

// object writes the keys of a struct: those that were given, and the defaults
// of the others.
func (w *yamlWriter) object(v reflect.Value, depth int) {
	for i, f := range fieldsOf(v.Type()) {
		if f.name == "" || f.form != "" {
			continue
		}
		switch value := v.Field(i); {
		case given(value):
			w.key(f.name, value, depth)
		case f.notYet:
		case strings.Contains(f.dflt, ": "): // one key of an object
			w.line(depth, f.name+":")
			w.line(depth+1, f.dflt)
		case f.dflt != "":
			w.line(depth, f.name+": "+f.dflt)
		case f.implied != "":
			w.line(depth, "# "+f.name+": "+f.implied)
		}
	}
}

// given reports whether a value was in the file.
func given(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer {
		return !v.IsNil()
	}
	if at := v.FieldByName("At"); at.IsValid() {
		return at.Interface().(lastro.Pos).Line > 0
	}
	for i := range v.NumField() { // a struct of forms
		if v.Type().Field(i).IsExported() && given(v.Field(i)) {
			return true
		}
	}
	return false
}

// key writes one key with its value.
func (w *yamlWriter) key(name string, v reflect.Value, depth int) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if text, ok := inlineValue(v); ok {
		w.line(depth, name+": "+text)
		return
	}
	if c, ok := v.Interface().(Command); ok {
		v = reflect.ValueOf(c.Shell)
	}
	if t, ok := v.Interface().(Text); ok {
		w.line(depth, name+": |"+chomping(t.Value))
		for _, l := range strings.Split(strings.TrimRight(t.Value, "\n"), "\n") {
			w.line(depth+1, l)
		}
		return
	}
	w.line(depth, name+":")
	w.value(v, depth+1)
}

// value writes what stands below a key.
func (w *yamlWriter) value(v reflect.Value, depth int) {
	switch m, isMatrix := v.Interface().(MatrixNode); {
	case isMatrix:
		w.matrix(m, depth)
	case strings.HasPrefix(v.Type().Name(), "Map["):
		entries := v.FieldByName("Entries")
		for i := range entries.Len() {
			e := entries.Index(i)
			w.key(textOf(e.FieldByName("Key").Interface().(Text)), w.full(e.FieldByName("Value")), depth)
		}
	case strings.HasPrefix(v.Type().Name(), "List["):
		items := v.FieldByName("Items")
		for i := range items.Len() {
			w.item(w.full(items.Index(i)), depth)
		}
	default:
		w.object(w.full(v), depth)
	}
}

// item writes one entry of a list.
func (w *yamlWriter) item(v reflect.Value, depth int) {
	if text, ok := inlineValue(v); ok {
		w.line(depth, "- "+text)
		return
	}
	inner := &yamlWriter{}
	inner.value(v, 0)
	for i, l := range strings.Split(strings.TrimRight(inner.out.String(), "\n"), "\n") {
		w.line(depth, map[bool]string{true: "- ", false: "  "}[i == 0]+l)
	}
}

// full writes a short form in full: the key that it stands for.
func (w *yamlWriter) full(v reflect.Value) reflect.Value {
	switch n := v.Interface().(type) {
	case DatasetNode:
		if n.Short.Given() {
			n.Source, n.Short = n.Short, Text{}
		}
		return reflect.ValueOf(n)
	case PythonNode:
		if n.Short.Given() {
			n.Version, n.Short = n.Short, Text{}
		}
		return reflect.ValueOf(n)
	case RuleNode:
		if n.Short.Given() {
			n.Check, n.Short = n.Short, Text{}
		}
		if !n.Name.Given() {
			n.Name = n.Check
		}
		return reflect.ValueOf(n)
	}
	return v
}

func (w *yamlWriter) matrix(m MatrixNode, depth int) {
	for _, a := range m.Axes {
		w.line(depth, scalarText(a.Key.Value)+": "+listOf(a.Value.Values.Items, func(v Any) string { return anyText(v.Value) }))
	}
	for _, part := range []struct {
		name  string
		cells List[Cell]
	}{{"include", m.Include}, {"exclude", m.Exclude}} {
		if part.cells.At.Line == 0 {
			continue
		}
		w.line(depth, part.name+":")
		for _, c := range part.cells.Items {
			w.line(depth+1, "- {"+strings.Join(mapped(c.Values.Entries, func(e Entry[Any]) string { return scalarText(e.Key.Value) + ": " + anyText(e.Value.Value) }), ", ")+"}")
		}
	}
}

// inlineValue is a value that fits on the line of its key.
func inlineValue(v reflect.Value) (string, bool) {
	switch n := v.Interface().(type) {
	case Text:
		if blockable(n.Value) {
			return "", false
		}
		return scalarText(n.Value), true
	case Int:
		return strconv.Itoa(n.Value), true
	case Float:
		return anyText(n.Value), true
	case Bool:
		return strconv.FormatBool(n.Value), true
	case Any:
		return anyText(n.Value), true
	case OneOrMany:
		return listOf(n.Items, textOf), true
	case List[Text]:
		return listOf(n.Items, textOf), true
	case Command:
		if n.Argv.At.Line > 0 {
			return listOf(n.Argv.Items, textOf), true
		}
		return inlineValue(reflect.ValueOf(n.Shell))
	case CacheNode:
		if n.On.At.Line > 0 {
			return strconv.FormatBool(n.On.Value), true
		}
		return "{max_age: " + n.MaxAge.Value + "}", true
	case Params:
		return anyText(n.Values.Value), true
	case SwitchNode:
		return strconv.FormatBool(n.On.Value), true
	case PushNode:
		return strconv.FormatBool(n.Switch.Value), n.Switch.At.Line > 0
	case PullRequestNode:
		return strconv.FormatBool(n.Switch.Value), n.Switch.At.Line > 0
	case TagNode:
		if n.Switch.At.Line > 0 {
			return strconv.FormatBool(n.Switch.Value), true
		}
		return listOf(n.Names.Items, textOf), true
	case StrategyNode:
		return scalarText(n.Kind.Value), n.Kind.Given()
	case Outputs:
		return "{" + strings.Join(mapped(n.Named.Entries, func(e Entry[Text]) string { return scalarText(e.Key.Value) + ": " + scalarText(e.Value.Value) }), ", ") + "}", true
	case Map[Text]:
		if slices.ContainsFunc(n.Entries, func(e Entry[Text]) bool { return blockable(e.Value.Value) }) {
			return "", false
		}
		return "{" + strings.Join(mapped(n.Entries, func(e Entry[Text]) string { return scalarText(e.Key.Value) + ": " + scalarText(e.Value.Value) }), ", ") + "}", true
	}
	return "", false
}

func textOf(t Text) string { return scalarText(t.Value) }

func mapped[T any](items []T, f func(T) string) []string {
	out := make([]string, len(items))
	for i, v := range items {
		out[i] = f(v)
	}
	return out
}

func listOf[T any](items []T, f func(T) string) string {
	return "[" + strings.Join(mapped(items, f), ", ") + "]"
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./@+=-]*( [A-Za-z0-9_./@+=-]+)*$`)
	notPlain    = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n|\.nan|\.inf|~)$`)
	numberLike  = regexp.MustCompile(`^\.[\d.]`)
)

// scalarText writes a text so that it is read as the same text.
func scalarText(s string) string {
	if s == "." || patterns["duration"].re.MatchString(s) {
		return s
	}
	if plainScalar.MatchString(s) && !notPlain.MatchString(s) && !numberLike.MatchString(s) {
		return s
	}
	return anyText(s)
}

// anyText writes a value of free form as JSON, which YAML reads.
func anyText(v any) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v)) // the decoder gives nothing that JSON cannot hold
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// blockable reports whether a text is better read as a block of lines.
func blockable(s string) bool {
	if !strings.Contains(strings.TrimRight(s, "\n"), "\n") || strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\n") || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for _, l := range strings.Split(s, "\n") {
		if strings.TrimRight(l, " \t") != l || strings.HasPrefix(l, "\t") || strings.ContainsFunc(l, func(r rune) bool {
			return r < ' ' && r != '\t' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\u0085'
		}) {
			return false
		}
	}
	return true
}

// chomping says what ends a block.
func chomping(s string) string {
	if strings.HasSuffix(s, "\n") {
		return ""
	}
	return "-"
}
