// SPDX-License-Identifier: Apache-2.0

package project

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"

	"lastro"
)

// source is the text of one file, by lines, and the problems found in it.
type source struct {
	file     string
	lines    []string
	problems lastro.Problems
}

func newSource(file string, text []byte) *source {
	return &source{file: file, lines: strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")}
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// pos is the place of a token; a quoted one is marked with its quotes.
func (s *source) pos(t *token.Token) lastro.Pos {
	if t == nil || t.Position == nil {
		return lastro.Pos{File: s.file, Line: 1, Col: 1}
	}
	p := lastro.Pos{File: s.file, Line: max(1, t.Position.Line), Col: max(1, t.Position.Column)}
	width := utf8.RuneCountInString(t.Value)
	if t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType {
		width += 2
	}
	p.End = p.Col + max(1, width)
	// Text over several lines, or with escapes, is marked to the end of its line at most.
	if last := utf8.RuneCountInString(s.line(p.Line)) + 1; p.End > last {
		p.End = max(p.Col+1, last)
	}
	return p
}

// maxProblems bounds what is reported of one file: nobody reads more, and a
// hostile file could otherwise keep the loader busy.
const maxProblems = 200

func (s *source) full() bool { return len(s.problems) >= maxProblems }

func (s *source) add(e *lastro.Error) {
	if !s.full() {
		s.problems = append(s.problems, e)
	}
}

// report adds a problem.
func (s *source) report(at lastro.Pos, id, msg, hint string) {
	s.add(&lastro.Error{Code: lastro.EInvalid, ID: id, Pos: at, Msg: msg, Hint: hint})
}

// unsupported adds a problem with what the schema knows and this lastro cannot do.
func (s *source) unsupported(at lastro.Pos, what, hint string) {
	s.add(&lastro.Error{Code: lastro.EUnsupported, ID: "L0108", Pos: at, Msg: what + " is not supported yet", Hint: hint})
}
