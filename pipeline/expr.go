// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

// scope is what an expression can name: params.x, matrix.axis, git.commit,
// git.branch, event.key, run.id, and, once they are known, the facts of the
// steps before. Its methods return a copy that shares what is large, so one
// scope serves all cells of a matrix.
type scope struct {
	names map[string]any // whole names to values: params, git, event
	cell  map[string]any // values by axis; nil without a matrix
	run   int64          // 0 = not known: a plan
	facts *Facts         // of the steps before; nil = not known: a plan
	said  map[string]any // steps.NAME.values.X: what the steps before handed on
	cel   Evaluator      // nil = dotted names only
}

func newScope(params map[string]any, git Git, event, cell map[string]any) scope {
	s := scope{names: map[string]any{"git.commit": git.Commit, "git.branch": git.Branch, "git.author": git.Author}, cell: cell}
	for prefix, m := range map[string]map[string]any{"params.": params, "event.": event} {
		for k, v := range m {
			addName(s.names, prefix+k, v)
		}
	}
	return s
}

// addName adds a value by its name, and what an object holds by longer names.
func addName(to map[string]any, name string, v any) {
	to[name] = v
	if m, ok := v.(map[string]any); ok {
		for k, inner := range m {
			addName(to, name+"."+k, inner)
		}
	}
}

// withCell gives the scope the values of a cell.
func (s scope) withCell(values map[string]any) scope { s.cell = values; return s }

// withRun adds what only a run knows. Such values are labels: they are no part
// of a cache key, or nothing that prints the run's number could ever be cached.
func (s scope) withRun(number int64) scope { s.run = number; return s }

// withSteps adds what the steps before found out: rows are the step runs of
// all that the step needs, directly or not.
func (s scope) withSteps(rows []StepRun) scope {
	f := collectFacts(rows)
	s.facts, s.said = &f, map[string]any{}
	for _, r := range rows {
		if !r.State.OK() || !r.Selected {
			continue
		}
		for name, v := range r.OutValues {
			s.said["steps."+r.Step+".values."+name] = v
		}
	}
	return s
}

// using lets the scope evaluate more than dotted names.
func (s scope) using(e Evaluator) scope { s.cel = e; return s }

var dottedName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+$`)

// Dotted reports whether an expression is a name such as params.depth and
// nothing else; such need no CEL.
func Dotted(expr string) bool { return dottedName.MatchString(expr) }

// reads are the names that an expression reads.
func (s scope) reads(expr string) ([]string, error) {
	if Dotted(expr) {
		return []string{expr}, nil
	}
	if s.cel == nil {
		return nil, notDotted(expr)
	}
	names, err := s.cel.Reads(expr)
	return names, inHole(expr, err)
}

func notDotted(expr string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0111", Msg: fmt.Sprintf("${{ %s }} is no dotted name", expr), Hint: "write a name such as params.depth"}
}

// ofRun reports whether a name is known only to a run.
func ofRun(name string) bool { return strings.HasPrefix(name, "run.") }

// ofFacts reports whether a name is known only when the steps before have ended.
func ofFacts(name string) bool {
	root, _, _ := strings.Cut(name, ".")
	switch root {
	case "params", "matrix", "git", "event", "run":
		return false
	}
	return true
}

// lookup returns the value of an expression.
func (s scope) lookup(expr string) (any, error) {
	if Dotted(expr) {
		return s.name(expr)
	}
	reads, err := s.reads(expr)
	if err != nil {
		return nil, err
	}
	vars, err := s.vars(reads)
	if err != nil {
		return nil, err
	}
	v, err := s.cel.Eval(expr, vars)
	return v, inHole(expr, s.hinted(err, reads))
}

// vars are the values of names; one without a value is left out: the
// expression may ask has() about it.
func (s scope) vars(names []string) (map[string]any, error) {
	out := make(map[string]any, len(names))
	for _, n := range names {
		v, ok := s.find(n)
		if !ok {
			continue
		}
		if a, is := v.(ambiguous); is {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0334", Msg: "there are several values of " + n, Hint: string(a)}
		}
		if s.facts != nil && s.said[n] != nil { // what is handed on is text; one that is a number compares as one
			if number, is := s.facts.Values[n]; is {
				v = number
			}
		}
		out[n] = v
	}
	return out, nil
}

// ambiguous is the value of a fact that several steps wrote: a sentence that
// says so.
type ambiguous string

// find returns the value of a name.
func (s scope) find(name string) (any, bool) {
	root, rest, _ := strings.Cut(name, ".")
	switch root {
	case "matrix":
		v, ok := s.cell[rest]
		return v, ok
	case "run":
		return s.run, rest == "id" && s.run > 0
	case "params", "git", "event":
		v, ok := s.names[name]
		return v, ok
	}
	if s.facts == nil {
		return nil, false
	}
	if why, twice := s.facts.Ambiguous[name]; twice {
		return ambiguous(why), true
	}
	if v, ok := s.said[name]; ok {
		return v, true
	}
	v, ok := s.facts.Values[name]
	return v, ok
}

// name returns the value of a dotted name.
func (s scope) name(name string) (any, error) {
	v, ok := s.find(name)
	if a, twice := v.(ambiguous); twice {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0334", Msg: "there are several values of " + name, Hint: string(a)}
	}
	if ok {
		return v, nil
	}
	if strings.HasPrefix(name, "event.") {
		return "", nil // what an event carries depends on what started the run
	}
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0112", Msg: fmt.Sprintf("${{ %s }} names nothing that is known here", name)}
	if ofFacts(name) {
		e.ID, e.Msg = "L0334", fmt.Sprintf("no step before has written %s", name)
	}
	e.Hint = s.nearest(name)
	return nil, e
}

// known lists every name of the scope, sorted.
func (s scope) known() []string {
	out := append(slices.Collect(maps.Keys(s.names)), "run.id")
	for axis := range s.cell {
		out = append(out, "matrix."+axis)
	}
	if s.facts != nil {
		out = slices.AppendSeq(out, maps.Keys(s.facts.Values))
		out = slices.AppendSeq(out, maps.Keys(s.said))
	}
	slices.Sort(out)
	return out
}

// nearest is the hint for a name without a value.
func (s scope) nearest(name string) string {
	names := s.known()
	if near := lastro.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	root, _, _ := strings.Cut(name, ".")
	same := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, root+".") })
	if len(same) > 0 {
		names = same
	}
	return "known are " + someOf(names, 12)
}

// hinted says of a name without a value which one was probably meant.
func (s scope) hinted(err error, reads []string) error {
	e, ok := err.(*lastro.Error)
	if !ok || e.ID != "L0334" {
		return err
	}
	for _, name := range reads {
		if _, there := s.find(name); !there && !strings.HasPrefix(name, "event.") {
			known := *e
			known.Hint = s.nearest(name)
			return &known
		}
	}
	return err
}

// inHole puts the expression into an error that is about a place inside it.
func inHole(expr string, err error) error {
	e, ok := err.(*lastro.Error)
	if !ok {
		return err
	}
	placed := *e
	placed.Pos, placed.Msg = lastro.Pos{}, fmt.Sprintf("${{ %s }}: %s", expr, e.Msg)
	return &placed
}

// Hole is one ${{ }} of a text; offsets count bytes.
type Hole struct {
	Start, End int    // of the whole, braces included
	Expr       string // what stands between the braces, without the space around it
	Closed     bool   // false = there is no }}, and End is that of the text
}

// Holes finds the expressions of a text. }} inside quotes belongs to the
// expression.
func Holes(text string) []Hole {
	var out []Hole
	for i := 0; ; {
		n := strings.Index(text[i:], "${{")
		if n < 0 {
			return out
		}
		h := HoleAt(text, i+n)
		out = append(out, h)
		i = h.End
	}
}

// HoleAt is the expression that begins at a place of a text.
func HoleAt(text string, start int) Hole {
	body := text[start+3:]
	end := closing(body)
	if end < 0 {
		end = strings.Index(body, "}}") // a lone quote
	}
	if end < 0 {
		return Hole{Start: start, End: len(text), Expr: strings.TrimSpace(body)}
	}
	return Hole{Start: start, End: start + 3 + end + 2, Expr: strings.TrimSpace(body[:end]), Closed: true}
}

// closing finds }} outside quotes, -1 when there is none.
func closing(body string) int {
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case strings.HasPrefix(body[i:], "}}"):
			return i
		case c == '"' || c == '\'':
			n := i + 1
			for n < len(body) && body[n] != c && body[n] != '\n' {
				if body[n] == '\\' {
					n++
				}
				n++
			}
			if n >= len(body) || body[n] != c {
				return -1
			}
			i = n
		}
	}
	return -1
}

// expand replaces ${{ }} inside the strings of a JSON document. A string that
// is one expression becomes its value, with its type; elsewhere the value is
// written into the text. Expressions that the scope cannot know yet, of the run
// or of the steps before, stay as they are. It returns all expressions that it
// found; scope.ingredients tells what they add to a cache key.
func expand(raw json.RawMessage, s scope) (json.RawMessage, []string, error) {
	if len(raw) == 0 || !strings.Contains(string(raw), "${{") {
		return raw, nil, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, nil, fmt.Errorf("read settings: %w", err)
	}
	x := expander{scope: s, used: map[string]bool{}}
	v, err := x.value(v)
	if err != nil {
		return nil, nil, err
	}
	out, err := lastro.CanonicalJSON(v)
	return out, slices.Sorted(maps.Keys(x.used)), err
}

type expander struct {
	scope scope
	used  map[string]bool
}

func (x *expander) value(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if v[k], err = x.value(v[k]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = x.value(v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		return x.text(v)
	}
	return v, nil
}

func (x *expander) text(s string) (any, error) {
	holes := Holes(s)
	if len(holes) == 0 || !holes[len(holes)-1].Closed {
		return s, nil
	}
	if len(holes) == 1 && holes[0].Start == 0 && holes[0].End == len(s) {
		return x.expr(holes[0].Expr, s)
	}
	var out strings.Builder
	at := 0
	for _, h := range holes {
		out.WriteString(s[at:h.Start])
		v, err := x.expr(h.Expr, s[h.Start:h.End])
		if err != nil {
			return nil, err
		}
		out.WriteString(text(v))
		at = h.End
	}
	out.WriteString(s[at:])
	return out.String(), nil
}

// expr returns the value of one expression, or the original when the scope
// cannot know it yet.
func (x *expander) expr(expr, original string) (any, error) {
	_, later, err := x.scope.uses(expr)
	if err != nil {
		return nil, err
	}
	x.used[expr] = true
	if later {
		return original, nil
	}
	return x.scope.lookup(expr)
}

// uses says what an expression adds to the cache key: itself, for its value
// counts, or, when it reads the run, a label that has to change nothing, the
// other names that it reads. later: its value is not known yet.
func (s scope) uses(expr string) (used []string, later bool, err error) {
	reads, err := s.reads(expr)
	if err != nil {
		return nil, false, err
	}
	label := false
	for _, name := range reads {
		label = label || ofRun(name)
		later = later || ofRun(name) && s.run == 0 || ofFacts(name) && s.facts == nil
		if !ofRun(name) {
			used = append(used, name)
		}
	}
	if !label {
		used = []string{expr}
	}
	return used, later, nil
}

// ingredients adds what expressions contribute to a cache key. waits are those
// that read facts of steps that have not ended; what stands for them in the
// key says so, and a scope that knows these steps overwrites it.
func (s scope) ingredients(into map[string]string, exprs []string) (waits []string, err error) {
	for _, expr := range exprs {
		used, _, err := s.uses(expr)
		if err != nil {
			return nil, err
		}
		for _, u := range used {
			_, later, err := s.uses(u)
			if err != nil {
				return nil, err
			}
			if later {
				into[u], waits = "of an earlier step", append(waits, u)
				continue
			}
			v, err := s.lookup(u)
			if err != nil {
				return nil, err
			}
			into[u] = text(v)
		}
	}
	return waits, nil
}

// learn completes the ingredients of a cell whose expressions read facts of
// earlier steps; names knows these steps (withCell, withSteps).
func (c *PlanCell) learn(names scope) error {
	_, err := names.ingredients(c.ingredients, c.reads)
	return err
}

// learn does so with what the cache knows, and returns the steps that have yet
// to tell.
func (p *planner) learn(c *PlanCell) (waits []string) {
	if len(c.reads) == 0 {
		return nil
	}
	rows, waits := p.before(c.spec.Name)
	// A fact that the cached steps did not write fails the step when it starts.
	if len(waits) == 0 && c.learn(p.names.withCell(c.Values).withSteps(rows)) != nil {
		slices.Sort(c.reads)
		return c.reads[:1]
	}
	return waits
}
