// SPDX-License-Identifier: Apache-2.0

package split

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/data"
	"lastro/data/duckdb"
	"lastro/pipeline"
)

const testdata = "../../data/duckdb/testdata/"

type project map[string]data.Spec

func (p project) Dataset(name string) (data.Spec, bool) { s, ok := p[name]; return s, ok }

func kind() *Kind {
	return &Kind{Engine: duckdb.New(duckdb.Options{}), Datasets: project{
		"census":  {Name: "census", Key: []string{"person_id"}, Sensitive: []string{"sex", "race"}},
		"flights": {Name: "flights", Key: []string{"flight_id"}, EventTime: "scheduled_departure"},
	}}
}

func step(dataset, with string, outputs ...string) pipeline.StepSpec {
	s := pipeline.StepSpec{Name: "split", Kind: "lastro/split", With: json.RawMessage(with), Inputs: []pipeline.Input{{Dataset: dataset}}, Pos: lastro.Pos{File: "lastro.yaml", Line: 7, Col: 3}}
	for _, name := range outputs {
		s.Outputs = append(s.Outputs, pipeline.Output{Name: name, Path: "work/" + name + ".parquet"})
	}
	return s
}

// job puts the files of a dataset into a workspace.
func job(t *testing.T, s pipeline.StepSpec, pattern string) (*pipeline.Job, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "in"), 0o755), os.MkdirAll(filepath.Join(dir, "work"), 0o755)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(testdata + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "in", filepath.Base(f)), raw, 0o444)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	return &pipeline.Job{Step: s, Dir: dir, Scratch: t.TempDir(), Log: &log, Outputs: s.Outputs,
		Inputs: []pipeline.JobInput{{Name: s.Inputs[0].Dataset, Path: "in", Dataset: s.Inputs[0].Dataset}}}, &log
}

func TestByTime(t *testing.T) {
	k := kind()
	s := step("flights", `{"by": "time", "window": "60d", "test": "last 20%", "no_overlap": ["flight_id"]}`, "train", "test")
	j, log := job(t, s, "flights_*.parquet")
	result, err := k.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(result.Report, &r); err != nil || r.Result.Train.Path != "" {
		t.Fatalf("report %s: %v", result.Report, err)
	}
	// pandas: data/duckdb/testdata/oracle.json
	if r.Result.Train.Rows != 814 || r.Result.Test.Rows != 204 || r.Result.Outside != 982 || r.Result.TestFrom != "2013-04-18T14:55:00Z" {
		t.Errorf("result = %+v", r.Result)
	}
	if !strings.Contains(log.String(), "test   204 rows  2013-04-18T14:55:00Z to ") {
		t.Errorf("log:\n%s", log)
	}
}

// All rows of one carrier go to one side; together they are all rows.
func TestByGroup(t *testing.T) {
	k := kind()
	s := step("flights", `{"by": "group", "column": "carrier", "test": "25%", "seed": 3}`, "train", "test")
	j, log := job(t, s, "flights_*.parquet")
	result, err := k.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(result.Report, &r); err != nil || r.By != "group" || r.Result.Train.Rows+r.Result.Test.Rows != 2000 || r.Result.Test.Rows == 0 || r.Result.Train.Rows == 0 {
		t.Fatalf("report %s: %v", result.Report, err)
	}
	if !strings.Contains(log.String(), "no value of carrier is on two sides") {
		t.Errorf("log:\n%s", log)
	}
	seen := map[string]string{}
	for _, o := range s.Outputs {
		columns, err := k.Engine.Columns(t.Context(), data.ColumnsRequest{Table: data.Files(j.Path(o.Path)), Columns: []data.ColumnAsk{{Name: "carrier"}}})
		if err != nil || len(columns) != 1 || len(columns[0].Categories) == 0 {
			t.Fatalf("%s: %v, %v", o.Name, columns, err)
		}
		for _, v := range columns[0].Categories {
			if other, twice := seen[v.Value]; twice {
				t.Errorf("carrier %s is in %s and %s", v.Value, other, o.Name)
			}
			seen[v.Value] = o.Name
		}
	}
}

func TestSensitiveColumnsStayBehind(t *testing.T) {
	k := kind()
	s := step("census", `{"by": "random", "stratify": "sex", "test": "25%", "validation": 0.1, "seed": "42"}`, "train", "test", "valid")
	j, _ := job(t, s, "census_94.parquet")
	if !k.Needs(s).Sensitive {
		t.Error("a split may stratify by a sensitive column, so it needs them")
	}
	if _, err := k.Run(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for _, o := range s.Outputs {
		schema, err := k.Engine.Describe(t.Context(), data.Files(j.Path(o.Path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range schema.Columns {
			if c.Name == "sex" || c.Name == "race" {
				t.Errorf("%s holds %s", o.Path, c.Name)
			}
		}
	}
}

func TestLeakFails(t *testing.T) {
	s := step("flights", `{"by": "time", "column": "scheduled_departure", "test": "25%", "no_overlap": ["tailnum"]}`, "train", "test")
	j, _ := job(t, s, "flights_*.parquet")
	_, err := kind().Run(t.Context(), j)
	var e *lastro.Error
	if !errors.As(err, &e) || e.Code != lastro.EFailed || e.Pos.Line != 7 || !strings.Contains(e.Msg, "tailnum") {
		t.Errorf("err = %v; want a failure at the step that names tailnum", err)
	}
}

func TestSettings(t *testing.T) {
	for with, want := range map[string]string{
		`{"by": "age", "test": "25%"}`:                                              "by is",
		`{"by": "group", "test": "25%"}`:                                            "needs column",
		`{"by": "group", "column": "carrier", "test": "25%", "stratify": "origin"}`: "stratify belongs",
		`{"by": "group", "column": "carrier", "test": "25%", "window": "9d"}`:       "belong to by: time",
		`{"by": "time", "test": "25%", "seed": 3}`:                                  "seed belong",
		`{"by": "random", "test": "25%", "window": "9d"}`:                           "belong to by: time",
		`{"by": "random"}`:                                               "which rows are the test",
		`{"by": "random", "test": "125%"}`:                               "not a share",
		`{"by": "random", "test": "25%", "tset": 1}`:                     "tset",
		`{"by": "time", "test": "25%", "window": "a while"}`:             "not a span",
		`{"by": "random", "test": "60%", "validation": "40%"}`:           "nothing to train on",
		`{"by": "random", "test": "60%", "validation": "10%"}`:           "output valid",
		`{"by": "time", "test": "60%", "test_from": "2013-04-01"}`:       "not both",
		`{"by": "random", "test": "25%", "seed": "${{ params.seed }} "}`: "whole number",
	} {
		_, err := kind().Ingredients(t.Context(), step("flights", with, "train", "test"))
		if !lastro.Is(err, lastro.EInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it invalid: %s", with, err, want)
		}
	}
	a, err := kind().Ingredients(t.Context(), step("flights", `{"by": "time", "test": "last 20%"}`, "train", "test"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := kind().Ingredients(t.Context(), step("flights", `{"test": 0.2, "column": "scheduled_departure", "by": "time"}`, "train", "test"))
	x, _ := lastro.CanonicalJSON(a)
	y, _ := lastro.CanonicalJSON(b)
	if string(x) != string(y) {
		t.Errorf("two spellings of one split have two keys:\n%s\n%s", x, y)
	}
}
