// SPDX-License-Identifier: Apache-2.0

package data

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"lastro"
)

// node is a YAML value with its place: what the contract reader walks, and
// what Propose edits.
type node struct {
	kind    byte // 'm' mapping, 'l' list, 's' scalar, 'n' null
	entries []entry
	items   []*node
	value   any    // scalar: string, bool, int64, float64
	text    string // scalar: its value as text
	quoted  bool
	pos     lastro.Pos
	tok     *token.Token
	seq     *ast.SequenceNode // 'l'
}

type entry struct {
	key string
	pos lastro.Pos
	val *node
}

// maxContractBytes bounds what the parser is given.
const maxContractBytes = 1 << 20

// parseYAML reads one YAML document.
func parseYAML(file string, text []byte) (*node, error) {
	if len(text) > maxContractBytes {
		return nil, &lastro.Error{Code: lastro.EInvalid, Pos: lastro.Pos{File: file}, Msg: fmt.Sprintf("the contract has %d bytes, more than 1 MiB", len(text))}
	}
	tokens := lexer.Tokenize(string(text))
	if tk := tooDeep(tokens); tk != nil {
		r := yamlReader{file: file}
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0501", Pos: r.pos(tk), Msg: fmt.Sprintf("nested more than %d levels deep", maxDepth)}
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	var docs []*ast.DocumentNode
	for _, d := range f.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	if len(docs) != 1 {
		return nil, &lastro.Error{Code: lastro.EInvalid, Pos: lastro.Pos{File: file, Line: 1, Col: 1},
			Msg: fmt.Sprintf("a contract is one YAML document, this file has %d", len(docs))}
	}
	r := yamlReader{file: file, anchors: map[string]*node{}}
	n := r.read(docs[0].Body, 0)
	if len(r.problems) > 0 {
		return nil, r.problems.Sorted()
	}
	return n, nil
}

// tooDeep returns the token at which a text nests deeper than maxDepth, before
// the parser recurses into it: within brackets, by entries opened on one line,
// or by indentation.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, opened, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, opened = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			opened++
		case token.MappingValueType:
			if brackets == 0 {
				opened++
			}
		default:
			continue
		}
		if brackets > maxDepth || opened > maxDepth || brackets == 0 && tk.Position.IndentNum > 4*maxDepth {
			return tk
		}
	}
	return nil
}

func syntaxError(file string, err error) error {
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0501", Pos: lastro.Pos{File: file, Line: 1, Col: 1}, Msg: "this is not YAML: " + firstLine(err.Error())}
	var ye yaml.Error
	if errors.As(err, &ye) {
		e.Msg = "this is not YAML: " + ye.GetMessage()
		if tk := ye.GetToken(); tk != nil && tk.Position != nil {
			e.Pos.Line, e.Pos.Col = tk.Position.Line, tk.Position.Column
		}
	}
	return e
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

type yamlReader struct {
	file     string
	anchors  map[string]*node
	problems lastro.Problems
}

func (r *yamlReader) problem(pos lastro.Pos, format string, args ...any) {
	r.problems = append(r.problems, &lastro.Error{Code: lastro.EInvalid, ID: "L0501", Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

func (r *yamlReader) pos(tk *token.Token) lastro.Pos {
	if tk == nil || tk.Position == nil {
		return lastro.Pos{File: r.file}
	}
	p := lastro.Pos{File: r.file, Line: tk.Position.Line, Col: tk.Position.Column}
	if w := len([]rune(strings.TrimSpace(tk.Origin))); w > 0 && !strings.Contains(strings.TrimSpace(tk.Origin), "\n") {
		p.End = p.Col + w
	}
	return p
}

// maxDepth bounds recursion; ODCS needs about eight levels.
const maxDepth = 64

func (r *yamlReader) read(n ast.Node, depth int) *node {
	null := &node{kind: 'n'}
	if n == nil {
		return null
	}
	tk := n.GetToken()
	null.pos, null.tok = r.pos(tk), tk
	if depth > maxDepth {
		r.problem(null.pos, "nested more than %d levels deep", maxDepth)
		return null
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n.Values, tk, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, tk, depth)
	case *ast.SequenceNode:
		out := &node{kind: 'l', pos: null.pos, tok: tk, seq: n}
		for _, v := range n.Values {
			out.items = append(out.items, r.read(v, depth+1))
		}
		return out
	case *ast.AnchorNode:
		out := r.read(n.Value, depth+1)
		r.anchors[n.Name.String()] = out
		return out
	case *ast.AliasNode:
		if out, ok := r.anchors[n.Value.String()]; ok {
			return out
		}
		r.problem(null.pos, "the alias *%s has no anchor before it", n.Value)
		return null
	case *ast.TagNode:
		return r.read(n.Value, depth+1)
	case *ast.NullNode:
		return null
	}
	return r.scalar(n, null)
}

func (r *yamlReader) scalar(n ast.Node, null *node) *node {
	out := &node{kind: 's', pos: null.pos, tok: null.tok}
	switch n := n.(type) {
	case *ast.StringNode:
		out.value, out.text, out.quoted = n.Value, n.Value, n.Token.Type != token.StringType
	case *ast.LiteralNode:
		out.value, out.text, out.quoted = n.Value.Value, n.Value.Value, true
	case *ast.BoolNode:
		out.value, out.text = n.Value, n.Token.Value
	case *ast.IntegerNode:
		out.text = n.Token.Value
		switch v := n.Value.(type) {
		case int64:
			out.value = v
		case uint64:
			out.value = float64(v)
			if v <= math.MaxInt64 {
				out.value = int64(v)
			}
		}
	case *ast.FloatNode:
		out.value, out.text = n.Value, n.Token.Value
	case *ast.InfinityNode:
		out.value, out.text = n.Value, n.Token.Value
	case *ast.NanNode:
		out.value, out.text = math.NaN(), n.Token.Value
	default:
		r.problem(null.pos, "%s is not allowed in a contract", n.Type())
		return null
	}
	return out
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, tk *token.Token, depth int) *node {
	out := &node{kind: 'm', pos: r.pos(tk), tok: tk}
	seen := map[string]bool{}
	for i, v := range values {
		key := v.Key.GetToken()
		if _, merge := v.Key.(*ast.MergeKeyNode); merge || key == nil {
			r.problem(r.pos(key), "merge keys are not allowed in a contract")
			continue
		}
		pos := r.pos(key)
		if i == 0 {
			out.pos = pos
		}
		if seen[key.Value] {
			r.problem(pos, "%q is given twice", key.Value)
			continue
		}
		seen[key.Value] = true
		out.entries = append(out.entries, entry{key: key.Value, pos: pos, val: r.read(v.Value, depth+1)})
	}
	return out
}

// get returns the value of a key; nil when the node, the key or the value is
// not there.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key && e.val.kind != 'n' {
			return e.val
		}
	}
	return nil
}

// number returns a scalar's number.
func (n *node) number() (float64, bool) {
	switch v := n.value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// spelled returns how the scalar compares with a value that is read as text:
// a number in its shortest form, so that 1.0 and 1 agree.
func (n *node) spelled() string {
	switch v := n.value.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return n.text
}
