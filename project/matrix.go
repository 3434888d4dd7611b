// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"lastro"
	"lastro/pipeline"
)

// MatrixNode is the matrix of a step: axes by name, and two keys that are none.
type MatrixNode struct {
	Axes    []Entry[Axis]
	Include List[Cell]
	Exclude List[Cell]
	At      lastro.Pos
}

// Cell is an object of include or exclude.
type Cell struct {
	Values Map[Any] `form:"map"`
	At     lastro.Pos
}

func (m *MatrixNode) decode(d *decoder, n ast.Node, f field) {
	pairs, ok := members(n)
	m.At = d.pos(n.GetToken())
	if !ok {
		d.wants(n, f, "an object")
		return
	}
	if flow, braces := n.(*ast.MappingNode); len(pairs) > 0 && !(braces && flow.IsFlowStyle) {
		m.At = d.pos(pairs[0].Key.GetToken())
	}
	seen := map[string]lastro.Pos{}
	for _, pair := range pairs {
		key, ok := d.key(pair, seen)
		if !ok {
			continue
		}
		switch key.Value {
		case "include":
			m.Include.decodeAs(d, pair.Value, key.Value)
		case "exclude":
			m.Exclude.decodeAs(d, pair.Value, key.Value)
		default:
			m.Axes = append(m.Axes, d.axis(key, pair.Value))
		}
	}
}

func (l *List[T]) decodeAs(d *decoder, n ast.Node, name string) { l.decode(d, n, field{name: name}) }

func (d *decoder) axis(key Text, n ast.Node) Entry[Axis] {
	e := Entry[Axis]{Key: key}
	if !envName.MatchString(key.Value) {
		d.report(key.At, "L0106", fmt.Sprintf("%q is no name for an axis", key.Value), "use letters, digits and _")
	}
	d.value(reflect.ValueOf(&e.Value).Elem(), n, field{name: key.Value})
	return e
}

// matrixSchema is what the schema says of a matrix.
func matrixSchema() schema {
	cells := schema{"type": "array", "items": schema{"type": "object", "additionalProperties": schema{"type": []string{"string", "number", "boolean"}}}}
	return schema{"type": "object", "properties": schema{
		"include": merged(cells, schema{"description": "cells that are added, or values for those that agree"}),
		"exclude": merged(cells, schema{"description": "cells that are left out: those that agree with one of these"}),
	}, "additionalProperties": schema{"anyOf": []any{schema{"type": "array"}, schema{"type": "string"}}}}
}

func merged(a, b schema) schema {
	out := schema{}
	for _, m := range []schema{a, b} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// matrix translates the matrix and counts its cells before it makes them.
func (l *loader) matrix(n *StepNode, s *pipeline.StepSpec) {
	before := len(l.problems)
	for _, e := range n.Matrix.Axes {
		s.Matrix = append(s.Matrix, l.oneAxis(e))
	}
	s.Include = l.cells(n.Matrix.Include, "include")
	s.Exclude = l.cells(n.Matrix.Exclude, "exclude")
	at := n.Matrix.At
	switch {
	case at.Line == 0:
		return
	case !s.HasMatrix():
		if !l.hasProblemIn(at.Line) {
			l.report(at, "L0105", "the matrix has no axis", "such as  matrix: {depth: [4, 8]}")
		}
		return
	case s.Combinations() > pipeline.MaxCells || len(s.Include) > pipeline.MaxCells:
		l.report(at, "L0106", fmt.Sprintf("the matrix has more than %d cells", pipeline.MaxCells), "take values out of an axis; exclude takes cells out only afterwards")
		s.Matrix, s.Include, s.Exclude = nil, nil, nil
		return
	}
	l.excludes(n, s)
	cells := pipeline.Cells(*s)
	switch {
	case len(cells) > pipeline.MaxCells:
		l.report(at, "L0106", fmt.Sprintf("the matrix has %d cells; at most %d run", len(cells), pipeline.MaxCells), "take values out of an axis, or entries out of include")
	case len(cells) == 0 && len(l.problems) == before && s.Combinations() > 0 && n.Matrix.Exclude.At.Line > 0:
		l.report(n.Matrix.Exclude.At, "L0105", "exclude takes out every cell of the matrix", "leave one, or remove the step")
	}
}

func (l *loader) oneAxis(e Entry[Axis]) pipeline.Axis {
	axis := pipeline.Axis{Name: e.Key.Value}
	seen := map[any]bool{}
	for _, v := range e.Value.Values.Items {
		if !isScalar(v.Value) {
			l.report(v.At, "L0105", fmt.Sprintf("axis %q wants numbers, texts or true and false", axis.Name), "")
			continue
		}
		if seen[v.Value] {
			l.report(v.At, "L0109", fmt.Sprintf("%v is twice in axis %q", v.Value, axis.Name), "keep one")
		}
		seen[v.Value] = true
		axis.Values = append(axis.Values, v.Value)
	}
	if len(e.Value.Values.Items) == 0 && e.Value.Values.At.Line > 0 {
		l.report(e.Key.At, "L0105", fmt.Sprintf("axis %q has no values", axis.Name), "such as [1, 2]")
	}
	return axis
}

func isScalar(v any) bool {
	switch v.(type) {
	case string, bool, int64, uint64, float64:
		return true
	}
	return false
}

// cells translates the objects of include or exclude.
func (l *loader) cells(list List[Cell], key string) []map[string]any {
	var out []map[string]any
	for _, c := range list.Items {
		object := map[string]any{}
		for _, e := range c.Values.Entries {
			if !envName.MatchString(e.Key.Value) {
				l.report(e.Key.At, "L0106", fmt.Sprintf("%q is no name for an axis", e.Key.Value), "use letters, digits and _")
				continue
			}
			if !isScalar(e.Value.Value) {
				l.report(e.Key.At, "L0105", fmt.Sprintf("%s.%s wants a number, a text or true and false", key, e.Key.Value), "one value; another entry of the list for another value")
				continue
			}
			object[e.Key.Value] = e.Value.Value
		}
		if len(c.Values.Entries) == 0 && c.Values.At.Line > 0 {
			l.report(c.At, "L0105", fmt.Sprintf("an entry of %s names no axis", key), "such as {depth: 4}")
			continue
		}
		out = append(out, object)
	}
	return out
}

// excludes reports entries that can take nothing out: an axis or a value that
// the matrix does not have is a slip of the pen.
func (l *loader) excludes(n *StepNode, s *pipeline.StepSpec) {
	axes := map[string]map[string]bool{}
	values := map[string][]any{}
	var names []string
	for _, a := range s.Matrix {
		axes[a.Name], values[a.Name] = map[string]bool{}, a.Values
		for _, v := range a.Values {
			axes[a.Name][valueKey(v)] = true
		}
		names = append(names, a.Name)
	}
	for _, c := range n.Matrix.Exclude.Items {
		for _, e := range c.Values.Entries {
			name, v := e.Key.Value, e.Value.Value
			switch has, known := axes[name]; {
			case !known:
				l.report(e.Key.At, "L0121", fmt.Sprintf("exclude names %q, which is no axis of the matrix", name), didYouMean(name, names))
			case isScalar(v) && !has[valueKey(v)]:
				hint := "it has " + strings.Join(spelledAll(values[name]), ", ")
				if word, is := v.(string); is {
					hint = didYouMean(word, spelledAll(values[name]))
				}
				l.report(e.Value.At, "L0121", fmt.Sprintf("exclude takes out %s = %v, which is no value of that axis", name, v), hint)
			}
		}
	}
}

// valueKey tells values apart as the cells of a matrix do: 4 and 4.0 are one,
// 4 and "4" are two.
func valueKey(v any) string {
	switch v := v.(type) {
	case string:
		return "t" + v
	case int64:
		return fmt.Sprint(float64(v))
	case uint64:
		return fmt.Sprint(float64(v))
	}
	return fmt.Sprint(v)
}

// spelledAll writes values for a hint, at most twelve.
func spelledAll(values []any) []string {
	out := make([]string, 0, min(len(values), 13))
	for _, v := range values[:min(len(values), 12)] {
		out = append(out, fmt.Sprint(v))
	}
	if len(values) > 12 {
		out = append(out, "...")
	}
	return out
}

// names are what a matrix gives its cells, also when it was refused.
func (m MatrixNode) names() []string {
	var out []string
	for _, e := range m.Axes {
		out = append(out, e.Key.Value)
	}
	for _, c := range m.Include.Items {
		for _, e := range c.Values.Entries {
			if !slices.Contains(out, e.Key.Value) {
				out = append(out, e.Key.Value)
			}
		}
	}
	return out
}
