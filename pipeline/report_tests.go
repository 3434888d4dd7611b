// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// slowest is how many of the other tests a report keeps beside the failed ones.
const slowest = 20

// testList gathers test cases: all are counted, the failed ones kept up to
// maxReportItems, and of the rest the slowest.
type testList struct {
	hide   func(string) string // takes secrets out of a text
	t      Tests
	failed []TestCase
	slow   []TestCase
}

func (l *testList) add(c TestCase) {
	l.t.Total++
	l.t.Seconds += c.Seconds
	c.Suite, c.Name, c.File = clip(l.hide(c.Suite), maxReportLine), clip(l.hide(c.Name), maxReportLine), clip(l.hide(c.File), maxReportLine)
	c.Message = clip(firstLine(l.hide(c.Message)), maxReportLine)
	switch c.State {
	case "failed", "errored":
		l.t.Failed++
		if len(l.failed) < maxReportItems {
			c.Text = tail(strings.TrimSpace(l.hide(c.Text)), maxReportText)
			l.failed = append(l.failed, c)
		} else {
			l.t.Left++
		}
	default:
		if c.State == "skipped" {
			l.t.Skipped++
		}
		c.Text = ""
		l.slow = append(l.slow, c)
		if len(l.slow) >= 50*slowest {
			l.slow = slowestOf(l.slow)
		}
	}
}

func (l *testList) result() *Tests {
	l.t.Cases = append(l.failed, slowestOf(l.slow)...)
	return &l.t
}

func slowestOf(cases []TestCase) []TestCase {
	slices.SortStableFunc(cases, func(a, b TestCase) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return cases[:min(len(cases), slowest)]
}

// firstLine of a message: what follows is in the text too.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimRight(s, "\r ")
}

// clip cuts a text to at most n bytes, at a rune's border.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	for n -= len("…"); !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + "…"
}

// tail keeps the last n bytes of a text: the end says what went wrong.
func tail(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	from := len(s) - n + len("…")
	for ; !utf8.RuneStart(s[from]); from++ {
	}
	return "…" + s[from:]
}
