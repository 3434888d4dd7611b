// SPDX-License-Identifier: Apache-2.0

package project

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"lastro"
)

// The types of values in the file. Each remembers where it stood; At.Line is 0
// when the key was not given.

// Text is a string, or a number or boolean where a string is wanted.
type Text struct {
	Value string
	At    lastro.Pos
	src   *source
	style token.Type
}

// Given reports whether the key was in the file.
func (t Text) Given() bool { return t.At.Line > 0 }

// Int is a whole number.
type Int struct {
	Value int
	At    lastro.Pos
}

// Float is a number.
type Float struct {
	Value float64
	At    lastro.Pos
}

// Bool is true or false.
type Bool struct {
	Value bool
	At    lastro.Pos
}

// List is a sequence.
type List[T any] struct {
	Items []T
	At    lastro.Pos
}

// OneOrMany is a sequence of strings, or one string alone.
type OneOrMany struct {
	Items []Text
	At    lastro.Pos
}

// Map is an object with names of the user's choice, in the order of the file.
type Map[T any] struct {
	Entries []Entry[T]
	At      lastro.Pos
}

// Entry is one member of a Map.
type Entry[T any] struct {
	Key   Text
	Value T
}

// Any is a value of free form.
type Any struct {
	Value any // nil, bool, int64, uint64, float64, string, []any, map[string]any
	At    lastro.Pos
	texts []Text // every string in it, for the expressions that they hold
}

// Given reports whether the key was in the file.
func (a Any) Given() bool { return a.At.Line > 0 }

// at returns the place of the rune at offset in the text's value, marked for n
// runes; the place of the whole text where that cannot be told (escapes, folds).
func (t Text) at(offset, n int) lastro.Pos {
	if t.src == nil {
		return t.At
	}
	if t.style == token.LiteralType {
		return t.atLiteral(offset, n)
	}
	start := t.At.Col
	if t.style == token.DoubleQuoteType || t.style == token.SingleQuoteType {
		start++
	}
	line := []rune(t.src.line(t.At.Line))
	width := utf8.RuneCountInString(t.Value)
	if strings.Contains(t.Value, "\n") || start-1+width > len(line) || string(line[start-1:start-1+width]) != t.Value {
		return t.At
	}
	return lastro.Pos{File: t.At.File, Line: t.At.Line, Col: start + offset, End: start + offset + max(n, 1)}
}

// atLiteral finds a place in a block after "|": the lines of the value are the
// lines of the file without their indentation.
func (t Text) atLiteral(offset, n int) lastro.Pos {
	before := string([]rune(t.Value)[:min(offset, utf8.RuneCountInString(t.Value))])
	row := strings.Count(before, "\n")
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	want := strings.Split(t.Value, "\n")[row]
	number := t.At.Line + 1 + row
	have := t.src.line(number)
	if !strings.HasSuffix(have, want) || want == "" {
		return t.At
	}
	col += utf8.RuneCountInString(have) - utf8.RuneCountInString(want) + 1
	return lastro.Pos{File: t.At.File, Line: number, Col: col, End: col + max(n, 1)}
}

// kindOf names a node for a person.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "an object"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	}
	return "something else"
}

// scalar returns the text of a scalar as it was written.
func scalar(n ast.Node) (value string, style token.Type, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, n.Token.Type, true
	case *ast.LiteralNode:
		return n.Value.Value, n.Start.Type, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, n.GetToken().Type, true
	}
	return "", 0, false
}

// members returns the key-value pairs of an object.
func members(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// rejoin gives back text such as group:risk, which is one word in YAML and
// which the parser reads as the object {group: risk} within {[ ]}.
func rejoin(n ast.Node) ast.Node {
	pairs, ok := members(n)
	if !ok || len(pairs) != 1 {
		return n
	}
	if m, isMap := n.(*ast.MappingNode); isMap && m.Start != nil && m.Start.Type == token.MappingStartType {
		return n // it has braces of its own
	}
	pair := pairs[0]
	key, isText := pair.Key.(*ast.StringNode)
	value, _, isScalar := scalar(rejoin(pair.Value))
	if !isText || !isScalar || key.Token.Type != token.StringType || pair.Start == nil {
		return n
	}
	colon, after := pair.Start.Position, pair.Value.GetToken().Position
	if after.Line != colon.Line || after.Column != colon.Column+1 {
		return n
	}
	joined := *key.Token
	joined.Value = key.Value + ":" + value
	return &ast.StringNode{BaseNode: &ast.BaseNode{}, Token: &joined, Value: joined.Value}
}
