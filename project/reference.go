// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns docs/reference/lastro-yaml.md: each key of the file in one
// line, from the same tags as the schema.
func Reference() []byte {
	var out strings.Builder
	out.WriteString("# lastro.yaml, key by key\n\nWritten by `go test ./project -update` from the Go types; do not edit. The schema is `schema/lastro.schema.json`.\n" +
		"Keys marked *later* are known and refused until they work. Every example loads, alone or below the keys that it needs; `lastro explain --expanded` writes all defaults out.\n")
	done := map[reflect.Type]bool{}
	var section func(t reflect.Type, heading string)
	section = func(t reflect.Type, heading string) {
		if done[t] {
			return
		}
		done[t] = true
		var below []func()
		fmt.Fprintf(&out, "\n## %s\n\n| key | what it is |\n|---|---|\n", heading)
		for i := range t.NumField() {
			f := fieldOf(t.Field(i))
			if f.name == "" || f.form != "" {
				continue
			}
			fmt.Fprintf(&out, "| `%s` | %s |\n", f.name, referenceLine(f))
			if inner := inside(t.Field(i).Type); inner != nil && !f.notYet {
				name := heading + "." + f.name
				if t == reflect.TypeFor[File]() {
					name = f.name
				}
				if strings.HasPrefix(t.Field(i).Type.Name(), "Map[") {
					name += ".NAME"
				}
				below = append(below, func() { section(inner, name) })
			}
		}
		for _, text := range examples[heading] {
			fmt.Fprintf(&out, "\n```yaml\n%s\n```\n", strings.Trim(text, "\n"))
		}
		if heading == "steps.NAME" {
			out.WriteString("\n## steps.NAME.matrix\n" + matrixPage)
		}
		for _, f := range below {
			f()
		}
	}
	section(reflect.TypeFor[File](), "The file")
	out.WriteString(expressionsPage)
	return []byte(out.String())
}

// inside is the struct with keys that a field holds, nil when there is none.
func inside(t reflect.Type) reflect.Type {
	switch {
	case t.Kind() == reflect.Pointer:
		t = t.Elem()
	case strings.HasPrefix(t.Name(), "List["):
		t = elem(t, "Items")
	case strings.HasPrefix(t.Name(), "Map["):
		v, _ := elem(t, "Entries").FieldByName("Value")
		t = v.Type
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if fieldOf(t.Field(i)).name != "" {
			return t
		}
	}
	return nil
}

func referenceLine(f field) string {
	line := strings.ReplaceAll(f.doc, "|", "\\|")
	var more []string
	if f.required {
		more = append(more, "required")
	}
	if len(f.enum) > 0 {
		more = append(more, strings.Join(f.enum, ", "))
	}
	if len(f.later) > 0 {
		more = append(more, "*later*: "+strings.Join(f.later, ", "))
	}
	if f.notYet {
		more = append(more, "*later*")
	}
	switch {
	case f.dflt != "" && !strings.Contains(f.dflt, ": "):
		more = append(more, "else `"+f.dflt+"`")
	case f.implied != "":
		more = append(more, "else "+f.implied)
	}
	if len(more) > 0 {
		line += " (" + strings.Join(more, "; ") + ")"
	}
	return line
}
