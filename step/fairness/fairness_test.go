// SPDX-License-Identifier: Apache-2.0

package fairness

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lastro"
	"lastro/data"
	"lastro/data/duckdb"
	"lastro/pipeline"
)

const census = "../../data/duckdb/testdata/census_94.parquet"

type project map[string]data.Spec

func (p project) Dataset(name string) (data.Spec, bool) { s, ok := p[name]; return s, ok }

var datasets = project{"census": {Name: "census", Key: []string{"person_id"}, Sensitive: []string{"sex", "race"}}}

func step(with string) pipeline.StepSpec {
	return pipeline.StepSpec{Name: "fairness", Kind: "lastro/fairness", With: json.RawMessage(with), Pos: lastro.Pos{File: "lastro.yaml", Line: 9, Col: 3},
		Inputs: []pipeline.Input{{Step: "evaluate", Output: "predictions"}, {Dataset: "census"}}}
}

// predictions writes the answer "40 and older" for each person.
func predictions(t *testing.T, e data.Engine, dir string) string {
	t.Helper()
	got, err := e.Columns(t.Context(), data.ColumnsRequest{Table: data.Table{Files: []data.File{{Path: census}}, Where: "age >= 40"}, Columns: []data.ColumnAsk{{Name: "person_id", Values: true}}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := e.Columns(t.Context(), data.ColumnsRequest{Table: data.Files(census), Columns: []data.ColumnAsk{{Name: "person_id", Values: true}}})
	if err != nil {
		t.Fatal(err)
	}
	offered := map[float64]bool{}
	for _, id := range got[0].Values {
		offered[id] = true
	}
	var b bytes.Buffer
	b.WriteString("person_id,offer\n")
	for _, id := range all[0].Values {
		answer := "0"
		if offered[id] {
			answer = "1"
		}
		b.WriteString(strconv.Itoa(int(id)) + "," + answer + "\n")
	}
	path := filepath.Join(dir, "predictions.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFairness(t *testing.T) {
	k := &Kind{Engine: duckdb.New(duckdb.Options{}), Datasets: datasets}
	dir := t.TempDir()
	predictions(t, k.Engine, dir)
	raw, err := os.ReadFile(census)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "census.parquet"), raw, 0o444)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := step(`{"outcome": "income_gt_50k", "prediction": "offer", "favourable": 1, "groups": ["sex", "race", {"band": "age", "bins": [0, 40, 120]}], "min_group_size": 100}`)
	var log bytes.Buffer
	result, err := k.Run(t.Context(), &pipeline.Job{Step: s, Dir: dir, Log: &log, Inputs: []pipeline.JobInput{
		{Name: "evaluate.predictions", Path: "predictions.csv", Step: "evaluate", Output: "predictions"}, {Name: "census", Path: "census.parquet", Dataset: "census"}}})
	if err != nil {
		t.Fatal(err)
	}
	// Counts by pandas: the map fairness of data/duckdb/testdata/oracle.json, TP, FP, TN, FN.
	var o struct{ Fairness map[string][4]float64 }
	text, err := os.ReadFile("../../data/duckdb/testdata/oracle.json")
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	women, men := o.Fairness["Female"], o.Fairness["Male"]
	tpr := func(c [4]float64) float64 { return c[0] / (c[0] + c[3]) }
	name := "fairness.sex.equal_opportunity.max_gap"
	if got, want := result.Facts[name], math.Abs(tpr(women)-tpr(men)); math.Abs(got-want) > 1e-12 {
		t.Errorf("%s = %v; want %v", name, got, want)
	}
	if low, high := result.Facts[name+".ci_low"], result.Facts[name+".ci_high"]; !(low < result.Facts[name] && result.Facts[name] < high && low >= 0 && high < 1) {
		t.Errorf("interval [%v, %v] around %v", low, high, result.Facts[name])
	}
	base := func(c [4]float64) float64 { return (c[0] + c[3]) / (c[0] + c[1] + c[2] + c[3]) }
	if got, want := result.Facts["fairness.sex.ratio_ceiling"], base(women)/base(men); math.Abs(got-want) > 1e-12 {
		t.Errorf("ratio_ceiling = %v; want %v", got, want)
	}
	var r Report
	if err := json.Unmarshal(result.Report, &r); err != nil || len(r.Groups) != 3 {
		t.Fatalf("report %s: %v", result.Report, err)
	}
	if len(r.Groups[1].Excluded) == 0 || !strings.Contains(log.String(), "too few rows to compare") {
		t.Errorf("small groups of race are not listed: %v\n%s", r.Groups[1].Excluded, &log)
	}
	if got := result.Facts["fairness.band.demographic_parity.max_gap"]; got != 1 {
		t.Errorf("gap of the bands = %v; want 1: only people of 40 and more are chosen", got)
	}
}

func TestSettings(t *testing.T) {
	k := &Kind{Datasets: datasets}
	for with, want := range map[string]string{
		`{"prediction": "offer", "favourable": 1, "groups": ["sex"]}`:                                                     "needs outcome",
		`{"outcome": "y", "prediction": "offer", "favourable": 1}`:                                                        "needs groups",
		`{"outcome": "y", "prediction": "offer", "favourable": [1], "groups": ["sex"]}`:                                   "plain value",
		`{"outcome": "y", "prediction": "offer", "favourable": 1, "groups": [{"a": "x", "b": "y"}]}`:                      "a group is",
		`{"outcome": "y", "prediction": "offer", "favourable": 1, "groups": [{"a": "x", "bins": [3, 1]}]}`:                "ascending",
		`{"outcome": "y", "prediction": "offer", "favourable": 1, "groups": ["sex"], "protect": "sex"}`:                   "protect",
		`{"outcome": "y", "prediction": "offer", "favourable": true, "groups": ["sex"], "join": [], "min_group_size": 0}`: "at least 1",
	} {
		if _, err := k.Ingredients(t.Context(), step(with)); !lastro.Is(err, lastro.EInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it invalid: %s", with, err, want)
		}
	}
}
