// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
)

// plainly hides nothing.
func plainly(text string) string { return text }

func reportFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "reports", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestReportsOfRealTools reads what the tools wrote about two small projects;
// the wanted numbers are what each tool printed to the terminal in that run.
func TestReportsOfRealTools(t *testing.T) {
	for _, tc := range []struct {
		format, file string
		want         map[string]float64
	}{
		// pytest 9.2: "1 failed, 7 passed, 1 skipped, 1 xfailed, 1 error"; its report has skipped="2".
		{"junit", "pytest.xml", map[string]float64{"tests.total": 11, "tests.failed": 2, "tests.skipped": 2}},
		// go 1.26, go test -v: 2 FAIL, 3 PASS, 1 SKIP lines and one "[build failed]".
		{"gotest", "gotest.json", map[string]float64{"tests.total": 7, "tests.failed": 3, "tests.skipped": 1}},
		// staticcheck 2026.1 printed 3 problems (and a 4th with -show-ignored); its rules all say warning.
		{"sarif", "staticcheck.sarif", map[string]float64{"sarif.errors": 0, "sarif.warnings": 3, "sarif.notes": 0}},
		// coverage 7.17: TOTAL 23 statements, 6 missed, 74%.
		{"coverage", "cobertura.xml", map[string]float64{"coverage.lines": 17. / 23}},
		{"coverage", "lcov.info", map[string]float64{"coverage.lines": 17. / 23}},
		// go tool cover -func: total 45.0%, of blocks that two packages' tests reported.
		{"coverage", "cover.out", map[string]float64{"coverage.lines": 0.45}},
	} {
		r, err := readReport(tc.format, reportFile(t, tc.file), plainly)
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		got := map[string]float64{}
		r.facts(got)
		if !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.file, got, tc.want)
		}
		if r.Version != ReportVersion || r.Format != tc.format {
			t.Errorf("%s: %+v", tc.file, r)
		}
	}
}

// TestReportDetails holds what people are shown of the same files.
func TestReportDetails(t *testing.T) {
	r, _ := readReport("junit", reportFile(t, "pytest.xml"), plainly)
	first := r.Tests.Cases[0]
	if first.State != "failed" || first.Name != "test_discount[HALF-51]" || first.Suite != "test_prices" || first.Message != "AssertionError: assert 50.0 == 51" ||
		!strings.HasSuffix(first.Text, "test_prices.py:17: AssertionError") {
		t.Errorf("first case %+v", first)
	}
	if second := r.Tests.Cases[1]; second.State != "errored" || second.Name != "test_fixture" {
		t.Errorf("second case %+v", second)
	}
	r, _ = readReport("gotest", reportFile(t, "gotest.json"), plainly)
	var broken, two TestCase
	for _, c := range r.Tests.Cases {
		switch c.Name {
		case "example.org/shop/broken":
			broken = c
		case "TestTotal/two":
			two = c
		}
	}
	if broken.State != "errored" || broken.Message != "it does not build" || !strings.Contains(broken.Text, `cannot use "x"`) {
		t.Errorf("the package that does not build: %+v", broken)
	}
	if two.State != "failed" || two.Message != "prices_test.go:13: got 7, want 8" {
		t.Errorf("the failed subtest: %+v", two)
	}
	r, _ = readReport("sarif", reportFile(t, "staticcheck.sarif"), plainly)
	want := Finding{Level: "warning", Rule: "S1039", Message: "unnecessary use of fmt.Sprint", File: "prices/prices.go", Line: 23, Column: 10}
	if r.Findings.List[0] != want || strings.Join(r.Findings.Tools, " ") != "Staticcheck" {
		t.Errorf("findings %+v", r.Findings)
	}
	r, _ = readReport("coverage", reportFile(t, "cobertura.xml"), plainly)
	// coverage.py's table: prices.py 19 statements, 5 missed; stock.py 4, 1.
	if files := r.Coverage.Files; len(files) != 2 || files[0] != (FileCoverage{"prices.py", 19, 14}) || files[1] != (FileCoverage{"stock.py", 4, 3}) {
		t.Errorf("files %+v", r.Coverage.Files)
	}
}

func TestJUnitForms(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want [3]int // total, failed, skipped
	}{
		"one testsuite":      {`<testsuite tests="1"><testcase name="a"/></testsuite>`, [3]int{1, 0, 0}},
		"nested suites":      {`<testsuites><testsuite name="a"><testsuite name="b"><testcase name="x"><failure/></testcase></testsuite><testcase name="y"/></testsuite></testsuites>`, [3]int{2, 1, 0}},
		"error in teardown":  {`<testsuite><testcase name="c"><error message="y"/><error message="teardown"/></testcase></testsuite>`, [3]int{1, 1, 0}},
		"failed suite":       {`<testsuite name="setup"><error message="no database"/></testsuite>`, [3]int{1, 1, 0}},
		"GoogleTest not run": {`<testsuites><testsuite><testcase name="a" status="notrun"/><testcase name="b" status="run"/></testsuite></testsuites>`, [3]int{2, 0, 1}},
		"flaky, passed":      {`<testsuite><testcase name="a"><flakyFailure>once</flakyFailure></testcase></testsuite>`, [3]int{1, 0, 0}},
		"latin1":             {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><testsuite><testcase name=\"caf\xe9\"><failure/></testcase></testsuite>", [3]int{1, 1, 0}},
		"empty":              {`<testsuites/>`, [3]int{0, 0, 0}},
		"with a doctype":     {`<!DOCTYPE testsuites SYSTEM "http://localhost:1/junit.dtd"><testsuites/>`, [3]int{0, 0, 0}},
	} {
		got, err := readJUnit([]byte(tc.text), plainly)
		if err != nil || [3]int{got.Total, got.Failed, got.Skipped} != tc.want {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, tc.want)
		}
	}
	got, err := readJUnit([]byte(`<testsuite><testcase name="a" time="1,234.5"/><testcase name="b" time="0.5"/><testcase name="c" time="NaN"/></testsuite>`), plainly)
	if err != nil || got.Seconds != 1235 || got.Cases[0].Name != "a" {
		t.Errorf("times: %+v, %v", got, err)
	}
}

func TestGoTestForms(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want [3]int
	}{
		"panic in TestMain":      {`{"Action":"start","Package":"p"}` + "\n" + `{"Action":"fail","Package":"p"}`, [3]int{1, 1, 0}},
		"a test that never ends": {`{"Action":"run","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out after 1s\n"}` + "\n" + `{"Action":"fail","Package":"p"}`, [3]int{1, 1, 0}},
		"no test files":          {`{"Action":"skip","Package":"p"}`, [3]int{0, 0, 0}},
		"plain lines between":    {"# p\nnot an event\n" + `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n{broken\n", [3]int{1, 0, 0}},
	} {
		got, err := readGoTest([]byte(tc.text), plainly)
		if err != nil || [3]int{got.Total, got.Failed, got.Skipped} != tc.want {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, tc.want)
		}
	}
}

// TestSARIFLevels follows sections 3.27.9 and 3.27.10 of the standard.
func TestSARIFLevels(t *testing.T) {
	const rules = `"tool":{"driver":{"name":"x","rules":[{"id":"A","defaultConfiguration":{"level":"error"}},{"id":"B","messageStrings":{"m":{"text":"{0} of {1}"}}}]}}`
	for text, want := range map[string]string{
		`{"ruleId":"A","message":{"text":"t"}}`:                                          "error",
		`{"ruleId":"A/1","message":{"text":"t"}}`:                                        "error",
		`{"ruleIndex":0,"message":{"text":"t"}}`:                                         "error",
		`{"ruleId":"A","level":"note","message":{"text":"t"}}`:                           "note",
		`{"ruleId":"unknown","message":{"text":"t"}}`:                                    "warning",
		`{"ruleId":"A","level":"none","message":{"text":"t"}}`:                           "",
		`{"ruleId":"A","kind":"pass","message":{"text":"t"}}`:                            "",
		`{"ruleId":"A","suppressions":[{"kind":"inSource"}],"message":{"text":"t"}}`:     "",
		`{"ruleId":"A","suppressions":[{"status":"rejected"}],"message":{"text":"t"}}`:   "error",
		`{"ruleId":"A","baselineState":"absent","message":{"text":"t"}}`:                 "",
		`{"ruleId":"B","level":"note","message":{"id":"m","arguments":["1","2"]}}`:       "note 1 of 2",
		`{"ruleId":"A","ruleIndex":-7,"message":{"text":"t"},"locations":[{}]}`:          "error",
		`{"ruleId":"A","rule":{"toolComponent":{"index":99}},"message":{"text":"a\nb"}}`: "error a",
	} {
		got, err := readSARIF(fmt.Appendf(nil, `{"version":"2.1.0","runs":[{%s,"results":[%s]}]}`, rules, text), plainly)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		level, message, _ := strings.Cut(want, " ")
		if (level == "") != (len(got.List) == 0) || level != "" && (got.List[0].Level != level || message != "" && got.List[0].Message != message) {
			t.Errorf("%s: %+v, want %q", text, got.List, want)
		}
	}
}

// TestMalformedReports: each is an error that names the place.
func TestMalformedReports(t *testing.T) {
	deep := strings.Repeat("<testsuite>", 200) + strings.Repeat("</testsuite>", 200)
	for _, tc := range []struct{ name, format, text, want string }{
		{"HTML", "junit", "<html><p>no", "junit report r:1:7: it is not a JUnit report: its root is <html>"},
		{"cut short", "junit", "<testsuite>\n <testcase name='a'>", "junit report r:2:21: it is not XML: unexpected EOF"},
		{"empty", "junit", "", "no testsuite element"},
		{"JSON as XML", "junit", `{"a": 1}`, "no testsuite element"},
		{"too deep", "junit", deep, "nested more than 100 deep"},
		{"an entity of its own", "junit", `<!DOCTYPE a [<!ENTITY x "y">]><testsuite name="&x;"/>`, "declares an entity"},
		{"a file's content", "junit", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&x;"/></testsuite>`, "declares an entity"},
		{"an unknown entity", "junit", `<testsuite name="&x;"/>`, "invalid character entity &x;"},
		{"UTF-16", "junit", "\xff\xfe<\x00", "it is not XML"},
		{"plain output", "gotest", "PASS\nok  \tp\t0.1s\n", "gotest report r:1: it is not the output of go test -json"},
		{"SARIF 1", "sarif", `{"version": "1.0.0"}`, `its version is "1.0.0"`},
		{"SARIF with a comma", "sarif", "{\n \"version\": \"2.1.0\",\n}", "sarif report r:3:1: it is not JSON"},
		{"SARIF of another shape", "sarif", "{\"version\": \"2.1.0\",\n\"runs\": 7}", "sarif report r:2:9: runs is number"},
		{"a SARIF result of another shape", "sarif", `{"version": "2.1.0", "runs": [{"results": [{"level": "note"}, {"message": {"text": 7}}]}]}`, "in result 2 message.text is number"},
		{"SARIF results of another shape", "sarif", `{"version": "2.1.0", "runs": [{"results": {}}]}`, "results is no list"},
		{"SARIF cut short", "sarif", `{"version": "2.1.0", "runs": [`, "ends too early"},
		{"two documents", "sarif", "{\"version\": \"2.1.0\"}\n{}", "r:2:1: something follows"},
		{"JaCoCo", "coverage", "<report name='x'/>", "its root is <report>"},
		{"Clover", "coverage", "<coverage><project/></coverage>", "Clover"},
		{"coverage.py's JSON", "coverage", `{"meta": {}}`, "no coverage report that is known"},
		{"a bad line", "coverage", "mode: set\nx.go:1.2,3.4 1\n", "coverage report r:2:1"},
		{"a bad number", "coverage", "<coverage><class filename='a'>\n<line number='x' hits='1'/></class></coverage>", `coverage report r:2:28: a line element has the number "x"`},
		{"LCOV cut short", "coverage", "SF:a.c\nDA:1,1\n", "does not end"},
		{"a line of no file", "coverage", "TN:\nDA:1,1\n", "outside a record"},
		{"TAP", "tap", "ok 1", "not read"},
	} {
		_, err := readReport(tc.format, []byte(tc.text), plainly)
		err = inFile(tc.format+" report", "r", err)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
			continue
		}
		if tc.format != "tap" && !lastro.Is(err, lastro.EFailed) {
			t.Errorf("%s: code %s", tc.name, lastro.CodeOf(err))
		}
	}
}

// TestBillionLaughs is answered at once, whatever the entities would become.
func TestBillionLaughs(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!DOCTYPE lolz [<!ENTITY lol \"lol\">")
	for i := range 10 {
		fmt.Fprintf(&b, `<!ENTITY lol%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	b.WriteString("]><testsuites>&lol9;</testsuites>")
	begin := time.Now()
	for _, format := range []string{"junit", "coverage"} {
		if _, err := readReport(format, []byte(b.String()), plainly); err == nil {
			t.Errorf("%s: no error", format)
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestReportStaysSmall: a report of 100,000 failures is counted in full and
// kept in part.
func TestReportStaysSmall(t *testing.T) {
	var b strings.Builder
	b.WriteString("<testsuite>")
	for i := range 100_000 {
		fmt.Fprintf(&b, `<testcase name="t%d"><failure message="m">%s</failure></testcase>`, i, "some text of it")
	}
	b.WriteString("<testcase name='" + strings.Repeat("ã", 5000) + "'><error>" + strings.Repeat("ã", 50_000) + "</error></testcase></testsuite>")
	r, err := readReport("junit", []byte(b.String()), plainly)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(r)
	if err != nil || len(kept) > 1<<20 || r.Tests.Total != 100_001 || r.Tests.Failed != 100_001 || len(r.Tests.Cases) != maxReportItems || r.Tests.Left != 100_001-maxReportItems {
		t.Errorf("%d bytes, %d failed, %d kept, %v", len(kept), r.Tests.Failed, len(r.Tests.Cases), err)
	}
	if got := clip(strings.Repeat("ã", 300), 10); got != "ããã…" {
		t.Errorf("clip: %q", got)
	}
	if got := tail(strings.Repeat("ã", 300), 10); got != "…ããã" {
		t.Errorf("tail: %q", got)
	}
}

// TestManyFindings: all are counted, the errors kept wherever they stand.
func TestManyFindings(t *testing.T) {
	results := strings.Repeat(`{"level":"note","message":{"text":"n"}},`, 5000) + `{"level":"error","message":{"text":"e"}}`
	f, err := readSARIF([]byte(`{"version":"2.1.0","runs":[{"results":[`+results+`]},{"results":null},{}]}`), plainly)
	if err != nil || f.Errors != 1 || f.Notes != 5000 || len(f.List) != maxReportItems || f.Left != 5001-maxReportItems || f.List[0].Message != "e" {
		t.Errorf("%d errors, %d notes, %d kept, %d left, %v", f.Errors, f.Notes, len(f.List), f.Left, err)
	}
}

// TestSecretsAtTheCut: a text is cut after secrets were taken out, or half of
// one could be left.
func TestSecretsAtTheCut(t *testing.T) {
	hide := func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }
	long := strings.Repeat("x", maxReportLine-6) + "hunter2"
	r, err := readReport("junit", []byte(`<testsuite><testcase name="`+long+`"><failure message="`+long+`">hunter2`+strings.Repeat("y", maxReportText-3)+`</failure></testcase></testsuite>`), hide)
	if err != nil {
		t.Fatal(err)
	}
	f, err := readReport("sarif", []byte(`{"version":"2.1.0","runs":[{"results":[{"message":{"text":"`+long+`"}}]}]}`), hide)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal([]Report{r, f})
	if err != nil || strings.Contains(string(kept), "hun") || strings.Contains(string(kept), "ter2") {
		t.Errorf("%v: %s", err, kept)
	}
}

func TestCoverageWithoutLines(t *testing.T) {
	for _, text := range []string{"mode: set\n", "<coverage/>", "TN:\n"} {
		r, err := readReport("coverage", []byte(text), plainly)
		got := map[string]float64{}
		r.facts(got)
		if err != nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestMethodsLinesCountOnce: Cobertura lists the lines of methods twice.
func TestMethodsLinesCountOnce(t *testing.T) {
	c, err := readCoverage([]byte(`<coverage><packages><package><classes><class filename="a.java"><methods><method><lines><line number="1" hits="0"/></lines></method></methods>
		<lines><line number="1" hits="3"/><line number="2" hits="0"/></lines></class><class filename="a.java"><lines><line number="2" hits="99999999999999999999"/></lines></class></classes></package></packages></coverage>`))
	if err != nil || c.Lines != 2 || c.Covered != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}
