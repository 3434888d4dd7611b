// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// Evaluate asks every rule. A rule whose fact is missing fails whatever its
// on_fail (warn excepted): there is nothing that a person could approve. A
// waiver counts for a rule that says on_fail: approve, until its date, and only
// for the values that the person saw. The returned decision has no ID, subject
// or digest yet; see Service.Decide.
func Evaluate(rules []Rule, facts Facts, waivers []Waiver, now time.Time) Decision {
	d := Decision{At: now.UTC().Truncate(time.Microsecond), Verdict: Passed, Results: []Result{}, Facts: facts.frozen()}
	for _, rule := range rules {
		r := ask(rule, facts)
		if r.Outcome == Waiting {
			if w := waiverFor(r, waivers, now); w != nil {
				r.Outcome, r.Waiver = Waived, w
				r.Message += fmt.Sprintf("; waived by %s until %s: %s", w.Actor, w.Until.Format(time.DateOnly), w.Reason)
			}
		}
		d.Results = append(d.Results, r)
		switch {
		case r.Outcome == Failed:
			d.Verdict = Failed
		case r.Outcome == Waiting && d.Verdict == Passed:
			d.Verdict = Waiting
		}
	}
	return d
}

// ask evaluates one rule without waivers.
func ask(rule Rule, facts Facts) Result {
	if rule.OnFail == "" {
		rule.OnFail = Block
	}
	r := Result{Rule: rule, Saw: []Saw{}}
	x, err := compile(rule.Check)
	if err != nil {
		r.Outcome, r.Message = Failed, fmt.Sprintf("the rule cannot be read: %v", err)
		return r
	}
	r.Saw = x.saw(facts)
	if rule.First == "pass" && x.readsCompare() && facts[FirstFact] == true {
		r.Outcome, r.Message = Passed, "there is no champion to compare with yet"
		return r
	}
	holds, err := x.bool(facts)
	var missing *Missing
	switch {
	case errors.As(err, &missing):
		r.Outcome, r.Message, r.Hint = Failed, missing.Error()+missingWhy(missing, facts), missing.Hint
		if rule.OnFail == Warn {
			r.Outcome = Warned
		}
	case err != nil:
		r.Outcome, r.Message = Failed, err.Error()
	case holds:
		r.Outcome, r.Message = Passed, seen(r.Saw)
	default:
		r.Outcome = map[string]Outcome{Block: Failed, Warn: Warned, Approve: Waiting}[rule.OnFail]
		if r.Outcome == "" {
			r.Outcome = Failed
		}
		r.Message = fmt.Sprintf("%s does not hold: %s", rule.Check, seen(r.Saw))
	}
	return r
}

func missingWhy(m *Missing, facts Facts) string {
	for _, name := range m.Names {
		if strings.HasPrefix(name, "compare.") && facts[FirstFact] == true {
			return ": there is no champion to compare with yet (first: pass lets the first version through)"
		}
	}
	return ", and a fact that is missing fails the gate"
}

func (x *expression) readsCompare() bool {
	for _, r := range x.reads {
		if strings.HasPrefix(r.fact, "compare.") {
			return true
		}
	}
	return false
}

// saw lists every fact that the expression names, with its interval.
func (x *expression) saw(facts Facts) []Saw {
	out := []Saw{}
	for _, r := range x.reads {
		if r.tested {
			continue
		}
		if r.function != nil {
			s := Saw{Name: r.spelled(), Missing: true}
			if v, lacking := r.function.ofFact(facts, r.fact); len(lacking) == 0 {
				s.Value, s.Missing = finite(v), false
			}
			out = append(out, s)
		}
		for _, name := range r.facts() {
			out = append(out, sawFact(facts, name))
		}
	}
	return out
}

// ends are the suffixes of an interval's ends; compare.M.diff_ci_low belongs
// to compare.M.diff as metrics.K.ci_low does to metrics.K.
var ends = []string{".ci_low", ".ci_high", "_ci_low", "_ci_high"}

func sawFact(facts Facts, name string) Saw {
	v, there := facts.lookup(name)
	if _, ok := v.(Ambiguous); ok {
		there = false
	}
	n, isNumber := v.(float64)
	if isNumber && math.IsNaN(n) || there && isNumeric(name) && !isNumber {
		there = false
	}
	s := Saw{Name: name, Value: finite(v), Missing: !there}
	base := name
	for _, end := range ends {
		if b, ok := strings.CutSuffix(name, end); ok {
			base = b
			s.Estimate = figureOf(facts, b)
		}
	}
	for _, sep := range []string{".", "_"} {
		low, high := figureOf(facts, base+sep+"ci_low"), figureOf(facts, base+sep+"ci_high")
		if low != nil && high != nil {
			s.CILow, s.CIHigh = low, high
			break
		}
	}
	return s
}

// figureOf returns a fact that is a finite number, nil for any other.
func figureOf(facts Facts, name string) *float64 {
	if v, ok := facts.number(name); ok {
		return &v
	}
	return nil
}

// seen puts the facts in one line: metrics.auc = 0.58 [0.55, 0.61].
func seen(saw []Saw) string {
	parts := make([]string, 0, len(saw))
	for _, s := range saw {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, ", ")
}

// String spells a fact as a person reads it: metrics.auc = 0.58 [0.55, 0.61].
func (s Saw) String() string {
	if s.Missing {
		return s.Name + " is missing"
	}
	text := s.Name + " = " + figure(s.Value)
	if s.CILow != nil && s.CIHigh != nil {
		if s.Estimate != nil {
			text += fmt.Sprintf(" (%s", figure(*s.Estimate))
		}
		text += fmt.Sprintf(" [%s, %s]", figure(*s.CILow), figure(*s.CIHigh))
		if s.Estimate != nil {
			text += ")"
		}
	}
	return text
}

// figure shows a number with four significant digits, whole ones whole.
func figure(v any) string {
	n, ok := v.(float64)
	if !ok {
		return fmt.Sprint(v)
	}
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	if math.Abs(n) >= 1000 {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'g', 4, 64)
}

// seenDigest binds a waiver to the rule and to the values that were seen.
func seenDigest(r Result) (lastro.Digest, error) {
	b, err := lastro.CanonicalJSON(struct {
		Rule Rule  `json:"rule"`
		Saw  []Saw `json:"saw"`
	}{r.Rule, r.Saw})
	return lastro.DigestOf(b), err
}

func waiverFor(r Result, waivers []Waiver, now time.Time) *Waiver {
	digest, err := seenDigest(r)
	if err != nil {
		return nil
	}
	for i := len(waivers) - 1; i >= 0; i-- {
		if w := waivers[i]; w.Rule == r.Rule.Name && w.Seen == digest && w.Until.After(now) {
			return &w
		}
	}
	return nil
}
