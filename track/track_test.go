// SPDX-License-Identifier: Apache-2.0

package track_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/track"
)

var (
	person = track.Caller{By: "user:ana"}
	train  = track.Caller{By: "step:142/train", Origin: track.Origin{Run: "142", Step: "train"}}
	other  = track.Caller{By: "step:143/train", Origin: track.Origin{Run: "143", Step: "train"}}
)

func open(t testing.TB) *track.Service {
	t.Helper()
	db := storetest.Open(t)
	return track.NewService(store.NewTrack(db), lastro.SystemClock{})
}

func newRun(t testing.TB, s *track.Service, c track.Caller) track.Run {
	t.Helper()
	r, err := s.CreateRun(t.Context(), c, track.Run{ExperimentID: "0"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOwnership tries every write of one step on what another made.
func TestOwnership(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	mine := newRun(t, s, train)
	if mine.Name != "train" || mine.Tags[track.TagRun] != "142" || mine.Tags[track.TagStep] != "train" {
		t.Errorf("a step's run is %q with %v", mine.Name, mine.Tags)
	}
	model, err := s.CreateLoggedModel(ctx, train, track.LoggedModel{ExperimentID: "0", SourceRun: mine.ID})
	if err != nil {
		t.Fatal(err)
	}
	file := track.RunRoot("0", mine.ID) + "/a.txt"
	weights := track.ModelRoot("0", model.ID) + "/model.skops"
	tag := track.Tag{Key: "k", Value: "v"}
	writes := map[string]func(track.Caller) error{
		"log":        func(c track.Caller) error { return s.Log(ctx, c, mine.ID, track.Batch{Tags: []track.Tag{tag}}) },
		"delete tag": func(c track.Caller) error { return s.DeleteTag(ctx, c, mine.ID, "k") },
		"inputs":     func(c track.Caller) error { return s.LogInputs(ctx, c, mine.ID, nil, nil) },
		"outputs":    func(c track.Caller) error { return s.LogOutputs(ctx, c, mine.ID, nil) },
		"update": func(c track.Caller) error {
			return second(s.UpdateRun(ctx, c, mine.ID, track.RunChange{Status: track.Failed}))
		},
		"artifact":       func(c track.Caller) error { return s.PutArtifact(ctx, c, file, lastro.DigestOf(nil), 0) },
		"model artifact": func(c track.Caller) error { return s.PutArtifact(ctx, c, weights, lastro.DigestOf(nil), 0) },
		"model params":   func(c track.Caller) error { return s.LogModelParams(ctx, c, model.ID, nil) },
		"model tags":     func(c track.Caller) error { return s.SetModelTags(ctx, c, model.ID, []track.Tag{tag}) },
		"model tag":      func(c track.Caller) error { return s.DeleteModelTag(ctx, c, model.ID, "k") },
		"finalize":       func(c track.Caller) error { return second(s.FinalizeLoggedModel(ctx, c, model.ID, track.ModelReady)) },
		"model of the run": func(c track.Caller) error {
			return second(s.CreateLoggedModel(ctx, c, track.LoggedModel{ExperimentID: "0", SourceRun: mine.ID}))
		},
	}
	for name, write := range writes {
		if err := write(other); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s by another step = %v, want denied", name, err)
		}
	}
	for _, name := range []string{"log", "delete tag", "inputs", "outputs", "update", "artifact", "model artifact", "model params", "model tags", "model tag", "finalize", "model of the run"} {
		if err := writes[name](train); err != nil {
			t.Errorf("%s by the step itself = %v", name, err)
		}
	}
	for _, d := range []struct {
		name  string
		write func(track.Caller) error
	}{
		{"delete artifacts", func(c track.Caller) error { return s.DeleteArtifacts(ctx, c, file) }},
		{"delete model", func(c track.Caller) error { return s.DeleteLoggedModel(ctx, c, model.ID) }},
		{"delete run", func(c track.Caller) error { return s.SetRunState(ctx, c, mine.ID, track.Deleted) }},
	} {
		if err := d.write(other); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s by another step = %v, want denied", d.name, err)
		}
		if err := d.write(person); err != nil {
			t.Errorf("%s by a person = %v", d.name, err)
		}
	}
	for name, err := range map[string]error{
		"rename": s.RenameExperiment(ctx, train, "0", "mine"),
		"delete": s.SetExperimentState(ctx, train, "0", track.Deleted),
	} {
		if !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s an experiment by a step = %v, want denied", name, err)
		}
	}
	runs, err := s.RunsOf(ctx, "142", "")
	if err != nil || len(runs) != 0 {
		t.Errorf("RunsOf shows deleted runs: %d, %v", len(runs), err)
	}
}

func second[A any](_ A, err error) error { return err }

// TestArtifactNames is the corpus of SECURITY B1 for names that would leave a root.
func TestArtifactNames(t *testing.T) {
	s := open(t)
	r := newRun(t, s, person)
	root := track.RunRoot("0", r.ID)
	for _, good := range []string{"/a b/c-d_e.txt", "/é", "/$HOME", "/a;b"} { // a name is never a path, nor seen by a shell
		if err := s.PutArtifact(t.Context(), person, root+good, lastro.DigestOf(nil), 0); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "/", "/etc/passwd", root, root + "/", root + "/..", root + "/../x", root + "/./x", root + "//x", root + "/a/../../x",
		root + "/%2e%2e/x", root + "/..%2fx", root + "/a\\..\\x", root + "/a\x00b", root + "/a\nb", root + "/ a",
		"0/" + r.ID + "/x", "1/" + r.ID + "/artifacts/x", "0/" + strings.Repeat("0", 32) + "/artifacts/x", "versions/" + strings.Repeat("0", 64) + "/x",
		"0/models/m-" + strings.Repeat("0", 32) + "/artifacts/x", "../" + root + "/x", root + "/" + strings.Repeat("a", 1100)} {
		if err := s.PutArtifact(t.Context(), person, bad, lastro.DigestOf(nil), 0); !lastro.Is(err, lastro.EInvalid) && !lastro.Is(err, lastro.ENotFound) {
			t.Errorf("PutArtifact(%.80q) = %v, want invalid or not found", bad, err)
		}
	}
	if err := s.PutArtifact(t.Context(), person, root+"/a b", lastro.DigestOf(nil), 0); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a file with the name of a folder: %v, want invalid", err)
	}
	if err := s.PutArtifact(t.Context(), person, root+"/a b/c-d_e.txt/f", lastro.DigestOf(nil), 0); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a file below a file: %v, want invalid", err)
	}
	list, err := s.Artifacts(t.Context(), root)
	if err != nil || len(list) != 4 {
		t.Errorf("Artifacts = %v, %v; want the good names", list, err)
	}
}

func TestBatchLimits(t *testing.T) {
	s := open(t)
	r := newRun(t, s, person)
	for name, b := range map[string]track.Batch{
		"metrics":     {Metrics: make([]track.Metric, 1001)},
		"params":      {Params: make([]track.Param, 101)},
		"tags":        {Tags: make([]track.Tag, 101)},
		"empty key":   {Params: []track.Param{{Value: "1"}}},
		"long key":    {Metrics: []track.Metric{{Key: strings.Repeat("k", 251)}}},
		"long value":  {Params: []track.Param{{Key: "k", Value: strings.Repeat("v", 6001)}}},
		"control":     {Tags: []track.Tag{{Key: "a\x00b"}}},
		"not UTF-8":   {Params: []track.Param{{Key: "k", Value: "\xff"}}},
		"reserved":    {Tags: []track.Tag{{Key: "lastro.run", Value: "1"}}},
		"two of one":  {Params: []track.Param{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}}},
		"half is bad": {Params: []track.Param{{Key: "ok", Value: "1"}, {Key: "", Value: "2"}}},
	} {
		if err := s.Log(t.Context(), person, r.ID, b); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%s = %v, want invalid", name, err)
		}
	}
	about := track.Batch{Metrics: []track.Metric{{Key: "m", LoggedModel: "m-" + strings.Repeat("0", 32)}}}
	if err := s.Log(t.Context(), person, r.ID, about); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("a metric of no logged model = %v, want not found", err)
	}
	got, err := s.Run(t.Context(), r.ID)
	if err != nil || len(got.Params) != 0 || len(got.Metrics) != 0 {
		t.Errorf("after refused batches the run has %v %v (%v)", got.Params, got.Metrics, err)
	}
}

// TestLatest holds MLflow's rule for the value that a run shows: highest step,
// then time, then value, whatever the order of arrival.
func TestLatest(t *testing.T) {
	s := open(t)
	r := newRun(t, s, person)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	points := []track.Metric{{Key: "m", Step: 1, At: at, Value: 5}, {Key: "m", Step: 2, At: at.Add(-time.Hour), Value: 1}, {Key: "m", Step: 2, At: at, Value: 2},
		{Key: "m", Step: 2, At: at, Value: 3}, {Key: "m", Step: 0, At: at.Add(time.Hour), Value: 9}}
	for _, p := range points {
		if err := s.Log(t.Context(), person, r.ID, track.Batch{Metrics: []track.Metric{p}}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(points)
	again := newRun(t, s, person)
	if err := s.Log(t.Context(), person, again.ID, track.Batch{Metrics: append(points, track.Metric{Key: "nan", Value: math.NaN(), At: at})}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{r.ID, again.ID} {
		got, err := s.Run(t.Context(), id)
		if err != nil || got.Metrics[0].Value != 3 || got.Metrics[0].Step != 2 {
			t.Errorf("latest = %+v (%v), want 3 at step 2", got.Metrics, err)
		}
	}
	history, err := s.History(t.Context(), track.HistoryQuery{Run: again.ID, Key: "nan"})
	if err != nil || len(history) != 1 || !math.IsNaN(history[0].Value) {
		t.Errorf("history of NaN = %+v, %v", history, err)
	}
	found, _, err := s.Runs(t.Context(), track.Query{Where: []track.Clause{{Field: track.MetricField, Key: "nan", Op: track.Less, Number: 1, IsNumber: true}}, Limit: 10})
	if err != nil || len(found) != 0 {
		t.Errorf("a search found NaN < 1: %d runs, %v", len(found), err)
	}
}

func TestEndRunsOf(t *testing.T) {
	s := open(t)
	left, done, others, cell := newRun(t, s, train), newRun(t, s, train), newRun(t, s, other),
		newRun(t, s, track.Caller{By: train.By, Origin: track.Origin{Run: "142", Step: "train", Cell: "1"}})
	if _, err := s.UpdateRun(t.Context(), train, done.ID, track.RunChange{Status: track.Finished}); err != nil {
		t.Fatal(err)
	}
	if err := s.EndRunsOf(t.Context(), "system:engine", train.Origin, track.Killed); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]track.Status{left.ID: track.Killed, done.ID: track.Finished, others.ID: track.Running, cell.ID: track.Running} {
		if r, err := s.Run(t.Context(), id); err != nil || r.Status != want || r.EndedAt.IsZero() == want.Terminal() {
			t.Errorf("run %s is %s, ended %v (%v), want %s", id, r.Status, r.EndedAt, err, want)
		}
	}
}

func BenchmarkLogBatch(b *testing.B) {
	s := open(b)
	r := newRun(b, s, person)
	metrics := make([]track.Metric, track.MaxBatch)
	n := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range metrics {
			metrics[i] = track.Metric{Key: fmt.Sprintf("m%d", i%10), Step: n, At: time.UnixMilli(n).UTC(), Value: float64(n)}
			n++
		}
		if err := s.Log(b.Context(), person, r.ID, track.Batch{Metrics: metrics}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "points/s")
}
