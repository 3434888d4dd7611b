// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"strconv"
	"strings"

	"lastro"
)

// readJUnit reads a JUnit report: testcase elements in testsuite elements,
// nested as deeply as tools like. There is no standard of it; what is read
// here is what pytest, Surefire, Gradle, Jest, GoogleTest and PHPUnit agree on.
// A failure or error outside any testcase counts as a failed test of its suite.
func readJUnit(raw []byte, hide func(string) string) (*Tests, error) {
	j := junit{list: &testList{hide: hide}}
	err := walkXML(raw, xmlVisitor{start: j.start, end: j.end, text: j.text})
	if err != nil {
		return nil, err
	}
	if !j.seen {
		return nil, lastro.Errorf(lastro.EFailed, "it is not a JUnit report: it has no testsuite element")
	}
	return j.list.result(), nil
}

type junit struct {
	list   *testList
	seen   bool
	suites []string  // names of the open ones
	now    *TestCase // the open one
}

func (j *junit) start(path []string, attr func(string) string) error {
	name := path[len(path)-1]
	if len(path) == 1 && name != "testsuites" && name != "testsuite" {
		return lastro.Errorf(lastro.EFailed, "it is not a JUnit report: its root is <%.40s>, not <testsuites> or <testsuite>", name)
	}
	switch name {
	case "testsuites":
		j.seen = true
	case "testsuite":
		j.seen = true
		j.suites = append(j.suites, attr("name"))
	case "testcase":
		j.now = &TestCase{Suite: attr("classname"), Name: attr("name"), State: "passed", Seconds: seconds(attr("time")), File: attr("file")}
		j.now.Line, _ = strconv.Atoi(attr("line"))
		if j.now.Suite == "" && len(j.suites) > 0 {
			j.now.Suite = j.suites[len(j.suites)-1]
		}
		if attr("status") == "notrun" { // GoogleTest
			j.now.State = "skipped"
		}
	case "failure", "error":
		j.bad(name, attr("message"))
	case "skipped":
		if j.now != nil && j.now.State == "passed" {
			j.now.State, j.now.Message = "skipped", attr("message")
		}
	}
	return nil
}

// bad notes the first failure of a test; an error in its teardown adds nothing.
func (j *junit) bad(what, message string) {
	state := map[string]string{"failure": "failed", "error": "errored"}[what]
	if j.now == nil {
		suite := ""
		if len(j.suites) > 0 {
			suite = j.suites[len(j.suites)-1]
		}
		j.list.add(TestCase{Suite: suite, Name: suite, State: state, Message: message})
		return
	}
	if j.now.State == "failed" || j.now.State == "errored" {
		return
	}
	j.now.State, j.now.Message = state, message
}

func (j *junit) text(path []string, text []byte) {
	if name := path[len(path)-1]; j.now != nil && (name == "failure" || name == "error") && len(j.now.Text) < 4*maxReportText {
		j.now.Text += string(text)
	}
}

func (j *junit) end(path []string) {
	switch path[len(path)-1] {
	case "testcase":
		if j.now != nil {
			j.list.add(*j.now)
		}
		j.now = nil
	case "testsuite":
		j.suites = j.suites[:len(j.suites)-1]
	}
}

// seconds reads a duration; some tools write thousands with a comma.
func seconds(text string) float64 {
	v, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil || !(v >= 0 && v < 1e9) {
		return 0
	}
	return v
}
