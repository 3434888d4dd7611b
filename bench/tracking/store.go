// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
	"lastro/store"
	"lastro/track"
)

// fillStore makes an experiment of many runs through tracking's own code, in
// the batches that a client would send, then reads and searches it.
func fillStore(flags *flag.FlagSet, args []string) (any, error) {
	target := flags.String("db", "", "SQLite file or postgres:// URL; empty tables")
	runs := flags.Int("runs", 1000, "tracked runs")
	points := flags.Int("points", 100, "of each run, of ten metrics")
	long := flags.Int("long", 0, "points of one metric of one more run")
	clients := flags.Int("clients", 8, "at a time")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	ctx := context.Background()
	db, err := store.Open(ctx, *target)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s := track.NewService(store.NewTrack(db), lastro.SystemClock{})
	out := map[string]float64{}
	began := time.Now()
	if err := fillRuns(ctx, s, *runs, *points, *clients); err != nil {
		return nil, err
	}
	out["fill_s"] = time.Since(began).Seconds()
	if *long > 0 {
		if err := longHistory(ctx, s, *long, out); err != nil {
			return nil, err
		}
	}
	return out, search(ctx, s, out)
}

var person = track.Caller{By: "user:bench"}

func fillRuns(ctx context.Context, s *track.Service, runs, points, clients int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	for range clients {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(runs); n = next.Add(1) - 1 {
				if err := fillRun(ctx, s, int(n), points); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func fillRun(ctx context.Context, s *track.Service, n, points int) error {
	at := time.UnixMilli(1_700_000_000_000 + int64(n)*1000)
	r, err := s.CreateRun(ctx, person, track.Run{ExperimentID: "0", Name: "run " + strconv.Itoa(n), StartedAt: at})
	if err != nil {
		return err
	}
	var b track.Batch
	for k := range 5 {
		b.Params = append(b.Params, track.Param{Key: "param-" + strconv.Itoa(k), Value: strconv.Itoa((n + k) % 10)})
	}
	for i := range points {
		b.Metrics = append(b.Metrics, track.Metric{Key: "metric-" + strconv.Itoa(i%10), Step: int64(i / 10), At: at.Add(time.Duration(i/10) * time.Second),
			Value: math.Mod(float64(n)*0.618033988749+float64(i)/7, 1)})
		if len(b.Metrics) == 900 || i == points-1 {
			if err := s.Log(ctx, person, r.ID, b); err != nil {
				return err
			}
			b = track.Batch{}
		}
	}
	_, err = s.UpdateRun(ctx, person, r.ID, track.RunChange{Status: track.Finished})
	return err
}

// longHistory logs one metric in batches of 1,000 and reads it back.
func longHistory(ctx context.Context, s *track.Service, points int, out map[string]float64) error {
	r, err := s.CreateRun(ctx, person, track.Run{ExperimentID: "0", Name: "long"})
	if err != nil {
		return err
	}
	began := time.Now()
	for n := 0; n < points; n += 1000 {
		var b track.Batch
		for i := n; i < min(points, n+1000); i++ {
			b.Metrics = append(b.Metrics, track.Metric{Key: "loss", Step: int64(i), At: time.UnixMilli(1_700_000_000_000 + int64(i)*17), Value: float64(float32(1 / float64(i+1)))})
		}
		if err := s.Log(ctx, person, r.ID, b); err != nil {
			return err
		}
	}
	out["long_write_s"] = time.Since(began).Seconds()
	began = time.Now()
	n := 0
	for _, err := range s.Points(ctx, track.HistoryQuery{Run: r.ID, Key: "loss"}) {
		if err != nil {
			return err
		}
		n++
	}
	out["long_read_s"] = time.Since(began).Seconds()
	if n != points {
		return fmt.Errorf("%d points of %d", n, points)
	}
	return nil
}

func search(ctx context.Context, s *track.Service, out map[string]float64) error {
	q := track.Query{Experiments: []string{"0"}, State: track.Active, Limit: 100,
		Where: []track.Clause{{Field: track.MetricField, Key: "metric-0", Op: track.More, Number: 0.9, IsNumber: true}, {Field: track.ParamField, Key: "param-1", Op: track.Eq, Text: "4"}},
		Order: []track.Order{{Field: track.MetricField, Key: "metric-1", Desc: true}}}
	began := time.Now()
	const times = 5
	for range times {
		if _, _, err := s.Runs(ctx, q); err != nil {
			return err
		}
	}
	out["search_ms"] = time.Since(began).Seconds() * 1000 / times
	return nil
}
