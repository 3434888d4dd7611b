// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"

	"lastro"
)

// invalid is a mistake in an expression at a place inside it.
func invalid(line, col int, msg, hint string) *lastro.Error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0181", Pos: lastro.Pos{Line: line, Col: col}, Msg: msg, Hint: hint}
}

// problem says the first issue of CEL in words for a person, at its place in
// the text as it was written.
func (t translation) problem(issues *cel.Issues) *lastro.Error {
	first := issues.Errors()[0]
	line, col := 1, 1
	if first.Location != nil && first.Location.Line() > 0 {
		line, col = t.place(first.Location.Line(), first.Location.Column())
	}
	return invalid(line, col, plain(first.Message), hintFor(string(t.original), first.Message))
}

var (
	overload   = regexp.MustCompile(`found no matching overload for '([^']+)' applied to '([^']*)'`)
	undeclared = regexp.MustCompile(`undeclared reference to '([^']+)'`)
	expecting  = regexp.MustCompile(`,? expecting .*$`)
	noOverload = regexp.MustCompile(`no such overload: ([^ (]+)(\(.*\))?`)
	unexpected = regexp.MustCompile(`(?s)^token recognition error at: '(.*)'$`)
	operator   = regexp.MustCompile(`^_?([^_a-zA-Z]+)_?$|^@(in)$`)
)

// plain puts CEL's messages into the words of a person who does not know CEL.
func plain(msg string) string {
	if m := overload.FindStringSubmatch(msg); m != nil {
		return "`" + symbol(m[1]) + "` does not fit " + plainType(m[2])
	}
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		return "there is no function " + m[1]
	}
	if m := noOverload.FindStringSubmatch(msg); m != nil {
		return "`" + symbol(m[1]) + "` does not fit its operands" + plainType(m[2])
	}
	msg = strings.TrimPrefix(msg, "Syntax error: ")
	if m := unexpected.FindStringSubmatch(msg); m != nil {
		return "the expression cannot be read: unexpected " + strings.TrimSpace(m[1])
	}
	msg = expecting.ReplaceAllString(msg, "")
	msg = strings.NewReplacer("mismatched input '<EOF>'", "it ends too early", "'<EOF>'", "the end", "mismatched input", "unexpected", "extraneous input", "unexpected").Replace(msg)
	return "the expression cannot be read: " + msg
}

func symbol(function string) string {
	if m := operator.FindStringSubmatch(function); m != nil {
		return m[1] + m[2]
	}
	return function
}

func plainType(s string) string {
	return strings.NewReplacer("double", "number", "int", "number", "string", "text", "dyn", "any value", "bool", "true/false").Replace(s)
}

var (
	single = regexp.MustCompile(`[^=!<>]=[^=]`)
	word   = regexp.MustCompile(`(?i)\b(and|or|not)\b`)
)

func hintFor(text, msg string) string {
	switch {
	case word.MatchString(text) && strings.Contains(msg, "Syntax error"):
		return "CEL writes && for and, || for or, ! for not"
	case single.MatchString(text):
		return "two equal signs compare: =="
	}
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		names := []string{"size", "has", "int", "double", "string", "matches", "contains", "startsWith", "endsWith"}
		for _, f := range Functions {
			names = append(names, f.Name)
		}
		if near := lastro.Nearest(m[1], names); near != "" {
			return "did you mean `" + near + "`?"
		}
		return "there is " + strings.Join(names, ", ")
	}
	return ""
}
