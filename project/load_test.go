// SPDX-License-Identifier: Apache-2.0

package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lastro"
	"lastro/data"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/trigger"
)

// scaffold writes the files that an example's lastro.yaml names, so that it
// can be loaded.
func scaffold(t *testing.T, example string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	src, err := os.ReadFile(filepath.Join("testdata/examples", example, FileName))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, FileName, string(src))
	for _, f := range files {
		write(t, dir, f, "")
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadFlights(t *testing.T) {
	dir := scaffold(t, "d-flights", "src/train.py", "src/evaluate.py", "contracts/flights.odcs.yaml")
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "name", p.Name, "flights")
	same(t, "python", p.Pipeline.Python, pipeline.Python{Version: "3.11"})
	same(t, "params", p.Pipeline.Params, map[string]any{"max_iter": int64(150), "seed": int64(42)})
	same(t, "not code", p.Pipeline.NotCode, []string{"data/flights"})

	d, _ := p.Dataset("flights")
	d.Pos = lastro.Pos{}
	same(t, "dataset", d, data.Spec{Name: "flights", Source: "data/flights", Contract: "contracts/flights.odcs.yaml", OnFail: "block",
		Key: []string{"flight_id"}, EventTime: "scheduled_departure"})

	steps := map[string]pipeline.StepSpec{}
	for _, s := range p.Pipeline.Steps {
		steps[s.Name] = s
	}
	train := steps["train"]
	train.Pos, train.Inputs[0].Pos = lastro.Pos{}, lastro.Pos{}
	same(t, "train", train, pipeline.StepSpec{Name: "train", Kind: "run",
		Shell: `python -m src.train --depth "$LASTRO_EXPR_1" --rate "$LASTRO_EXPR_2" --max-iter "$LASTRO_EXPR_3" --seed "$LASTRO_EXPR_4"`,
		Vars: []pipeline.Var{{Name: "LASTRO_EXPR_1", Expr: "matrix.depth"}, {Name: "LASTRO_EXPR_2", Expr: "matrix.rate"},
			{Name: "LASTRO_EXPR_3", Expr: "params.max_iter"}, {Name: "LASTRO_EXPR_4", Expr: "params.seed"}},
		Inputs:  []pipeline.Input{{Step: "split", Output: "train"}},
		Outputs: []pipeline.Output{{Name: "model", Path: "work/model"}},
		Needs:   []string{"tests"}, Code: []string{"src/**"}, Metrics: []string{"work/train.json"},
		Matrix: []pipeline.Axis{{Name: "depth", Values: []any{int64(4), int64(8)}}, {Name: "rate", Values: []any{0.05, 0.1}}},
		Select: &pipeline.Select{Best: "metrics.valid_auc", Goal: "max"}, Cache: true})
	same(t, "split kind", steps["split"].Kind, "lastro/split")
	same(t, "split", string(steps["split"].With), `{"by":"time","column":"scheduled_departure","no_overlap":["flight_id"],"test":"last 20%","window":"90d"}`)
	same(t, "reports", steps["tests"].Reports, map[string]string{"junit": "work/junit.xml"})

	same(t, "model", []string{p.Model.Name, p.Model.Step, p.Model.Output}, []string{"flight-delay", "train", "model"})
	var rules []gate.Rule
	for _, r := range p.Rules {
		if r.Pos.Line == 0 {
			t.Errorf("rule %s has no place", r.Name)
		}
		r.Pos = lastro.Pos{}
		rules = append(rules, r)
	}
	same(t, "rules", rules, []gate.Rule{
		{Name: "tests-green", Check: "tests.failed == 0 && tests.total > 0", OnFail: "block"},
		{Name: "data-valid", Check: "data.flights.checks.failed == 0", OnFail: "block"},
		{Name: "auc-floor", Check: "metrics.auc >= 0.62", OnFail: "block"},
		{Name: "not-worse", Check: "compare.auc.diff_ci_low >= -0.01", OnFail: "block", First: "pass"},
	})

	local, ok := p.Environment("local")
	local.Pos = lastro.Pos{}
	same(t, "local", local, deploy.Spec{Name: "local", Model: "flight-delay", Alias: "champion",
		Strategy:   deploy.Strategy{Kind: "canary", Steps: []float64{0.1, 0.5, 1}, MinRequests: 200},
		RollbackIf: []string{"errors.rate > 2%", "shift(score.mean) > 60%", "score.sd < 0.02"}})
	if _, other := p.Environment("production"); !ok || other {
		t.Error("environments: local is there, production is not")
	}

	day := 24 * time.Hour
	same(t, "drift", *p.Monitors[0].Drift, monitor.DriftSpec{Test: "auto", Step: "split", Output: "train", Window: 30 * day, MinRows: 1000, Warn: 0.10, Alert: 0.25})
	same(t, "performance", *p.Monitors[0].Performance, monitor.PerformanceSpec{Labels: "flights", Join: "flight_id", Delay: 30 * day, Window: 30 * day,
		Metric: "auc", Alert: "value.ci_high < best - 0.02"})
	same(t, "retrain", *p.Monitors[0].Retrain, monitor.RetrainSpec{When: []string{"performance"}, NewLabels: 5000, Cooldown: 7 * day, Max: 2, Per: 30 * day})
	same(t, "notify", p.Monitors[0].Notify, []string{"log"})
	same(t, "trigger", p.Trigger, trigger.Spec{Manual: true})
}

func TestLoadMinimalAndIncome(t *testing.T) {
	p, err := Load(scaffold(t, "a-minimal", "split.py", "train.py", "evaluate.py"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rule", p.Rules[0].Name, "metrics.r2 >= 0.30")
	local, ok := p.Environment("local")
	if !ok || len(p.Environments) != 0 {
		t.Error("local is there though the file has no deploy")
	}
	same(t, "local", local, deploy.Spec{Name: "local", Model: "wine-quality", Alias: "champion", Strategy: deploy.Strategy{Kind: "all-at-once"}})

	p, err = Load(scaffold(t, "e-income", "train.py", "evaluate.py", "contracts/census.odcs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "sensitive", p.Datasets[0].Sensitive, []string{"sex", "race"})
	same(t, "on_fail", p.Rules[1].OnFail, gate.Approve)
}

// Forms that the examples do not have.
func TestParseForms(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "ml/train.py", "")
	p, err := Parse(dir, []byte(`
version: 1
name: forms
owners: [group:risk, ana@bank.example]
python: {version: "3.12"}
params: {seed: 1, lgbm: {leaves: 31, rate: 0.10}, columns: [a, b]}
data:
  d: {source: ./data/d, path: input/d, on_fail: warn, sensitive: [sex]}
steps:
  train:
    run: [python, train.py, "--leaves=${{ params.lgbm.leaves }}", "${{ params.seed }}"]
    workdir: ml
    inputs: [d]
    sees: [sex]
    env: {RATE: "${{ params.lgbm.rate }}", MODE: fast, N: 3}
    timeout: 90m
    parallel: 2
    cache: false
    metrics: [a.json, b.json]
    python: {version: "3.11"}
    outputs: {model: ./work/model/}
  score:
    uses: lastro/compare
    with: {metrics: "${{ params.columns }}"}
    inputs: [train]
  multi:
    run: |
      set -x
      echo "${{ git.commit }} ${{ event.anything }}"
model: {name: m, from: train}
deploy: {local: {model: m@champion, strategy: all-at-once}}
`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "owners", p.Owners, []string{"group:risk", "ana@bank.example"})
	train := p.Pipeline.Steps[0]
	same(t, "argv", train.Argv, []string{"python", "train.py", "--leaves=${{ params.lgbm.leaves }}", "${{ params.seed }}"})
	same(t, "vars", train.Vars, []pipeline.Var{{Name: "RATE", Expr: "params.lgbm.rate"}, {Name: "LASTRO_EXPR_1", Expr: "params.lgbm.leaves"}, {Name: "LASTRO_EXPR_2", Expr: "params.seed"}})
	same(t, "env", train.Env, map[string]string{"MODE": "fast", "N": "3"})
	same(t, "outputs", train.Outputs, []pipeline.Output{{Name: "model", Path: "work/model"}})
	same(t, "python", *train.Python, pipeline.Python{Version: "3.11"})
	same(t, "times", []any{train.Timeout, train.Parallel, train.Cache, train.Workdir}, []any{90 * time.Minute, 2, false, "ml"})
	same(t, "whole step", p.Pipeline.Steps[1].Inputs[0].String(), "train")
	same(t, "with", string(p.Pipeline.Steps[1].With), `{"metrics":"${{ params.columns }}"}`)
	same(t, "shell", p.Pipeline.Steps[2].Shell, "set -x\necho \"${LASTRO_EXPR_1} ${LASTRO_EXPR_2}\"\n")
	same(t, "only output", p.Model.Output, "model")
	same(t, "source", p.Datasets[0].Source+" "+p.Datasets[0].Path, "data/d input/d")
}

// Files from other systems: a byte order mark, lines that end with CR LF.
func TestParseOtherSystems(t *testing.T) {
	_, err := Parse(t.TempDir(), []byte("\ufeffversion: 1\r\nname: a\r\nsteps:\r\n  s: {run: x, nead: 1}\r\n"))
	if err == nil || err.Error() != `lastro.yaml:4:15: unknown key "nead"` {
		t.Errorf("Parse = %v", err)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	_, err := Load(t.TempDir())
	var problems lastro.Problems
	if !errors.As(err, &problems) || problems[0].ID != "L0102" || lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("Load of an empty folder = %v", err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// FuzzParse: whatever the text, Parse answers, every problem has a place, and
// what has none can be explained and written out in full.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	more, _ := filepath.Glob("testdata/examples/*/lastro.yaml")
	for _, file := range append(files, more...) {
		if src, err := os.ReadFile(file); err == nil {
			f.Add(src)
		}
	}
	f.Add([]byte(oddFile))
	for _, e := range examples {
		for _, text := range e {
			f.Add([]byte(wholeFile(text)))
		}
	}
	dir := f.TempDir()
	for _, name := range []string{"train.py", "n.ipynb", "contracts/c.yaml"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o600)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := Parse(dir, src)
		var problems lastro.Problems
		switch {
		case err == nil && p == nil:
			t.Error("neither a project nor a problem")
		case err != nil && !errors.As(err, &problems):
			t.Errorf("a problem without a place: %v", err)
		case err == nil:
			Explain(p)
			for _, s := range p.Pipeline.Steps {
				if _, err := ExplainStep(p, s.Name); err != nil {
					t.Error(err)
				}
			}
			if again, err := Parse(dir, Expanded(p)); err != nil || comparable(t, again) != comparable(t, p) {
				t.Errorf("expanded it is another project: %v\n%s", err, Expanded(p))
			}
		}
		for _, e := range problems {
			if e.ID == "" || e.Pos.File == "" {
				t.Errorf("a problem without ID or file: %+v", e)
			}
		}
		if err := Render(io.Discard, problems, fstest.MapFS{FileName: {Data: src}}, true); err != nil {
			t.Error(err)
		}
	})
}

// A cached lastro run has 150 ms for everything; reading the file is to take
// a few of them, also in a process that has compiled no rule yet.
func BenchmarkParse(b *testing.B) {
	src, err := os.ReadFile("testdata/examples/a-minimal/lastro.yaml")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for _, f := range []string{"split.py", "train.py", "evaluate.py"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(dir, src); err != nil {
			b.Fatal(err)
		}
	}
}

// SECURITY S4: no file, however odd, takes seconds.
func TestParseIsQuickOnOddFiles(t *testing.T) {
	head := "version: 1\nname: odd\nsteps:\n  s:\n    run: |\n      "
	dir := t.TempDir()
	for name, text := range map[string]string{
		"holes":     head + strings.Repeat("${{ params.x }} ", 3000),
		"events":    head + strings.Repeat("a ${{ event.x }} ", 3000),
		"nested":    head + strings.Repeat("$(", 20000) + "${{ event.x }}",
		"tests":     head + strings.Repeat("[[ ${{ event.x }} ", 3000),
		"words":     head + strings.Repeat("eval ", 10000) + strings.Repeat("${{ event.x }} ", 500),
		"heredocs":  head + strings.Repeat("cat <<E ", 5000),
		"brackets":  "version: 1\nname: odd\nparams: " + strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"deep":      "version: 1\nname: odd\nparams: " + strings.Repeat("[", 100000),
		"deep maps": "version: 1\nname: odd\nparams: " + strings.Repeat("{a: ", 50000),
		"dashes":    "version: 1\nname: odd\nparams:\n  " + strings.Repeat("- ", 50000) + "a",
		"keys":      "version: 1\n" + strings.Repeat("k: 1\n", 3000),
		"steps":     "version: 1\nname: odd\nsteps:\n" + many(2000, "  s%d: {run: x, needs: [t%d]}\n"),
		"outputs":   "version: 1\nname: odd\nsteps:\n  s:\n    run: x\n    outputs:\n" + many(3000, "      o%d: work/%d\n"),
		"datasets":  "version: 1\nname: odd\nsteps: {s: {run: x}}\ndata:\n" + many(3000, "  d%d: d/%d\n"),
		"long rule": "version: 1\nname: odd\nsteps: {s: {run: x, outputs: {m: m}}}\nmodel: {name: m, from: s.m, require: ['" + strings.Repeat("(", 30000) + "']}",
		"long word": "version: 1\nname: odd\nsteps: {s: {run: x, inputs: [" + strings.Repeat("a", 100000) + "]}}",
	} {
		const limit = 10 * time.Second // each takes well under one; a busy machine is not to fail this
		start := time.Now()
		_, _ = Parse(dir, []byte(text))
		if took := time.Since(start); took > limit {
			t.Errorf("%s (%d bytes) took %v", name, len(text), took)
		} else {
			t.Logf("%s (%d bytes): %v", name, len(text), took)
		}
	}
}

func many(n int, format string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, format, i, i)
	}
	return out.String()
}
