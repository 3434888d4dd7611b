// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"lastro/store"
	"lastro/store/storetest"
	"lastro/track"
)

// BenchmarkSearchRuns measures pages of searches of one experiment, with all
// that is shown of a run: the figures of docs/reference/search.md. Run it with
//
//	go test ./store -run xxx -bench SearchRuns/sqlite/5000 -benchtime 50x
//
// and for postgres beside tools/with-postgres.sh.
func BenchmarkSearchRuns(b *testing.B) {
	for _, database := range []string{"sqlite", "postgres"} {
		for _, n := range []int{5_000, 20_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", database, n), func(b *testing.B) {
				target := filepath.Join(b.TempDir(), "lastro.db")
				if database == "postgres" {
					target = storetest.Postgres(b)
				}
				db, err := store.Open(b.Context(), target)
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				if err := store.FillRuns(b.Context(), db, n); err != nil {
					b.Fatal(err)
				}
				s := store.NewTrack(db)
				for _, q := range searches {
					b.Run(q.name, func(b *testing.B) {
						var took []time.Duration
						before := cpuTime()
						for b.Loop() {
							start := time.Now()
							q.Experiments, q.State = []string{"0"}, track.Active
							list, _, err := s.SearchRuns(b.Context(), q.Query)
							if err != nil || len(list) > q.Limit {
								b.Fatal(len(list), err)
							}
							took = append(took, time.Since(start))
						}
						slices.Sort(took)
						b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
						b.ReportMetric(float64(took[0].Microseconds())/1000, "best-ms")
						b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
					})
				}
			})
		}
	}
}

// cpuTime is this process's: on a machine that does other things too, the time
// of a search says little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func above(key string, n float64) track.Clause {
	return track.Clause{Field: track.MetricField, Key: key, Op: track.More, Number: n, IsNumber: true}
}

func is(field track.Field, key, text string) track.Clause {
	return track.Clause{Field: field, Key: key, Op: track.Eq, Text: text}
}

var best = []track.Order{{Field: track.MetricField, Key: "metric1", Desc: true}}

var searches = []struct {
	name string
	track.Query
}{
	// The figure of the yardsticks: a metric, a param, an order.
	{"usual/100", track.Query{Where: []track.Clause{above("metric0", 0.5), is(track.ParamField, "param0", "3")}, Order: best, Limit: 100}},
	{"usual/1000", track.Query{Where: []track.Clause{above("metric0", 0.5), is(track.ParamField, "param0", "3")}, Order: best, Limit: 1000}},
	{"newest", track.Query{Limit: 100}},
	{"same-metric", track.Query{Where: []track.Clause{above("metric1", 0.5)}, Order: best, Limit: 100}},
	{"rare-param", track.Query{Where: []track.Clause{above("metric0", 0.5), is(track.ParamField, "param4", "7")}, Order: best, Limit: 100}},
	{"no-match", track.Query{Where: []track.Clause{above("metric0", 0.9), above("metric2", 0.9), above("metric3", 0.9), above("metric4", 0.999)}, Order: best, Limit: 100}},
	{"like", track.Query{Where: []track.Clause{{Field: track.ParamField, Key: "param4", Op: track.Like, Text: "%77%"}}, Order: best, Limit: 100}},
	{"rare-tag", track.Query{Where: []track.Clause{is(track.TagField, "mlflow.tag0", "nothing")}, Order: best, Limit: 100}},
	{"name", track.Query{Where: []track.Clause{{Field: track.Attribute, Key: "run_name", Op: track.ILike, Text: "%N-499%"}}, Limit: 100}},
	{"status-none", track.Query{Where: []track.Clause{is(track.Attribute, "status", "FAILED")}, Order: best, Limit: 100}},
	{"by-param", track.Query{Order: []track.Order{{Field: track.ParamField, Key: "param0"}}, Limit: 100}},
	{"by-tag", track.Query{Order: []track.Order{{Field: track.TagField, Key: "mlflow.tag0"}}, Limit: 100}},
	{"by-name", track.Query{Order: []track.Order{{Field: track.Attribute, Key: "run_name"}}, Limit: 100}},
	{"by-missing", track.Query{Order: []track.Order{{Field: track.MetricField, Key: "none"}}, Limit: 100}},
}
