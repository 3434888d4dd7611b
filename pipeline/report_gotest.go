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
func readGoTest(raw []byte) (*Tests, error) {
	g := goTest{list: &testList{}, open: map[string]*TestCase{}, builds: map[string]string{}, bad: map[string]bool{}}
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
		c.State, c.Message = "errored", "it began and never ended"
		g.list.add(*c)
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
	open   map[string]*TestCase // tests and packages that have begun, by package and name
	builds map[string]string    // what the compiler said, by import path
	bad    map[string]bool      // packages with a failed test
}

func (g *goTest) event(ev goEvent) {
	key := ev.Package + "\x00" + ev.Test
	switch ev.Action {
	case "build-output":
		g.builds[ev.ImportPath] = tail(g.builds[ev.ImportPath]+ev.Output, 4*maxReportText)
	case "run":
		g.open[key] = &TestCase{Suite: ev.Package, Name: ev.Test}
	case "output":
		if c := g.open[key]; c != nil && !strings.HasPrefix(ev.Output, "=== ") {
			c.Text = tail(c.Text+ev.Output, 4*maxReportText)
		}
	case "pass", "fail", "skip":
		c := g.open[key]
		delete(g.open, key)
		if ev.Test == "" {
			g.packageEnded(ev)
			return
		}
		if c == nil {
			c = &TestCase{Suite: ev.Package, Name: ev.Test}
		}
		c.Seconds = max(ev.Elapsed, 0)
		c.State = map[string]string{"pass": "passed", "fail": "failed", "skip": "skipped"}[ev.Action]
		if c.State != "passed" {
			c.Message = said(c.Text)
		}
		if c.State == "failed" {
			g.bad[ev.Package] = true
		}
		g.list.add(*c)
	}
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
		c.Message, c.Text = "it does not build", g.builds[ev.FailedBuild]
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
