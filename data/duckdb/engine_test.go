// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"bytes"
	encoding "encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/data"
)

// oracle is testdata/oracle.json, made by testdata/oracle.py with pandas.
type oracle struct {
	Flights int64
	Split   struct {
		Train, Test, Outside int64
		Cut                  string
	}
	DepDelay struct {
		Rows, Nulls, Distinct int64
		Mean, SD              float64
		Edges                 []float64
		Counts                []int64
	} `json:"dep_delay"`
	Carrier map[string]int64
	Tailnum struct{ Null, Recurring, Rows int64 }
	Late    struct {
		Labeled int64   `json:"march_labeled"`
		Late    float64 `json:"march_late"`
	}
	Recoded    map[string]map[string]int64
	Fairness   map[string][4]int64
	Stratified map[string]int64
}

func readOracle(t *testing.T) (o oracle) {
	t.Helper()
	raw, err := os.ReadFile("testdata/oracle.json")
	if err == nil {
		err = encoding.Unmarshal(raw, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func flights(t *testing.T) data.Table {
	t.Helper()
	files, err := filepath.Glob("testdata/flights_*.parquet")
	if err != nil || len(files) != 4 {
		t.Fatalf("flights: %v, %v", files, err)
	}
	return data.Files(files...)
}

func TestDescribe(t *testing.T) {
	schema, err := New(Options{}).Describe(t.Context(), flights(t))
	if err != nil || schema.Rows != readOracle(t).Flights {
		t.Fatalf("Describe = %d rows, %v", schema.Rows, err)
	}
	got := map[string]string{}
	for _, c := range schema.Columns {
		got[c.Name] = c.Logical
	}
	want := map[string]string{"flight_id": "integer", "scheduled_departure": "timestamp", "month": "integer", "carrier": "string", "origin": "string", "dest": "string",
		"tailnum": "string", "distance": "integer", "dep_delay": "number", "arr_delay": "number", "late": "boolean"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("columns = %v; want %v", got, want)
	}
}

func TestColumns(t *testing.T) {
	want := readOracle(t)
	got, err := New(Options{}).Columns(t.Context(), data.ColumnsRequest{Table: flights(t), Columns: []data.ColumnAsk{{Name: "dep_delay", Values: true}, {Name: "carrier", MaxCategories: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	d := got[0]
	if d.Rows != want.DepDelay.Rows || d.Nulls != want.DepDelay.Nulls || d.Distinct != want.DepDelay.Distinct ||
		math.Abs(d.Mean-want.DepDelay.Mean) > 1e-9 || math.Abs(d.SD-want.DepDelay.SD) > 1e-9 {
		t.Errorf("dep_delay = %+v; want %+v", d, want.DepDelay)
	}
	if !reflect.DeepEqual(d.Edges, want.DepDelay.Edges) || !reflect.DeepEqual(d.Counts, want.DepDelay.Counts) {
		t.Errorf("bins %v %v; want %v %v", d.Edges, d.Counts, want.DepDelay.Edges, want.DepDelay.Counts)
	}
	if len(d.Values) != int(d.Rows) || d.Values[0] != d.Min || d.Values[len(d.Values)-1] != d.Max {
		t.Errorf("%d values from %v to %v", len(d.Values), d.Min, d.Max)
	}
	c := got[1]
	if len(c.Categories) != 3 || c.Categories[0] != (data.ValueCount{Value: "UA", Rows: want.Carrier["UA"]}) || c.Rows != want.Flights ||
		c.Other != want.Flights-want.Carrier["UA"]-want.Carrier["EV"]-want.Carrier["DL"] || c.Distinct != int64(len(want.Carrier)) {
		t.Errorf("carrier = %+v", c)
	}
}

func TestSplitByTime(t *testing.T) {
	want := readOracle(t).Split
	table, e := flights(t), New(Options{})
	split := func(dir string, files []data.File) data.SplitResult {
		req := data.SplitRequest{Table: table, By: "time", Column: "scheduled_departure", Window: data.Duration(60 * 24 * time.Hour), TestShare: 0.2,
			Key: []string{"flight_id"}, NoOverlap: []string{"flight_id"}, Drop: []string{"tailnum"}, Train: filepath.Join(dir, "train.parquet"), Test: filepath.Join(dir, "test.parquet")}
		req.Table.Files = files
		got, err := e.Split(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	a, b := t.TempDir(), t.TempDir()
	got := split(a, table.Files)
	if got.Train.Rows != want.Train || got.Test.Rows != want.Test || got.Outside != want.Outside || got.TestFrom != want.Cut {
		t.Errorf("split = %+v; want %+v", got, want)
	}
	schema, err := e.Describe(t.Context(), data.Files(got.Test.Path))
	if err != nil || schema.Rows != want.Test || len(schema.Columns) != 10 {
		t.Errorf("test file has %d columns, %d rows, %v; want 10 without tailnum, %d", len(schema.Columns), schema.Rows, err, want.Test)
	}
	// Another order of files, the same bytes.
	split(b, []data.File{table.Files[3], table.Files[1], table.Files[0], table.Files[2]})
	for _, name := range []string{"train.parquet", "test.parquet"} {
		x, _ := os.ReadFile(filepath.Join(a, name))
		y, _ := os.ReadFile(filepath.Join(b, name))
		if len(x) == 0 || !bytes.Equal(x, y) {
			t.Errorf("%s differs between two orders of files", name)
		}
	}
	left, _ := os.ReadDir(a)
	if len(left) != 2 {
		t.Errorf("%d files left behind; want 2", len(left))
	}
}

func TestSplitRefusesALeak(t *testing.T) {
	dir := t.TempDir()
	req := data.SplitRequest{Table: flights(t), By: "time", Column: "scheduled_departure", TestShare: 0.25, NoOverlap: []string{"tailnum"},
		Train: filepath.Join(dir, "train.parquet"), Test: filepath.Join(dir, "test.parquet")}
	_, err := New(Options{}).Split(t.Context(), req)
	if !lastro.Is(err, lastro.EFailed) || !strings.Contains(err.Error(), "tailnum are on two sides") {
		t.Errorf("Split = %v; want it refused, naming tailnum", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files were written", len(files))
	}
}

func TestSplitAtRandom(t *testing.T) {
	dir, e := t.TempDir(), New(Options{})
	req := data.SplitRequest{Table: data.Files("testdata/census_94.parquet"), By: "random", Stratify: "income_gt_50k", TestShare: 0.25, ValidShare: 0.15, Seed: 42,
		Key: []string{"person_id"}, Drop: []string{"sex", "race"}, Train: filepath.Join(dir, "train.parquet"), Test: filepath.Join(dir, "test.parquet"), Valid: filepath.Join(dir, "valid.parquet")}
	got, err := e.Split(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{} // shares of each stratum, rounded
	for _, n := range readOracle(t).Stratified {
		want["test"] += int64(math.Round(0.25 * float64(n)))
		want["valid"] += int64(math.Round(0.15 * float64(n)))
	}
	if got.Test.Rows != want["test"] || got.Valid.Rows != want["valid"] || got.Train.Rows+got.Test.Rows+got.Valid.Rows != 1500 {
		t.Errorf("split = %+v; want %v of 1500", got, want)
	}
	// Joining a sensitive column back by key finds every row once.
	back, err := e.Project(t.Context(), data.ProjectRequest{Table: data.Files(req.Train), Join: &req.Table, Key: []string{"person_id"}, With: []string{"sex"}, Out: filepath.Join(dir, "seen.parquet")})
	if err != nil || back.Rows != got.Train.Rows {
		t.Fatalf("Project = %+v, %v", back, err)
	}
	schema, err := e.Describe(t.Context(), data.Files(back.Path))
	if err != nil || len(schema.Columns) != 13 || schema.Columns[12].Name != "sex" {
		t.Errorf("joined back: %+v, %v; want 12 columns and sex", schema.Columns, err)
	}
	req.NoOverlap = []string{"state_of_previous_residence"} // whole groups on one side
	req.Stratify, req.ValidShare, req.Valid = "", 0, ""
	if got, err := e.Split(t.Context(), req); err == nil {
		t.Logf("grouped split: %d and %d rows", got.Train.Rows, got.Test.Rows)
	} else if !strings.Contains(err.Error(), "one side is empty") {
		t.Error(err)
	}
}

func TestGroupCounts(t *testing.T) {
	dir, e := t.TempDir(), New(Options{})
	s, err := e.open(t.Context(), []data.Table{data.Files("testdata/census_94.parquet")}, filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	predictions := filepath.Join(dir, "predictions.parquet")
	_, err = s.write("SELECT person_id, (age >= 40)::INTEGER AS offer FROM read_parquet('"+s.sets[tableKey(data.Files("testdata/census_94.parquet"))].paths[0]+"')", filepath.Join(dir, "tmp"), predictions)
	e.close(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.GroupCounts(t.Context(), data.GroupCountsRequest{Predictions: data.Files(predictions), Data: data.Files("testdata/census_94.parquet"), Join: []string{"person_id"},
		Outcome: "income_gt_50k", Prediction: "offer", Favourable: "1", Groups: []data.GroupColumn{{Name: "sex", Column: "sex"}, {Name: "band", Column: "age", Bins: []float64{0, 40, 120}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range got[:2] {
		if want := readOracle(t).Fairness[g.Value]; [4]int64{g.TP, g.FP, g.TN, g.FN} != want {
			t.Errorf("%s: %+v; want TP, FP, TN, FN %v", g.Value, g, want)
		}
	}
	if len(got) != 4 || got[2].Value != "[0,40)" || got[2].TP+got[2].FP != 0 || got[3].TN+got[3].FN != 0 {
		t.Errorf("bands: %+v; want nobody below 40 chosen and everybody above", got[2:])
	}
}

// segment writes a request log of the flights of March: the score is the
// departure delay's sign, and the last line is cut as a crash would.
func segment(t *testing.T, e *Engine) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0001.ndjson")
	var b bytes.Buffer
	at := time.Date(2013, 3, 1, 0, 0, 0, 0, time.UTC)
	ids := e.ids(t)
	for i, id := range ids {
		fmt.Fprintf(&b, `{"t":%d,"req":"r%d","row":0,"endpoint":"local","rev":"flight-delay@3","role":"champion","status":200,"latency_us":810,"event_time":%d,"in":{"flight_id":%d,"carrier":"UA","distance":%d.5,"a/b\"c":null},"out":%v,"error":""}`+"\n",
			1_700_000_000_000_000+int64(i), i, at.Add(time.Duration(i)*time.Minute).UnixMicro(), id, i, float64(i%10)/10)
	}
	// One key asked again: the later answer counts. One failed answer.
	fmt.Fprintf(&b, `{"t":1800000000000000,"req":"again","row":0,"role":"champion","status":200,"event_time":%d,"in":{"flight_id":%d,"carrier":"AA"},"out":0.75,"error":""}`+"\n", at.UnixMicro(), ids[0])
	fmt.Fprintf(&b, `{"t":1800000000000001,"req":"bad","row":0,"role":"candidate","status":500,"event_time":0,"in":{"flight_id":1,"carrier":"AA"},"out":null,"error":"no"}`+"\n")
	b.WriteString(`{"t":1800000000000002,"req":"cut","row":0,"in":{"fl`)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ids lists the flights of March.
func (e *Engine) ids(t *testing.T) []int64 {
	t.Helper()
	got, err := e.Columns(t.Context(), data.ColumnsRequest{Table: data.Files("testdata/flights_2013-03.parquet"), Columns: []data.ColumnAsk{{Name: "flight_id", Values: true}}})
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for _, v := range got[0].Values {
		out = append(out, int64(v))
	}
	return out
}

func TestRequestLog(t *testing.T) {
	e, want := New(Options{}), readOracle(t).Late
	path := segment(t, e)
	n := int64(len(e.ids(t)))
	compact := filepath.Join(t.TempDir(), "0001.parquet")
	written, err := e.Compact(t.Context(), data.CompactRequest{Segments: []data.File{{Path: path}}, Out: compact})
	if err != nil || written.Rows != n+2 {
		t.Fatalf("Compact = %+v, %v; want %d rows", written, err, n+2)
	}
	begun := filepath.Join(filepath.Dir(path), "0002.ndjson") // a segment of which nothing is written yet
	if err := os.WriteFile(begun, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var first data.Scores
	for _, file := range []string{filepath.Dir(path), compact} { // both read alike
		log := data.Table{Files: []data.File{{Path: file}}, Log: true, Filters: []data.Filter{{Column: "_status", In: []string{"200"}}},
			Window: data.Window{Column: "_event_time", From: time.Date(2013, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC)}}
		columns, err := e.Columns(t.Context(), data.ColumnsRequest{Table: log, Columns: []data.ColumnAsk{{Name: "carrier"}, {Name: "distance"}, {Name: "_out"}, {Name: `a/b"c`}, {Name: "never_sent", Kind: data.Numeric}}})
		if err != nil {
			t.Fatal(err)
		}
		if c := columns[0]; c.Rows != n+1 || c.Categories[0].Rows != n || c.Categories[1].Value != "AA" {
			t.Errorf("carrier of %s = %+v", file, c)
		}
		if columns[1].Kind != data.Numeric || columns[1].Rows != n || columns[1].Nulls != 1 || columns[2].Kind != data.Numeric || columns[3].Nulls != n+1 || columns[4].Nulls != n+1 || columns[4].Rows != 0 {
			t.Errorf("columns of %s = %+v", file, columns[1:])
		}
		count, err := e.Count(t.Context(), data.CountRequest{Table: log})
		if err != nil || count.Rows != n+1 || !count.First.Equal(time.Date(2013, 3, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("Count = %+v, %v", count, err)
		}
		scores, err := e.Scores(t.Context(), data.ScoresRequest{Log: log, Labels: flights(t), Join: "flight_id", Label: "late"})
		if err != nil {
			t.Fatal(err)
		}
		late := 0.0
		for _, l := range scores.Label {
			late += l
		}
		if scores.Answers != n || int64(len(scores.Score)) != want.Labeled || scores.Unlabeled != n-want.Labeled || late != want.Late {
			t.Errorf("Scores of %s: %d answers, %d labeled, %v late; want %d, %d, %v", file, scores.Answers, len(scores.Score), late, n, want.Labeled, want.Late)
		}
		if first.Score == nil {
			first = scores
		} else if !reflect.DeepEqual(first, scores) {
			t.Error("the compacted segment gives other scores")
		}
	}
	empty, err := e.Scores(t.Context(), data.ScoresRequest{Log: data.Table{Log: true}, Labels: flights(t), Join: "flight_id", Label: "late"})
	if err != nil || empty.Answers != 0 {
		t.Errorf("Scores of no log = %+v, %v; want none", empty, err)
	}
}

func TestLockedDown(t *testing.T) {
	e := New(Options{})
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := e.open(t.Context(), []data.Table{data.Files("testdata/census_94.parquet")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close(s)
	for _, query := range []string{
		"SELECT * FROM read_csv('" + secret + "')",
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM glob('/*')",
		"COPY (SELECT 1) TO '" + secret + ".out'",
		"SET enable_external_access = true",
		"SET memory_limit = '8GB'",
		"INSTALL httpfs",
		"ATTACH '" + secret + ".db'",
		"SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
	} {
		if err := s.exec(query); err == nil {
			t.Errorf("%s was allowed", query)
		}
	}
}

func TestOutOfMemoryIsErrored(t *testing.T) {
	e := New(Options{MemoryMB: 20, TempDir: t.TempDir()})
	_, err := within(e, t.Context(), []data.Table{data.Files("testdata/census_94.parquet")}, nil, func(s *session) (int, error) {
		return 0, s.exec("CREATE TABLE x AS SELECT list(i) AS l FROM range(60000000) t(i)")
	})
	if !lastro.Is(err, lastro.EErrored) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("err = %v; want errored, about memory", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile("testdata/census_94.parquet")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		path string
		code lastro.Code
	}{
		"missing":      {filepath.Join(dir, "no.parquet"), lastro.EFailed},
		"cut":          {write("cut.parquet", whole[:len(whole)/2]), lastro.EFailed},
		"not parquet":  {write("text.parquet", []byte("hello")), lastro.EFailed},
		"other format": {write("a.xlsx", []byte("hello")), lastro.EUnsupported},
		"ragged":       {write("ragged.csv", []byte("a,b\n1,2\n3,4,5\n")), lastro.EFailed},
		"empty folder": {t.TempDir(), lastro.EInvalid},
	} {
		_, err := New(Options{}).Describe(t.Context(), data.Files(tc.path))
		if !lastro.Is(err, tc.code) {
			t.Errorf("%s: %v; want %s", name, err, tc.code)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	star := write("we[ird*name.parquet", whole)
	if got, err := New(Options{}).Describe(t.Context(), data.Files(star)); err != nil || got.Rows != 1500 {
		t.Errorf("a name with wildcards: %d rows, %v", got.Rows, err)
	}
}

// Deciles agree with numpy's to the last bit.
func TestQuantilesAreNumpys(t *testing.T) {
	dir, e := t.TempDir(), New(Options{})
	file := filepath.Join(dir, "v.csv")
	// numpy 2.4.6: quantile([0, 1, 3, 7, 20, 21, 30.5, 100], linspace(0, 1, 11)[1:-1])
	want := []float64{0.7000000000000001, 1.8000000000000003, 3.400000000000002, 6.200000000000001, 13.5, 20.200000000000003, 20.9, 26.700000000000006, 51.34999999999999}
	if err := os.WriteFile(file, []byte("v\n100\n0\n1\n20\n3\n21\n7\n30.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := e.Columns(t.Context(), data.ColumnsRequest{Table: data.Files(file)})
	if err != nil || !reflect.DeepEqual(got[0].Edges, want) {
		t.Errorf("edges %v, %v; want %v", got[0].Edges, err, want)
	}
	constant := data.Files(file)
	constant.Where = "v = 7"
	got, err = e.Columns(t.Context(), data.ColumnsRequest{Table: constant})
	if err != nil || got[0].Edges == nil || len(got[0].Edges) != 0 || got[0].Counts[0] != 1 {
		t.Errorf("a constant column: %+v, %v; want one bin", got, err)
	}
}
