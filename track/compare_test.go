// SPDX-License-Identifier: Apache-2.0

package track_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/track"
)

// logged makes a tracked run with params "key=value ..." and metrics.
func logged(t *testing.T, s *track.Service, c track.Caller, params string, metrics ...track.Metric) string {
	t.Helper()
	r := newRun(t, s, c)
	var b track.Batch
	for p := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(p, "=")
		b.Params = append(b.Params, track.Param{Key: key, Value: value})
	}
	for i, m := range metrics {
		m.At = time.UnixMilli(int64(1_700_000_000_000 + i)).UTC()
		b.Metrics = append(b.Metrics, m)
	}
	if err := s.Log(t.Context(), c, r.ID, b); err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func points(key string, step int64, values ...float64) (out []track.Metric) {
	for _, v := range values {
		out = append(out, track.Metric{Key: key, Step: step, Value: v})
	}
	return out
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// TestCompareRepeats compares folds. The numbers are SciPy 1.17.1's, as in
// stats.TestRepeats.
func TestCompareRepeats(t *testing.T) {
	s := open(t)
	a := logged(t, s, person, "depth=4 lr=0.1", append(points("auc", 0, 0.771, 0.779, 0.768, 0.774, 0.776), points("rows", 0, 10)...)...)
	b := logged(t, s, train, "depth=6 lr=0.1", append(points("auc", 0, 0.781, 0.784, 0.779), points("rows", 0, 10)...)...)
	// A curve: the last point counts, alone.
	c := logged(t, s, person, "depth=4 lr=0.1", append(points("auc", 1, 0.5, 0.6), append(points("auc", 2, 0.7), points("rows", 0, 10)...)...)...)
	if err := s.LogInputs(t.Context(), train, b, []track.Input{{Name: "wine", Digest: "d1", Tags: map[string]string{track.TagContext: "training"}}}, nil); err != nil {
		t.Fatal(err)
	}
	cmp, err := s.Compare(t.Context(), []string{a, b, c}, track.CompareOptions{Commit: func(_ context.Context, o track.Origin) (string, error) { return "c" + o.Run, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if len(cmp.Params) != 1 || cmp.Params[0].Name != "depth" || *cmp.Params[0].Values[1] != "6" || cmp.Same != 2 { // lr and rows
		t.Errorf("params %+v, %d the same", cmp.Params, cmp.Same)
	}
	if len(cmp.Data) != 1 || cmp.Data[0].Name != "wine (training)" || cmp.Data[0].Values[0] != nil || *cmp.Data[0].Values[1] != "d1" {
		t.Errorf("data %+v", cmp.Data)
	}
	if len(cmp.Code) != 2 || cmp.Code[0].Name != "commit" || *cmp.Code[0].Values[1] != "c142" || len(cmp.Tags) != 0 || cmp.Settings != nil {
		t.Errorf("code %+v, tags %+v, settings %+v", cmp.Code, cmp.Tags, cmp.Settings)
	}
	if len(cmp.Metrics) != 1 {
		t.Fatalf("metrics %+v", cmp.Metrics)
	}
	v := cmp.Metrics[0].Values
	if v[0].N != 5 || !near(v[0].Value, 0.7736) || !near(v[0].CI.Low, 0.7682883477556257) || v[0].Diff != nil {
		t.Errorf("the base is %+v", v[0])
	}
	if v[1].N != 3 || !near(*v[1].Diff, 0.007733333333333259) || !near(v[1].DiffCI.Low, 0.0018483151992959874) || !near(v[1].DiffCI.High, 0.01361835146737053) {
		t.Errorf("the second is %+v", v[1])
	}
	if v[2].N != 1 || v[2].Value != 0.7 || v[2].CI != nil || v[2].DiffCI != nil || !near(*v[2].Diff, 0.7-0.7736) {
		t.Errorf("the curve is %+v", v[2])
	}
	if cmp, err = s.Compare(t.Context(), []string{a, c}, track.CompareOptions{All: true}); err != nil || len(cmp.Params) != 2 || len(cmp.Metrics) != 2 || cmp.Same != 0 {
		t.Errorf("all of it: %+v, %v", cmp, err)
	}
}

// TestCompareSeeds puts runs together that differ in their seeds.
func TestCompareSeeds(t *testing.T) {
	s := open(t)
	var ids []string
	for _, r := range []struct {
		params string
		auc    float64
	}{{"depth=4 seed=1", 0.771}, {"depth=6 seed=1", 0.781}, {"depth=4 seed=2", 0.779}, {"depth=4 seed=3", 0.768}, {"depth=6 seed=2", 0.784},
		{"depth=4 seed=4", 0.774}, {"depth=4 seed=5", 0.776}, {"depth=6 seed=3", 0.779}} {
		ids = append(ids, logged(t, s, person, r.params, points("auc", 0, r.auc)...))
	}
	cmp, err := s.Compare(t.Context(), ids, track.CompareOptions{})
	if err != nil || len(cmp.Settings) != 2 || len(cmp.BySetting) != 1 {
		t.Fatalf("%+v, %v", cmp, err)
	}
	if p := cmp.Settings[1].Params; len(p) != 1 || p[0] != (track.Param{Key: "depth", Value: "6"}) || len(cmp.Settings[0].Runs) != 5 {
		t.Errorf("settings %+v", cmp.Settings)
	}
	if v := cmp.BySetting[0].Values[1]; v.N != 3 || !near(v.DiffCI.Low, 0.0018483151992959874) || !near(v.DiffCI.High, 0.01361835146737053) {
		t.Errorf("by setting %+v", v)
	}
	// One setting alone: its scatter is what there is to see.
	if cmp, err = s.Compare(t.Context(), []string{ids[0], ids[2], ids[3]}, track.CompareOptions{}); err != nil || len(cmp.Settings) != 1 || cmp.BySetting[0].Values[0].N != 3 {
		t.Errorf("one setting: %+v, %v", cmp, err)
	}
}

func TestCompareOddities(t *testing.T) {
	s := open(t)
	a := logged(t, s, person, "", points("nan", 0, math.NaN())...)
	b := logged(t, s, person, "", append(points("nan", 0, 1), points("inf", 3, math.Inf(1), 2)...)...)
	cmp, err := s.Compare(t.Context(), []string{a, b}, track.CompareOptions{})
	if err != nil || len(cmp.Metrics) != 2 {
		t.Fatalf("%+v, %v", cmp, err)
	}
	for _, m := range cmp.Metrics {
		if v := m.Values[1]; v.Diff != nil || v.CI != nil {
			t.Errorf("%s: %+v", m.Name, v)
		}
	}
	for _, ids := range [][]string{{a}, nil, {a, a}, {a, b, a}, make([]string, 11)} {
		if _, err := s.Compare(t.Context(), ids, track.CompareOptions{}); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%d runs: %v", len(ids), err)
		}
	}
	if _, err := s.Compare(t.Context(), []string{a, track.NewID()}, track.CompareOptions{}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
}

func TestActivity(t *testing.T) {
	s := open(t)
	e, err := s.CreateExperiment(t.Context(), person, "empty", nil)
	if err != nil {
		t.Fatal(err)
	}
	left, gone := newRun(t, s, person), newRun(t, s, person)
	done := newRun(t, s, person)
	if _, err := s.UpdateRun(t.Context(), person, done.ID, track.RunChange{Status: track.Finished}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRunState(t.Context(), person, gone.ID, track.Deleted); err != nil {
		t.Fatal(err)
	}
	got, err := s.Activity(t.Context(), []string{"0", e.ID, "12345"})
	if err != nil || len(got) != 1 || got["0"].Runs != 2 || got["0"].Running != 1 || got["0"].Last.Before(left.StartedAt) {
		t.Errorf("%+v, %v", got, err)
	}
}
