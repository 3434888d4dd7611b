// SPDX-License-Identifier: Apache-2.0

package data

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// rules reads a quality list; p is nil for the table's.
func (r *reader) rules(n *node, p *Property) []Rule {
	if n.kind != 'l' {
		r.bad(n.pos, "", "quality must be a list of rules")
		return nil
	}
	var out []Rule
	for _, item := range n.items {
		if rule, ok := r.rule(item, p); ok {
			out = append(out, rule)
		}
	}
	return out
}

func (r *reader) rule(n *node, p *Property) (Rule, bool) {
	rule := Rule{Pos: n.pos}
	if p != nil {
		rule.Column = p.Name
	}
	before := len(r.problems)
	if t := n.get("type"); t != nil && t.text == "custom" {
		r.unsupported(t.pos, "write it as a rule of type sql", "a rule of type custom belongs to another engine and cannot be run here")
		return rule, false
	}
	var arguments *node
	old, unit := "", ""
	known := map[string]func(*node){
		"name":        r.text(&rule.Name),
		"description": r.text(&rule.Description),
		"type":        r.oneOf(&rule.Type, "type", words("text library sql")),
		"metric":      r.oneOf(&rule.Metric, "metric", metrics),
		"rule":        r.text(&old),
		"arguments":   func(v *node) { arguments = v },
		"query":       r.text(&rule.Query),
		"unit":        r.oneOf(&unit, "unit", words("rows percent percentage %")),
		"severity":    r.text(&rule.Severity),
		"dimension":   r.text(&rule.Dimension),
	}
	for _, op := range operators {
		known[op] = func(v *node) { r.operand(&rule, op, v) }
	}
	r.keys(n, "quality rule", known, ruleNotes, nil)
	if len(r.problems) > before {
		return rule, false
	}
	rule.Percent = unit != "" && unit != "rows"
	rule.Type = cmp.Or(rule.Type, "library")
	switch rule.Type {
	case "text":
		rule.Name = r.unique(cmp.Or(rule.Name, join(rule.Column, "text")))
	case "sql":
		r.sqlRule(&rule, n)
	default:
		if old != "" && rule.Metric == "" {
			r.bad(n.pos, "write metric: "+old, "rule: is the spelling before ODCS 3.1")
			return rule, false
		}
		r.libraryRule(&rule, n, arguments)
	}
	return rule, len(r.problems) == before
}

// operand reads one of the eight comparisons; a rule has exactly one.
func (r *reader) operand(rule *Rule, op string, n *node) {
	if rule.Operator != "" {
		r.bad(n.pos, "write two rules", "a rule has one comparison, this one has %s and %s", rule.Operator, op)
		return
	}
	rule.Operator = op
	values := []*node{n}
	if strings.HasSuffix(op, "Between") {
		if n.kind != 'l' || len(n.items) != 2 {
			r.bad(n.pos, "", "%s takes a list of two numbers, the smaller first", op)
			return
		}
		values = n.items
	}
	for _, v := range values {
		x, ok := v.number()
		if !ok {
			r.bad(v.pos, "", "%s takes a number, not %q", op, v.text)
			return
		}
		rule.Operands = append(rule.Operands, x)
	}
	if len(rule.Operands) == 2 && rule.Operands[0] > rule.Operands[1] {
		r.bad(n.pos, "put the smaller number first", "%s [%v, %v] can never hold", op, rule.Operands[0], rule.Operands[1])
	}
}

func (r *reader) sqlRule(rule *Rule, n *node) {
	switch {
	case strings.TrimSpace(rule.Query) == "":
		r.bad(n.pos, "", "a rule of type sql needs a query")
	case rule.Operator == "":
		r.bad(n.pos, "such as mustBe: 0", "the sql rule has no comparison")
	case rule.Percent:
		r.bad(n.pos, "let the query return the percentage", "unit: percent goes with nullValues, missingValues and invalidValues only")
	}
	rule.Name = r.unique(cmp.Or(rule.Name, join(rule.Column, "sql")))
}

// libraryRule holds a rule to the levels and arguments that datacontract-cli
// 1.2.8 accepts, so that a contract means the same to both.
func (r *reader) libraryRule(rule *Rule, n, arguments *node) {
	if rule.Metric == "" {
		r.bad(n.pos, "metric is one of "+strings.Join(metrics, ", "), "a library rule needs a metric")
		return
	}
	switch {
	case rule.Operator == "":
		r.bad(n.pos, "such as mustBe: 0", "the rule %s has no comparison", rule.Metric)
	case rule.Metric == "rowCount" && rule.Column != "":
		r.bad(n.pos, "move it to the quality of the table", "rowCount is a rule of the table, not of a column")
	case rule.Metric != "rowCount" && rule.Metric != "duplicateValues" && rule.Column == "":
		r.bad(n.pos, "move it to the quality of a property", "%s is a rule of a column, not of the table", rule.Metric)
	case rule.Percent && (rule.Metric == "rowCount" || rule.Metric == "duplicateValues"):
		r.bad(n.pos, "", "unit: percent goes with nullValues, missingValues and invalidValues only")
	}
	if arguments != nil {
		r.arguments(rule, arguments)
	}
	switch {
	case rule.Metric == "invalidValues" && !rule.constrains():
		r.bad(n.pos, "such as arguments: {validValues: [a, b]}", "invalidValues needs arguments that say which values are valid")
	case rule.Metric == "duplicateValues" && rule.Column == "" && len(rule.Columns) == 0:
		r.bad(n.pos, "such as arguments: {properties: [a, b]}", "duplicateValues of the table needs the columns")
	}
	rule.Name = r.unique(cmp.Or(rule.Name, join(rule.Column, rule.Metric)))
}

func (rule *Rule) constrains() bool {
	return rule.HasValid || rule.Pattern != "" || rule.MinLength != nil || rule.MaxLength != nil || rule.Minimum != nil || rule.Maximum != nil
}

func (r *reader) arguments(rule *Rule, n *node) {
	known := map[string]func(*node){}
	switch rule.Metric {
	case "invalidValues":
		known["validValues"] = func(v *node) { rule.HasValid = true; r.texts(&rule.ValidValues, v) }
		known["pattern"] = r.pattern(&rule.Pattern)
		known["minLength"], known["maxLength"] = r.length(&rule.MinLength), r.length(&rule.MaxLength)
		known["minimum"], known["maximum"] = r.number(&rule.Minimum), r.number(&rule.Maximum)
		known["missingValues"] = func(v *node) { r.texts(&rule.Missing, v) }
	case "missingValues":
		known["missingValues"] = func(v *node) { r.texts(&rule.Missing, v) }
	case "duplicateValues":
		known["properties"] = func(v *node) { r.texts(&rule.Columns, v) }
	}
	r.keys(n, "arguments of "+rule.Metric, known, nil, nil)
}

// texts reads a list of scalars as the texts they compare with; null stands
// for a missing value and is left out.
func (r *reader) texts(to *[]string, n *node) {
	if n.kind != 'l' {
		r.bad(n.pos, "", "a list is wanted here")
		return
	}
	for _, item := range n.items {
		switch item.kind {
		case 's':
			*to = append(*to, item.spelled())
		case 'n':
		default:
			r.bad(item.pos, "", "a list of plain values is wanted here")
		}
	}
}

func join(column, word string) string {
	if column == "" {
		return word
	}
	return column + "." + word
}

// unique makes a check's name unique in the contract: the second rowCount is
// rowCount_2.
func (r *reader) unique(name string) string {
	r.names[name]++
	if n := r.names[name]; n > 1 {
		return r.unique(fmt.Sprintf("%s_%d", name, n))
	}
	return name
}

func (c *Contract) checks() []CheckSpec {
	var out []CheckSpec
	var key []Property
	for i := range c.Properties {
		p := &c.Properties[i]
		add := func(rule string) {
			out = append(out, CheckSpec{Name: join(p.Name, rule), Column: p.Name, Rule: rule, Prop: p, Pos: p.Pos})
		}
		add("present")
		if p.Logical != "" {
			add("type")
		}
		if p.Required || p.PrimaryKey {
			add("required")
		}
		if p.Unique {
			add("unique")
		}
		if p.PrimaryKey {
			key = append(key, *p)
		}
		for _, o := range p.options() {
			add(o)
		}
		if p.Physical != "" {
			add("physicalType")
		}
	}
	if len(key) == 1 && !key[0].Unique || len(key) > 1 {
		slices.SortStableFunc(key, func(a, b Property) int { return cmp.Compare(a.KeyPos, b.KeyPos) })
		spec := CheckSpec{Name: "primaryKey", Rule: "primaryKey", Pos: key[0].Pos}
		for _, p := range key {
			spec.Keys = append(spec.Keys, p.Name)
		}
		out = append(out, spec)
	}
	for i := range c.Rules {
		rule := &c.Rules[i]
		out = append(out, CheckSpec{Name: rule.Name, Column: rule.Column, Rule: cmp.Or(rule.Metric, rule.Type), Lib: rule, Pos: rule.Pos})
	}
	return out
}

// options lists the names of the options that are set.
func (p *Property) options() []string {
	var out []string
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"minLength", p.MinLength != nil}, {"maxLength", p.MaxLength != nil}, {"pattern", p.Pattern != ""},
		{"minimum", p.Minimum != nil}, {"maximum", p.Maximum != nil},
		{"exclusiveMinimum", p.ExclusiveMinimum != nil}, {"exclusiveMaximum", p.ExclusiveMaximum != nil},
	} {
		if o.set {
			out = append(out, o.name)
		}
	}
	return out
}

// Holds reports whether a measured value satisfies the rule's comparison;
// both Between operators include their ends (datacontract-cli 1.2.8).
func (rule *Rule) Holds(v float64) bool {
	a := rule.Operands[0]
	b := rule.Operands[len(rule.Operands)-1]
	switch rule.Operator {
	case "mustBe":
		return v == a
	case "mustNotBe":
		return v != a
	case "mustBeGreaterThan":
		return v > a
	case "mustBeGreaterOrEqualTo":
		return v >= a
	case "mustBeLessThan":
		return v < a
	case "mustBeLessOrEqualTo":
		return v <= a
	case "mustBeBetween":
		return a <= v && v <= b
	case "mustNotBeBetween":
		return v < a || v > b
	}
	return false
}

// Threshold spells the comparison, such as "< 3%".
func (rule *Rule) Threshold() string {
	unit := ""
	if rule.Percent {
		unit = "%"
	}
	a := rule.Operands[0]
	b := rule.Operands[len(rule.Operands)-1]
	sign := map[string]string{"mustBe": "=", "mustNotBe": "≠", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": "≥",
		"mustBeLessThan": "<", "mustBeLessOrEqualTo": "≤"}[rule.Operator]
	switch rule.Operator {
	case "mustBeBetween":
		return fmt.Sprintf("%s to %s%s", number(a), number(b), unit)
	case "mustNotBeBetween":
		return fmt.Sprintf("not %s to %s%s", number(a), number(b), unit)
	}
	return fmt.Sprintf("%s %s%s", sign, number(a), unit)
}

// Warns reports whether a broken rule only warns.
func (rule *Rule) Warns() bool {
	return slices.Contains(words("info warning warn low minor trivial"), strings.ToLower(strings.TrimSpace(rule.Severity)))
}
