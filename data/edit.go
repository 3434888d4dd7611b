// SPDX-License-Identifier: Apache-2.0

package data

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/token"

	"lastro"
)

func propose(file string, text []byte, report Report) (Proposal, error) {
	contract, err := ParseContract(file, text)
	if err != nil {
		return Proposal{}, err
	}
	if contract.Digest != report.Contract {
		return Proposal{}, &lastro.Error{Code: lastro.EConflict, ID: "L0515", Pos: lastro.Pos{File: file}, Msg: "the contract has changed since it was checked", Hint: "check the data again, then propose"}
	}
	root, err := parseYAML(file, text)
	if err != nil {
		return Proposal{}, err
	}
	ed := &editor{lines: strings.SplitAfter(string(text), "\n"), root: root}
	for _, spec := range contract.Checks() {
		i := slices.IndexFunc(report.Checks, func(c Check) bool { return c.Name == spec.Name })
		if i >= 0 && (report.Checks[i].Status == Failed || report.Checks[i].Status == Warned) {
			ed.widen(spec, report.Checks[i])
		}
	}
	p := Proposal{Changes: ed.changes, Left: ed.left, Text: []byte(strings.Join(ed.apply(), ""))}
	if _, err := ParseContract(file, p.Text); err != nil {
		return Proposal{}, fmt.Errorf("the edited contract does not parse, so nothing is proposed: %w", err)
	}
	p.Diff = unified(file, ed.lines, strings.SplitAfter(string(p.Text), "\n"))
	return p, nil
}

// editor collects replacements in a text; comments and layout around them
// stay as they are.
type editor struct {
	lines   []string
	root    *node
	edits   []edit
	changes []Change
	left    []Change
}

// edit replaces the bytes from to to of a line (both 0-based) with text; an
// insertion has from == to.
type edit struct {
	line, from, to int
	text           string
}

func (ed *editor) leave(spec CheckSpec, format string, args ...any) {
	ed.left = append(ed.left, Change{Check: spec.Name, Line: spec.Pos.Line, What: fmt.Sprintf(format, args...)})
}

func (ed *editor) done(spec CheckSpec, n *node, format string, args ...any) {
	ed.changes = append(ed.changes, Change{Check: spec.Name, Line: n.pos.Line, What: fmt.Sprintf(format, args...)})
}

// widen makes room for what one failed check found, or says why it should not.
func (ed *editor) widen(spec CheckSpec, c Check) {
	switch {
	case c.Hidden:
		ed.leave(spec, "%s is sensitive: its values are not shown, so the contract is edited by hand", c.Column)
	case spec.Lib != nil:
		ed.widenRule(spec, c)
	case spec.Prop != nil:
		ed.widenProperty(spec, c)
	default:
		ed.leave(spec, "a key that recurs is a fault of the data")
	}
}

func (ed *editor) widenProperty(spec CheckSpec, c Check) {
	prop := ed.property(spec.Prop)
	options := prop.get("logicalTypeOptions")
	switch spec.Rule {
	case "present":
		ed.leave(spec, "the column is gone: find out where it went, or remove the property")
	case "unique":
		ed.leave(spec, "values that recur are a fault of the data")
	case "pattern":
		ed.leave(spec, "a pattern is for a person to write: %s do not match", strings.TrimPrefix(c.examples(), ": "))
	case "required":
		if spec.Prop.PrimaryKey {
			ed.leave(spec, "a key without a value is a fault of the data")
			return
		}
		if c.Rows > 0 {
			ed.scalar(spec, prop.get("required"), "false", "%s may be empty", c.Column)
		}
	case "type":
		wider := widerType(spec.Prop.Logical, c)
		if wider == "" || options != nil && wider != "number" {
			ed.leave(spec, "the type %s cannot be widened without rewriting the property", spec.Prop.Logical)
			return
		}
		ed.scalar(spec, prop.get("logicalType"), wider, "%s is of type %s", c.Column, wider)
	default:
		ed.stretch(spec, c, options)
	}
}

// widerType is the type that holds both what the contract says and what was
// seen; "" when only a person can tell.
func widerType(wanted string, c Check) string {
	seen := c.Seen
	switch {
	case seen == wanted && c.Rows > 0: // text of which some rows do not parse
		if wanted == "integer" && !slices.ContainsFunc(c.Bad, func(v ValueCount) bool { _, err := strconv.ParseFloat(v.Value, 64); return err != nil }) && c.MoreBad == 0 {
			return "number"
		}
		return "string"
	case wanted == "integer" && seen == "number":
		return "number"
	case wanted == "date" && seen == "timestamp":
		return "timestamp"
	case seen == "string":
		return "string"
	}
	return ""
}

// stretch moves the end of a range or a length to what was seen.
func (ed *editor) stretch(spec CheckSpec, c Check, options *node) {
	seen := c.Min
	if strings.HasPrefix(spec.Rule, "max") || spec.Rule == "exclusiveMaximum" {
		seen = c.Max
	}
	n := options.get(spec.Rule)
	switch {
	case n == nil || seen == "":
		ed.leave(spec, "what was seen is not known")
	case strings.HasPrefix(spec.Rule, "exclusive"):
		ed.leave(spec, "%s excludes its end: seen %s", spec.Rule, seen)
	default:
		if _, err := strconv.ParseFloat(seen, 64); err != nil {
			seen = strconv.Quote(strings.Replace(strings.TrimSuffix(seen, " 00:00:00"), " ", "T", 1))
		}
		ed.scalar(spec, n, seen, "%s of %s is %s", spec.Rule, c.Column, seen)
	}
}

func (ed *editor) widenRule(spec CheckSpec, c Check) {
	rule, n := spec.Lib, ed.rule(spec)
	switch {
	case n == nil:
		ed.leave(spec, "the rule was not found in the file")
	case rule.Type == "sql":
		ed.leave(spec, "a SQL rule is for a person to change: found %s, wanted %s", number(c.Value), c.Threshold)
	case rule.Metric == "duplicateValues":
		ed.leave(spec, "values that recur are a fault of the data, unless the rule is wrong: found %s", number(c.Value))
	case rule.Metric == "invalidValues" && rule.HasValid && rule.Pattern == "" && rule.MinLength == nil && rule.MaxLength == nil && rule.Minimum == nil && rule.Maximum == nil:
		if c.MoreBad > 0 {
			ed.leave(spec, "%d more values are not in this report: check with all bad values listed", c.MoreBad)
			return
		}
		ed.addValues(spec, c, n.get("arguments").get("validValues"))
	case rule.Metric == "invalidValues":
		ed.leave(spec, "which values are valid is for a person to say: %s are not", strings.TrimPrefix(c.examples(), ": "))
	default:
		ed.moveLimit(spec, c, n)
	}
}

// moveLimit moves a threshold just far enough for what was measured.
func (ed *editor) moveLimit(spec CheckSpec, c Check, n *node) {
	rule := spec.Lib
	operand := n.get(rule.Operator)
	up := strconv.FormatFloat(c.Value, 'f', -1, 64)
	switch rule.Operator {
	case "mustBeLessOrEqualTo", "mustBeGreaterOrEqualTo":
		ed.scalar(spec, operand, up, "%s %s %s", spec.Name, rule.Operator, up)
	case "mustBeLessThan":
		beyond := number(nextWhole(c.Value, +1))
		ed.scalar(spec, operand, beyond, "%s is less than %s", spec.Name, beyond)
	case "mustBeGreaterThan":
		beyond := number(nextWhole(c.Value, -1))
		ed.scalar(spec, operand, beyond, "%s is greater than %s", spec.Name, beyond)
	case "mustBeBetween":
		end := operand.items[0]
		if c.Value > rule.Operands[1] {
			end = operand.items[1]
		}
		ed.scalar(spec, end, up, "%s reaches to %s", spec.Name, up)
	default:
		ed.leave(spec, "%s asks for exactly one value: found %s", rule.Operator, number(c.Value))
	}
}

// nextWhole is the first whole number strictly beyond v.
func nextWhole(v float64, direction float64) float64 {
	w := float64(int64(v))
	for direction*(w-v) <= 0 {
		w += direction
	}
	return w
}

// property finds the mapping of a property by the place of its name.
func (ed *editor) property(p *Property) *node {
	for _, item := range ed.table().get("properties").list() {
		if name := item.get("name"); name != nil && name.pos.Line == p.Pos.Line && name.pos.Col == p.Pos.Col {
			return item
		}
	}
	return nil
}

func (ed *editor) table() *node {
	if tables := ed.root.get("schema").list(); len(tables) > 0 {
		return tables[0]
	}
	return nil
}

// rule finds the mapping of a rule by its place.
func (ed *editor) rule(spec CheckSpec) *node {
	all := slices.Clone(ed.table().get("quality").list())
	for _, item := range ed.table().get("properties").list() {
		all = append(all, item.get("quality").list()...)
	}
	for _, item := range all {
		if item.pos.Line == spec.Pos.Line && item.pos.Col == spec.Pos.Col {
			return item
		}
	}
	return nil
}

func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// scalar replaces a scalar by another.
func (ed *editor) scalar(spec CheckSpec, n *node, text, format string, args ...any) {
	line, from, to, ok := ed.find(n)
	if !ok {
		ed.leave(spec, "its place in the file was not found: change it by hand")
		return
	}
	ed.edits = append(ed.edits, edit{line, from, to, text})
	ed.done(spec, n, format, args...)
}

// find returns the bytes of a scalar in its line. The parser counts columns
// in characters.
func (ed *editor) find(n *node) (line, from, to int, ok bool) {
	if n == nil || n.kind != 's' || n.pos.Line < 1 || n.pos.Line > len(ed.lines) {
		return 0, 0, 0, false
	}
	line = n.pos.Line - 1
	text := ed.lines[line]
	origin := strings.TrimSpace(n.tok.Origin)
	if origin == "" || strings.Contains(origin, "\n") {
		return 0, 0, 0, false
	}
	start := byteOf(text, n.pos.Col)
	if start < 0 || !strings.HasPrefix(text[start:], origin) {
		return 0, 0, 0, false
	}
	return line, start, start + len(origin), true
}

// byteOf converts a column of characters, from 1, to a byte offset; -1 when
// the line is shorter.
func byteOf(line string, col int) int {
	at := 0
	for i := range line {
		if at++; at == col {
			return i
		}
	}
	return -1
}

// addValues puts the new values into a list, in the list's own style.
func (ed *editor) addValues(spec CheckSpec, c Check, n *node) {
	if n == nil || n.kind != 'l' || n.seq == nil {
		ed.leave(spec, "its list was not found in the file: add the values by hand")
		return
	}
	values := make([]string, len(c.Bad))
	for i, v := range c.Bad {
		values[i] = yamlScalar(v.Value, c, n)
	}
	slices.Sort(values)
	if !ed.insert(n, values) {
		ed.leave(spec, "its list cannot be edited in place: add %s by hand", strings.Join(values, ", "))
		return
	}
	ed.done(spec, n, "%s may also be %s", c.Column, strings.Join(values, ", "))
}

func (ed *editor) insert(n *node, values []string) bool {
	if n.seq.IsFlowStyle {
		end := n.seq.End
		if end == nil || end.Position.Line > len(ed.lines) {
			return false
		}
		line := end.Position.Line - 1
		at := byteOf(ed.lines[line], end.Position.Column)
		if at < 0 || ed.lines[line][at] != ']' {
			return false
		}
		text := strings.Join(values, ", ")
		if len(n.items) > 0 {
			text = ", " + text
		}
		before := strings.TrimRight(ed.lines[line][:at], " ")
		if strings.HasSuffix(before, ",") { // a comma may end a flow list
			text = strings.TrimPrefix(text, ",")
		}
		if before == "" { // the bracket stands alone: continue the line before it
			return ed.continued(line, n, text, values)
		}
		ed.edits = append(ed.edits, edit{line, len(before), len(before), text})
		return true
	}
	if len(n.items) == 0 {
		return false
	}
	last := n.items[len(n.items)-1]
	line, _, _, ok := ed.find(last)
	if !ok {
		return false
	}
	indent := ed.lines[line][:strings.Index(ed.lines[line], "-")]
	if strings.TrimSpace(indent) != "" {
		return false
	}
	var b strings.Builder
	if !strings.HasSuffix(ed.lines[line], "\n") {
		b.WriteString("\n")
	}
	for _, v := range values {
		b.WriteString(indent + "- " + v + "\n")
	}
	at := len(ed.lines[line])
	ed.edits = append(ed.edits, edit{line, at, at, b.String()})
	return true
}

// continued adds values to a flow list whose closing bracket has a line of its
// own.
func (ed *editor) continued(bracket int, n *node, text string, values []string) bool {
	if len(n.items) == 0 {
		return false
	}
	line, _, to, ok := ed.find(n.items[len(n.items)-1])
	if !ok || line >= bracket {
		return false
	}
	if strings.HasPrefix(strings.TrimSpace(ed.lines[line][to:]), ",") {
		to += strings.Index(ed.lines[line][to:], ",") + 1
		text = " " + strings.Join(values, ", ") + ","
	}
	ed.edits = append(ed.edits, edit{line, to, to, text})
	return true
}

// yamlScalar spells a value so that it is read back as the same text, in the
// style of the list: numbers stay numbers where the list has numbers.
func yamlScalar(v string, c Check, n *node) string {
	numbers := len(n.items) > 0 && !slices.ContainsFunc(n.items, func(i *node) bool { _, ok := i.number(); return !ok })
	if numbers {
		if _, err := strconv.ParseFloat(v, 64); err == nil {
			return v
		}
	}
	plain := v != "" && !token.IsNeedQuoted(v) && !strings.ContainsAny(v, ",[]{}#:&*!|>'\"%@`?\n\t\\") && strings.TrimSpace(v) == v
	if plain {
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return v
		}
	}
	if strings.ContainsAny(v, "\n\t\\\x00") {
		return strconv.Quote(v)
	}
	return "'" + strings.ReplaceAll(v, "'", "''") + "'"
}

// apply returns the lines after all edits.
func (ed *editor) apply() []string {
	out := slices.Clone(ed.lines)
	edits := slices.Clone(ed.edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(b.line, a.line), cmp.Compare(b.from, a.from)) })
	for _, e := range edits {
		out[e.line] = out[e.line][:e.from] + e.text + out[e.line][e.to:]
	}
	return out
}
