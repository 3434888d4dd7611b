// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// size is how many columns and rows the terminal has now; people resize it
// while a run goes on.
func (e *Env) size() (columns, rows int) {
	columns, rows = e.Term.Width, 24
	if f, ok := e.Stderr.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 20 && h > 5 {
			columns, rows = w, h
		}
	}
	return columns, rows
}

// clean makes a line of a log safe to be drawn: what moves the cursor or
// colours is left out, a tab is a blank, and of what a progress bar has written
// over itself the last stays.
func clean(line string) string {
	if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 {
		line = line[i+1:]
	}
	var b strings.Builder
	for esc := rune(0); len(line) > 0; {
		r, size := utf8.DecodeRuneInString(line)
		line = line[size:]
		switch {
		case esc == 0x1b: // ESC [ begins a control sequence, ESC ] an operating system command; others end at once
			if esc = 0; r == '[' || r == ']' {
				esc = r
			}
		case r == 0x1b:
			esc = r
		case esc == '[':
			if r >= '@' && r <= '~' {
				esc = 0
			}
		case esc == ']':
			if r == '\a' {
				esc = 0
			}
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// columnsOf is how many columns a text takes.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) || unicode.Is(unicode.Cf, r) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fit cuts a text to so many columns and says so with an ellipsis.
func fit(s string, columns int) string {
	if columnsOf(s) <= columns {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n += columnsOfRune(r); n > columns-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// pad fills a text up to so many columns.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-columnsOf(s)))
}
