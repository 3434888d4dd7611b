// SPDX-License-Identifier: Apache-2.0

package pipeline

// Report is what one file under `reports:` said. Exactly one of Tests,
// Findings and Coverage is set. The lists are cut so that a report stays small
// in the database (see maxReportItems); the counts are always of everything.
type Report struct {
	Version  int       `json:"version"` // of this form: ReportVersion
	Format   string    `json:"format"`  // junit, gotest, sarif or coverage
	File     string    `json:"file"`    // as declared
	Tests    *Tests    `json:"tests,omitempty"`
	Findings *Findings `json:"findings,omitempty"`
	Coverage *Coverage `json:"coverage,omitempty"`
}

// ReportVersion is the form that is written now. A reader accepts older ones.
const ReportVersion = 1

// Tests is a test report, of junit or gotest.
type Tests struct {
	Total   int        `json:"total"`           // failed and skipped ones included
	Failed  int        `json:"failed"`          // failures and errors
	Skipped int        `json:"skipped"`         // not run
	Seconds float64    `json:"seconds"`         // sum over the test cases
	Cases   []TestCase `json:"cases,omitempty"` // those that failed, in the order of the file, then the slowest
	Left    int        `json:"left,omitempty"`  // failed ones that Cases has no room for
}

// TestCase is one test.
type TestCase struct {
	Suite   string  `json:"suite,omitempty"` // class or package
	Name    string  `json:"name"`
	State   string  `json:"state"` // passed, failed, errored or skipped
	Seconds float64 `json:"seconds,omitempty"`
	Message string  `json:"message,omitempty"` // one line
	Text    string  `json:"text,omitempty"`    // what it printed, the end when it is long
	File    string  `json:"file,omitempty"`
	Line    int     `json:"line,omitempty"` // from 1; 0 = not said
}

// Findings is what a static analysis found (SARIF 2.1.0). Suppressed results
// and those that are no failures are left out.
type Findings struct {
	Tools    []string  `json:"tools,omitempty"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
	List     []Finding `json:"list,omitempty"` // errors first, then warnings, then notes
	Left     int       `json:"left,omitempty"` // those that List has no room for
}

// Finding is one of them.
type Finding struct {
	Level   string `json:"level"` // error, warning or note
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`   // from 1; 0 = not said
	Column  int    `json:"column,omitempty"` // from 1; 0 = not said
}

// Coverage says how much of the code the tests ran. Of a Go profile it counts
// statements, of the others lines, each as the tool itself prints it.
type Coverage struct {
	Source  string         `json:"source"` // cobertura, go or lcov
	Lines   int            `json:"lines"`  // that could run
	Covered int            `json:"covered"`
	Files   []FileCoverage `json:"files,omitempty"` // the most uncovered lines first
	Left    int            `json:"left,omitempty"`  // those that Files has no room for
}

// FileCoverage is the coverage of one file.
type FileCoverage struct {
	File    string `json:"file"`
	Lines   int    `json:"lines"`
	Covered int    `json:"covered"`
}

// Share returns the covered share, 0 to 1; 0 when there is nothing to cover.
func (c Coverage) Share() float64 { return share(c.Covered, c.Lines) }

// Share returns the covered share, 0 to 1; 0 when there is nothing to cover.
func (c FileCoverage) Share() float64 { return share(c.Covered, c.Lines) }

func share(covered, lines int) float64 {
	if lines == 0 {
		return 0
	}
	return float64(covered) / float64(lines)
}

// Bounds of what a report keeps besides its counts.
const (
	maxReportItems = 200     // test cases, findings or files of one report
	maxReportText  = 4 << 10 // bytes of one test's output
	maxReportLine  = 500     // bytes of a name, message or path
)
