// SPDX-License-Identifier: Apache-2.0

package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
)

// comparable is a project without what writing it out may change: places, and
// the few values that the file says and the engine would have taken anyway.
func comparable(t *testing.T, p *Project) string {
	t.Helper()
	flat := *p
	flat.Dir, flat.file = "", nil
	flat.Pipeline.Steps = append([]pipeline.StepSpec{}, p.Pipeline.Steps...)
	for i := range flat.Pipeline.Steps {
		s := &flat.Pipeline.Steps[i]
		if s.Timeout == 24*time.Hour {
			s.Timeout = 0
		}
		if s.Network == pipeline.NetworkFull {
			s.Network = ""
		}
		if reflect.DeepEqual(s.Retry.On, []pipeline.RetryReason{"lost"}) {
			s.Retry.On = nil
		}
	}
	for i := range flat.Trigger.Schedules {
		if flat.Trigger.Schedules[i].Timezone == "" {
			flat.Trigger.Schedules[i].Timezone = "UTC"
		}
	}
	raw, err := json.Marshal(flat)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	raw, _ = json.MarshalIndent(placeless(v), "", " ")
	return string(raw)
}

// placeless drops places, and protected aliases, which are what always is.
func placeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if strings.EqualFold(k, "pos") || k == "Protect" {
				delete(v, k)
				continue
			}
			v[k] = placeless(v[k])
		}
	case []any:
		for i := range v {
			v[i] = placeless(v[i])
		}
	}
	return v
}

// What explain --expanded prints loads to the same project, and once expanded
// nothing more is implied.
func TestExpandedLoadsTheSame(t *testing.T) {
	dirs := map[string]string{}
	for example, files := range map[string][]string{
		"a-minimal": {"split.py", "train.py", "evaluate.py"},
		"d-flights": {"src/train.py", "src/evaluate.py", "contracts/flights.odcs.yaml"},
		"e-income":  {"train.py", "evaluate.py", "contracts/census.odcs.yaml"},
	} {
		dirs[example] = scaffold(t, example, files...)
	}
	odd := t.TempDir()
	write(t, odd, "train.py", "")
	write(t, odd, "n.ipynb", "")
	write(t, odd, "contracts/c.yaml", "")
	write(t, odd, FileName, oddFile)
	dirs["odd"] = odd
	for name, dir := range dirs {
		p, err := Load(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := Expanded(p)
		again, err := Parse(dir, text)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if was, is := comparable(t, p), comparable(t, again); was != is {
			t.Errorf("%s: the expanded file is another project\nwas %s\nis %s\nof\n%s", name, was, is, text)
		}
		if twice := Expanded(again); string(twice) != string(text) {
			t.Errorf("%s: expanding it again changes it:\n%s\nto\n%s", name, text, twice)
		}
		if name == "odd" {
			golden(t, filepath.Join("testdata", "explain", "expanded.txt"), text)
		}
	}
	if _, err := os.Stat(odd); err != nil {
		t.Fatal(err)
	}
	var _ lastro.Pos
}

const oddFile = `
version: 1
name: odd
description: "quotes: \"a\", # and a colon: here"
owners: ["group:risk", true]
python: "3.11"
on: {push: {branches: [main, "*"]}, pull_request: , tag: ["v1.*"], schedule: [{cron: "0 5 * * 1"}], data: [wine]}
secrets: [TOKEN]
params: {seed: 42, rate: 1e-3, "odd name": [1, {a: null}], text: "true", big: 12345678901}
data: {wine: data/wine.csv, more: {source: data/more, contract: contracts/c.yaml, sensitive: [sex]}}
steps:
  lines:
    run: |
      set -x
      if true; then
        echo "${{ params.seed }}"
      fi
    env: {"A": "1", B: "yes", C: "a\nb\n", D: " x ", E: "${{ params.seed }}"}
    outputs: {"1": work/1, model: work/model}
    metrics: work/m.json
    matrix: {a: [1, 2.5, "3", true, "x y"], b: [x], include: [{a: 9, c: "z"}], exclude: [{a: 1, b: x}]}
    select: {best: metrics.auc}
    retry: {max: 2}
    resources: {cpu: 2, memory: 1Gi}
    secrets: [TOKEN]
    services: {api: {run: "./api\n", env: {X: "${{ params.text }}"}, ready: /healthz}, db: {run: ./db, port: 5432}}
    cache: {max_age: 7d}
  tabs: {run: "a\tb\n\n  c", cache: false, code: []}
  list: {run: [python, train.py, "--x=${{ params.rate }}", "a b"], needs: [tabs], inputs: [wine, lines.model], if: 'params.seed > 1 && git.branch != "x"'}
  note: {notebook: n.ipynb, with: {x: "${{ params.seed }}", y: [1]}, network: none, sees: [sex], inputs: [more], plots: [work/p.json], reports: {junit: work/j.xml}}
model: {name: odd, from: lines.model, require: [metrics.auc > 0.5, {check: "metrics.auc > 60%", on_fail: warn, why: because}]}
deploy: {local: {model: odd@champion}, production: {model: odd@champion, strategy: {canary: [10%, 100%], min_requests: 5}}}
`
