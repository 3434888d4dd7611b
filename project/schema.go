// SPDX-License-Identifier: Apache-2.0

package project

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of lastro.yaml, generated
// from the Go types. Keys that this lastro cannot do yet are in it, and say so.
func Schema() []byte {
	g := &schemaWriter{defs: map[string]any{}}
	root := g.of(reflect.TypeFor[File](), field{})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = FileName
	root["$defs"] = g.defs
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(root); err != nil {
		panic("schema of lastro.yaml: " + err.Error()) // the types cannot depend on any input
	}
	return out.Bytes()
}

type schema = map[string]any

type schemaWriter struct{ defs map[string]any }

// of returns the schema of a type that stands under a key.
func (g *schemaWriter) of(t reflect.Type, f field) schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Text]():
		return g.text(f)
	case reflect.TypeFor[Int]():
		return g.bounded(schema{"type": "integer"}, f)
	case reflect.TypeFor[Float]():
		return g.bounded(schema{"type": "number"}, f)
	case reflect.TypeFor[Bool]():
		return schema{"type": "boolean"}
	case reflect.TypeFor[OneOrMany]():
		return schema{"anyOf": []any{g.text(f), schema{"type": "array", "items": g.text(f)}}}
	case reflect.TypeFor[Any]():
		return typed(f.types)
	case reflect.TypeFor[MatrixNode]():
		return matrixSchema()
	}
	name := t.Name()
	switch {
	case strings.HasPrefix(name, "List["):
		return schema{"type": "array", "items": g.of(elem(t, "Items"), f)}
	case strings.HasPrefix(name, "Map["):
		entry := elem(t, "Entries")
		value, _ := entry.FieldByName("Value")
		out := schema{"type": "object", "additionalProperties": g.of(value.Type, field{})}
		if value.Type == reflect.TypeFor[Text]() { // environment variables: numbers and booleans are fine
			out["additionalProperties"] = schema{"type": []string{"string", "number", "boolean"}}
		}
		if p, ok := patterns[f.pattern]; ok {
			out["propertyNames"] = schema{"pattern": p.re.String()}
		}
		return out
	case t == reflect.TypeFor[File]():
		return g.object(t)
	}
	return g.named(t, f)
}

func elem(t reflect.Type, name string) reflect.Type {
	f, _ := t.FieldByName(name)
	return f.Type.Elem()
}

func typed(types []string) schema {
	switch len(types) {
	case 0:
		return schema{}
	case 1:
		return schema{"type": types[0]}
	}
	return schema{"type": types}
}

func (g *schemaWriter) text(f field) schema {
	switch {
	case len(f.enum) > 0:
		return schema{"enum": f.enum}
	case len(f.types) > 0:
		return typed(f.types)
	case patterns[f.pattern].re != nil:
		return schema{"type": "string", "pattern": patterns[f.pattern].re.String()}
	}
	return schema{"type": "string"}
}

func (g *schemaWriter) bounded(s schema, f field) schema {
	for key, value := range map[string]string{"minimum": f.min, "maximum": f.max} {
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			s[key] = v
		}
	}
	return s
}

// named puts a struct among the definitions once and refers to it.
func (g *schemaWriter) named(t reflect.Type, f field) schema {
	name := strings.ToLower(strings.TrimSuffix(t.Name(), "Node"))
	if _, done := g.defs[name]; !done {
		g.defs[name] = schema{} // ends a recursion
		g.defs[name] = g.forms(t, f)
	}
	return schema{"$ref": "#/$defs/" + name}
}

// forms is every form that a struct may have in the file.
func (g *schemaWriter) forms(t reflect.Type, f field) schema {
	var any []any
	keys := false
	for i := range t.NumField() {
		sf := fieldOf(t.Field(i))
		switch {
		case sf.form != "":
			sf.name = f.name
			any = append(any, g.of(t.Field(i).Type, sf))
			if sf.has("null") {
				any = append(any, schema{"type": "null"})
			}
		case sf.name != "":
			keys = true
		}
	}
	if keys {
		any = append(any, g.object(t))
	}
	if len(any) == 1 {
		return any[0].(schema)
	}
	return schema{"anyOf": any}
}

func (g *schemaWriter) object(t reflect.Type) schema {
	properties, required := schema{}, []string{}
	for i := range t.NumField() {
		f := fieldOf(t.Field(i))
		if f.name == "" || f.form != "" {
			continue
		}
		p := g.of(t.Field(i).Type, f)
		p["description"] = describe(f)
		properties[f.name] = p
		if f.required {
			required = append(required, f.name)
		}
	}
	out := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	switch t {
	case reflect.TypeFor[StepNode]():
		out["oneOf"] = []any{schema{"required": []string{"run"}}, schema{"required": []string{"uses"}}, schema{"required": []string{"notebook"}}}
	case reflect.TypeFor[File]():
		properties["steps"].(schema)["minProperties"] = 1
	}
	return out
}

// describe is a key's line, with what is not there yet.
func describe(f field) string {
	switch {
	case f.notYet:
		return f.doc + " (not supported yet)"
	case len(f.later) > 0:
		return f.doc + " (not supported yet: " + strings.Join(f.later, ", ") + ")"
	}
	return f.doc
}
