// SPDX-License-Identifier: Apache-2.0

package lineage

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxEdits bounds the search for the shortest edit: beyond it two texts have
// little in common, and all of one is shown as replaced by all of the other.
const maxEdits = 2000

// Patch is how one text becomes another, line by line.
type Patch struct {
	Added, Removed int    // lines
	Unified        string // hunks in the unified format with three lines of context, without file names; "" for equal or binary ones
	Binary         bool   // one of them is no text; then nothing is counted
}

// Lines compares two texts. The number of edits is the smallest possible,
// unless the texts differ in thousands of lines. A last line without newline
// is marked as diff(1) does.
func Lines(before, after []byte) Patch {
	if bytes.Equal(before, after) {
		return Patch{}
	}
	if !isText(before) || !isText(after) {
		return Patch{Binary: true}
	}
	a, b := splitLines(before), splitLines(after)
	edits := shortestEdit(a, b)
	p := Patch{}
	for _, e := range edits {
		switch e.op {
		case '+':
			p.Added++
		case '-':
			p.Removed++
		}
	}
	p.Unified = unified(edits)
	return p
}

func isText(b []byte) bool {
	head := b[:min(len(b), 8000)]
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	for i := 0; len(head) > 0 && i < utf8.UTFMax && !utf8.Valid(head); i++ {
		head = head[:len(head)-1] // the cut may lie within a character
	}
	return utf8.Valid(head)
}

func splitLines(b []byte) []string {
	lines := strings.SplitAfter(string(b), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// edit is one line of the way from one text to the other.
type edit struct {
	op   byte // ' ', '-' or '+'
	line string
}

// shortestEdit is Myers' algorithm (An O(ND) Difference Algorithm and Its
// Variations, 1986) between what the texts have in common at both ends.
func shortestEdit(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	edits := make([]edit, 0, len(a)+len(b)-head-tail)
	for _, line := range a[:head] {
		edits = append(edits, edit{' ', line})
	}
	edits = append(edits, middle(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, line := range a[len(a)-tail:] {
		edits = append(edits, edit{' ', line})
	}
	return edits
}

// middle searches forward, remembering the furthest point of every diagonal
// after each number of edits, and then walks back.
func middle(a, b []string) []edit {
	n, m := len(a), len(b)
	limit := min(n+m, maxEdits)
	v := map[int]int{1: 0}
	var trace []map[int]int
	for d := 0; d <= limit; d++ {
		before := make(map[int]int, len(v))
		for k, x := range v {
			before[k] = x
		}
		trace = append(trace, before)
		for k := -d; k <= d; k += 2 {
			x := v[k-1] + 1
			if k == -d || (k != d && v[k-1] < v[k+1]) {
				x = v[k+1]
			}
			y := x - k
			for x < n && y < m && x >= 0 && y >= 0 && a[x] == b[y] {
				x, y = x+1, y+1
			}
			v[k] = x
			if x >= n && y >= m {
				return walkBack(a, b, trace)
			}
		}
	}
	var out []edit
	for _, line := range a {
		out = append(out, edit{'-', line})
	}
	for _, line := range b {
		out = append(out, edit{'+', line})
	}
	return out
}

func walkBack(a, b []string, trace []map[int]int) []edit {
	x, y := len(a), len(b)
	var back []edit
	for d := len(trace) - 1; d >= 0; d-- {
		v, k := trace[d], x-y
		from := k - 1
		if k == -d || (k != d && v[k-1] < v[k+1]) {
			from = k + 1
		}
		px := v[from]
		py := px - from
		for x > px && y > py && x > 0 && y > 0 {
			x, y = x-1, y-1
			back = append(back, edit{' ', a[x]})
		}
		if d == 0 {
			break
		}
		if x == px {
			y--
			back = append(back, edit{'+', b[y]})
		} else {
			x--
			back = append(back, edit{'-', a[x]})
		}
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// contextLines surround each change.
const contextLines = 3

// unified writes hunks as diff -u does.
func unified(edits []edit) string {
	var out strings.Builder
	for i := 0; i < len(edits); {
		if edits[i].op == ' ' {
			i++
			continue
		}
		start, end := max(0, i-contextLines), hunkEnd(edits, i)
		writeHunk(&out, edits, start, end)
		i = end
	}
	return out.String()
}

// hunkEnd is where the hunk that begins with the change at i ends: changes that
// lie close share one.
func hunkEnd(edits []edit, i int) int {
	last := i
	for j := i; j < len(edits) && j-last <= 2*contextLines; j++ {
		if edits[j].op != ' ' {
			last = j
		}
	}
	return min(len(edits), last+1+contextLines)
}

func writeHunk(out *strings.Builder, edits []edit, start, end int) {
	a, b := 1, 1
	for _, e := range edits[:start] {
		a, b = advance(e, a, b)
	}
	enda, endb := a, b
	for _, e := range edits[start:end] {
		enda, endb = advance(e, enda, endb)
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(a, enda-a), span(b, endb-b))
	for _, e := range edits[start:end] {
		out.WriteByte(e.op)
		out.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

func advance(e edit, a, b int) (int, int) {
	if e.op != '+' {
		a++
	}
	if e.op != '-' {
		b++
	}
	return a, b
}

// span writes a range of lines; an empty one names the line before it.
func span(first, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", first-1)
	case 1:
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d,%d", first, n)
}
