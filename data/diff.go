// SPDX-License-Identifier: Apache-2.0

package data

import (
	"fmt"
	"strings"
)

// diffContext is how many unchanged lines surround a change.
const diffContext = 3

// unified returns a unified diff of two texts given as lines with their ends;
// "" when they are equal. Edits of a contract replace lines and add lines, so
// lines are matched greedily from both ends and by the longest common
// subsequence in between.
func unified(file string, before, after []string) string {
	ops := compareLines(before, after)
	var b strings.Builder
	for start := 0; start < len(ops); {
		if ops[start].kind == ' ' {
			start++
			continue
		}
		from, end := max(0, start-diffContext), start
		for quiet := 0; end < len(ops) && quiet <= 2*diffContext; end++ {
			if quiet++; ops[end].kind != ' ' {
				quiet = 0
			}
		}
		for end > start && ops[end-1].kind == ' ' {
			end--
		}
		to := min(len(ops), end+diffContext)
		if b.Len() == 0 {
			fmt.Fprintf(&b, "--- %s\n+++ %s\n", file, file)
		}
		writeHunk(&b, ops, from, to)
		start = to
	}
	return b.String()
}

type lineOp struct {
	kind byte // ' ', '-', '+'
	text string
	a, b int // line numbers before this one, from 0
}

func writeHunk(b *strings.Builder, ops []lineOp, from, to int) {
	oldLines, newLines := 0, 0
	for _, op := range ops[from:to] {
		if op.kind != '+' {
			oldLines++
		}
		if op.kind != '-' {
			newLines++
		}
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", ops[from].a+1, oldLines, ops[from].b+1, newLines)
	for _, op := range ops[from:to] {
		b.WriteByte(op.kind)
		b.WriteString(strings.TrimSuffix(op.text, "\n"))
		b.WriteByte('\n')
	}
}

func compareLines(before, after []string) []lineOp {
	before, after = trimLast(before), trimLast(after)
	// lcs[i][j] is the length of the longest common subsequence of the rests.
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	foot := 0
	for foot < len(before)-head && foot < len(after)-head && before[len(before)-1-foot] == after[len(after)-1-foot] {
		foot++
	}
	x, y := before[head:len(before)-foot], after[head:len(after)-foot]
	if len(x)*len(y) > 4<<20 { // too far apart to compare line by line
		return replaceAll(before, after)
	}
	lcs := make([][]int, len(x)+1)
	for i := range lcs {
		lcs[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	var ops []lineOp
	a, b := 0, 0
	keep := func(text string) { ops = append(ops, lineOp{' ', text, a, b}); a++; b++ }
	for _, l := range before[:head] {
		keep(l)
	}
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			keep(x[i])
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && lcs[i+1][j] >= lcs[i][j+1]:
			ops = append(ops, lineOp{'-', x[i], a, b})
			i, a = i+1, a+1
		default:
			ops = append(ops, lineOp{'+', y[j], a, b})
			j, b = j+1, b+1
		}
	}
	for _, l := range before[len(before)-foot:] {
		keep(l)
	}
	return ops
}

func replaceAll(before, after []string) []lineOp {
	var ops []lineOp
	for i, l := range before {
		ops = append(ops, lineOp{'-', l, i, 0})
	}
	for i, l := range after {
		ops = append(ops, lineOp{'+', l, len(before), i})
	}
	return ops
}

// trimLast drops the empty text after the last line end.
func trimLast(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		return lines[:n-1]
	}
	return lines
}
