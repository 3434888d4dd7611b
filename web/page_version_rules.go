// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"html/template"
	"math"
	"strconv"

	"lastro"
	"lastro/gate"
	"lastro/registry"
)

// ruleRow is one condition with the values it saw.
type ruleRow struct {
	gate.Result
	Class string
	Seen  []seen
	Said  string // what the gate wrote down when there is no value to show
	Dot   template.HTML
}

// seen is one value that a rule read.
type seen struct{ Name, Value, Interval string }

// decision reads the newest decision on a version; without one the page says so.
func (p *Pages) decision(ctx context.Context, l Lang, v registry.Version, allowed bool, body *versionPage) error {
	d, err := p.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number))
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	body.Decision = &d
	if body.Waivers, err = p.Gates.Waivers(ctx, d.ID); err != nil {
		return err
	}
	if d.Verdict == gate.Waiting && !allowed {
		body.Approve = fmt.Sprintf(`lastro approve %s --bundle %s --until YYYY-MM-DD --reason "..."`, d.ID, d.Digest)
	}
	for _, result := range d.Results {
		body.Rules = append(body.Rules, ruleOf(l, result))
	}
	return nil
}

func ruleOf(l Lang, r gate.Result) ruleRow {
	row := ruleRow{Result: r, Class: stateClass(string(r.Outcome)), Dot: ruleDot(r)}
	for _, s := range r.Saw {
		x := seen{Value: valueOf(l, s.Value)}
		if len(r.Saw) > 1 || s.Missing {
			x.Name = s.Name
		}
		switch {
		case s.Missing:
			x.Value, row.Said = l.T("version.missing"), r.Message
		case s.Estimate != nil && s.CILow != nil && s.CIHigh != nil:
			x.Interval = l.Num(*s.Estimate, 3) + " " + l.Interval(*s.CILow, *s.CIHigh, 3)
		case s.CILow != nil && s.CIHigh != nil:
			x.Interval = l.Interval(*s.CILow, *s.CIHigh, 3)
		}
		row.Seen = append(row.Seen, x)
	}
	if len(r.Saw) == 0 {
		row.Said = r.Message
	}
	return row
}

// valueOf writes a fact: whole numbers as such, others with three
// decimals, small ones with more.
func valueOf(l Lang, v any) string {
	n, ok := v.(float64)
	switch {
	case !ok:
		return fmt.Sprint(v)
	case n == math.Trunc(n) && math.Abs(n) < 1e15:
		return l.Int(int64(n))
	case math.Abs(n) < 0.0005:
		return l.Num(n, 6)
	case math.Abs(n) < 0.01:
		return l.Num(n, 4)
	}
	return l.Num(n, 3)
}

// ruleDot draws the first value with an interval that a rule saw, with the
// limit when the rule compares with a number; nothing when there is none.
func ruleDot(r gate.Result) template.HTML {
	for _, s := range r.Saw {
		if s.CILow == nil || s.CIHigh == nil {
			continue
		}
		value := (*s.CILow + *s.CIHigh) / 2
		if v, ok := s.Value.(float64); ok {
			value = v
		}
		if s.Estimate != nil {
			value = *s.Estimate
		}
		limit := math.NaN()
		if m := limitOf.FindStringSubmatch(r.Rule.Check); m != nil && m[1] == "" && m[3] != "" {
			if v, ok := number(m[3]); ok {
				limit = v
				if m[2] == "-" {
					limit = -v
				}
			}
		}
		low, high := span(0.25, *s.CILow, *s.CIHigh, value, limit)
		return dotRow{Value: value, CILow: *s.CILow, CIHigh: *s.CIHigh, Limit: limit, Mark: math.NaN(), Low: low, High: high, Class: stateClass(string(r.Outcome))}.draw()
	}
	return ""
}
