// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"lastro"
)

// Term says what a stream can show.
type Term struct {
	TTY   bool // redrawing is welcome
	Color bool
	Width int // columns; 100 when unknown
}

func newTerm(w io.Writer, plain bool) Term {
	t := Term{Width: 100}
	f, ok := w.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		t.TTY = !plain && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			t.Width = width
		}
	}
	t.Color = (t.TTY && os.Getenv("NO_COLOR") == "") || (os.Getenv("CLICOLOR_FORCE") != "" && !plain)
	return t
}

// style colours s when the terminal can; state is a word of the glossary, or
// one of "bold", "muted".
func (t Term) style(state, s string) string {
	code := map[string]string{"succeeded": "32", "failed": "31", "errored": "31", "running": "35", "waiting": "36",
		"warning": "33", "cached": "2", "skipped": "2", "pending": "2", "cancelled": "33", "muted": "2", "bold": "1"}[state]
	if !t.Color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// symbol doubles a state by a sign; the word always stands beside it.
func symbol(state string) string {
	if s, ok := map[string]string{"succeeded": "✓", "failed": "✗", "errored": "✗", "running": "●", "pending": "○", "cached": "=",
		"skipped": "–", "waiting": "⏸", "warning": "!", "cancelled": "–"}[state]; ok {
		return s
	}
	return "·"
}

// printJSON writes one indented document.
func (e *Env) printJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say writes a line of the result.
func (e *Env) say(format string, args ...any) { fmt.Fprintf(e.Stdout, format+"\n", args...) }

// note writes a line of progress.
func (e *Env) note(format string, args ...any) {
	if !e.Quiet {
		fmt.Fprintf(e.Stderr, format+"\n", args...)
	}
}

// reported wraps an error that was already shown, so that only its code counts.
type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// fail shows an error as a person reads it and returns the exit code.
func fail(env *Env, err error) int {
	code := exitCode(err)
	var shown reported
	if err == nil || errors.As(err, &shown) {
		return code
	}
	if code == 130 {
		fmt.Fprintln(env.Stderr, "interrupted")
		return code
	}
	if env.JSON {
		_ = env.printJSON(map[string]any{"error": errorDocument(err), "exit": code})
		return code
	}
	var problems lastro.Problems
	var e *lastro.Error
	switch {
	case errors.As(err, &problems):
		renderProblems(env, problems)
	case errors.As(err, &e):
		writeError(env, err, e)
	default:
		fmt.Fprintf(env.Stderr, "%s %s\n", env.Term.style("errored", "error:"), err)
	}
	return code
}

func writeError(env *Env, err error, e *lastro.Error) {
	head := "error"
	if e.ID != "" {
		head += "[" + e.ID + "]"
	}
	msg := err.Error()
	if p := e.Pos.String(); p != "" { // the place has its own line
		msg = strings.Replace(msg, p+": ", "", 1)
	}
	if err == error(e) { // the chain adds nothing: keep the place on its own line
		msg = e.Msg
		if e.Err != nil && e.Err.Error() != "" {
			msg += ": " + e.Err.Error()
		}
	}
	fmt.Fprintf(env.Stderr, "%s: %s\n", env.Term.style("errored", head), msg)
	if p := e.Pos.String(); p != "" {
		fmt.Fprintf(env.Stderr, "  --> %s\n", p)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(env.Stderr, "  = %s\n", strings.ReplaceAll(n, "\n", "\n    "))
	}
	if e.Hint != "" {
		fmt.Fprintf(env.Stderr, "  next: %s\n", strings.ReplaceAll(e.Hint, "\n", "\n        "))
	}
	if os.Getenv("LASTRO_DEBUG") != "" {
		fmt.Fprintf(env.Stderr, "  debug: %#v\n", err)
	}
}

// errorDocument is the JSON form of an error.
func errorDocument(err error) any {
	var problems lastro.Problems
	if errors.As(err, &problems) {
		return problems
	}
	var e *lastro.Error
	if errors.As(err, &e) {
		return e
	}
	return map[string]string{"code": string(lastro.EErrored), "msg": err.Error()}
}
