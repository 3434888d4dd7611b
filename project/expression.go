// SPDX-License-Identifier: Apache-2.0

package project

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
)

// hole is one ${{ }} in a text; offsets count runes.
type hole struct {
	start, end int    // of the whole, braces included
	expr       string // what stands between the braces, without the space around it
	closed     bool
}

// holes finds the expressions of a text. An open one reaches to its end.
func holes(text string) []hole {
	var out []hole
	runes, bytes := 0, 0
	for _, h := range pipeline.Holes(text) {
		start := runes + utf8.RuneCountInString(text[bytes:h.Start])
		end := start + utf8.RuneCountInString(text[h.Start:h.End])
		out = append(out, hole{start: start, end: end, expr: h.Expr, closed: h.Closed})
		runes, bytes = end, h.End
	}
	return out
}

// maxHole bounds an expression, in runes; longer ones are open.
const maxHole = 8192

// holeAt is the expression that begins at a place of a text.
func holeAt(runes []rune, start int) hole {
	window := string(runes[start:min(len(runes), start+maxHole)])
	h := pipeline.HoleAt(window, 0)
	if !h.Closed {
		return hole{start: start, end: len(runes), expr: h.Expr}
	}
	return hole{start: start, end: start + utf8.RuneCountInString(window[:h.End]), expr: h.Expr, closed: true}
}

// place tells where something stands in the file; only problems ask, for it
// takes time in a long text.
type place func() lastro.Pos

func (t Text) placeAt(offset, n int) place { return func() lastro.Pos { return t.at(offset, n) } }

// scope is what the expressions of one place can read.
type scope struct {
	params  map[string]any
	matrix  []string         // names of the matrix, nil without one
	cells   []map[string]any // its cells
	single  bool             // the value must be one word: not a list or an object
	planned bool             // it is read while a run is planned: no step has ended then
	step    string           // the step that it belongs to
}

// checked is an expression whose facts can only be checked when all steps are
// known.
type checked struct {
	at   place
	name string
	sc   scope
}

// check reports what is wrong with one expression; false when something is.
func (l *loader) check(t Text, h hole, sc scope) bool {
	if l.full() {
		return false
	}
	at := t.placeAt(h.start, h.end-h.start)
	switch {
	case !h.closed:
		l.report(at(), "L0111", "the expression is not closed with }}", "write ${{ params.NAME }}")
		return false
	case h.expr == "":
		l.report(at(), "L0111", "the expression is empty", "write ${{ params.NAME }}")
		return false
	case pipeline.Dotted(h.expr):
		return l.checkName(at, h.expr, sc)
	}
	return l.checkCEL(t, h, sc)
}

// checkCEL checks an expression that is more than a name.
func (l *loader) checkCEL(t Text, h hole, sc scope) bool {
	reads, err := gate.Expressions{}.Reads(h.expr)
	if err != nil {
		l.inHole(t, h, err)
		return false
	}
	good := true
	inside := sc
	inside.single = false // what an object is part of may give one word
	for _, name := range reads {
		good = l.checkName(l.nameAt(t, h, name), name, inside) && good
	}
	if !good {
		return false
	}
	return sc.tryAll(reads, func(values map[string]any) bool {
		v, err := gate.Expressions{}.Eval(h.expr, values)
		if err != nil {
			l.inHole(t, h, err)
			return false
		}
		if sc.single && !isScalar(v) {
			l.report(t.at(h.start, h.end-h.start), "L0112", "the expression gives an object, a list or nothing, and a command wants one value", "name one member of it")
			return false
		}
		return true
	})
}

// tryAll evaluates an expression that reads nothing but params and the matrix:
// what it gives as declared can be said now. It stops at the first cell that
// fails.
func (sc scope) tryAll(reads []string, try func(values map[string]any) bool) bool {
	fixed := map[string]any{}
	cells := []map[string]any{nil}
	for _, name := range reads {
		v, ok := sc.param(name)
		switch {
		case ok:
			fixed[name] = v
		case strings.HasPrefix(name, "matrix."):
			cells = sc.cells[:min(len(sc.cells), 100)]
		default:
			return true // only a run knows
		}
	}
	for _, c := range cells {
		for _, name := range reads {
			if axis, ok := strings.CutPrefix(name, "matrix."); ok {
				fixed[name] = c[axis]
			}
		}
		if !try(fixed) {
			return false
		}
	}
	return true
}

// param returns the declared value of params.NAME.
func (sc scope) param(name string) (any, bool) {
	path := strings.Split(name, ".")
	if path[0] != "params" {
		return nil, false
	}
	var v any = sc.params
	for _, p := range path[1:] {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[p]; !ok {
			return nil, false
		}
	}
	return v, true
}

// inHole reports an error of CEL at its place in the file.
func (l *loader) inHole(t Text, h hole, err error) {
	var e *lastro.Error
	if !errors.As(err, &e) {
		l.report(t.at(h.start, h.end-h.start), "L0111", err.Error(), "")
		return
	}
	at := t.at(h.start, h.end-h.start)
	if e.Pos.Line == 1 && e.Pos.Col > 0 && !strings.Contains(h.expr, "\n") {
		lead := strings.Index(string([]rune(t.Value)[h.start:h.end]), h.expr)
		at = t.at(h.start+lead+min(e.Pos.Col, utf8.RuneCountInString(h.expr))-1, max(1, e.Pos.End-e.Pos.Col))
	}
	hint := e.Hint
	if hint == "" {
		hint = "expressions are CEL: ${{ params.depth * 2 }}, ${{ git.branch == \"main\" ? 10 : 2 }}"
	}
	l.report(at, "L0111", e.Msg, hint)
}

// nameAt is where a name stands in an expression, or the whole of it.
func (l *loader) nameAt(t Text, h hole, name string) place {
	return func() lastro.Pos {
		whole := string([]rune(t.Value)[h.start:h.end])
		if i := strings.Index(whole, name); i >= 0 {
			return t.at(h.start+utf8.RuneCountInString(whole[:i]), utf8.RuneCountInString(name))
		}
		return t.at(h.start, h.end-h.start)
	}
}

// roots are what expressions read, in the order in which hints name them.
var roots = []string{"params", "matrix", "run", "git", "event", "steps"}

// factRoots begin the names of facts that stand alone: of all steps before.
var factRoots = []string{"metrics", "tests", "sarif", "coverage", "values", "compare", "fairness"}

// checkName reports a name that has no value here.
func (l *loader) checkName(at place, name string, sc scope) bool {
	root, rest, _ := strings.Cut(name, ".")
	switch root {
	case "event":
		if rest == "" {
			l.report(at(), "L0112", `"event" is an object`, "name one member of it: event.kind")
			return false
		}
		return true // what an event carries depends on what started the run
	case "params":
		if l.file.Params.File.Given() {
			return true // what the file has is not known; that it is named is reported
		}
		return l.checkParam(at, name, sc)
	case "matrix":
		return l.checkMatrix(at, name, rest, sc)
	case "run":
		return l.known(at, name, rest, []string{"id"})
	case "git":
		return l.known(at, name, rest, []string{"commit", "branch", "author"})
	case "secrets":
		l.report(at(), "L0111", "an expression cannot read a secret: its value would be in the plan and the logs", fmt.Sprintf("give it to the step, and read the variable there:  secrets: [%s]  and $%s", orName(rest), orName(rest)))
		return false
	case "env":
		l.report(at(), "L0111", "an expression cannot read env", fmt.Sprintf("the command can: $%s", orName(rest)))
		return false
	}
	if root == "data" {
		l.report(at(), "L0114", "checks of data are no fact of a step", "a violated contract stops the run before any step reads the data; rules of the model can read "+name)
		return false
	}
	if root == "steps" || slices.Contains(factRoots, root) {
		if sc.planned {
			l.report(at(), "L0114", fmt.Sprintf("%s is not known yet: this value is read while the run is planned", name), "facts of steps can be read in run, env, services and if")
			return false
		}
		l.later = append(l.later, checked{at, name, sc})
		return true
	}
	hint := "an expression reads " + strings.Join(roots, ", ") + " or a fact such as metrics.NAME"
	if near := lastro.Nearest(root, append(slices.Clone(roots), factRoots...)); near != "" {
		hint = fmt.Sprintf("did you mean `%s`?", strings.TrimSuffix(near+"."+rest, "."))
	}
	l.report(at(), "L0111", fmt.Sprintf("an expression cannot read %q", root), hint)
	return false
}

func orName(s string) string {
	if s == "" {
		return "NAME"
	}
	return s
}

// known reports a name below a root of fixed members.
func (l *loader) known(at place, name, rest string, names []string) bool {
	if slices.Contains(names, rest) {
		return true
	}
	root, _, _ := strings.Cut(name, ".")
	l.report(at(), "L0112", fmt.Sprintf("%q has no value", name), oneOf(root, rest, names))
	return false
}

// checkMatrix reports a name that some cell of the step does not have.
func (l *loader) checkMatrix(at place, name, rest string, sc scope) bool {
	if sc.matrix == nil {
		l.report(at(), "L0112", fmt.Sprintf("there is no matrix here, so %q has no value", name), "add `matrix:` to the step, or use params")
		return false
	}
	if !l.known(at, name, rest, sc.matrix) {
		return false
	}
	for _, c := range sc.cells {
		if _, ok := c[rest]; !ok {
			l.report(at(), "L0112", fmt.Sprintf("%q has no value in the cell %s", name, pipeline.CellLabel(nil, c)), "give every entry of include this name")
			return false
		}
	}
	return true
}

// checkParam walks the params along a path.
func (l *loader) checkParam(at place, name string, sc scope) bool {
	var value any = sc.params
	prefix := "params"
	path := strings.Split(name, ".")[1:]
	for _, part := range path {
		object, ok := value.(map[string]any)
		if !ok {
			l.report(at(), "L0112", fmt.Sprintf("%s is a value, not an object: it has no %q", prefix, part), "")
			return false
		}
		if value, ok = object[part]; !ok {
			hint := oneOf(prefix, part, sortedKeys(object))
			if strings.Contains(part, "-") && lastro.Nearest(part, sortedKeys(object)) == "" {
				hint = "for a difference, put spaces around the minus: params.a - params.b"
			}
			l.report(at(), "L0112", fmt.Sprintf("%s.%s is not declared", prefix, part), hint)
			return false
		}
		prefix += "." + part
	}
	switch value.(type) {
	case map[string]any, []any:
		if sc.single {
			l.report(at(), "L0112", prefix+" is an object or a list, and a command wants one value", "name one member of it")
			return false
		}
	}
	return true
}

func oneOf(prefix, name string, names []string) string {
	if near := lastro.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean `%s.%s`?", prefix, near)
	}
	if len(names) == 0 {
		return fmt.Sprintf("the file has no %s", prefix)
	}
	return fmt.Sprintf("%s has %s", prefix, strings.Join(names, ", "))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkAll checks the expressions of a text that the engine resolves by value.
func (l *loader) checkAll(t Text, sc scope) {
	for _, h := range holes(t.Value) {
		l.check(t, h, sc)
	}
}
