// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"lastro/pipeline"
)

// A ${{ }} in a shell command never becomes text of the command: it becomes a
// reference to an environment variable that holds its value (SECURITY B6), in
// the quotes that the place asks for. So no value, whoever chose it, is ever
// read as shell. Places where the shell would read a variable's value as code
// again (arithmetic, eval, another shell's text) are refused.

// frame is where the scanner stands: the innermost construct of the shell.
type frame byte

const (
	plainText  frame = iota // a command, no quotes
	doubles                 // "..."
	command                 // $( ... )
	backticks               // ` ... `
	arithmetic              // $(( ... )) and (( ... ))
	expansion               // ${ ... }
)

// heredoc is a body that begins after the line's end.
type heredoc struct {
	end     string
	quoted  bool // no expansion in it
	tabs    bool // <<-
	toShell bool // read by a shell as its text
}

type shellCompiler struct {
	l       *loader
	text    Text
	scope   scope
	src     []rune
	out     strings.Builder
	vars    []pipeline.Var
	frames  []frame
	parens  []int      // of each frame: parentheses open within
	saved   [][]string // of each frame: the words of the command around it
	words   []string   // of the simple command at hand, the unfinished one apart
	word    strings.Builder
	pending []heredoc
	test    int // where the [[ at hand began, 0 = none
}

// compileShell returns the command with every expression replaced, and the
// variables it needs; vars are those that the step has already.
func (l *loader) compileShell(t Text, sc scope, vars []pipeline.Var) (string, []pipeline.Var) {
	sc.single = true
	c := &shellCompiler{l: l, text: t, scope: sc, src: []rune(t.Value), vars: vars, frames: []frame{plainText}, parens: []int{0}, saved: [][]string{nil}}
	for i := 0; i < len(c.src); {
		i = c.next(i)
	}
	return c.out.String(), c.vars
}

func (c *shellCompiler) top() frame { return c.frames[len(c.frames)-1] }

func (c *shellCompiler) push(f frame) {
	c.frames = append(c.frames, f)
	c.parens = append(c.parens, 0)
	c.saved = append(c.saved, slices.Clone(c.words))
	if f == command || f == backticks {
		c.endCommand()
	}
}

func (c *shellCompiler) pop() {
	last := len(c.frames) - 1
	if last == 0 {
		return
	}
	if f := c.frames[last]; f == command || f == backticks {
		c.endCommand()
		c.words = c.saved[last]
		c.word.WriteString("$") // the word around the substitution goes on
	}
	c.frames, c.parens, c.saved = c.frames[:last], c.parens[:last], c.saved[:last]
}

func (c *shellCompiler) has(i int, s string) bool {
	return strings.HasPrefix(string(c.src[i:min(len(c.src), i+len(s))]), s)
}

// copy writes n runes as they are, as part of a word.
func (c *shellCompiler) copy(i, n int) int {
	n = min(n, len(c.src)-i)
	s := string(c.src[i : i+n])
	c.out.WriteString(s)
	c.word.WriteString(s)
	return i + n
}

// next handles what stands at i and returns where to go on.
func (c *shellCompiler) next(i int) int {
	if c.has(i, "${{") {
		return c.hole(i)
	}
	switch f := c.top(); {
	case c.src[i] == '\\':
		return c.copy(i, 2)
	case f == doubles && c.src[i] == '"', f == backticks && c.src[i] == '`', f == expansion && c.src[i] == '}':
		c.pop()
		return c.copy(i, 1)
	case c.has(i, "$(("):
		c.push(arithmetic)
		return c.copy(i, 3)
	case c.has(i, "$("):
		c.out.WriteString("$(")
		c.push(command)
		return i + 2
	case c.has(i, "${"):
		c.push(expansion)
		return c.copy(i, 2)
	case c.src[i] == '`':
		c.push(backticks)
		return c.copy(i, 1)
	case c.src[i] == '"':
		c.push(doubles)
		return c.copy(i, 1)
	case f == doubles:
		return c.copy(i, 1)
	case c.has(i, "$'"):
		return c.single(i+1, true)
	case c.src[i] == '\'' && !(f == expansion && slices.Contains(c.frames, doubles)):
		return c.single(i, false)
	}
	return c.unquoted(i)
}

// unquoted handles what only counts outside quotes.
func (c *shellCompiler) unquoted(i int) int {
	f := c.top()
	switch {
	case c.src[i] == '#' && c.word.Len() == 0 && f != expansion && f != arithmetic:
		n := i
		for n < len(c.src) && c.src[n] != '\n' {
			n++
		}
		c.out.WriteString(string(c.src[i:n]))
		return n
	case f == arithmetic && c.has(i, "))") && c.parens[len(c.parens)-1] == 0:
		c.pop()
		return c.copy(i, 2)
	case c.has(i, "((") && c.word.Len() == 0 && f != arithmetic && f != expansion:
		c.push(arithmetic)
		return c.copy(i, 2)
	case c.src[i] == '(':
		c.parens[len(c.parens)-1]++
		c.endCommand()
	case c.src[i] == ')':
		if c.parens[len(c.parens)-1] == 0 && f == command {
			c.pop()
			break
		}
		c.parens[len(c.parens)-1] = max(0, c.parens[len(c.parens)-1]-1)
		c.endCommand()
	case c.has(i, "<<<"):
		c.endWord()
		c.out.WriteString("<<<")
		return i + 3
	case c.has(i, "<<") && f != arithmetic:
		return c.heredocStart(i)
	case c.src[i] == '\n':
		c.endCommand()
		c.out.WriteRune('\n')
		return c.heredocs(i + 1)
	case strings.ContainsRune(";|&", c.src[i]):
		c.endCommand()
	case c.src[i] == ' ' || c.src[i] == '\t':
		switch c.word.String() {
		case "[[":
			c.test = i
		case "]]":
			c.test = 0
		}
		c.endWord()
	default:
		return c.copy(i, 1)
	}
	c.out.WriteRune(c.src[i])
	return i + 1
}

func (c *shellCompiler) endWord() {
	if c.word.Len() > 0 {
		c.words = append(c.words, c.word.String())
		c.word.Reset()
	}
}

func (c *shellCompiler) endCommand() {
	c.word.Reset()
	c.words = nil
}

// single copies '...' or $'...' and refuses expressions in it.
func (c *shellCompiler) single(i int, escapes bool) int {
	n := i + 1
	for n < len(c.src) && c.src[n] != '\'' {
		if escapes && c.src[n] == '\\' {
			n++
		}
		n++
	}
	n = min(n+1, len(c.src))
	c.refuseIn(i, n, "L0133", "a value is used inside single quotes of a shell command, where the shell reads no variables",
		"use double quotes; lastro passes values as variables, never as text of the command")
	if escapes {
		c.out.WriteRune('$')
	}
	return c.copy(i, n-i)
}

func (c *shellCompiler) refuseIn(from, to int, id, msg, hint string) {
	for _, h := range holes(string(c.src[from:to])) {
		c.l.report(c.text.at(from+h.start, h.end-h.start), id, msg, hint)
	}
}

// hole replaces the expression at i.
func (c *shellCompiler) hole(i int) int {
	h := holeAt(c.src, i)
	at := c.text.at(h.start, h.end-h.start)
	if !c.l.check(c.text, h, c.scope) {
		return h.end
	}
	if why := c.danger(h.end); why != "" {
		c.l.report(at, "L0134", "the shell would read this value as code: it stands "+why,
			"pass it to a script as an argument of its own, where it stays data: python script.py ${{ "+h.expr+" }}")
		return h.end
	}
	name := c.variable(h.expr)
	if c.top() == doubles {
		name = "${" + name + "}"
	} else {
		name = `"$` + name + `"`
	}
	c.out.WriteString(name)
	c.word.WriteString(name)
	return h.end
}

func (c *shellCompiler) variable(expr string) (name string) {
	c.vars, name = withVar(c.vars, expr)
	return name
}

// withVar gives an expression a variable, the same one each time.
func withVar(vars []pipeline.Var, expr string) ([]pipeline.Var, string) {
	n := 1
	for _, v := range vars {
		if !strings.HasPrefix(v.Name, exprPrefix) {
			continue
		}
		if v.Expr == expr {
			return vars, v.Name
		}
		n++
	}
	name := fmt.Sprintf("%s%d", exprPrefix, n)
	return append(vars, pipeline.Var{Name: name, Expr: expr}), name
}

const exprPrefix = "LASTRO_EXPR_"

var (
	shells       = []string{"sh", "bash", "dash", "zsh", "ksh", "ash", "su"}
	readsCode    = []string{"eval", "trap", "ssh", "let", "unset", "read", "mapfile"}
	declares     = []string{"declare", "typeset", "local", "readonly", "export"}
	optionC      = regexp.MustCompile(`^-[a-zA-Z]*c$`)
	numericTest  = regexp.MustCompile(`\s-(eq|ne|lt|le|gt|ge)\s`)
	integerFlags = regexp.MustCompile(`^-[a-zA-Z]*i`)
)

// danger says where the shell would take a variable's value for code, "" when
// it would not. Arithmetic reads values as expressions, and those can hold
// a[$(command)].
func (c *shellCompiler) danger(end int) string {
	for _, f := range c.frames {
		switch f {
		case arithmetic:
			return "in arithmetic"
		case expansion:
			return "inside ${ }"
		}
	}
	if c.test > 0 && numericTest.MatchString(c.wholeTest(end)) {
		return "in a numeric test of [[ ]]"
	}
	for i, w := range c.words {
		base := path.Base(w)
		switch {
		case i == c.commandWord() && slices.Contains(readsCode, base),
			i == c.commandWord() && slices.Contains(declares, base) && slices.ContainsFunc(c.words, integerFlags.MatchString):
			return "after " + base
		case i == c.commandWord() && slices.Contains([]string{"printf", "test", "[", "[["}, base) && c.words[len(c.words)-1] == "-v":
			return "as the name of a variable"
		case slices.Contains(shells, base) && c.afterOptionC(i):
			return "in the text of another shell"
		}
	}
	return ""
}

// commandWord is the index of the word that names the command, after
// assignments and words that only introduce another.
func (c *shellCompiler) commandWord() int {
	for i, w := range c.words {
		if !strings.Contains(w, "=") && !slices.Contains([]string{"env", "exec", "command", "builtin", "time", "nohup", "sudo", "then", "do", "else", "if", "while", "!", "{"}, w) {
			return i
		}
	}
	return -1
}

// afterOptionC reports whether the word being read is the text after the
// shell's -c; what follows that text are arguments, which are safe.
func (c *shellCompiler) afterOptionC(shell int) bool {
	for i := shell + 1; i < len(c.words); i++ {
		if optionC.MatchString(c.words[i]) {
			return len(c.words) == i+1
		}
	}
	return false
}

// wholeTest is the text of the [[ ]] around a place.
func (c *shellCompiler) wholeTest(end int) string {
	rest := string(c.src[end:])
	if i := strings.Index(rest, "]]"); i >= 0 {
		rest = rest[:i]
	}
	return string(c.src[c.test:end]) + rest
}

// heredocStart reads << or <<- and its delimiter.
func (c *shellCompiler) heredocStart(i int) int {
	c.endWord()
	n := i + 2
	h := heredoc{toShell: c.readByShell()}
	if n < len(c.src) && c.src[n] == '-' {
		h.tabs = true
		n++
	}
	for n < len(c.src) && (c.src[n] == ' ' || c.src[n] == '\t') {
		n++
	}
	var end strings.Builder
	for n < len(c.src) && !strings.ContainsRune(" \t\n;|&<>()", c.src[n]) {
		if strings.ContainsRune(`'"\`, c.src[n]) {
			h.quoted = true
		} else {
			end.WriteRune(c.src[n])
		}
		n++
	}
	h.end = end.String()
	if h.end != "" {
		c.pending = append(c.pending, h)
	}
	c.out.WriteString(string(c.src[i:n]))
	return n
}

// readByShell reports whether the command at hand takes its input as commands.
func (c *shellCompiler) readByShell() bool {
	i := c.commandWord()
	return i >= 0 && (slices.Contains(shells, path.Base(c.words[i])) || path.Base(c.words[i]) == "ssh")
}

// heredocs copies the bodies that begin at i.
func (c *shellCompiler) heredocs(i int) int {
	pending := c.pending
	c.pending = nil
	for _, h := range pending {
		i = c.heredocBody(i, h)
	}
	return i
}

func (c *shellCompiler) heredocBody(i int, h heredoc) int {
	for i < len(c.src) {
		n := i
		for n < len(c.src) && c.src[n] != '\n' {
			n++
		}
		line := string(c.src[i:n])
		if h.tabs {
			line = strings.TrimLeft(line, "\t")
		}
		c.heredocLine(i, n, h)
		if n < len(c.src) {
			c.out.WriteRune('\n')
			n++
		}
		i = n
		if line == h.end {
			break
		}
	}
	return i
}

func (c *shellCompiler) heredocLine(from, to int, h heredoc) {
	for i := from; i < to; {
		if !c.has(i, "${{") {
			c.out.WriteRune(c.src[i])
			i++
			continue
		}
		hole := holeAt(c.src, i)
		at := c.text.at(hole.start, hole.end-hole.start)
		before := string(c.src[from:i])
		switch {
		case h.quoted:
			c.l.report(at, "L0133", "a value is used in a here-document with a quoted end, where the shell reads no variables", "take the quotes off the word after <<")
		case h.toShell:
			c.l.report(at, "L0134", "the shell would read this value as code: it stands in the text of another shell", "pass it as an argument: bash -s -- \"${{ "+hole.expr+" }}\" <<'EOF'")
		case strings.Count(before, "$((") > strings.Count(before, "))") || strings.Count(before, "${") > strings.Count(before, "}"):
			c.l.report(at, "L0134", "the shell would read this value as code: it stands in arithmetic or inside ${ }", "pass it to a script as an argument of its own, where it stays data")
		case c.l.check(c.text, hole, c.scope):
			c.out.WriteString("${" + c.variable(hole.expr) + "}")
		}
		i = hole.end
	}
}
