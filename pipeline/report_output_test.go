// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastro"
)

func TestParseOutput(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want map[string]string
	}{
		"empty":              {"", map[string]string{}},
		"values":             {"rows=12\n_x=\nexpr=a=b<<c\n", map[string]string{"rows": "12", "_x": "", "expr": "a=b<<c"}},
		"the last one":       {"a=1\na=2\n", map[string]string{"a": "2"}},
		"Windows":            {"a=1\r\nb<<E\r\nx\r\ny\r\nE\r\n", map[string]string{"a": "1", "b": "x\ny"}},
		"several lines":      {"notes<<END\nfirst\n\n second=2\nEND\nb=1", map[string]string{"notes": "first\n\n second=2", "b": "1"}},
		"no line between":    {"a<<EOF\nEOF\n", map[string]string{"a": ""}},
		"an end with spaces": {"a<<E F\nx\nE\nE F\n", map[string]string{"a": "x\nE"}},
		"never ends":         {"a<<EOF\nx\n EOF\n", nil},
		"no word for it":     {"a<<\nx\n", nil},
		"one <":              {"a<b\n", nil},
		"no value":           {"rows\n", nil},
		"a digit first":      {"1a=2\n", nil},
		"no name":            {"=2\n", nil},
		"a dot":              {"a.b=2\n", nil},
		"NUL":                {"a=\x00\n", nil},
		"no UTF-8":           {"a=\xff\n", nil},
		"a long name":        {strings.Repeat("a", 101) + "=1", nil},
		"too much":           {"a=" + strings.Repeat("x", MaxOutput), nil},
	} {
		got, err := ParseOutput([]byte(tc.text))
		if tc.want == nil {
			if !lastro.Is(err, lastro.EFailed) {
				t.Errorf("%s: %v, %v; want an error", name, got, err)
			}
			continue
		}
		if err != nil || !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tc.want)
		}
	}
	_, err := ParseOutput([]byte("a=1\nb<<EOF\nx\n"))
	if err = inFile("file", "$"+OutputVar, err); !strings.Contains(err.Error(), `$LASTRO_OUTPUT:2: the value of "b" has no end`) {
		t.Errorf("the place of it: %v", err)
	}
}

func TestOutFacts(t *testing.T) {
	got := map[string]float64{}
	outFacts(map[string]string{"rows": " 12 ", "share": "-0.5e1", "ok": "true", "no": "false", "word": "x", "none": "", "nan": "NaN", "inf": "Inf"}, got)
	if want := map[string]float64{"values.rows": 12, "values.share": -5, "values.ok": 1, "values.no": 0}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParsePlot(t *testing.T) {
	for _, tc := range []struct {
		file, text string
		kind       PlotKind // "" = refused
		series, n  int
	}{
		{"a.json", `{"x":[1,2,3],"y":[0.3,null,0.2],"title":"loss"}`, PlotLine, 1, 3},
		{"a.json", `{"x":[1,2],"series":{"valid":[1,2],"train":[3,4]}}`, PlotLine, 2, 2},
		{"a.json", `{"x":["a","b"],"y":[1,2]}`, PlotBar, 1, 2},
		{"a.json", `{"kind":"scatter","x":[1,2],"y":[1,2]}`, PlotScatter, 1, 2},
		{"a.json", `[{"x":1,"y":2},[3,4]]`, PlotScatter, 1, 2},
		{"a.json", `{"labels":["no","yes"],"matrix":[[50,3],[7,40]]}`, PlotMatrix, 0, 2},
		{"a.json", `{"matrix":[[1]]}`, PlotMatrix, 0, 1},
		{"a.json", `{"predicted":[0.1,0.9],"observed":[0.2,0.8],"n":[10,20]}`, PlotCalibration, 1, 2},
		{"a.csv", "epoch,train,valid\n1,0.5,0.6\n2,,0.4\n", PlotLine, 2, 2},
		{"a.CSV", "\ufeffcity,n\nRio,3\n\"São Paulo\",4\n", PlotBar, 1, 2},
		{"a.svg", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`, PlotImage, 0, 0},
		{"a.png", "\x89PNG\r\n\x1a\nrest", PlotImage, 0, 0},
		{"a.json", `{}`, "", 0, 0},
		{"a.json", `{"x":[],"y":[]}`, "", 0, 0},
		{"a.json", `{"x":[1,2],"y":[1]}`, "", 0, 0},
		{"a.json", `{"x":[1,"a"],"y":[1,2]}`, "", 0, 0},
		{"a.json", `{"x":[[1]],"y":[1]}`, "", 0, 0},
		{"a.json", `{"x":[1],"y":[NaN]}`, "", 0, 0},
		{"a.json", `{"x":[1],"y":[1e308]}`, "", 0, 0},
		{"a.csv", "a,b\n1,inf\n", PlotLine, 1, 1},
		{"a.json", `{"x":[1],"y":[1],"kind":"pie"}`, "", 0, 0},
		{"a.json", `{"matrix":[[1,2],[3]]}`, "", 0, 0},
		{"a.json", `{"matrix":[[1]],"labels":["a","b"]}`, "", 0, 0},
		{"a.json", `{"predicted":[1.5],"observed":[0.2]}`, "", 0, 0},
		{"a.json", `[{"x":1}]`, "", 0, 0},
		{"a.json", `[[1]]`, "", 0, 0},
		{"a.csv", "a\n1\n", "", 0, 0},
		{"a.csv", "a,b\n1,x\n", "", 0, 0},
		{"a.csv", "a,b\n1\n", "", 0, 0},
		{"a.csv", "", "", 0, 0},
		{"a.svg", "<html>", "", 0, 0},
		{"a.png", "GIF89a", "", 0, 0},
		{"a.html", "<html>", "", 0, 0},
	} {
		p, err := ParsePlot(tc.file, []byte(tc.text))
		if tc.kind == "" {
			if !lastro.Is(err, lastro.EFailed) {
				t.Errorf("%s %q: %+v, %v; want an error", tc.file, tc.text, p, err)
			}
			continue
		}
		if err != nil || p.Kind != tc.kind || len(p.Series) != tc.series || max(len(p.X), len(p.Words)) != tc.n {
			t.Errorf("%s %q: %+v, %v", tc.file, tc.text, p, err)
		}
	}
	p, err := ParsePlot("a.csv", []byte("epoch,train\n1,\n"))
	if err != nil || p.XLabel != "epoch" || p.Series[0].Name != "train" || !math.IsNaN(p.Series[0].Y[0]) {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = ParsePlot("a.csv", []byte("a,b\n1,2\n3,x\n"))
	if err = inFile("plot", "w/a.csv", err); !strings.Contains(err.Error(), `plot w/a.csv:3:3: "x" is no number`) {
		t.Errorf("the place of it: %v", err)
	}
}

// fakeJob is a step with a workspace and a scratch folder on disk.
func fakeJob(t *testing.T, s StepSpec, files map[string]string) *Job {
	t.Helper()
	j := &Job{Step: s, Dir: t.TempDir(), Scratch: t.TempDir()}
	for name, text := range files {
		p := j.Path(name)
		switch name {
		case "$" + SummaryVar:
			p = j.SummaryPath()
		case "$" + OutputVar:
			p = j.OutputPath()
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// TestCollector reads all that a step can write, and hides secrets in it.
func TestCollector(t *testing.T) {
	spec := StepSpec{Name: "tests", Metrics: []string{"m.json"}, Reports: map[string]string{"junit": "r/junit.xml", "coverage": "r/cover.out"}}
	j := fakeJob(t, spec, map[string]string{"m.json": `{"auc": 0.7}`, "r/junit.xml": `<testsuite><testcase name="a"><failure message="token hunter2"/></testcase></testsuite>`,
		"r/cover.out": "mode: set\na.go:1.1,2.2 3 1\na.go:3.1,4.2 1 0\n", "$" + SummaryVar: "# Done\nwith hunter2\x00", "$" + OutputVar: "rows=12\nkey=hunter2\n"})
	row := StepRun{Facts: map[string]float64{}}
	c := collector{job: j, row: &row, find: func(file, _ string) (string, error) { return j.Path(file), nil },
		mask: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }}
	if err := c.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := map[string]float64{"metrics.auc": 0.7, "tests.total": 1, "tests.failed": 1, "tests.skipped": 0, "coverage.lines": 0.75, "values.rows": 12}; !maps.Equal(row.Facts, want) {
		t.Errorf("facts %v", row.Facts)
	}
	if row.Summary != "# Done\nwith ***�" || !maps.Equal(row.OutValues, map[string]string{"rows": "12", "key": "***"}) {
		t.Errorf("summary %q, values %v", row.Summary, row.OutValues)
	}
	if len(row.Reports) != 2 || row.Reports[1].File != "r/junit.xml" || row.Reports[1].Tests.Cases[0].Message != "token ***" {
		t.Errorf("reports %+v", row.Reports)
	}
}

// TestCollectorOfAFailedStep takes what it can read and leaves out the rest;
// of one that ended well each trouble is an error that names the file.
func TestCollectorOfAFailedStep(t *testing.T) {
	spec := StepSpec{Name: "tests", Metrics: []string{"m.json"}, Reports: map[string]string{"junit": "junit.xml", "sarif": "none.sarif"}}
	j := fakeJob(t, spec, map[string]string{"m.json": `{"auc": `, "junit.xml": `<testsuite><testcase name="a"><failure/></testcase></testsuite>`, "$" + OutputVar: "broken"})
	row := StepRun{Facts: map[string]float64{}}
	c := collector{job: j, row: &row, find: func(file, _ string) (string, error) { return j.Path(file), nil }, lenient: true}
	if err := c.collect(t.Context()); err != nil || row.Facts["tests.failed"] != 1 || len(row.Reports) != 1 {
		t.Errorf("%v, %+v", err, row)
	}
	c.lenient = false
	if err := c.collect(t.Context()); err == nil || !strings.Contains(err.Error(), "metrics file m.json: it is not JSON") || len(row.Reports) != 2 {
		t.Errorf("%v, %+v", err, row.Reports) // the report behind it was read once more
	}
	if err := os.Remove(j.OutputPath()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", j.OutputPath()); err != nil {
		t.Fatal(err)
	}
	if err := c.values(); !lastro.Is(err, lastro.EFailed) {
		t.Errorf("an endless device: %v", err)
	}
	if names := slices.Sorted(maps.Keys(row.OutValues)); len(names) > 0 {
		t.Errorf("values %v", names)
	}
}
