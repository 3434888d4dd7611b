// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"lastro"
)

const (
	maxExprRunes = 4096
	maxReads     = 48 // facts in one expression; each has a variable in the environment
	maxCost      = 100_000
)

// expression is one compiled CEL expression. Each fact that it reads became a
// variable, so that a dotted name may be a fact and the beginning of another.
type expression struct {
	text    string
	program cel.Program
	reads   []read
	gives   *cel.Type
}

// read is one fact that the expression names.
type read struct {
	variable string
	fact     string // key of Facts
	function *Function
	tested   bool // has(fact): whether it is there
	line     int
	col      int
}

// spelled is the read as a person finds it in the expression.
func (r read) spelled() string {
	if r.function != nil {
		return r.function.Name + "(" + r.fact + ")"
	}
	return r.fact
}

// facts are the keys that the read needs.
func (r read) facts() []string {
	if r.function != nil {
		return r.function.needs(r.fact)
	}
	return []string{r.fact}
}

// environment is made once: it costs a few milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(2 * maxExprRunes),
		cel.ParserRecursionLimit(64),
		cel.CrossTypeNumericComparisons(true),
	}
	for i := range maxReads {
		opts = append(opts, cel.Variable("_n"+strconv.Itoa(i), cel.DoubleType),
			cel.Variable("_x"+strconv.Itoa(i), cel.DynType),
			cel.Variable("_b"+strconv.Itoa(i), cel.BoolType))
	}
	for _, f := range Functions {
		if f.option != nil {
			opts = append(opts, f.option)
		}
	}
	return cel.NewEnv(opts...)
})

var compiled sync.Map // text -> *expression or *lastro.Error

// compile parses, rewrites and checks an expression; the answer is kept.
func compile(text string) (*expression, error) {
	if kept, ok := compiled.Load(text); ok {
		if err, ok := kept.(*lastro.Error); ok {
			copied := *err
			return nil, &copied
		}
		return kept.(*expression), nil
	}
	x, problem := compileNew(text)
	if problem == nil {
		problem = x.condition()
	}
	if problem != nil {
		compiled.Store(text, problem)
		copied := *problem
		return nil, &copied
	}
	compiled.Store(text, x)
	return x, nil
}

func compileNew(text string) (*expression, *lastro.Error) {
	if strings.TrimSpace(text) == "" {
		return nil, invalid(1, 1, "the expression is empty", "write a condition such as metrics.auc >= 0.7")
	}
	if utf8.RuneCountInString(text) > maxExprRunes {
		return nil, invalid(1, 1, fmt.Sprintf("the expression is longer than %d characters", maxExprRunes), "split it into several rules")
	}
	env, err := environment()
	if err != nil {
		return nil, lastro.Errorf(lastro.EErrored, "prepare CEL: %w", err)
	}
	t := translate(text)
	parsed, issues := env.Parse(t.text)
	if issues.Err() != nil {
		return nil, t.problem(issues)
	}
	rw := &rewriter{t: t, info: parsed.NativeRep().SourceInfo(), fac: ast.NewExprFactory(), next: ast.MaxID(parsed.NativeRep()) + 1}
	rw.expr(parsed.NativeRep().Expr(), nil)
	if rw.err != nil {
		return nil, rw.err
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, t.problem(issues)
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, invalid(1, 1, "the expression cannot be evaluated: "+err.Error(), "")
	}
	return &expression{text: text, program: program, reads: rw.reads, gives: checked.OutputType()}, nil
}

// condition refuses an expression that cannot give true or false.
func (x *expression) condition() *lastro.Error {
	if x.gives.IsExactType(cel.BoolType) || x.gives.IsExactType(cel.DynType) {
		return nil
	}
	return invalid(1, 1, fmt.Sprintf("the expression gives a %s, not true or false", plainType(x.gives.String())), "compare it with something: metrics.auc >= 0.7")
}

// rewriter replaces, in a parsed expression, each dotted name by a variable and
// each whole number by a double (SEMANTICS 17: all numbers are doubles).
type rewriter struct {
	t     translation
	info  *ast.SourceInfo
	fac   ast.ExprFactory
	next  int64
	reads []read
	err   *lastro.Error
}

func (rw *rewriter) expr(e ast.Expr, locals []string) {
	if rw.err != nil {
		return
	}
	if name, ok := path(e, locals); ok {
		rw.read(e, name, nil, e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly())
		return
	}
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Int:
			e.SetKindCase(rw.fac.NewLiteral(e.ID(), types.Double(v)))
		case types.Uint:
			e.SetKindCase(rw.fac.NewLiteral(e.ID(), types.Double(v)))
		}
	case ast.CallKind:
		rw.call(e, locals)
	case ast.SelectKind:
		rw.expr(e.AsSelect().Operand(), locals)
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			rw.expr(item, locals)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			rw.expr(entry.AsMapEntry().Key(), locals)
			rw.expr(entry.AsMapEntry().Value(), locals)
		}
	case ast.StructKind:
		rw.fail(e, "objects cannot be made in a rule", "")
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		inner := append(slices.Clone(locals), c.AccuVar(), c.IterVar(), c.IterVar2())
		rw.expr(c.IterRange(), locals)
		rw.expr(c.AccuInit(), locals)
		rw.expr(c.LoopCondition(), inner)
		rw.expr(c.LoopStep(), inner)
		rw.expr(c.Result(), inner)
	}
}

func (rw *rewriter) call(e ast.Expr, locals []string) {
	c := e.AsCall()
	name := c.FunctionName()
	if f := functionNamed(name); f != nil && f.ofFact != nil {
		if len(c.Args()) != 1 || c.IsMemberFunction() {
			rw.fail(e, fmt.Sprintf("%s takes the name of one fact", name), "for example "+f.Example)
			return
		}
		fact, ok := path(c.Args()[0], locals)
		if !ok {
			rw.fail(c.Args()[0], fmt.Sprintf("%s takes the name of a fact, not an expression", name), "for example "+f.Example)
			return
		}
		rw.readAs(e, c.Args()[0], fact, f, false)
		return
	}
	if c.IsMemberFunction() {
		rw.expr(c.Target(), locals)
	}
	for i, arg := range c.Args() {
		if name == operators.Index && i == 1 && arg.Kind() == ast.LiteralKind {
			continue // list[0] wants a whole number
		}
		rw.expr(arg, locals)
	}
	switch {
	case name == operators.Modulo && len(c.Args()) == 2:
		rw.wrap(e, rw.fac.NewCall(rw.id(e), name, rw.whole(c.Args()[0]), rw.whole(c.Args()[1])))
	case (name == "size" || name == "int" || name == "uint") && c.IsMemberFunction():
		rw.wrap(e, rw.fac.NewMemberCall(rw.id(e), name, c.Target(), c.Args()...))
	case name == "size" || name == "int" || name == "uint":
		rw.wrap(e, rw.fac.NewCall(rw.id(e), name, c.Args()...))
	}
}

// wrap makes e the double of inner, which gives a whole number.
func (rw *rewriter) wrap(e, inner ast.Expr) {
	e.SetKindCase(rw.fac.NewCall(e.ID(), "double", inner))
}

func (rw *rewriter) whole(e ast.Expr) ast.Expr {
	return rw.fac.NewCall(rw.id(e), "int", e)
}

// id gives a new node's number, at the same place in the text as like.
func (rw *rewriter) id(like ast.Expr) int64 {
	id := rw.next
	rw.next++
	if place, ok := rw.info.GetOffsetRange(like.ID()); ok {
		rw.info.SetOffsetRange(id, place)
	}
	return id
}

func (rw *rewriter) read(e ast.Expr, fact string, f *Function, tested bool) {
	rw.readAs(e, e, fact, f, tested)
}

// readAs replaces e by the variable of a fact that is named at nameExpr.
func (rw *rewriter) readAs(e, nameExpr ast.Expr, fact string, f *Function, tested bool) {
	for _, r := range rw.reads {
		if r.fact == fact && r.function == f && r.tested == tested {
			rw.variable(e, r.variable)
			return
		}
	}
	if len(rw.reads) == maxReads {
		rw.fail(e, fmt.Sprintf("the expression reads more than %d facts", maxReads), "split it into several rules")
		return
	}
	prefix := "_x"
	switch {
	case tested:
		prefix = "_b"
	case f != nil || isNumeric(fact):
		prefix = "_n"
	}
	line, col := rw.place(nameExpr)
	r := read{variable: prefix + strconv.Itoa(len(rw.reads)), fact: fact, function: f, tested: tested, line: line, col: col}
	rw.reads = append(rw.reads, r)
	rw.variable(e, r.variable)
}

func (rw *rewriter) variable(e ast.Expr, name string) {
	e.SetKindCase(rw.fac.NewIdent(e.ID(), name))
}

// place is where the leftmost part of e stands in the text of the user.
func (rw *rewriter) place(e ast.Expr) (line, col int) {
	for {
		switch {
		case e.Kind() == ast.SelectKind:
			e = e.AsSelect().Operand()
			continue
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
			e = e.AsCall().Args()[0]
			continue
		}
		break
	}
	at := rw.info.GetStartLocation(e.ID())
	return rw.t.place(at.Line(), at.Column())
}

func (rw *rewriter) fail(e ast.Expr, msg, hint string) {
	if rw.err == nil {
		line, col := rw.place(e)
		rw.err = invalid(line, col, msg, hint)
	}
}

// path returns the dotted name that e spells: identifiers joined by dots, or
// in brackets and quotes, from a root that is not a variable of a macro.
func path(e ast.Expr, locals []string) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name := strings.TrimPrefix(e.AsIdent(), ".")
		return name, !slices.Contains(locals, name)
	case ast.SelectKind:
		base, ok := path(e.AsSelect().Operand(), locals)
		return base + "." + e.AsSelect().FieldName(), ok
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != operators.Index || len(c.Args()) != 2 || c.Args()[1].Kind() != ast.LiteralKind {
			return "", false
		}
		key, isText := c.Args()[1].AsLiteral().(types.String)
		base, ok := path(c.Args()[0], locals)
		return base + "." + string(key), ok && isText
	}
	return "", false
}

// isNumeric reports whether a fact of this name can only be a number, so that
// comparing it with text is a mistake that can be named before any run.
func isNumeric(fact string) bool {
	root, _, deeper := strings.Cut(fact, ".")
	switch root {
	case "metrics", "tests", "scan", "sbom", "fairness", "errors", "latency", "score":
		return deeper
	case "value":
		return deeper // alone it may be a column of an answer (observed_for)
	case "compare":
		return deeper && fact != FirstFact
	case "data":
		return strings.Contains(fact, ".checks.")
	}
	return false
}

// values gives each variable its value; what is missing has none.
func (x *expression) values(facts Facts) (map[string]any, *Missing) {
	vars := make(map[string]any, len(x.reads))
	missing := &Missing{}
	tested := map[string]bool{}
	for _, r := range x.reads {
		if r.tested {
			_, there := facts.lookup(r.fact)
			vars[r.variable], tested[r.fact] = there, true
		}
	}
	for _, r := range x.reads {
		switch {
		case r.tested:
		case r.function != nil:
			v, lacking := r.function.ofFact(facts, r.fact)
			if len(lacking) == 0 {
				vars[r.variable] = v
			}
			missing.add(facts, lacking...)
		default:
			v, there := facts.lookup(r.fact)
			n, isNumber := v.(float64)
			if a, ok := v.(Ambiguous); ok {
				missing.ambiguous(r.fact, a)
				continue
			}
			if there && (!isNumeric(r.fact) || isNumber) && !(isNumber && math.IsNaN(n)) {
				vars[r.variable] = v
			} else if !tested[r.fact] || there {
				missing.add(facts, r.fact)
			}
		}
	}
	if len(missing.Names) == 0 {
		return vars, nil
	}
	return vars, missing
}

// bool evaluates the expression. A fact that is missing is an error unless
// the expression asks has() about it first.
func (x *expression) bool(facts Facts) (bool, error) {
	vars, missing := x.values(facts)
	if missing != nil {
		return false, missing
	}
	out, _, err := x.program.Eval(vars)
	if err != nil {
		return false, x.evalError(err, vars, facts)
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, &lastro.Error{Code: lastro.EInvalid, ID: "L0181",
			Msg: fmt.Sprintf("%s gives %v, not true or false", x.text, out.Value())}
	}
	return b, nil
}

func (x *expression) evalError(err error, vars map[string]any, facts Facts) error {
	missing := &Missing{}
	for _, r := range x.reads {
		if _, ok := vars[r.variable]; !ok {
			missing.add(facts, r.fact)
		}
	}
	if len(missing.Names) > 0 {
		return missing
	}
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0181", Msg: fmt.Sprintf("%s cannot be evaluated: %s", x.text, plain(err.Error())), Err: nil}
}

// reads returns the keys of Facts that the expression needs, sorted.
func (x *expression) factNames() []string {
	var out []string
	for _, r := range x.reads {
		out = append(out, r.facts()...)
	}
	sort.Strings(out)
	return slices.Compact(out)
}
