// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"strings"
	"testing"
)

// What explain says of the examples, read by a person before it was kept.
func TestExplain(t *testing.T) {
	for example, files := range map[string][]string{
		"a-minimal": {"split.py", "train.py", "evaluate.py"},
		"d-flights": {"src/train.py", "src/evaluate.py", "contracts/flights.odcs.yaml"},
		"e-income":  {"train.py", "evaluate.py", "contracts/census.odcs.yaml"},
	} {
		t.Run(example, func(t *testing.T) {
			p, err := Load(scaffold(t, example, files...))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, s := range Explain(p) {
				fmt.Fprintf(&out, "%s\n", s.Heading)
				for _, i := range s.Items {
					fmt.Fprintf(&out, "  %-14s %s\n", i.Name, i.Text)
					for _, m := range i.More {
						fmt.Fprintf(&out, "  %-14s   %s\n", "", m)
					}
				}
			}
			golden(t, "testdata/explain/"+example+".txt", []byte(out.String()))
		})
	}
}

// The keys that the examples do not have, and one step alone.
func TestExplainLanguage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "train.py", "")
	write(t, dir, "notes/explore.ipynb", "")
	write(t, dir, FileName, `
version: 1
name: language
on: {push: {branches: [main], paths: [src/**]}, pull_request: , tag: ["v*"], data: [wine], schedule: [{cron: "0 5 1 * *", timezone: America/Sao_Paulo}]}
secrets: [TOKEN]
params: {depth: 4}
data: {wine: data/wine.csv}
steps:
  train:
    run: python train.py --depth ${{ params.depth * 2 }} --rate ${{ matrix.rate }}
    inputs: [wine]
    outputs: {model: work/model}
    metrics: work/train.json
    plots: work/loss.csv
    reports: {junit: work/junit.xml, coverage: work/cover.xml}
    matrix: {rate: [0.1, 0.5], algo: [a, b], include: [{rate: 0.9, algo: c}], exclude: [{rate: 0.1, algo: b}]}
    select: {best: metrics.auc}
    retry: {max: 3, on: [lost, oom, "exit:75"], backoff: 30s}
    resources: {cpu: 0.5, memory: 2Gi}
    secrets: [TOKEN]
    network: none
    cache: {max_age: 7d}
    services: {api: {run: ./api, ready: /healthz}, db: {run: ./db, port: 5432, ready: pg_isready}}
  report:
    notebook: notes/explore.ipynb
    inputs: [train]
    if: metrics.auc > 70% && git.branch == "main"
    retry: {on: [timeout]}
`)
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	print := func(sections []Section) {
		for _, s := range sections {
			fmt.Fprintf(&out, "%s\n", s.Heading)
			for _, i := range s.Items {
				fmt.Fprintf(&out, "  %-8s %s\n", i.Name, i.Text)
				for _, m := range i.More {
					fmt.Fprintf(&out, "  %-8s   %s\n", "", m)
				}
			}
		}
	}
	print(Explain(p))
	for _, step := range []string{"train", "report"} {
		sections, err := ExplainStep(p, step)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "\n== %s\n", step)
		print(sections)
	}
	golden(t, "testdata/explain/language.txt", []byte(out.String()))
	if _, err := ExplainStep(p, "trian"); err == nil || !strings.Contains(fmt.Sprint(err), `there is no step "trian"`) {
		t.Errorf("unknown step: %v", err)
	}
}
