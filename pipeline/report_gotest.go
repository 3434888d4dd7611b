// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lastro"
)

// readGoTest reads the output of `go test -json` (go doc test2json). A subtest
// is a test. A package that does not build, or fails without a failing test,
// counts as one failed test; so does a test that never ended.
func readGoTest(raw []byte, hide func(string) string) (*Tests, error) {
	g := goTest{list: &testList{hide: hide}, open: map[string]*goCase{}, builds: map[string][]byte{}, bad: map[string]bool{}}
	lines := 0
	for line := range bytes.Lines(raw) {
		var ev goEvent
		// The go command mixes in plain lines, such as those of a failing build.
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) || json.Unmarshal(line, &ev) != nil || ev.Action == "" {
			continue
		}
		lines++
		g.event(ev)
	}
	if lines == 0 {
		return nil, &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: 1}, Msg: "it is not the output of go test -json: no line of it is an event",
			Hint: "write it with: go test -json ./... > FILE"}
	}
	for _, key := range slices.Sorted(maps.Keys(g.open)) {
		c := g.open[key]
		c.State, c.Message, c.Text = "errored", "it began and never ended", string(c.out)
		g.list.add(c.TestCase)
	}
	return g.list.result(), nil
}

// goEvent is one line.
type goEvent struct {
	Action, Package, Test, Output string
	ImportPath, FailedBuild       string
	Elapsed                       float64 // seconds
}

type goTest struct {
	list   *testList
	open   map[string]*goCase // tests that have begun, by package and name
	builds map[string][]byte  // what the compiler said, by import path
	bad    map[string]bool    // packages with a failed test
}

// goCase is a test with what it has printed so far.
type goCase struct {
	TestCase
	out []byte
}

func (g *goTest) event(ev goEvent) {
	key := ev.Package + "\x00" + ev.Test
	switch ev.Action {
	case "build-output":
		g.builds[ev.ImportPath] = lengthen(g.builds[ev.ImportPath], ev.Output)
	case "run":
		g.open[key] = &goCase{TestCase: TestCase{Suite: ev.Package, Name: ev.Test}}
	case "output":
		if c := g.open[key]; c != nil && !strings.HasPrefix(ev.Output, "=== ") {
			c.out = lengthen(c.out, ev.Output)
		}
	case "pass", "fail", "skip":
		c := g.open[key]
		delete(g.open, key)
		if ev.Test == "" {
			g.packageEnded(ev)
			return
		}
		if c == nil {
			c = &goCase{TestCase: TestCase{Suite: ev.Package, Name: ev.Test}}
		}
		c.Seconds, c.Text = max(ev.Elapsed, 0), string(c.out)
		c.State = map[string]string{"pass": "passed", "fail": "failed", "skip": "skipped"}[ev.Action]
		if c.State != "passed" {
			c.Message = said(c.Text)
		}
		if c.State == "failed" {
			g.bad[ev.Package] = true
		}
		g.list.add(c.TestCase)
	}
}

// lengthen adds to what a test printed and forgets the beginning of very much
// of it, seldom enough that the cost stays that of reading it.
func lengthen(text []byte, more string) []byte {
	if text = append(text, more...); len(text) > 8*maxReportText {
		text = append(text[:0], text[len(text)-2*maxReportText:]...)
	}
	return text
}

// packageEnded counts a package that failed by itself.
func (g *goTest) packageEnded(ev goEvent) {
	if ev.Action != "fail" || g.bad[ev.Package] {
		return
	}
	for key := range g.open {
		if strings.HasPrefix(key, ev.Package+"\x00") {
			return // its test that never ended says it
		}
	}
	c := TestCase{Suite: ev.Package, Name: ev.Package, State: "errored", Message: "the package failed without a failing test"}
	if ev.FailedBuild != "" {
		c.Message, c.Text = "it does not build", string(g.builds[ev.FailedBuild])
	}
	g.list.add(c)
}

// said is the first line of a test's output that is its own.
func said(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return ""
}
