// SPDX-License-Identifier: Apache-2.0

package project

import (
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/trigger"
)

// Every key of a step, translated.
func TestLoadLanguage(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"train.py", "notes/explore.ipynb"} {
		write(t, dir, f, "")
	}
	p, err := Parse(dir, []byte(`
version: 1
name: language
on:
  push: {branches: [main, "release/*"], paths: [src/**, "!docs/**"]}
  pull_request:
  tag: ["v*"]
  data: [wine]
  schedule: [{cron: "0 5 1 * *", timezone: America/Sao_Paulo}, {cron: "@daily"}]
  manual: false
secrets: [DB_PASSWORD, TOKEN]
params: {depth: 4, name: tree, nested: {rate: 0.5}}
data: {wine: data/wine.csv}
steps:
  train:
    run: python train.py --depth ${{ params.depth * 2 }} --rate "${{ matrix.rate }}" --half ${{ params.nested.rate }}
    inputs: [wine]
    outputs: {model: work/model}
    metrics: work/train.json
    plots: work/loss.csv
    reports: {junit: work/junit.xml, sarif: work/scan.sarif, coverage: work/cover.xml, gotest: work/go.json}
    matrix: {rate: [0.1, 0.5], algo: [a, b], include: [{rate: 0.9, algo: c}], exclude: [{rate: 0.1, algo: b}]}
    select: {best: metrics.auc}
    retry: {max: 3, on: [lost, oom, timeout, "exit:75"], backoff: 30s}
    resources: {cpu: 500m, memory: 2Gi}
    secrets: [TOKEN]
    network: none
    parallel: 2
    timeout: 45m
    cache: {max_age: 7d}
    env: {URL: "http://${{ params.name }}:80/", DEPTH: "${{ params.depth }}", PLAIN: 1}
    services:
      api: {run: "./api --port $PORT --name ${{ params.name }}", env: {MODE: "${{ params.name }}-test"}, ready: /healthz}
      db: {run: ./db, port: 5432, ready: "pg_isready -p ${{ params.depth }}"}
  report:
    notebook: notes/explore.ipynb
    inputs: [train.model]
    if: metrics.auc > 70% && git.branch == "main"
    code: []
    retry: {on: [oom]}
    resources: {memory: 500M, cpu: 2}
  chosen:
    notebook: notes/explore.ipynb
    with: {depth: "${{ params.depth }}", who: me}
`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "secrets", p.Secrets, []string{"DB_PASSWORD", "TOKEN"})
	on := p.Trigger
	push, pull, tag := *on.Push, *on.PullRequest, *on.Tag
	push.Pos, pull.Pos, tag.Pos = lastro.Pos{}, lastro.Pos{}, lastro.Pos{}
	same(t, "push", push, trigger.Push{Branches: []string{"main", "release/*"}, Paths: []string{"src/**", "!docs/**"}})
	same(t, "pull request", pull, trigger.PullRequest{})
	same(t, "tag", tag, trigger.Tag{Names: []string{"v*"}})
	same(t, "schedules", []string{on.Schedules[0].Cron, on.Schedules[0].Timezone, on.Schedules[1].Cron}, []string{"0 5 1 * *", "America/Sao_Paulo", "@daily"})
	same(t, "data", on.Data[0].Name, "wine")
	same(t, "manual", on.Manual, false)

	s := p.Pipeline.Steps[0]
	s.Pos, s.Inputs = lastro.Pos{}, nil
	same(t, "train", s, pipeline.StepSpec{Name: "train", Kind: "run",
		Shell: `python train.py --depth "$LASTRO_EXPR_2" --rate "${LASTRO_EXPR_3}" --half "$LASTRO_EXPR_4"`,
		Vars: []pipeline.Var{{Name: "LASTRO_EXPR_1", Expr: "params.name"}, {Name: "DEPTH", Expr: "params.depth"}, {Name: "LASTRO_EXPR_2", Expr: "params.depth * 2"},
			{Name: "LASTRO_EXPR_3", Expr: "matrix.rate"}, {Name: "LASTRO_EXPR_4", Expr: "params.nested.rate"}, {Name: "LASTRO_EXPR_5", Expr: "params.depth"}},
		Env:     map[string]string{"URL": "http://${{ params.name }}:80/", "PLAIN": "1"},
		Outputs: []pipeline.Output{{Name: "model", Path: "work/model"}}, Metrics: []string{"work/train.json"}, Plots: []string{"work/loss.csv"},
		Reports: map[string]string{"junit": "work/junit.xml", "sarif": "work/scan.sarif", "coverage": "work/cover.xml", "gotest": "work/go.json"},
		Matrix:  []pipeline.Axis{{Name: "rate", Values: []any{0.1, 0.5}}, {Name: "algo", Values: []any{"a", "b"}}},
		Include: []map[string]any{{"rate": 0.9, "algo": "c"}}, Exclude: []map[string]any{{"rate": 0.1, "algo": "b"}},
		Select: &pipeline.Select{Best: "metrics.auc", Goal: "max"}, Parallel: 2, Timeout: 45 * time.Minute,
		Retry:  pipeline.Retry{Max: 3, On: []pipeline.RetryReason{"lost", "oom", "timeout", "exit:75"}, Backoff: 30 * time.Second},
		Limits: pipeline.Limits{CPU: 0.5, Memory: 2 << 30}, Secrets: []string{"TOKEN"}, Network: pipeline.NetworkNone,
		Services: []pipeline.ServiceSpec{
			{Name: "api", Shell: `./api --port $PORT --name "$LASTRO_EXPR_1"`, Env: map[string]string{"MODE": "${{ params.name }}-test"}, Ready: "/healthz"},
			{Name: "db", Shell: "./db", Port: 5432, Ready: `pg_isready -p "$LASTRO_EXPR_5"`}},
		Cache: true, MaxAge: 7 * 24 * time.Hour})

	r := p.Pipeline.Steps[1]
	same(t, "notebook", string(r.With), `{"params":{"depth":"${{ params.depth }}","name":"${{ params.name }}","nested":"${{ params.nested }}"},"path":"notes/explore.ipynb"}`)
	same(t, "its code", r.Code, []string{"notes/explore.ipynb"})
	same(t, "if", r.If, `metrics.auc > 70% && git.branch == "main"`)
	same(t, "retry", r.Retry, pipeline.Retry{Max: 1, On: []pipeline.RetryReason{"oom"}})
	same(t, "limits", r.Limits, pipeline.Limits{CPU: 2, Memory: 500_000_000})
	same(t, "kind", r.Kind, "notebook")
	same(t, "with", string(p.Pipeline.Steps[2].With), `{"params":{"depth":"${{ params.depth }}","who":"me"},"path":"notes/explore.ipynb"}`)
}

// What the two large examples of the language still need is refused by name,
// and nothing else about them is wrong.
func TestLaterKeys(t *testing.T) {
	for _, example := range []string{"b-credit-risk", "c-service-and-model"} {
		dir := scaffold(t, example, "contracts/applications.odcs.yaml", "contracts/outcomes.odcs.yaml", "contracts/transactions.odcs.yaml", "uv.lock", "model/uv.lock",
			"src/train.py", "src/evaluate.py", "model/train.py", "model/evaluate.py")
		_, err := Load(dir)
		problems, _ := err.(lastro.Problems)
		if len(problems) == 0 {
			t.Errorf("%s: %v", example, err)
		}
		for _, p := range problems {
			if p.ID != "L0108" {
				t.Errorf("%s: %v", example, p)
			}
		}
	}
}

// on: may stand in its shortest forms; without it only people start runs.
func TestLoadOn(t *testing.T) {
	for text, want := range map[string][]bool{ // push, pull request, tag, by hand
		"":                                   {false, false, false, true},
		"on: {push: }":                       {true, false, false, true},
		"on: {push: true, pull_request: {}}": {true, true, false, true},
		"on: {push: false, tag: , manual: }": {false, false, true, true},
		"on: {pull_request: {forks: never}}": {false, true, false, true},
		"on:\n  push:\n  pull_request:\n  manual: false": {true, true, false, false},
	} {
		p, err := Parse(t.TempDir(), []byte("version: 1\nname: on\n"+text+"\nsteps: {a: {run: 'true'}}\n"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		on := p.Trigger
		same(t, text, []bool{on.Push != nil, on.PullRequest != nil, on.Tag != nil, on.Manual}, want)
	}
}
