// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
	"lastro/store"
	"lastro/track"
)

func trackedRun(t *testing.T, s store.Track) string {
	t.Helper()
	r := track.Run{ID: track.NewID(), ExperimentID: "0", Name: "r", Status: track.Running, State: track.Active, By: "user:ana", StartedAt: time.Now()}
	if err := s.CreateRun(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// A history has each point once, in MLflow's order (time, step, value), however
// it came: in order, late, twice, in large and in small batches. The oracle is
// a sorted list.
func TestHistoryInOrderAndOnce(t *testing.T) { Each(t, testHistoryInOrderAndOnce) }

func testHistoryInOrderAndOnce(t *testing.T, db *store.DB) {
	s := store.NewTrack(db)
	random := rand.New(rand.NewPCG(1, 2))
	for _, late := range []float64{0, 0.1, 1} {
		id := trackedRun(t, s)
		type point struct {
			at, step int64
			value    float64
		}
		want := map[point]bool{}
		for n := range 90 {
			var b track.Batch
			for i := range random.IntN(200) {
				p := point{int64(n*10 + i/50), int64(n*200 + i), float64(random.IntN(3))}
				if random.Float64() < late {
					p.at, p.step = random.Int64N(900), random.Int64N(20_000)
				}
				want[p] = true
				m := track.Metric{Key: "loss", Value: p.value, Step: p.step, At: time.UnixMilli(p.at)}
				b.Metrics = append(b.Metrics, m)
				if random.IntN(10) == 0 {
					b.Metrics = append(b.Metrics, m)
				}
			}
			b.Metrics = append(b.Metrics, track.Metric{Key: "few", Value: float64(n), Step: int64(n), At: time.UnixMilli(1)})
			if err := logTo(t, s, id, b); err != nil {
				t.Fatal(err)
			}
			if n%20 == 0 {
				if err := s.Fold(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
		}
		var expected []point
		for p := range want {
			expected = append(expected, p)
		}
		slices.SortFunc(expected, func(a, b point) int {
			switch {
			case a.at != b.at:
				return int(a.at - b.at)
			case a.step != b.step:
				return int(a.step - b.step)
			}
			return int(a.value - b.value)
		})
		var got []point
		var last *track.Metric
		for { // by pages
			page, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: "loss", After: last, Limit: 777})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				got = append(got, point{m.At.UnixMilli(), m.Step, m.Value})
			}
			last = &page[len(page)-1]
		}
		if !slices.Equal(got, expected) {
			t.Errorf("late %v: %d points, want %d", late, len(got), len(expected))
		}
		if few, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: "few"}); err != nil || len(few) != 90 {
			t.Errorf("%d points of the other key, %v", len(few), err)
		}
		r, err := s.Run(t.Context(), id)
		if err != nil || len(r.Metrics) != 2 || r.Metrics[0].Value != 89 {
			t.Errorf("latest metrics %v, %v", r.Metrics, err)
		}
	}
}

func TestNotANumberIsKept(t *testing.T) { Each(t, testNotANumberIsKept) }

func testNotANumberIsKept(t *testing.T, db *store.DB) {
	s := store.NewTrack(db)
	id := trackedRun(t, s)
	at := time.UnixMilli(5)
	b := track.Batch{Metrics: []track.Metric{{Key: "m", Value: math.NaN(), At: at}, {Key: "m", Value: 0, At: at}, {Key: "m", Value: math.NaN(), At: at},
		{Key: "m", Value: math.Inf(1), At: at, Step: 1}, {Key: "m", Value: math.Inf(-1), At: at, Step: 1}}}
	if err := logTo(t, s, id, b); err != nil {
		t.Fatal(err)
	}
	got, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: "m"})
	if err != nil || len(got) != 4 || got[0].Value != 0 || !math.IsNaN(got[1].Value) || !math.IsInf(got[2].Value, -1) || !math.IsInf(got[3].Value, 1) {
		t.Errorf("%v, %v", got, err)
	}
}

// A batch is written whole or not at all, and a deleted run takes none.
func TestRefusedBatchWritesNothing(t *testing.T) { Each(t, testRefusedBatchWritesNothing) }

func testRefusedBatchWritesNothing(t *testing.T, db *store.DB) {
	s := store.NewTrack(db)
	id := trackedRun(t, s)
	if err := logTo(t, s, id, track.Batch{Params: []track.Param{{Key: "a", Value: "1"}}}); err != nil {
		t.Fatal(err)
	}
	again := track.Batch{Params: []track.Param{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}}, Tags: []track.Tag{{Key: "t", Value: "x"}}}
	other := track.Batch{Params: []track.Param{{Key: "c", Value: "3"}, {Key: "a", Value: "2"}}, Tags: []track.Tag{{Key: "t", Value: "y"}},
		Metrics: []track.Metric{{Key: "m", At: time.UnixMilli(1)}}}
	if err := logTo(t, s, id, again); err != nil {
		t.Errorf("a param with the value that it has: %v", err)
	}
	if err := logTo(t, s, id, other); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("another value of a param: %v", err)
	}
	r, err := s.Run(t.Context(), id)
	if err != nil || len(r.Params) != 2 || r.Tags["t"] != "x" || len(r.Metrics) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.UpdateRun(t.Context(), id, func(r *track.Run) ([]lastro.Event, error) { r.State = track.Deleted; return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if err := logTo(t, s, id, again); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("a deleted run was written to: %v", err)
	}
	if err := logTo(t, s, "0123", again); lastro.CodeOf(err) != lastro.ENotFound {
		t.Errorf("a run that is not there: %v", err)
	}
}

func logTo(t *testing.T, s store.Track, id string, b track.Batch) error {
	return s.Log(t.Context(), id, b, func(r track.Run) error {
		if r.State != track.Active {
			return track.RunDeleted(r.ID)
		}
		return nil
	})
}

// What many clients write at once is committed together, and a refused one
// among them refuses no other.
func TestTogether(t *testing.T) { Each(t, testTogether) }

func testTogether(t *testing.T, db *store.DB) {
	s := store.NewTrack(db)
	ids := make([]string, 8)
	for i := range ids {
		ids[i] = trackedRun(t, s)
	}
	var wg sync.WaitGroup
	var wins, refused atomic.Int64
	for c := range 32 {
		wg.Go(func() {
			id := ids[c%len(ids)]
			for n := range 40 {
				b := track.Batch{Metrics: []track.Metric{{Key: "m", Value: float64(n), Step: int64(100*c + n), At: time.UnixMilli(int64(n))}}}
				if err := logTo(t, s, id, b); err != nil {
					t.Error(err)
				}
			}
			// Four clients race for the param of a run.
			err := logTo(t, s, id, track.Batch{Params: []track.Param{{Key: "p", Value: fmt.Sprint(c)}}, Tags: []track.Tag{{Key: "winner", Value: fmt.Sprint(c)}}})
			switch {
			case err == nil:
				wins.Add(1)
			case lastro.CodeOf(err) == lastro.EInvalid:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 8 || refused.Load() != 24 {
		t.Errorf("%d clients set a param and %d were refused", wins.Load(), refused.Load())
	}
	for _, id := range ids {
		points, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: "m"})
		if err != nil || len(points) != 4*40 {
			t.Errorf("%d points, %v", len(points), err)
		}
		r, err := s.Run(t.Context(), id)
		if err != nil || len(r.Params) != 1 || r.Params[0].Value != r.Tags["winner"] {
			t.Errorf("%v %v, %v", r.Params, r.Tags, err)
		}
	}
}

// What is removed for good is gone with everything that hung on it, and only
// what is deleted is removed.
func TestPurge(t *testing.T) { Each(t, testPurge) }

func testPurge(t *testing.T, db *store.DB) {
	ctx, s := t.Context(), store.NewTrack(db)
	tracking := track.NewService(s, lastro.SystemClock{})
	person := track.Caller{By: "user:ana"}
	e, err := tracking.CreateExperiment(ctx, person, "to go", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(experiment string) (run, model string) {
		t.Helper()
		r, err := tracking.CreateRun(ctx, person, track.Run{ExperimentID: experiment})
		if err != nil {
			t.Fatal(err)
		}
		var b track.Batch
		for i := range 200 {
			b.Metrics = append(b.Metrics, track.Metric{Key: "m", Step: int64(i), At: time.UnixMilli(1)})
		}
		b.Params = []track.Param{{Key: "p", Value: "1"}}
		m, err := tracking.CreateLoggedModel(ctx, person, track.LoggedModel{ExperimentID: experiment, SourceRun: r.ID, Params: b.Params})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tracking.Log(ctx, person, r.ID, b), s.Fold(ctx, r.ID),
			tracking.PutArtifact(ctx, person, track.RunRoot(experiment, r.ID)+"/a/b", lastro.DigestOf([]byte("x")), 1),
			tracking.PutArtifact(ctx, person, track.ModelRoot(experiment, m.ID)+"/MLmodel", lastro.DigestOf([]byte("y")), 1)); err != nil {
			t.Fatal(err)
		}
		return r.ID, m.ID
	}
	for range 60 { // more than one transaction
		fill(e.ID)
	}
	stays, model := fill("0")
	goes, _ := fill("0")
	if _, err := tracking.Purge(ctx, person, track.Bin{Runs: []string{stays}}); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("a run that is not deleted: %v", err)
	}
	if _, err := tracking.Purge(ctx, person, track.Bin{LoggedModels: []string{model}}); lastro.CodeOf(err) != lastro.EInvalid {
		t.Errorf("a model that is not deleted: %v", err)
	}
	if _, err := tracking.Purge(ctx, track.Caller{By: "run:1", Origin: track.Origin{Run: "1", Step: "s"}}, track.Bin{Runs: []string{goes}}); lastro.CodeOf(err) != lastro.EDenied {
		t.Errorf("a step: %v", err)
	}
	if err := errors.Join(tracking.SetRunState(ctx, person, goes, track.Deleted), tracking.SetExperimentState(ctx, person, e.ID, track.Deleted)); err != nil {
		t.Fatal(err)
	}
	if done, err := tracking.PurgeBefore(ctx, person, time.Now().Add(-time.Hour), false); err != nil || done != (track.Purged{}) {
		t.Errorf("deleted an hour ago: %+v, %v", done, err)
	}
	want := track.Purged{Runs: 61, LoggedModels: 60, Experiments: 1}
	if done, err := tracking.PurgeBefore(ctx, person, time.Now().Add(time.Second), true); err != nil || done != want {
		t.Errorf("to remove: %+v, %v", done, err)
	}
	want.Artifacts = 61 + 60
	if done, err := tracking.PurgeBefore(ctx, person, time.Now().Add(time.Second), false); err != nil || done != want {
		t.Errorf("removed: %+v, %v", done, err)
	}
	for table, left := range map[string]int{"tracked_runs": 1, "tracked_params": 1, "latest_metrics": 1, "metric_chunks": 1, "metric_tail": 0,
		"logged_models": 2, "artifacts": 3, "experiments": 1, "experiment_tags": 0} {
		var n int
		if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil || n != left {
			t.Errorf("%d rows in %s, want %d (%v)", n, table, left, err)
		}
	}
	if _, err := tracking.Run(ctx, goes); lastro.CodeOf(err) != lastro.ENotFound {
		t.Errorf("a removed run: %v", err)
	}
	if err := tracking.SetRunState(ctx, person, goes, track.Active); lastro.CodeOf(err) != lastro.ENotFound {
		t.Errorf("a removed run was restored: %v", err)
	}
}

// Two servers on one database write and fold the same runs at once: nothing is
// lost, nothing is there twice, and no name gets two numbers.
func TestTwoTrackingServers(t *testing.T) {
	EachTarget(t, func(t *testing.T, target string) {
		if !store.IsURL(target) {
			t.Skip("a SQLite file has one server")
		}
		var servers []store.Track
		for range 2 {
			db, err := store.Open(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			servers = append(servers, store.NewTrack(db))
		}
		ids := []string{trackedRun(t, servers[0]), trackedRun(t, servers[1]), trackedRun(t, servers[0])}
		const clients, batches, points = 12, 12, 30
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				s := servers[c%2]
				for n := range batches {
					var b track.Batch
					for i := range points { // every client's points lie between those of the others
						b.Metrics = append(b.Metrics, track.Metric{Key: "loss", Value: float64(c), Step: int64((n*points+i)*clients + c), At: time.UnixMilli(int64(n))})
					}
					b.Metrics = append(b.Metrics, track.Metric{Key: fmt.Sprint("new ", n), Step: int64(c), At: time.UnixMilli(1)})
					if err := logTo(t, s, ids[(c+n)%len(ids)], b); err != nil {
						t.Error(err)
					}
					if n%3 == 0 {
						if err := s.Fold(t.Context(), ids[n%len(ids)]); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		for i, s := range servers {
			found, others := map[int64]bool{}, 0
			for _, id := range ids {
				for m, err := range s.Points(t.Context(), track.HistoryQuery{Run: id, Key: "loss"}) {
					if err != nil || found[m.Step] {
						t.Fatalf("point %d of server %d: twice, or %v", m.Step, i, err)
					}
					found[m.Step] = true
				}
				for n := range batches {
					list, err := s.History(t.Context(), track.HistoryQuery{Run: id, Key: fmt.Sprint("new ", n)})
					if err != nil {
						t.Fatal(err)
					}
					others += len(list)
				}
			}
			if len(found) != clients*batches*points || others != clients*batches {
				t.Errorf("server %d finds %d and %d points", i, len(found), others)
			}
		}
	})
}
