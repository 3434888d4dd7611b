// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// translation is an expression with lastro's literals written in plain CEL,
// and the way back from each of its positions.
type translation struct {
	text     string
	original []rune
	marks    []mark
}

// mark says that the translated text from rune offset to on is the original
// from rune offset from on; len is the length of the translated literal, whose
// runes all point at its original start.
type mark struct{ to, from, len int }

// unitSeconds are the suffixes of a duration literal, in seconds.
var unitSeconds = map[string]float64{"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

// translate rewrites 5% as 0.05 and 200ms, 30s, 15m, 12h, 7d as seconds.
// A percent sign before an operand stays the remainder. Text in quotes and
// comments is left alone.
func translate(expr string) translation {
	t := translation{original: []rune(expr)}
	var out []rune
	src := t.original
	for i := 0; i < len(src); {
		switch {
		case src[i] == '/' && i+1 < len(src) && src[i+1] == '/':
			n := lineEnd(src, i)
			out = append(out, src[i:n]...)
			i = n
		case src[i] == '"' || src[i] == '\'':
			n := stringEnd(src, i, i > 0 && isRawPrefix(src, i))
			out = append(out, src[i:n]...)
			i = n
		case isIdentStart(src[i]):
			n := i
			for n < len(src) && isIdentPart(src[n]) {
				n++
			}
			out = append(out, src[i:n]...)
			i = n
		case isDigit(src[i]) || src[i] == '.' && i+1 < len(src) && isDigit(src[i+1]):
			literal, n := number(src, i)
			if literal == "" {
				out = append(out, src[i:n]...)
			} else {
				t.marks = append(t.marks, mark{to: len(out), from: i, len: len(literal)})
				out = append(out, []rune(literal)...)
				t.marks = append(t.marks, mark{to: len(out), from: n})
			}
			i = n
		default:
			out = append(out, src[i])
			i++
		}
	}
	t.text = string(out)
	return t
}

// number reads a number at i. It returns its replacement, "" when it stays
// as it is, and the offset after it.
func number(src []rune, i int) (literal string, end int) {
	n := numberEnd(src, i)
	value, err := strconv.ParseFloat(string(src[i:n]), 64)
	if err != nil {
		return "", n
	}
	suffix := n
	for suffix < len(src) && isIdentPart(src[suffix]) {
		suffix++
	}
	if seconds, ok := unitSeconds[string(src[n:suffix])]; ok {
		return double(value * seconds), suffix
	}
	if suffix > n {
		return "", suffix // 1u, 0x1f or a mistake that CEL names
	}
	p := n
	for p < len(src) && unicode.IsSpace(src[p]) {
		p++
	}
	if p < len(src) && src[p] == '%' && !operandFollows(src, p+1) {
		percent, _ := strconv.ParseFloat(fmt.Sprintf("%se-2", strings.TrimSuffix(string(src[i:n]), ".")), 64)
		if strings.ContainsAny(string(src[i:n]), "eE") {
			percent = value / 100
		}
		return double(percent), p + 1
	}
	return "", n
}

func numberEnd(src []rune, i int) int {
	digits := func(n int) int {
		for n < len(src) && isDigit(src[n]) {
			n++
		}
		return n
	}
	n := digits(i)
	if n+1 < len(src) && src[n] == '.' && isDigit(src[n+1]) {
		n = digits(n + 1)
	}
	if n < len(src) && (src[n] == 'e' || src[n] == 'E') {
		e := n + 1
		if e < len(src) && (src[e] == '+' || src[e] == '-') {
			e++
		}
		if e < len(src) && isDigit(src[e]) {
			n = digits(e)
		}
	}
	return n
}

// operandFollows reports whether an operand starts at the next rune that is
// not space. A minus does not count: a share minus something is common, the
// remainder by a negative number is not.
func operandFollows(src []rune, i int) bool {
	for i < len(src) && unicode.IsSpace(src[i]) {
		i++
	}
	if i == len(src) {
		return false
	}
	if isIdentStart(src[i]) {
		return !(src[i] == 'i' && i+1 < len(src) && src[i+1] == 'n' && (i+2 == len(src) || !isIdentPart(src[i+2])))
	}
	return isDigit(src[i]) || strings.ContainsRune(`"'([{.!`, src[i]) && !(src[i] == '!' && i+1 < len(src) && src[i+1] == '=')
}

// double spells a number so that CEL reads a double.
func double(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eEIN") {
		s += ".0"
	}
	return s
}

func lineEnd(src []rune, i int) int {
	for i < len(src) && src[i] != '\n' {
		i++
	}
	return i
}

// stringEnd returns the offset after the string literal that starts at i, or
// the end of the text when it is not closed.
func stringEnd(src []rune, i int, raw bool) int {
	quote, width := src[i], 1
	if i+2 < len(src) && src[i+1] == quote && src[i+2] == quote {
		width = 3
	}
	for n := i + width; n < len(src); n++ {
		if src[n] == '\\' && !raw {
			n++
			continue
		}
		if src[n] == quote && (width == 1 || n+2 < len(src) && src[n+1] == quote && src[n+2] == quote) {
			return n + width
		}
	}
	return len(src)
}

// isRawPrefix reports whether the quote at i follows an r or R of its own.
func isRawPrefix(src []rune, i int) bool {
	start := i
	for start > 0 && isIdentPart(src[start-1]) {
		start--
	}
	prefix := strings.ToLower(string(src[start:i]))
	return prefix == "r" || prefix == "br" || prefix == "rb"
}

func isIdentStart(r rune) bool { return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func isIdentPart(r rune) bool  { return isIdentStart(r) || isDigit(r) }
func isDigit(r rune) bool      { return r >= '0' && r <= '9' }

// place returns line and column, both from 1, in the original for a place in
// the translated text given as CEL does: line from 1, column from 0, in runes.
func (t translation) place(line, column int) (int, int) {
	offset, l := 0, 1
	text := []rune(t.text)
	for offset < len(text) && l < line {
		if text[offset] == '\n' {
			l++
		}
		offset++
	}
	return t.at(min(offset+max(column, 0), len(text)))
}

// at returns line and column in the original for an offset in the translated text.
func (t translation) at(offset int) (line, col int) {
	from := offset
	for _, m := range t.marks {
		if m.to > offset {
			break
		}
		from = m.from
		if offset >= m.to+m.len {
			from += offset - m.to - m.len
		}
	}
	line, col = 1, 1
	for _, r := range t.original[:min(from, len(t.original))] {
		if r == '\n' {
			line, col = line+1, 1
		} else {
			col++
		}
	}
	return line, col
}
