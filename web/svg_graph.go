// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"strings"
)

// node is one step in the graph of a run.
type node struct {
	Name  string
	State string // css class: passed, failed ...
	Note  string // second line: symbol, word, time
	Needs []int  // indexes of earlier nodes
	Link  string // where a click leads; "" = nowhere
}

// graph draws nodes by rank (the longest path from a start), left to right.
func graph(id, title, desc string, nodes []node) template.HTML {
	const boxW, boxH, column, row = 132, 38, 174, 46
	rank := make([]int, len(nodes))
	var columns [][]int
	for i, n := range nodes {
		for _, need := range n.Needs {
			rank[i] = max(rank[i], rank[need]+1)
		}
		for len(columns) <= rank[i] {
			columns = append(columns, nil)
		}
		columns[rank[i]] = append(columns[rank[i]], i)
	}
	tallest := 1
	for _, c := range columns {
		tallest = max(tallest, len(c))
	}
	// Never narrower than a page, or a short pipeline would be drawn huge.
	s := newSVG(max(840, float64(len(columns)*column-column+boxW+4)), float64(tallest*row-row+boxH+4))
	x, y := make([]float64, len(nodes)), make([]float64, len(nodes))
	for r, c := range columns {
		top := 2 + float64(tallest-len(c))*row/2
		for k, i := range c {
			x[i], y[i] = 2+float64(r*column), top+float64(k*row)
		}
	}
	for i, n := range nodes {
		for _, need := range direct(nodes, n.Needs) {
			x1, y1, x2, y2 := x[need]+boxW, y[need]+boxH/2, x[i], y[i]+boxH/2
			m := (x1 + x2) / 2
			s.path("edge", fmt.Sprintf("M%.0f %.0fC%.1f %.0f %.1f %.0f %.0f %.0f", x1, y1, m, y1, m, y2, x2, y2))
		}
	}
	for i, n := range nodes {
		if n.Link != "" {
			s.addf(`<a href="%s">`, template.HTMLEscapeString(n.Link))
		}
		s.addf(`<g class="node %s"><rect x="%.0f" y="%.0f" width="%d" height="%d" rx="5"/><rect class="k" x="%.0f" y="%.0f" width="4" height="%d" rx="2"/>`,
			template.HTMLEscapeString(n.State), x[i], y[i], boxW, boxH, x[i], y[i], boxH)
		s.text(x[i]+13, y[i]+16, "b", shorten(n.Name, 19))
		s.text(x[i]+13, y[i]+31, "s", shorten(n.Note, 21))
		s.addf(`</g>`)
		if n.Link != "" {
			s.addf(`</a>`)
		}
	}
	return s.links(id, title, desc)
}

// direct leaves out what is reached through another need anyway: its edge
// would only run behind the boxes between.
func direct(nodes []node, needs []int) []int {
	reached := map[int]bool{}
	var walk func(i int)
	walk = func(i int) {
		for _, before := range nodes[i].Needs {
			if !reached[before] {
				reached[before] = true
				walk(before)
			}
		}
	}
	for _, i := range needs {
		walk(i)
	}
	var out []int
	for _, i := range needs {
		if !reached[i] {
			out = append(out, i)
		}
	}
	return out
}

func shorten(text string, runes int) string {
	if r := []rune(text); len(r) > runes {
		return strings.TrimRight(string(r[:runes-1]), " ·") + "…"
	}
	return text
}
