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
	parens  []int    // of each frame: parentheses open within
	saved   []simple // of each frame: the command around it
	cmd     simple
	word    strings.Builder // the word at hand
	pending []heredoc
	numeric bool // within a [[ ]] that compares numbers
}

// simple is what is known of the simple command at hand from the words that it
// has so far, the unfinished one apart.
type simple struct {
	name    string // of the program, without folders; "" = still to come
	last    string
	integer bool // an option with i: declare -i
	shell   bool // a shell is among the words ...
	textC   bool // ... and its -c too
	afterC  bool // ... which was the last word: the text of another shell comes
}

// compileShell returns the command with every expression replaced, and the
// variables it needs; vars are those that the step has already.
func (l *loader) compileShell(t Text, sc scope, vars []pipeline.Var) (string, []pipeline.Var) {
	sc.single = true
	c := &shellCompiler{l: l, text: t, scope: sc, src: []rune(t.Value), vars: vars, frames: []frame{plainText}, parens: []int{0}, saved: []simple{{}}}
	for i := 0; i < len(c.src); {
		i = c.next(i)
	}
	return c.out.String(), c.vars
}

func (c *shellCompiler) top() frame { return c.frames[len(c.frames)-1] }

func (c *shellCompiler) push(f frame) {
	c.frames = append(c.frames, f)
	c.parens = append(c.parens, 0)
	c.saved = append(c.saved, c.cmd)
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
		c.cmd = c.saved[last]
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
		if c.word.Len() == 2 {
			c.testWord(i)
		}
		c.endWord()
	default:
		return c.copy(i, 1)
	}
	c.out.WriteRune(c.src[i])
	return i + 1
}

func (c *shellCompiler) endWord() {
	w := c.word.String()
	c.word.Reset()
	if w == "" {
		return
	}
	base := path.Base(w)
	if c.cmd.name == "" && !strings.Contains(w, "=") && !slices.Contains(introduce, w) {
		c.cmd.name = base
	}
	c.cmd.last, c.cmd.afterC = w, false
	switch {
	case slices.Contains(shells, base):
		c.cmd.shell, c.cmd.textC = true, false
	case c.cmd.shell && !c.cmd.textC && optionC.MatchString(w):
		c.cmd.textC, c.cmd.afterC = true, true
	}
	c.cmd.integer = c.cmd.integer || integerFlags.MatchString(w)
}

// testWord notes where [[ ]] begins and ends, and whether it compares numbers;
// one that is too long to look through counts as if it did.
func (c *shellCompiler) testWord(i int) {
	switch c.word.String() {
	case "[[":
		ahead := string(c.src[i:min(len(c.src), i+maxTest)])
		end := strings.Index(ahead, "]]")
		c.numeric = end < 0 || numericTest.MatchString(ahead[:end])
	case "]]":
		c.numeric = false
	}
}

const maxTest = 2000

func (c *shellCompiler) endCommand() {
	c.word.Reset()
	c.cmd = simple{}
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
	if !c.l.check(c.text, h, c.scope) {
		return h.end
	}
	if why := c.danger(); why != "" {
		c.l.report(c.text.at(h.start, h.end-h.start), "L0113", "the shell would read this value as code: it stands "+why,
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
	introduce    = []string{"env", "exec", "command", "builtin", "time", "nohup", "sudo", "if", "then", "elif", "else", "while", "until", "do", "!", "{"}
	declares     = []string{"declare", "typeset", "local", "readonly", "export"}
	optionC      = regexp.MustCompile(`^-[a-zA-Z]*c$`)
	numericTest  = regexp.MustCompile(`\s-(eq|ne|lt|le|gt|ge)\s`)
	integerFlags = regexp.MustCompile(`^-[a-zA-Z]*i`)
)

// danger says where the shell would take a variable's value for code, "" when
// it would not. Arithmetic reads values as expressions, and those can hold
// a[$(command)].
func (c *shellCompiler) danger() string {
	for _, f := range c.frames {
		switch f {
		case arithmetic:
			return "in arithmetic"
		case expansion:
			return "inside ${ }"
		}
	}
	switch {
	case c.numeric:
		return "in a numeric test of [[ ]]"
	case slices.Contains(readsCode, c.cmd.name), c.cmd.integer && slices.Contains(declares, c.cmd.name):
		return "after " + c.cmd.name
	case c.cmd.last == "-v" && slices.Contains([]string{"printf", "test", "[", "[["}, c.cmd.name):
		return "as the name of a variable"
	case c.cmd.afterC:
		return "in the text of another shell"
	}
	return ""
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
	return slices.Contains(shells, c.cmd.name) || c.cmd.name == "ssh"
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
			c.l.report(at, "L0113", "the shell would read this value as code: it stands in the text of another shell", "pass it as an argument: bash -s -- \"${{ "+hole.expr+" }}\" <<'EOF'")
		case strings.Count(before, "$((") > strings.Count(before, "))") || strings.Count(before, "${") > strings.Count(before, "}"):
			c.l.report(at, "L0113", "the shell would read this value as code: it stands in arithmetic or inside ${ }", "pass it to a script as an argument of its own, where it stays data")
		case c.l.check(c.text, hole, c.scope):
			c.out.WriteString("${" + c.variable(hole.expr) + "}")
		}
		i = hole.end
	}
}
