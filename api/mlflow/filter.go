// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"lastro"
)

// comparison is one part of a filter, as written: entity "metrics" and key
// "auc", or entity "" and key "name".
type comparison struct {
	entity, key string
	op          string
	text        string
	number      float64
	isNumber    bool
	values      []string
}

// parseFilter reads MLflow's search grammar: comparisons joined by AND, each
// "identifier op value" with = != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL and
// IS NOT NULL. Keys may be quoted by `, " or ', strings by ' or ". Like MLflow
// it does not insist on an AND between two comparisons, and none before the
// first or after the last does harm.
// Source: what MLflow 3.17.2 accepts, testdata/search/golden.json.
func parseFilter(filter string) ([]comparison, error) {
	p := &filterParser{rest: filter, whole: filter}
	if !utf8.ValidString(filter) || strings.ContainsRune(filter, 0) {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0704", Msg: fmt.Sprintf("the filter %.200q is not text: it has bytes that are no UTF-8, or zeros", filter), Hint: "send it as UTF-8"}
	}
	var out []comparison
	values := 0
	for p.ands(); p.rest != ""; p.ands() {
		c, err := p.comparison()
		if err != nil {
			return nil, err
		}
		out, values = append(out, c), values+len(c.values)
		if len(out) > mostComparisons || values > mostValues {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0704", Msg: fmt.Sprintf("the filter has %d comparisons with %d values in lists; %d and %d are the most", len(out), values, mostComparisons, mostValues),
				Hint: "ask in several searches"}
		}
	}
	return out, nil
}

// What one search can ask for; databases bound the arguments of a statement.
const (
	mostComparisons = 100
	mostValues      = 10_000 // in the lists of IN, and ids of experiments
)

// ands takes spaces and the word AND.
func (p *filterParser) ands() {
	for p.space(); p.keyword("AND"); {
	}
}

// String writes a comparison so that parseFilter reads the same.
func (c comparison) String() string {
	var b strings.Builder
	if c.entity != "" {
		b.WriteString(quoteKey(c.entity) + ".")
	}
	b.WriteString(quoteKey(c.key) + " " + c.op)
	text := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	switch {
	case c.values != nil:
		list := make([]string, len(c.values))
		for i, v := range c.values {
			list[i] = text(v)
		}
		b.WriteString(" (" + strings.Join(list, ", ") + ")")
	case c.isNumber:
		b.WriteString(" " + c.text)
	case c.op != "IS NULL" && c.op != "IS NOT NULL":
		b.WriteString(" " + text(c.text))
	}
	return b.String()
}

// quoteKey puts a name in a quotation mark that it does not have.
func quoteKey(name string) string {
	for _, mark := range []string{"`", `"`, "'"} {
		if !strings.Contains(name, mark) {
			return mark + name + mark
		}
	}
	return name
}

type filterParser struct{ rest, whole string }

func (p *filterParser) fail(wanted string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0704",
		Msg:  fmt.Sprintf("the filter %.200q is not understood at character %d: %s expected", p.whole, len(p.whole)-len(p.rest)+1, wanted),
		Hint: "write comparisons joined by AND, such as metrics.auc > 0.8 AND params.depth = '3' (OR and parentheses are not possible)"}
}

func (p *filterParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// keyword takes a word, whatever its case, if it comes next and ends there.
func (p *filterParser) keyword(word string) bool {
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) {
		return false
	}
	if len(p.rest) > len(word) && isKeyByte(p.rest[len(word)]) {
		return false
	}
	p.rest = p.rest[len(word):]
	p.space()
	return true
}

func (p *filterParser) comparison() (comparison, error) {
	var c comparison
	var err error
	if c.entity, c.key, err = p.identifier(); err != nil {
		return c, err
	}
	p.space()
	if c.op = p.operator(); c.op == "" {
		return c, p.fail("an operator")
	}
	p.space()
	switch c.op {
	case "IS NULL", "IS NOT NULL":
		return c, nil
	case "IN", "NOT IN":
		c.values, err = p.list()
		return c, err
	}
	return c, p.value(&c)
}

// identifier reads entity.key, or a bare key, either part possibly quoted.
func (p *filterParser) identifier() (entity, key string, err error) {
	if strings.HasPrefix(p.rest, "'") {
		return "", "", p.fail("a name, which is not a string,")
	}
	first, quoted, err := p.part()
	if err != nil {
		return "", "", err
	}
	if strings.HasPrefix(p.rest, ".") {
		p.rest = p.rest[1:]
		key, _, err = p.part()
		return first, key, err
	}
	if entity, key, found := strings.Cut(first, "."); found && !quoted {
		if entity == "" || key == "" {
			return "", "", p.fail("a name on both sides of the dot")
		}
		return entity, key, nil
	}
	return "", first, nil
}

func isKeyByte(b byte) bool {
	return b == '_' || b == '.' || b == '-' || b == '/' || b == ':' || b == '@' || b >= 0x80 ||
		'0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func isQuote(b byte) bool { return b == '`' || b == '"' || b == '\'' }

func (p *filterParser) part() (text string, quoted bool, err error) {
	if p.rest != "" && isQuote(p.rest[0]) {
		end := strings.IndexByte(p.rest[1:], p.rest[0])
		if end < 1 {
			return "", true, p.fail("a closed quotation")
		}
		text, p.rest = p.rest[1:end+1], p.rest[end+2:]
		return text, true, nil
	}
	n := 0
	for n < len(p.rest) && isKeyByte(p.rest[n]) {
		n++
	}
	text = p.rest[:n]
	// metrics.`a b`: the dot before the quotation is left for the caller.
	if n < len(p.rest) && strings.HasSuffix(text, ".") && isQuote(p.rest[n]) {
		n--
		text = text[:n]
	}
	if n == 0 {
		return "", false, p.fail("a name")
	}
	p.rest = p.rest[n:]
	return text, false, nil
}

func (p *filterParser) operator() string {
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if rest, ok := strings.CutPrefix(p.rest, op); ok {
			p.rest = rest
			return op
		}
	}
	switch {
	case p.keyword("LIKE"):
		return "LIKE"
	case p.keyword("ILIKE"):
		return "ILIKE"
	case p.keyword("IN"):
		return "IN"
	case p.keyword("NOT"):
		if p.keyword("IN") {
			return "NOT IN"
		}
	case p.keyword("IS"):
		not := p.keyword("NOT")
		if p.keyword("NULL") {
			return map[bool]string{false: "IS NULL", true: "IS NOT NULL"}[not]
		}
	}
	return ""
}

var aNumber = regexp.MustCompile(`^-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?`)

func (p *filterParser) value(c *comparison) (err error) {
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		c.text, err = p.quoted()
		return err
	}
	c.text = aNumber.FindString(p.rest)
	if n := len(c.text); n == 0 || n < len(p.rest) && isKeyByte(p.rest[n]) {
		return p.fail("a number, or a value in quotation marks,")
	}
	c.number, err = strconv.ParseFloat(c.text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // 1e400 is infinite, as in MLflow
		return p.fail("a number")
	}
	c.isNumber, p.rest = true, p.rest[len(c.text):]
	return nil
}

// quoted reads a string; its quotation mark is written twice inside it.
func (p *filterParser) quoted() (string, error) {
	mark := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch {
		case p.rest[i] != mark:
			b.WriteByte(p.rest[i])
		case i+1 < len(p.rest) && p.rest[i+1] == mark:
			b.WriteByte(mark)
			i++
		default:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		}
	}
	return "", p.fail("a closed quotation")
}

func (p *filterParser) list() ([]string, error) {
	if !strings.HasPrefix(p.rest, "(") {
		return nil, p.fail("a list in parentheses")
	}
	p.rest = p.rest[1:]
	out := []string{}
	for {
		p.space()
		if rest, ok := strings.CutPrefix(p.rest, ")"); ok && len(out) > 0 {
			p.rest = rest
			return out, nil
		}
		if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
			return nil, p.fail("a value in quotation marks")
		}
		text, err := p.quoted()
		if err != nil {
			return nil, err
		}
		out = append(out, text)
		p.space()
		if rest, ok := strings.CutPrefix(p.rest, ","); ok {
			p.rest = rest
		} else if !strings.HasPrefix(p.rest, ")") {
			return nil, p.fail("a comma or )")
		}
	}
}
