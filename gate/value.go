// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"lastro"
)

// Expressions evaluates the expressions of pipelines, those in ${{ }} and of
// if:, in the language of rules. The zero value is ready to use.
type Expressions struct{}

var values sync.Map // text -> *expression or *lastro.Error

// compileValue is compile of an expression that may give anything.
func compileValue(text string) (*expression, error) {
	kept, ok := values.Load(text)
	if !ok {
		x, problem := compileNew(text)
		if kept = x; problem != nil {
			kept = problem
		}
		values.Store(text, kept)
	}
	if err, ok := kept.(*lastro.Error); ok {
		copied := *err
		return nil, &copied
	}
	return kept.(*expression), nil
}

// Reads returns the names that an expression reads, sorted.
func (Expressions) Reads(expr string) ([]string, error) {
	x, err := compileValue(expr)
	if err != nil {
		return nil, err
	}
	return x.factNames(), nil
}

// Condition says what is wrong with an expression that has to give true or
// false.
func (Expressions) Condition(expr string) error {
	x, err := compileValue(expr)
	if err != nil {
		return err
	}
	if problem := x.condition(); problem != nil {
		return problem
	}
	return nil
}

// Eval returns the value of an expression over names: nil, bool, float64,
// string, []any or map[string]any. A name that is not there is an error unless
// the expression asks has() about it; below event it is "".
func (Expressions) Eval(expr string, names map[string]any) (any, error) {
	x, err := compileValue(expr)
	if err != nil {
		return nil, err
	}
	out, err := x.value(names)
	if err != nil {
		return nil, err
	}
	return plainValue(out), nil
}

// Bool is Eval of an expression that has to give true or false.
func (e Expressions) Bool(expr string, names map[string]any) (bool, error) {
	v, err := e.Eval(expr, names)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, &lastro.Error{Code: lastro.EInvalid, ID: "L0181", Msg: fmt.Sprintf("it gives %v, not true or false", v),
			Hint: "compare it with something: params.depth > 4"}
	}
	return b, nil
}

// value evaluates the expression.
func (x *expression) value(names map[string]any) (ref.Val, error) {
	facts := make(Facts, len(names))
	for name, v := range names {
		facts[name] = v
	}
	tested := map[string]bool{}
	for _, r := range x.reads {
		tested[r.fact] = tested[r.fact] || r.tested
	}
	for _, r := range x.reads {
		if _, there := facts.lookup(r.fact); !there && !tested[r.fact] && strings.HasPrefix(r.fact, "event.") {
			facts[r.fact] = "" // what an event carries depends on what started the run
		}
	}
	vars, missing := x.values(facts)
	if missing != nil {
		return nil, missingName(missing)
	}
	out, _, err := x.program.Eval(vars)
	if err == nil {
		return out, nil
	}
	if strings.Contains(err.Error(), "no such overload") {
		if saw := x.kinds(facts); saw != "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0181", Msg: "the values do not fit together: " + saw,
				Hint: "double(x) and string(x) turn one kind into the other"}
		}
	}
	err = x.evalError(err, vars, facts)
	if m, ok := err.(*Missing); ok {
		return nil, missingName(m)
	}
	return nil, err
}

// kinds says what kind of value each name has: "params.depth is a number".
func (x *expression) kinds(facts Facts) string {
	var out []string
	for _, r := range x.reads {
		v, there := facts.lookup(r.fact)
		if !there {
			continue
		}
		kind := "nothing"
		switch v.(type) {
		case float64:
			kind = "a number"
		case string:
			kind = "text"
		case bool:
			kind = "true or false"
		case []any:
			kind = "a list"
		case map[string]any:
			kind = "an object"
		}
		out = append(out, r.fact+" is "+kind)
	}
	return strings.Join(out, ", ")
}

// missingName is the error of a name without a value.
func missingName(m *Missing) error {
	msg := strings.Join(m.Names, ", ") + " has no value"
	if len(m.Names) > 1 {
		msg = strings.Join(m.Names, ", ") + " have no value"
	}
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0334", Msg: msg, Hint: m.Hint}
}

// plainValue turns a value of CEL into one that JSON can hold. Numbers that
// are not finite become text.
func plainValue(v ref.Val) any {
	switch v := v.(type) {
	case traits.Lister:
		out := []any{}
		for it := v.Iterator(); it.HasNext().Value() == true; {
			out = append(out, plainValue(it.Next()))
		}
		return out
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext().Value() == true; {
			key := it.Next()
			out[fmt.Sprint(key.Value())] = plainValue(v.Get(key))
		}
		return out
	}
	switch plain := v.Value().(type) {
	case nil, bool, string:
		return plain
	case float64:
		if math.IsNaN(plain) || math.IsInf(plain, 0) {
			return fmt.Sprint(plain)
		}
		return plain
	case int64:
		return float64(plain)
	case uint64:
		return float64(plain)
	}
	if v.Type().TypeName() == "null_type" {
		return nil
	}
	return fmt.Sprint(v.Value())
}
