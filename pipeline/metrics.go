// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"

	"lastro"
)

// maxReportBytes bounds metrics files and test reports.
const maxReportBytes = 64 << 20

// readMetrics turns a metrics file into facts: {"auc": 0.7} is metrics.auc,
// nested objects are dotted, and {"auc": {"value", "ci_low", "ci_high"}} is
// metrics.auc with metrics.auc.ci_low and metrics.auc.ci_high. What is no
// number or boolean is left out.
func readMetrics(raw []byte, into map[string]float64) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var v any
	if err := dec.Decode(&v); err != nil {
		e := lastro.Errorf(lastro.EFailed, "it is not JSON: %v", err)
		e.Hint = `write {"auc": 0.71}`
		if bytes.Contains(raw, []byte("NaN")) || bytes.Contains(raw, []byte("Infinity")) {
			e.Hint = "Python's json.dump wrote NaN or Infinity, which JSON does not have: leave such a metric out"
		}
		return e
	}
	m, ok := v.(map[string]any)
	if !ok {
		return &lastro.Error{Code: lastro.EFailed, Msg: "it is not a JSON object", Hint: `write {"auc": 0.71}`}
	}
	metricFacts(into, "metrics", m)
	return nil
}

func metricFacts(into map[string]float64, name string, v any) {
	switch v := v.(type) {
	case float64:
		into[name] = v
	case bool:
		into[name] = 0
		if v {
			into[name] = 1
		}
	case map[string]any:
		for k, inner := range v {
			if _, isNumber := inner.(float64); k == "value" && isNumber && name != "metrics" {
				metricFacts(into, name, inner)
				continue
			}
			metricFacts(into, name+"."+k, inner)
		}
	}
}

// tests counts test cases.
type tests struct{ total, failed int }

func (t tests) facts(into map[string]float64) {
	into["tests.total"] += float64(t.total)
	into["tests.failed"] += float64(t.failed)
}

// readJUnit counts the testcase elements of a JUnit report and those with a
// failure or error inside. Skipped ones count in the total.
func readJUnit(raw []byte) (tests, error) {
	var t tests
	dec := xml.NewDecoder(bytes.NewReader(raw))
	inCase, failed, seen := false, false, false
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return t, lastro.Errorf(lastro.EFailed, "it is not XML (%v)", err)
		}
		switch el := tok.(type) {
		case xml.StartElement:
			switch el.Name.Local {
			case "testsuites", "testsuite":
				seen = true
			case "testcase":
				inCase, failed = true, false
				t.total++
			case "failure", "error":
				if inCase && !failed {
					failed = true
					t.failed++
				}
			}
		case xml.EndElement:
			if el.Name.Local == "testcase" {
				inCase = false
			}
		}
	}
	if !seen {
		return t, lastro.Errorf(lastro.EFailed, "it is not a JUnit report: no testsuite element")
	}
	return t, nil
}

// readGoTest counts the tests in the output of `go test -json`; a subtest is a
// test, and a package that does not build is one that failed.
func readGoTest(raw []byte) (tests, error) {
	var t tests
	var lines int
	for line := range bytes.Lines(raw) {
		var ev struct{ Action, Test, FailedBuild string }
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if json.Unmarshal(line, &ev) != nil {
			continue // the go command mixes in plain lines
		}
		lines++
		switch {
		case ev.Test != "" && ev.Action == "pass", ev.Test != "" && ev.Action == "skip":
			t.total++
		case ev.Test != "" && ev.Action == "fail", ev.FailedBuild != "":
			t.total++
			t.failed++
		}
	}
	if lines == 0 {
		return t, lastro.Errorf(lastro.EFailed, "it is not the output of go test -json")
	}
	return t, nil
}

// readReport reads a test report by its format.
func readReport(format string, raw []byte) (tests, error) {
	switch format {
	case "junit":
		return readJUnit(raw)
	case "gotest":
		return readGoTest(raw)
	}
	return tests{}, lastro.Errorf(lastro.EUnsupported, "reports in the format %q are not read yet", format)
}
