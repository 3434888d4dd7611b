// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode"

	"lastro"
)

// paint are the few colours of a diagnostic; all empty without colour, so that
// words carry everything.
type paint struct{ red, blue, bold, off string }

// Render writes problems for a person (design CLI 3):
//
//	error[L0104]: unknown key "need"
//	   ┌─ lastro.yaml:17:5
//	   │
//	17 │     need: [train]
//	   │     ^^^^ did you mean `needs`?
//
// Excerpts are read from files (os.DirFS of the project); a file that is not
// there leaves its excerpt out. color adds ANSI colours.
func Render(w io.Writer, problems lastro.Problems, files fs.FS, color bool) error {
	p := paint{}
	if color {
		p = paint{red: "\x1b[31;1m", blue: "\x1b[34m", bold: "\x1b[1m", off: "\x1b[0m"}
	}
	texts := map[string][]string{}
	var out strings.Builder
	for i, problem := range problems {
		if i > 0 {
			out.WriteByte('\n')
		}
		p.problem(&out, problem, linesOf(problem.Pos.File, files, texts))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Summary counts problems: "3 errors in lastro.yaml".
func Summary(problems lastro.Problems) string {
	noun := "errors"
	if len(problems) == 1 {
		noun = "error"
	}
	in := ""
	if len(problems) > 0 && problems[0].Pos.File != "" {
		in = " in " + problems[0].Pos.File
	}
	return fmt.Sprintf("%d %s%s", len(problems), noun, in)
}

func linesOf(name string, files fs.FS, texts map[string][]string) []string {
	if lines, ok := texts[name]; ok || files == nil || name == "" {
		return lines
	}
	b, err := fs.ReadFile(files, name)
	if err == nil {
		texts[name] = strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	}
	return texts[name]
}

func (p paint) problem(out *strings.Builder, e *lastro.Error, lines []string) {
	id := ""
	if e.ID != "" {
		id = "[" + e.ID + "]"
	}
	fmt.Fprintf(out, "%serror%s%s%s: %s%s\n", p.red, id, p.off, p.bold, printable(e.Msg), p.off)
	if e.Err != nil {
		fmt.Fprintf(out, "  %s\n", printable(e.Err.Error()))
	}
	number := fmt.Sprint(e.Pos.Line)
	gutter := strings.Repeat(" ", len(number))
	if e.Pos.File != "" {
		fmt.Fprintf(out, "%s %s┌─%s %s\n", gutter, p.blue, p.off, e.Pos)
	}
	label, excerpt := "", false
	if e.Pos.Line > 0 && e.Pos.Line <= len(lines) {
		excerpt = true
		if strings.HasPrefix(e.Hint, "did you mean") {
			label = " " + e.Hint
		}
		p.excerpt(out, e.Pos, lines[e.Pos.Line-1], number, label)
	}
	var after []string
	for _, note := range e.Notes {
		after = append(after, "note: "+note)
	}
	if e.Hint != "" && label == "" {
		after = append(after, "help: "+e.Hint)
	}
	if excerpt && len(after) > 0 {
		fmt.Fprintf(out, "%s%s│%s\n", gutter+" ", p.blue, p.off)
	}
	for _, line := range after {
		fmt.Fprintf(out, "%s %s=%s %s\n", gutter, p.blue, p.off, printable(line))
	}
}

// maxExcerpt bounds an excerpt, in runes; a longer line is cut around the mark.
const maxExcerpt = 160

func (p paint) excerpt(out *strings.Builder, at lastro.Pos, line, number, label string) {
	gutter := strings.Repeat(" ", len(number)) + " "
	runes := []rune(strings.TrimRight(printable(line), " "))
	start := max(0, at.Col-1)
	width := max(1, at.End-at.Col)
	cut := 0
	if len(runes) > maxExcerpt && start > maxExcerpt/2 {
		cut = min(start-maxExcerpt/2, len(runes)-maxExcerpt)
	}
	shown := runes[min(cut, len(runes)):min(len(runes), cut+maxExcerpt)]
	start -= cut
	width = max(1, min(width, len(shown)-start))
	fmt.Fprintf(out, "%s%s│%s\n", gutter, p.blue, p.off)
	fmt.Fprintf(out, "%s%s │%s %s\n", p.blue, number, p.off, string(shown))
	fmt.Fprintf(out, "%s%s│%s %s%s%s%s%s\n", gutter, p.blue, p.off, strings.Repeat(" ", start), p.red, strings.Repeat("^", width), label, p.off)
}

// printable replaces what could move the cursor or colour a terminal: the text
// is the user's file, which may come from anywhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r == '\u202a', r == '\u202b', r == '\u202c', r == '\u202d', r == '\u202e', r == '\u2066', r == '\u2067', r == '\u2068', r == '\u2069':
			return '\ufffd'
		}
		return r
	}, s)
}
