// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"

	"lastro"
)

// Facts are what rules can read, by dotted name: "metrics.auc" beside
// "metrics.auc.ci_low", "data.flights.checks.failed", "params.seed". A name
// with a segment that is no identifier is written with it as it is
// ("metrics.val/auc") and read as metrics["val/auc"]. Values are numbers,
// string, bool, nil, []any, map[string]any or Ambiguous; integers of any width
// count as float64, and an object's members are read by longer names. See
// SEMANTICS, "Facts that rules can read".
type Facts map[string]any

// FirstFact is true when there is no champion to compare with yet. A rule
// that reads compare.* and says first: pass then passes.
const FirstFact = "compare.first"

// ChampionPrefix is put before a fact's name to give the champion's value of
// it: shift(score.mean) reads score.mean and champion.score.mean.
const ChampionPrefix = "champion."

// Ambiguous is the value of a metric that several steps wrote under one name:
// reading it is an error that names the steps; steps.NAME.metrics.KEY still
// works (SEMANTICS 17).
type Ambiguous struct {
	Steps []string `json:"ambiguous"`
}

// lookup finds a fact by its dotted name, also inside an object under a
// shorter name. Numbers come as float64.
func (f Facts) lookup(name string) (any, bool) {
	if v, ok := f[name]; ok {
		return normal(v), true
	}
	for i := strings.LastIndexByte(name, '.'); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		if object, ok := normal(f[name[:i]]).(map[string]any); ok {
			return descend(object, name[i+1:])
		}
	}
	return nil, false
}

func descend(object map[string]any, rest string) (any, bool) {
	if v, ok := object[rest]; ok {
		return v, true
	}
	head, tail, found := strings.Cut(rest, ".")
	if inner, ok := object[head].(map[string]any); found && ok {
		return descend(inner, tail)
	}
	return nil, false
}

// number returns a fact that is a finite number.
func (f Facts) number(name string) (float64, bool) {
	v, _ := f.lookup(name)
	n, ok := v.(float64)
	return n, ok && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// names lists the facts of one root, sorted.
func (f Facts) names(root string) []string {
	var out []string
	for name := range f {
		if name == root || strings.HasPrefix(name, root+".") {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// nearest returns a hint that names what was probably meant, or what there
// is. Names are compared word by word, so that metrics.f1 is not near to
// metrics.auc for their common beginning.
func (f Facts) nearest(name string) string {
	root, _, _ := strings.Cut(name, ".")
	there := f.names(root)
	if len(there) == 0 {
		return fmt.Sprintf("there is no fact that begins with %s", root)
	}
	words := strings.Split(name, ".")
	for i, w := range words[1:] {
		var others []string
		for _, other := range there {
			if o := strings.Split(other, "."); len(o) == len(words) && equalBut(o, words, i+1) {
				others = append(others, o[i+1])
			}
		}
		near := lastro.Nearest(w, others)
		for _, o := range others { // auc for roc_auc
			if near == "" && len(w) > 2 && strings.Contains(o, w) {
				near = o
			}
		}
		if near != "" {
			meant := slices.Clone(words)
			meant[i+1] = near
			return fmt.Sprintf("did you mean %s?", strings.Join(meant, "."))
		}
	}
	return "there is " + some(there)
}

// equalBut reports whether two names of one length differ in one word at most.
func equalBut(a, b []string, word int) bool {
	for i := range a {
		if i != word && a[i] != b[i] {
			return false
		}
	}
	return true
}

// some lists names, at most eight of them.
func some(names []string) string {
	if len(names) > 8 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:8], ", "), len(names)-8)
	}
	return strings.Join(names, ", ")
}

// normal gives every number as float64, at any depth.
func normal(v any) any {
	switch x := v.(type) {
	case nil, float64, string, bool, Ambiguous:
		return v
	case json.Number:
		n, err := x.Float64()
		if err != nil {
			return string(x)
		}
		return n
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = normal(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k := range x {
			out[k] = normal(x[k])
		}
		return out
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int())
	case r.CanUint():
		return float64(r.Uint())
	case r.CanFloat():
		return r.Float()
	case r.Kind() == reflect.String:
		return r.String()
	case r.Kind() == reflect.Bool:
		return r.Bool()
	case r.Kind() == reflect.Pointer && !r.IsNil():
		return normal(r.Elem().Interface())
	case r.Kind() == reflect.Slice:
		out := make([]any, r.Len())
		for i := range out {
			out[i] = normal(r.Index(i).Interface())
		}
		return out
	}
	return fmt.Sprint(v)
}

// frozen returns the facts in the form that JSON can hold: numbers that are
// not finite become text, which no rule mistakes for a number.
func (f Facts) frozen() Facts {
	out := make(Facts, len(f))
	for name, v := range f {
		out[name] = finite(normal(v))
	}
	return out
}

func finite(v any) any {
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprint(x)
		}
	case []any:
		for i := range x {
			x[i] = finite(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = finite(x[k])
		}
	}
	return v
}
