// SPDX-License-Identifier: Apache-2.0

package web

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/blob"
	"lastro/pipeline"
)

// reported stores a run whose tests step wrote everything that a step can
// write for people, at its second attempt.
func (h *house) reported() {
	h.who = auth.Identity{Actor: "user:ana", Permissions: auth.Viewer.Permissions()}
	first := h.step("tests", 0, pipeline.Errored, 0, 1)
	first.Reason = "lost: lastro ended while it ran"
	tests := h.step("tests", 0, pipeline.Failed, 3, 9)
	tests.Attempt, tests.Reason = 2, "exit status 1"
	tests.Error = &lastro.Error{Code: lastro.EFailed, Msg: "step tests: exit status 1"}
	tests.CPUSeconds, tests.MaxRSSBytes, tests.Isolation = 9.2, 300<<20, "bubblewrap"
	tests.Key, tests.Ingredients = digest("key"), map[string]string{"command": "pytest", "code": "62 files"}
	tests.Inputs = []pipeline.JobInput{{Name: "split.train", Path: "data/train.parquet", Digest: h.files.keep("data/train.parquet", "rows").Digest}}
	tests.Reports = []pipeline.Report{
		{Version: 1, Format: "coverage", File: "work/cover.xml", Coverage: &pipeline.Coverage{Source: "cobertura", Lines: 23, Covered: 17,
			Files: []pipeline.FileCoverage{{File: "prices.py", Lines: 19, Covered: 14}, {File: "stock.py", Lines: 4, Covered: 3}}}},
		{Version: 1, Format: "junit", File: "work/junit.xml", Tests: &pipeline.Tests{Total: 11, Failed: 1, Skipped: 2, Seconds: 0.09, Cases: []pipeline.TestCase{
			{Suite: "test_prices", Name: "test_discount[HALF-51]", State: "failed", Message: "AssertionError: assert 50.0 == 51", Text: "code = 'HALF'\n\x1b[31mE  assert 50.0 == 51\x1b[0m", File: "test_prices.py", Line: 17},
			{Suite: "test_prices", Name: "test_total", State: "passed", Seconds: 0.02}, {Name: "test_online", State: "skipped"}}}},
		{Version: 1, Format: "sarif", File: "work/lint.sarif", Findings: &pipeline.Findings{Tools: []string{"Staticcheck"}, Warnings: 2, Notes: 1, Left: 1,
			List: []pipeline.Finding{{Level: "warning", Rule: "U1000", Message: "func left is unused", File: "prices.go", Line: 31, Column: 6}, {Level: "note", Rule: "S1", Message: "hm"}}}},
	}
	tests.Plots = []pipeline.Artifact{
		h.files.keep("work/loss.json", `{"title":"Loss","x_label":"epoch","x":[1,2,3,4],"series":{"train":[0.9,0.5,0.3,0.2],"valid":[0.9,0.6,null,0.5]}}`),
		h.files.keep("work/confusion.json", `{"labels":["late","on time"],"matrix":[[50,3],[7,40]]}`),
		h.files.keep("work/calibration.json", `{"predicted":[0.1,0.5,0.9],"observed":[0.15,0.5,0.8]}`),
		h.files.keep("work/cities.csv", "city,flights\nRio,12\nSão Paulo,40\n"),
		h.files.keep("work/shap.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`),
	}
	tests.Outputs = []pipeline.Artifact{h.files.keep("work/model.bin", "weights")}
	tests.OutValues = map[string]string{"rows": "62318"}
	tests.Summary = "# Tests\n\n**10** of 11 passed\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"
	h.logs["1/tests"] = "collected 11 items\n.....F.....\n"
	h.run(pipeline.Failed, "step tests failed: exit status 1", map[string]any{"kind": "push", "branch": "main"}, first, tests, h.step("split", 0, pipeline.Succeeded, 0, 2), h.step("train", 0, pipeline.Skipped, 0, 0))
}

// TestRunFiles: a run gives away its own files and no others, to be saved, and
// pictures in a sandbox.
func TestRunFiles(t *testing.T) {
	h := newHouse(t)
	h.reported()
	stranger := h.files.keep("secret.txt", "of another run")
	folder, err := blob.EncodeTree([]blob.Entry{{Path: "a/b.txt", Size: 7, Digest: digest("weights")}, {Path: "run.sh", Exec: true, Size: 7, Digest: digest("weights")}, {Path: "empty", Dir: true}})
	h.must(err)
	made := h.step("split", 0, pipeline.Succeeded, 0, 2)
	made.Outputs = []pipeline.Artifact{h.files.keep("work/folder", string(folder))}
	h.run(pipeline.Succeeded, "", nil, made)
	get := func(path string) (int, http.Header, string) {
		w := h.ask(http.MethodGet, path, English)
		return w.Code, w.Header(), w.Body.String()
	}
	code, head, body := get("/runs/1/files/" + string(digest("weights")))
	if code != 200 || body != "weights" || head.Get("Content-Type") != "application/octet-stream" || head.Get("Content-Disposition") != "attachment; filename=model.bin" {
		t.Errorf("an output: %d %v %q", code, head, body)
	}
	steps, err := h.pages.Runs.StepRuns(t.Context(), 1)
	h.must(err)
	svg := steps[1].Plots[4]
	code, head, body = get("/runs/1/plots/" + string(svg.Digest))
	if csp := head.Get("Content-Security-Policy"); code != 200 || !strings.Contains(body, "<svg") || head.Get("Content-Type") != "image/svg+xml" || !strings.Contains(csp, "sandbox;") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("a picture: %d %v", code, head)
	}
	if code, head, _ = get("/runs/1/files/" + string(svg.Digest)); code != 200 || !strings.HasPrefix(head.Get("Content-Disposition"), "attachment") {
		t.Errorf("a picture to be saved: %d %v", code, head)
	}
	for what, path := range map[string]string{
		"a file of no run":      "/runs/1/files/" + string(stranger.Digest),
		"another run's file":    "/runs/2/files/" + string(digest("weights")),
		"an output as a plot":   "/runs/1/plots/" + string(digest("weights")),
		"data as a picture":     "/runs/1/plots/" + string(steps[1].Plots[0].Digest),
		"no digest":             "/runs/1/files/passwd",
		"a run that is not":     "/runs/9/files/" + string(svg.Digest),
		"the log of no step":    "/runs/1/log?step=none",
		"a log that is not":     "/runs/1/log?step=split",
		"a digest in capitals":  "/runs/1/files/" + strings.ToUpper(string(svg.Digest)),
		"a path in the pattern": "/runs/1/files/..%2f..%2fetc%2fpasswd",
	} {
		if code, _, body := get(path); code != 404 {
			t.Errorf("%s: status %d %q", what, code, body)
		}
	}
	code, head, body = get("/runs/2/files/" + string(made.Outputs[0].Digest))
	if code != 200 || head.Get("Content-Disposition") != "attachment; filename=folder.tar" {
		t.Errorf("a folder: %d %v", code, head)
	}
	var names []string
	for in := tar.NewReader(strings.NewReader(body)); ; {
		f, err := in.Next()
		if err == io.EOF {
			break
		}
		h.must(err)
		names = append(names, fmt.Sprintf("%s %o %d", f.Name, f.Mode, f.Size))
	}
	if got := strings.Join(names, ", "); got != "a/b.txt 644 7, empty/ 755 0, run.sh 755 7" {
		t.Errorf("the folder holds %s", got)
	}
	code, head, body = get("/runs/1/log?step=tests&attempt=2")
	if code != 200 || body != h.logs["1/tests"] || head.Get("Content-Disposition") != "attachment; filename=run-1-tests-0-2.log" {
		t.Errorf("the log: %d %v %q", code, head, body)
	}
}

// TestRunButtons are there for those who may press them, and do what they say.
func TestRunButtons(t *testing.T) {
	h := newHouse(t)
	var did []string
	h.pages.Cancel = func(_ context.Context, run int64, by lastro.Actor) error {
		did = append(did, fmt.Sprintf("cancel %d by %s", run, by))
		return nil
	}
	h.pages.Retry = func(_ context.Context, run int64, by lastro.Actor) error {
		did = append(did, fmt.Sprintf("retry %d by %s", run, by))
		return nil
	}
	h.run(pipeline.Running, "", nil, h.step("tests", 0, pipeline.Running, 1, 0))
	h.run(pipeline.Failed, "x", nil, h.step("tests", 0, pipeline.Failed, 1, 2))
	h.run(pipeline.Succeeded, "", nil, h.step("tests", 0, pipeline.Succeeded, 1, 2))
	for _, role := range []auth.Role{auth.Viewer, auth.Author} {
		h.who = auth.Identity{Actor: "user:ana", Permissions: role.Permissions()}
		for path, button := range map[string]string{"/runs/1": "/runs/1/cancel", "/runs/2": "/runs/2/retry", "/runs/3": "none"} {
			_, body := h.get(path, English)
			if got, want := strings.Contains(body, `action="`+button+`"`), role == auth.Author && button != "none"; got != want || button == "none" && strings.Contains(body, "<form") {
				t.Errorf("%s sees the button of %s: %v", role, path, got)
			}
		}
	}
	if w := h.ask(http.MethodPost, "/runs/1/cancel", English); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/runs/1" {
		t.Errorf("cancel: %d %v", w.Code, w.Header())
	}
	if w := h.ask(http.MethodPost, "/runs/2/retry", English); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/runs/2" {
		t.Errorf("retry: %d %v", w.Code, w.Header())
	}
	if got := strings.Join(did, ", "); got != "cancel 1 by user:ana, retry 2 by user:ana" {
		t.Error(got)
	}
	for _, r := range h.pages.Routes() {
		if strings.HasPrefix(r.Pattern, "POST ") && r.Permission != auth.WriteRuns {
			t.Errorf("%s takes only %s", r.Pattern, r.Permission)
		}
		if strings.HasPrefix(r.Pattern, "GET /runs/{run}/files/") && r.Permission != auth.ReadData {
			t.Errorf("%s takes only %s", r.Pattern, r.Permission)
		}
	}
}

// TestLargeMatrix: a run of 10,000 cells is a page that a browser opens at once.
func TestLargeMatrix(t *testing.T) {
	h := newHouse(t)
	steps := []pipeline.StepRun{h.step("tests", 0, pipeline.Succeeded, 0, 1)}
	for i := range 10_000 {
		s := h.step("train", i+1, pipeline.Succeeded, 1, 3)
		s.Selected, s.Values = i == 0, map[string]any{"seed": i}
		s.Facts = map[string]float64{"metrics.auc": 0.5}
		if i == 7777 {
			s.State, s.Reason = pipeline.Failed, "exit status 1"
		}
		steps = append(steps, s)
	}
	h.run(pipeline.Failed, "step train failed", nil, steps...)
	for path, want := range map[string]string{
		"/runs/1":                           "train 7777",
		"/runs/1?step=train":                "1–100",
		"/runs/1?step=train&from=100":       "101–200",
		"/runs/1?step=train&cell=7778":      "exit status 1",
		"/runs/1?step=train&from=9999999":   "10,000",
		"/runs/1?step=train&cell=99&rows=7": "train 98",
	} {
		begin := time.Now()
		status, body := h.get(path, English)
		took := time.Since(begin)
		if status != 200 || len(body) > 200<<10 || !strings.Contains(body, want) {
			t.Errorf("%s: status %d, %d bytes, without %q", path, status, len(body), want)
		}
		if path == "/runs/1?step=train" {
			t.Logf("%s: %d bytes in %s", path, len(body), took)
			if !strings.Contains(body, "9,999") || strings.Index(body, ">7777<") > strings.Index(body, ">0<") {
				t.Error("the cell that failed does not stand first")
			}
		}
	}
}

// TestManySteps: pages of rows, and no graph that nobody could read.
func TestManySteps(t *testing.T) {
	h := newHouse(t)
	var steps []pipeline.StepRun
	for i := range 450 {
		steps = append(steps, h.step(fmt.Sprintf("s%03d", i), 0, pipeline.Succeeded, float64(i)/100, float64(i)/100+1))
	}
	h.run(pipeline.Succeeded, "", nil, steps...)
	_, first := h.get("/runs/1", English)
	_, second := h.get("/runs/1?rows=200", English)
	if !strings.Contains(first, "s199") || strings.Contains(first, ">s200<") || !strings.Contains(first, "/runs/1?rows=200") || !strings.Contains(first, "200 of 450 rows") {
		t.Error("the first page of rows")
	}
	if !strings.Contains(second, ">s399<") || !strings.Contains(second, "rows=400") || strings.Contains(second, `id="stepst"`) {
		t.Error("the second page of rows")
	}
}

func TestSummaryHTML(t *testing.T) {
	for source, want := range map[string]string{
		"# A\n## B":                            "<h4>A</h4>\n<h5>B</h5>\n",
		"**b** <b>raw</b>":                     "<p><strong>b</strong> <!-- raw HTML omitted -->raw<!-- raw HTML omitted --></p>\n",
		"[x](javascript:alert(1))":             `<p><a href="" rel="noopener noreferrer nofollow">x</a></p>` + "\n",
		"[x](https://lastro.example/?a=1&b)":   `<p><a href="https://lastro.example/?a=1&amp;b" rel="noopener noreferrer nofollow">x</a></p>` + "\n",
		"![track](https://evil.example/p.gif)": "<p>[https://evil.example/p.gif]track</p>\n",
		"":                                     "",
		"- [x] done":                           "<ul>\n<li><input checked=\"\" disabled=\"\" type=\"checkbox\"> done</li>\n</ul>\n",
	} {
		if got, _ := summaryHTML(source); string(got) != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
	for _, evil := range []string{"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](data:text/html,<script>alert(1)</script>)", "<javascript:alert(1)>", "[a]: javascript:alert(1)\n\n[a]",
		"`<script>`", "```html\"><script>\nx\n```", "|<script>|\n|---|\n|<img src=x onerror=y>|", "[a](vbscript:x)", "[x](<javascript:alert(1)>)", "&lt;script&gt;", "[a](\"onmouseover=x)"} {
		got, _ := summaryHTML(evil)
		if s := strings.ToLower(string(got)); strings.Contains(s, "<script") || strings.Contains(s, "<img") || strings.Contains(s, `href="javascript`) || strings.Contains(s, `href="data`) || strings.Contains(s, `href="vbscript`) || len(wellFormed(s)) > 0 {
			t.Errorf("%q: %s %v", evil, got, wellFormed(s))
		}
	}
	long := strings.Repeat("a line of it\n", 20_000)
	begin := time.Now()
	if got, longer := summaryHTML(long); !longer || len(got) > 2*summaryBytes {
		t.Errorf("%d bytes, %v", len(got), longer)
	}
	for _, deep := range []string{">", "- ", "[", "*", "`", "![", "|", "<", "_a_ ", "1. ", "\t", "[a](", "[](", "*a_", "**a ", "[a](\n", "*a_\n", "a|b\n-|-\n", "> \n", "- a\n  "} {
		summaryHTML(strings.Repeat(deep, summaryBytes))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestPlots draws what is far out and says what stands in it.
func TestPlots(t *testing.T) {
	many := pipeline.Plot{Kind: pipeline.PlotLine, Series: []pipeline.PlotSeries{{Name: "y"}}}
	for i := range 100_000 {
		many.X, many.Series[0].Y = append(many.X, float64(i)), append(many.Series[0].Y, math.Sin(float64(i)/1000))
	}
	many.Series[0].Y[77_777] = 1000 // a peak that must not be lost
	drawn := string(drawPlot(English, "p", "t", many))
	if len(drawn) > 30_000 || !strings.Contains(drawn, "to 1,000") || !strings.Contains(drawn, "L416.") {
		t.Errorf("%d bytes", len(drawn))
	}
	for name, p := range map[string]pipeline.Plot{
		"one point":  {Kind: pipeline.PlotScatter, X: []float64{1}, Series: []pipeline.PlotSeries{{Name: "<b>", Y: []float64{1}}}},
		"huge":       {Kind: pipeline.PlotLine, X: []float64{-1e300, 1e300}, Series: []pipeline.PlotSeries{{Y: []float64{-1e300, 1e300}}}},
		"all gaps":   {Kind: pipeline.PlotLine, X: []float64{1, 2}, Series: []pipeline.PlotSeries{{Y: []float64{math.NaN(), math.NaN()}}}},
		"infinite":   {Kind: pipeline.PlotBar, Words: []string{"<script>", "b"}, Series: []pipeline.PlotSeries{{Y: []float64{math.Inf(1), -3}}}},
		"zeros":      {Kind: pipeline.PlotMatrix, Words: []string{"a", "b"}, Matrix: [][]float64{{0, 0}, {0, 0}}},
		"all alike":  {Kind: pipeline.PlotBar, Words: []string{"a"}, Series: []pipeline.PlotSeries{{Y: []float64{0}}}},
		"eight":      {Kind: pipeline.PlotLine, X: []float64{1, 2}, Series: make8()},
		"one matrix": {Kind: pipeline.PlotMatrix, Words: []string{"a"}, Matrix: [][]float64{{3}}},
	} {
		got := string(drawPlot(Portuguese, "p", "t", p))
		if problems := wellFormed(got); len(problems) > 0 || strings.Contains(got, "Inf") || strings.Contains(got, "<script") {
			t.Errorf("%s: %v\n%s", name, problems, got)
		}
	}
}

func make8() []pipeline.PlotSeries {
	var out []pipeline.PlotSeries
	for i := range 8 {
		out = append(out, pipeline.PlotSeries{Name: fmt.Sprint(i), Y: []float64{float64(i), 2}})
	}
	return out
}
