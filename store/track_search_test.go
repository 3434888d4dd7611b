// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/track"
)

// A search of runs finds what a plain evaluation of its clauses over all runs
// finds, in the same order and whatever the size of its pages. The evaluation
// is written from MLflow's rules (docs/reference/search.md) and shares no code
// with the store.
func TestSearchRunsIsPlainEvaluation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := store.NewTrack(db)
		random := rand.New(rand.NewPCG(5, 1))
		experiments, runs := searchedRuns(t, s, random, 300)
		for i := range 300 {
			// Small limits take a search of few runs on all ways that one of many has.
			any := func() int { return 1 + random.IntN(1+random.IntN(200)) }
			restore := store.SetFindLimits(any(), any(), any(), any(), random.IntN(4), any())
			t.Cleanup(restore)
			q := randomQuery(random, experiments, runs)
			want := evaluate(q, runs)
			got := allPages(t, s, q, 1+random.IntN(150), runs)
			if !slices.Equal(got, want) {
				t.Fatalf("search %d\n%+v\nfinds %d runs %v\nwant  %d runs %v", i, q, len(got), names(got, runs), len(want), names(want, runs))
			}
		}
	})
}

func names(ids []string, runs []track.Run) (out []string) {
	for _, id := range ids {
		i := slices.IndexFunc(runs, func(r track.Run) bool { return r.ID == id })
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func allPages(t *testing.T, s store.Track, q track.Query, size int, runs []track.Run) []string {
	t.Helper()
	q.Limit = size
	var out []string
	for {
		page, next, err := s.SearchRuns(t.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(page) > size || next != "" && len(page) != size {
			t.Fatalf("a page of %d has %d runs, next %q", size, len(page), next)
		}
		for _, r := range page {
			out = append(out, r.ID)
			whole := runs[slices.IndexFunc(runs, func(x track.Run) bool { return x.ID == r.ID })]
			if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", whole) {
				t.Fatalf("a search shows\n%+v\nof the run\n%+v", r, whole)
			}
		}
		if next == "" {
			return out
		}
		q.Token = next
	}
}

// searchedRuns writes runs into three experiments, with few different values of
// everything, so that there are many ties, and returns them.
func searchedRuns(t testing.TB, s store.Track, random *rand.Rand, n int) (experiments []string, runs []track.Run) {
	t.Helper()
	ctx := context.Background()
	for _, id := range []string{"71", "72", "73"} {
		if err := s.CreateExperiment(ctx, track.Experiment{ID: id, Name: "e" + id, State: track.Active}); err != nil {
			t.Fatal(err)
		}
		experiments = append(experiments, id)
	}
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	long := strings.Repeat("x", 230)
	for range n {
		r := track.Run{ID: track.NewID(), ExperimentID: experiments[random.IntN(10)/6*random.IntN(3)], State: track.Active, By: "user:ana",
			Name: pick("a", "A", "run", "ä_b", "100%"), User: pick("ana", "bob", ""), Status: track.Status(pick("RUNNING", "FINISHED", "FAILED")),
			StartedAt: time.UnixMilli(int64(1_000_000 + random.IntN(40))).UTC(), Tags: map[string]string{}}
		if r.Status != track.Running {
			r.EndedAt = time.UnixMilli(int64(1_000_100 + random.IntN(10))).UTC()
		}
		if random.IntN(2) == 0 {
			r.Tags["team"] = pick("red", "Red", "blue", "")
		}
		if err := s.CreateRun(ctx, r); err != nil {
			t.Fatal(err)
		}
		var b track.Batch
		if random.IntN(3) > 0 {
			b.Metrics = append(b.Metrics, track.Metric{Key: "acc", At: r.StartedAt,
				Value: []float64{0, 0.5, 0.5, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e-300, random.Float64()}[random.IntN(10)]})
		}
		if random.IntN(20) == 0 {
			b.Metrics = append(b.Metrics, track.Metric{Key: "rare", At: r.StartedAt, Value: float64(random.IntN(3))})
		}
		if random.IntN(4) > 0 {
			b.Params = append(b.Params, track.Param{Key: "depth", Value: pick("1", "2", "10", "", long, long+"1", long+"2", "Ünï")})
		}
		if err := s.Log(ctx, r.ID, b, nil); err != nil {
			t.Fatal(err)
		}
		if random.IntN(4) == 0 {
			in := track.Input{Name: pick("iris", "wine"), Digest: pick("d1", "d2"), Tags: map[string]string{track.TagContext: pick("training", "eval")}}
			if err := s.LogInputs(ctx, r.ID, []track.Input{in}, nil); err != nil {
				t.Fatal(err)
			}
			r.Inputs = []track.Input{in}
		}
		if random.IntN(10) == 0 {
			var err error
			if r, err = s.UpdateRun(ctx, r.ID, func(x *track.Run) ([]lastro.Event, error) {
				x.State = track.Deleted
				return nil, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Run(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, got)
	}
	return experiments, runs
}

func randomQuery(random *rand.Rand, experiments []string, runs []track.Run) track.Query {
	q := track.Query{Experiments: slices.Clone(experiments[:1+random.IntN(3)]), State: []track.Lifecycle{track.Active, track.Active, track.Deleted, ""}[random.IntN(4)]}
	if random.IntN(10) == 0 {
		q.Experiments = nil
	}
	for range random.IntN(4) {
		q.Where = append(q.Where, randomClause(random, runs))
	}
	fields := []track.Order{{Field: track.MetricField, Key: "acc"}, {Field: track.MetricField, Key: "rare"}, {Field: track.MetricField, Key: "none"},
		{Field: track.ParamField, Key: "depth"}, {Field: track.TagField, Key: "team"}, {Field: track.Attribute, Key: "start_time"}, {Field: track.Attribute, Key: "end_time"},
		{Field: track.Attribute, Key: "run_name"}, {Field: track.Attribute, Key: "status"}, {Field: track.Attribute, Key: "run_id"}, {Field: track.Attribute, Key: "experiment_id"}}
	for _, i := range random.Perm(len(fields))[:random.IntN(3)] {
		o := fields[i]
		o.Desc = random.IntN(2) == 0
		q.Order = append(q.Order, o)
	}
	return q
}

func randomClause(random *rand.Rand, runs []track.Run) track.Clause {
	op := func(list ...track.Op) track.Op { return list[random.IntN(len(list))] }
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	compare := []track.Op{track.Eq, track.NotEq, track.Less, track.LessE, track.More, track.MoreE}
	some := runs[random.IntN(len(runs))]
	c := track.Clause{}
	long := strings.Repeat("x", 230)
	switch random.IntN(8) {
	case 0, 1:
		c = track.Clause{Field: track.MetricField, Key: pick("acc", "acc", "rare", "none"), Op: op(compare...), IsNumber: true,
			Number: []float64{0, 0.5, 1, -1, 2, math.Inf(1), math.Inf(-1), random.Float64()}[random.IntN(8)]}
	case 2, 3:
		c = track.Clause{Field: track.ParamField, Key: pick("depth", "depth", "none"), Op: op(track.Eq, track.Eq, track.NotEq, track.Like, track.ILike, track.IsNull, track.NotNull, track.In),
			Text: pick("1", "10", "1%", "_", "%", "", "ün%", "Ü%", long, long+"1", long+"%", "x%2")}
	case 4:
		c = track.Clause{Field: track.TagField, Key: pick("team", "none"), Op: op(track.Eq, track.NotEq, track.Like, track.ILike, track.IsNull, track.NotNull), Text: pick("red", "r%", "RED", "%e%", "")}
	case 5:
		c = track.Clause{Field: track.Dataset, Key: pick("name", "digest", "context"), Op: op(track.Eq, track.NotEq, track.Like, track.In, track.NotIn), Text: pick("iris", "d1", "training", "%i%")}
	case 6:
		c = track.Clause{Field: track.Attribute, Key: pick("start_time", "end_time"), Op: op(compare...), IsNumber: true, Number: float64(1_000_000+random.IntN(110)) + float64(random.IntN(2))/2}
	case 7:
		c = track.Clause{Field: track.Attribute, Key: pick("run_name", "status", "user_id", "run_id", "experiment_id", "artifact_uri"), Op: op(track.Eq, track.NotEq, track.Like, track.ILike, track.In, track.NotIn),
			Text: pick(some.Name, string(some.Status), some.User, some.ID, some.ExperimentID, "a%", "%\\%%", "Ä%", "F%")}
	}
	if c.Op == track.In || c.Op == track.NotIn {
		c.Values = []string{c.Text, pick("2", "wine", "d2", "FAILED", runs[0].ID)}
		c.Text = ""
	}
	return c
}

// evaluate is the oracle.
func evaluate(q track.Query, runs []track.Run) []string {
	var found []track.Run
	for _, r := range runs {
		if (q.Experiments == nil || slices.Contains(q.Experiments, r.ExperimentID)) && (q.State == "" || q.State == r.State) &&
			!slices.ContainsFunc(q.Where, func(c track.Clause) bool { return !holds(c, r) }) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b track.Run) int {
		for _, o := range q.Order {
			x, xr := valueOf(o.Field, o.Key, a)
			y, yr := valueOf(o.Field, o.Key, b)
			c := cmp.Compare(xr, yr)
			if c == 0 && xr == 0 {
				if c = compareAny(x, y); o.Desc {
					c = -c
				}
			}
			if c != 0 {
				return c
			}
		}
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), strings.Compare(a.ID, b.ID))
	})
	out := []string{}
	for _, r := range found {
		out = append(out, r.ID)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func compareAny(x, y any) int {
	if reflect.TypeOf(x).Kind() == reflect.Float64 {
		return cmp.Compare(x.(float64), y.(float64))
	}
	return strings.Compare(x.(string), y.(string))
}

// valueOf returns what a run has: rank 0 with a value, 1 for NaN, 2 for nothing.
func valueOf(f track.Field, key string, r track.Run) (v any, rank int) {
	switch f {
	case track.MetricField:
		for _, m := range r.Metrics {
			if m.Key == key && math.IsNaN(m.Value) {
				return nil, 1
			} else if m.Key == key {
				return m.Value, 0
			}
		}
		return nil, 2
	case track.ParamField:
		for _, p := range r.Params {
			if p.Key == key {
				return p.Value, 0
			}
		}
		return nil, 2
	case track.TagField:
		if v, ok := r.Tags[key]; ok {
			return v, 0
		}
		return nil, 2
	}
	switch key {
	case "start_time":
		return float64(r.StartedAt.UnixMilli()), 0
	case "end_time":
		if r.EndedAt.IsZero() {
			return nil, 2
		}
		return float64(r.EndedAt.UnixMilli()), 0
	}
	return map[string]string{"run_name": r.Name, "status": string(r.Status), "run_id": r.ID, "user_id": r.User, "experiment_id": r.ExperimentID,
		"artifact_uri": "mlflow-artifacts:/" + r.ExperimentID + "/" + r.ID + "/artifacts"}[key], 0
}

func holds(c track.Clause, r track.Run) bool {
	if c.Field == track.Dataset {
		for _, in := range r.Inputs {
			if matches(c, map[string]string{"name": in.Name, "digest": in.Digest, "context": in.Tags[track.TagContext]}[c.Key]) {
				return true
			}
		}
		return false
	}
	v, rank := valueOf(c.Field, c.Key, r)
	switch {
	case c.Op == track.IsNull || c.Op == track.NotNull:
		return (rank == 2) == (c.Op == track.IsNull)
	case rank == 1:
		return c.Op == track.NotEq
	case rank == 2:
		return false
	case c.IsNumber:
		n := cmp.Compare(v.(float64), c.Number)
		return map[track.Op]bool{track.Eq: n == 0, track.NotEq: n != 0, track.Less: n < 0, track.LessE: n <= 0, track.More: n > 0, track.MoreE: n >= 0}[c.Op]
	}
	return matches(c, v.(string))
}

func matches(c track.Clause, v string) bool {
	switch c.Op {
	case track.Eq:
		return v == c.Text
	case track.NotEq:
		return v != c.Text
	case track.In:
		return slices.Contains(c.Values, v)
	case track.NotIn:
		return !slices.Contains(c.Values, v)
	}
	flags := "(?s)"
	lower := func(s string) string { // ASCII only, as both databases have it
		return strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 32
			}
			return r
		}, s)
	}
	pattern := c.Text
	if c.Op == track.ILike {
		v, pattern = lower(v), lower(pattern)
	}
	var b strings.Builder
	for _, r := range pattern {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(flags + "^" + b.String() + "$").MatchString(v)
}
