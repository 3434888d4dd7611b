// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"fmt"
	"slices"

	"lastro/pipeline"
)

// stepReport is what one report of one step said, the worst first.
type stepReport struct {
	Step, Link string
	Format     string
	File       string
	State      string // passed, failed or warn
	Verdict    string // a sentence
	Failed     []caseRow
	Slow       []caseRow
	Findings   []findingRow
	Files      []coverageRow
	Left       string // how many more there are; "" = none
	left       int
}

type caseRow struct {
	Name, Suite   string
	State         string
	Took          string
	Message, Text string
	Where         string
}

type findingRow struct {
	Level, State string
	Rule         string
	Message      string
	Where        string
}

type coverageRow struct {
	File    string
	Share   string
	Covered string
	Percent string // width of the meter, 0 to 100
}

// pageItems bounds what one page shows of all reports together.
const pageItems = 300

// reportsOf lists the reports of a run: those with failures first.
func reportsOf(l Lang, run pipeline.Run, now []pipeline.StepRun) []stepReport {
	var out []stepReport
	left := pageItems
	for _, s := range now {
		for _, r := range s.Reports {
			row := stepReport{Step: stepTitle(s), Link: stepLink(run.Number, s.Step, s.Cell, 0), Format: r.Format, File: r.File, State: "passed"}
			switch {
			case r.Tests != nil:
				row.tests(l, r.Tests)
			case r.Findings != nil:
				row.findings(l, r.Findings)
			case r.Coverage != nil:
				row.coverage(l, r.Coverage)
			}
			out = append(out, row)
		}
	}
	slices.SortStableFunc(out, func(a, b stepReport) int { return cmp.Compare(urgency(a), urgency(b)) })
	for i := range out {
		out[i].trim(l, &left)
	}
	if len(out) > 100 { // of a large matrix
		out = out[:100]
	}
	return out
}

// urgency: failed tests, then findings, then coverage, then what is well.
func urgency(r stepReport) int {
	rank := map[string]int{"failed": 0, "warn": 1}
	if n, bad := rank[r.State]; bad {
		return n
	}
	if r.Files != nil {
		return 2
	}
	return 3
}

// trim keeps the lists of all reports within what one page shows.
func (r *stepReport) trim(l Lang, left *int) {
	take := func(n int) int {
		taken := min(n, max(*left, 0))
		*left -= taken
		r.left += n - taken
		return taken
	}
	r.Failed = r.Failed[:take(len(r.Failed))]
	r.Findings = r.Findings[:take(len(r.Findings))]
	r.Files = r.Files[:take(len(r.Files))]
	if r.left > 0 {
		r.Left = l.Count("report.more", r.left)
	}
	r.Slow = r.Slow[:min(len(r.Slow), max(*left, 0))]
}

func (r *stepReport) tests(l Lang, t *pipeline.Tests) {
	r.Verdict = l.T("report.tests_ok", l.Count("count.tests", t.Total), l.Span(spanOf(t.Seconds)))
	if t.Failed > 0 {
		r.State = "failed"
		r.Verdict = l.T("report.tests_failed", l.Int(int64(t.Failed)), l.Count("count.tests", t.Total))
	}
	if t.Skipped > 0 {
		r.Verdict += " " + l.T("report.skipped", l.Int(int64(t.Skipped)))
	}
	for _, c := range t.Cases {
		row := caseRow{Name: c.Name, Suite: c.Suite, State: c.State, Took: l.Num(c.Seconds, 2) + " s", Message: c.Message, Text: plainText(c.Text), Where: sourcePlace(c.File, c.Line, 0)}
		switch c.State {
		case "failed", "errored":
			r.Failed = append(r.Failed, row)
		default:
			r.Slow = append(r.Slow, row)
		}
	}
	r.left = t.Left
}

func (r *stepReport) findings(l Lang, f *pipeline.Findings) {
	r.Verdict = l.T("report.findings", l.Count("count.errors", f.Errors), l.Count("count.warnings", f.Warnings), l.Count("count.notes", f.Notes))
	switch {
	case f.Errors > 0:
		r.State = "failed"
	case f.Warnings > 0:
		r.State = "warn"
	}
	states := map[string]string{"error": "failed", "warning": "warn", "note": "skipped"}
	for _, d := range f.List {
		r.Findings = append(r.Findings, findingRow{Level: l.T("level." + d.Level), State: states[d.Level], Rule: d.Rule, Message: d.Message, Where: sourcePlace(d.File, d.Line, d.Column)})
	}
	r.left = f.Left
}

func (r *stepReport) coverage(l Lang, c *pipeline.Coverage) {
	key := "report.lines"
	if c.Source == "go" {
		key = "report.statements"
	}
	r.Verdict = l.T(key, l.Percent(c.Share(), 1), l.Int(int64(c.Covered)), l.Int(int64(c.Lines)))
	if c.Lines == 0 {
		r.Verdict, r.State = l.T("report.nothing"), "warn"
	}
	for _, f := range c.Files {
		r.Files = append(r.Files, coverageRow{File: f.File, Share: l.Percent(f.Share(), 1), Covered: fmt.Sprintf("%s / %s", l.Int(int64(f.Covered)), l.Int(int64(f.Lines))), Percent: fmt.Sprintf("%.1f", f.Share()*100)})
	}
	r.left = c.Left
}

func sourcePlace(file string, line, column int) string {
	switch {
	case file == "" || line == 0:
		return file
	case column == 0:
		return fmt.Sprintf("%s:%d", file, line)
	}
	return fmt.Sprintf("%s:%d:%d", file, line, column)
}
