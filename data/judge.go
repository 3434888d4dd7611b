// SPDX-License-Identifier: Apache-2.0

package data

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Measure is what an engine found for one check. Judge turns it into the
// verdict, so that every engine gives the same verdict and the same words.
type Measure struct {
	Missing string       // column of the check that the table does not have; "" = all are there
	Logical string       // logical type of the column, for type
	Bad     int64        // rows that break the rule; duplicates: rows that share their key
	Keys    int64        // duplicates: distinct values that recur
	Value   float64      // sql: the answer
	NoValue string       // sql: why there is no answer to compare
	Values  []ValueCount // bad values, most frequent first
	More    int64        // distinct bad values beyond Values
	Min     string       // least and greatest value of the column
	Max     string
}

// Judge compares a measure with the check's limit. total is the number of
// rows of the table.
func (s CheckSpec) Judge(m Measure, total int64, sensitive []string) Check {
	c := Check{Name: s.Name, Column: s.Column, Rule: s.Rule, Pos: s.Pos, Value: float64(m.Bad), Rows: m.Bad,
		Threshold: "0 rows", Bad: m.Values, MoreBad: m.More, Min: m.Min, Max: m.Max}
	if s.hides(sensitive) {
		c.Hidden, c.Bad, c.MoreBad, c.Min, c.Max = len(m.Values) > 0, nil, 0, "", ""
	}
	switch {
	case s.Rule == "text":
		c.Status, c.Value, c.Threshold = Shown, 0, ""
		c.Message = "for people, not run: " + s.Lib.Description
	case s.Rule == "physicalType":
		c.Status, c.Value, c.Threshold = Shown, 0, s.Prop.Physical
		c.Message = fmt.Sprintf("not run: files are checked by logicalType, %s is what a database would use", s.Prop.Physical)
	case m.Missing != "":
		c.Value, c.Threshold, c.Rows = 0, "a column", 0
		c.conclude(false, fmt.Sprintf("there is no column %q", m.Missing))
	case s.Lib != nil:
		s.judgeRule(&c, m, total)
	default:
		s.judgeProperty(&c, m)
	}
	c.Passed = c.Status != Failed
	return c
}

func (c *Check) conclude(ok bool, message string) {
	c.Status, c.Message = Passed, message
	if !ok {
		c.Status = Failed
	}
}

// hides reports whether the check could show a sensitive value.
func (s CheckSpec) hides(sensitive []string) bool {
	columns := append(slices.Clone(s.Keys), s.Column)
	if s.Lib != nil {
		columns = append(columns, s.Lib.Columns...)
	}
	for _, c := range columns {
		if slices.ContainsFunc(sensitive, func(x string) bool { return strings.EqualFold(x, c) }) {
			return true
		}
	}
	return false
}

func (s CheckSpec) judgeProperty(c *Check, m Measure) {
	p := s.Prop
	switch s.Rule {
	case "present":
		c.Threshold, c.Value = "a column", 1
		c.conclude(true, "the column is there")
		return
	case "type":
		c.Seen, c.Threshold = m.Logical, p.Logical
		if m.Bad == 0 && !fits(p.Logical, m.Logical) {
			c.conclude(false, fmt.Sprintf("the column is of type %s, the contract says %s", m.Logical, p.Logical))
			return
		}
		c.conclude(m.Bad == 0, fmt.Sprintf("%s not of type %s%s", rows(m.Bad), p.Logical, c.examples()))
		return
	case "unique", "primaryKey":
		c.Value = float64(m.Keys)
		c.Threshold = "0 values"
		c.conclude(m.Keys == 0, fmt.Sprintf("%s values occur more than once, in %s%s", Thousands(m.Keys), rows(m.Bad), c.examples()))
		return
	case "required":
		c.conclude(m.Bad == 0, rows(m.Bad)+" without a value")
		return
	}
	limit, word := p.limit(s.Rule)
	c.Threshold = word + " " + limit
	c.conclude(m.Bad == 0, fmt.Sprintf("%s break %s %s%s%s", rows(m.Bad), s.Rule, limit, c.examples(), c.span(s.Rule)))
}

// limit spells the value of an option and its sign.
func (p *Property) limit(option string) (limit, sign string) {
	length := func(n *int64) string { return fmt.Sprint(*n) }
	switch option {
	case "minLength":
		return length(p.MinLength), "length ≥"
	case "maxLength":
		return length(p.MaxLength), "length ≤"
	case "pattern":
		return p.Pattern, "matches"
	case "minimum":
		return p.Minimum.String(), "≥"
	case "maximum":
		return p.Maximum.String(), "≤"
	case "exclusiveMinimum":
		return p.ExclusiveMinimum.String(), ">"
	case "exclusiveMaximum":
		return p.ExclusiveMaximum.String(), "<"
	}
	return "", ""
}

// String spells the bound.
func (b *Bound) String() string {
	if b.Text != "" {
		return b.Text
	}
	return number(b.Number)
}

func (s CheckSpec) judgeRule(c *Check, m Measure, total int64) {
	rule := s.Lib
	c.Severity, c.Percent, c.Threshold = rule.Severity, rule.Percent, rule.Threshold()
	switch rule.Metric {
	case "rowCount":
		c.Value, c.Rows = float64(total), 0
	case "duplicateValues":
		c.Value = float64(m.Keys)
	case "":
		c.Value, c.Rows = m.Value, 0
	}
	if rule.Percent {
		c.Value = share(m.Bad, total)
	}
	if m.NoValue != "" {
		c.conclude(false, m.NoValue)
	} else {
		c.conclude(rule.Holds(c.Value), s.sentence(c, m, total))
	}
	if c.Status == Failed && rule.Warns() {
		c.Status = Warned
	}
}

// share is a percentage rounded to six decimals, as datacontract-cli rounds
// it, so that both tools agree at the very edge of a limit.
func share(bad, total int64) float64 {
	if total == 0 {
		return 0
	}
	return math.Round(float64(bad)/float64(total)*100*1e6) / 1e6
}

func (s CheckSpec) sentence(c *Check, m Measure, total int64) string {
	unit := ""
	if c.Percent {
		unit = "% of rows"
	}
	found := fmt.Sprintf("found %s%s, wanted %s", number(c.Value), unit, c.Threshold)
	switch s.Lib.Metric {
	case "rowCount":
		return fmt.Sprintf("%s in the table, wanted %s", rows(total), c.Threshold)
	case "nullValues":
		return fmt.Sprintf("%s without a value: %s", rows(m.Bad), found)
	case "missingValues":
		return fmt.Sprintf("%s missing a value: %s", rows(m.Bad), found)
	case "invalidValues":
		what := "with invalid values"
		if s.Lib.HasValid && s.Lib.Pattern == "" {
			what = "with values that are not in the list"
		}
		return fmt.Sprintf("%s %s%s: %s", rows(m.Bad), what, c.examples(), found)
	case "duplicateValues":
		return fmt.Sprintf("%s values occur more than once, in %s%s: %s", Thousands(m.Keys), rows(m.Bad), c.examples(), found)
	}
	if s.Lib.Description != "" {
		return s.Lib.Description + ": " + found
	}
	return found
}

// examples spells the first bad values for the message.
func (c *Check) examples() string {
	switch {
	case c.Hidden:
		return " (values hidden: sensitive column)"
	case len(c.Bad) == 0:
		return ""
	}
	more := ""
	if left := int64(max(0, len(c.Bad)-5)) + c.MoreBad; left > 0 {
		more = fmt.Sprintf(" and %s more", Thousands(left))
	}
	return ": " + strings.TrimSuffix(strings.TrimSuffix(quoteList(c.Bad, 5), "…"), ", ") + more
}

func (c *Check) span(rule string) string {
	switch {
	case strings.HasSuffix(rule, "inimum") && c.Min != "":
		return "; least value seen " + c.Min
	case strings.HasSuffix(rule, "aximum") && c.Max != "":
		return "; greatest value seen " + c.Max
	}
	return ""
}

// fits reports whether a column of a logical type satisfies the wanted one:
// whole numbers are numbers, and an all-null column fits everything.
func fits(wanted, seen string) bool {
	return wanted == seen || seen == "null" || wanted == "number" && seen == "integer"
}
