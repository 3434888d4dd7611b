// SPDX-License-Identifier: Apache-2.0

package lastro

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Code says what kind of failure an error is. Each door (CLI, JSON API,
// MLflow, pages) maps it to its own status in one function.
type Code string

// The codes, and the exit status that the CLI gives each.
const (
	EInvalid     Code = "invalid"     // wrong usage, wrong file, wrong value: exit 2
	EFailed      Code = "failed"      // the user's work said no: exit 1
	EGate        Code = "gate"        // a gate said no: exit 3
	EWaiting     Code = "waiting"     // waits for a person: exit 4
	EDenied      Code = "denied"      // not allowed, not logged in: exit 5
	EServer      Code = "server"      // server or network: exit 6
	ENotFound    Code = "not_found"   // exit 7
	ETampered    Code = "tampered"    // verification failed: exit 8
	EErrored     Code = "errored"     // lastro or its surroundings broke: exit 9
	EConflict    Code = "conflict"    // exists already, raced or in the wrong state: exit 1
	EUnsupported Code = "unsupported" // known, but not built yet: exit 2
)

// Pos is a place in a file of the user; lines and columns count from 1.
type Pos struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	End  int    `json:"end,omitempty"` // column after the last marked one; 0 = one column
}

func (p Pos) String() string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Error is what a person reads: what (Msg, with a stable ID such as L0104),
// where (Pos), why (Notes, the values seen) and what next (Hint). The log gets
// the chain through Err.
type Error struct {
	Code  Code     `json:"code"`
	ID    string   `json:"id,omitempty"`
	Pos   Pos      `json:"pos,omitzero"`
	Msg   string   `json:"msg"`
	Notes []string `json:"notes,omitempty"`
	Hint  string   `json:"hint,omitempty"`
	Err   error    `json:"-"`
}

func (e *Error) Error() string {
	var b strings.Builder
	if p := e.Pos.String(); p != "" {
		b.WriteString(p + ": ")
	}
	b.WriteString(e.Msg)
	if e.Err != nil && e.Err.Error() != "" {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of one code with a formatted message; %w is honoured.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Msg: err.Error(), Err: hidden{errors.Unwrap(err)}.orNil()}
}

// hidden keeps a wrapped error reachable by errors.Is without printing it twice.
type hidden struct{ error }

func (h hidden) Error() string { return "" }
func (h hidden) Unwrap() error { return h.error }
func (h hidden) orNil() error {
	if h.error == nil {
		return nil
	}
	return h
}

// CodeOf returns the code of the first *Error in the chain, EErrored for any
// other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var p Problems
	if errors.As(err, &p) && len(p) > 0 {
		return p[0].Code
	}
	return EErrored
}

// Is reports whether err carries the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// Problems are all errors of one file, reported at once.
type Problems []*Error

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, e := range p {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the problems in order of position.
func (p Problems) Sorted() Problems {
	sort.SliceStable(p, func(i, j int) bool {
		a, b := p[i].Pos, p[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	return p
}

// OrNil returns the problems as an error, or nil when there are none.
func (p Problems) OrNil() error {
	if len(p) == 0 {
		return nil
	}
	return p.Sorted()
}

// Nearest returns the candidate that a person most likely meant by name, or
// "" when none is close: edit distance of at most a third of its length.
func Nearest(name string, candidates []string) string {
	best, bestDist := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(c)); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// editDistance is Damerau–Levenshtein with adjacent transpositions.
func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	d := make([][]int, len(ra)+1)
	for i := range d {
		d[i] = make([]int, len(rb)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(ra); i++ {
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(ra)][len(rb)]
}
