// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"math"
	"sync"
	"time"
)

// span counts over one stretch of time. The owner locks.
type span struct {
	counts  Counts
	latency histogram
	mean    float64 // Welford's running mean and sum of squared differences
	m2      float64
}

func newSpan(now time.Time) span { return span{counts: Counts{Since: now}} }

// score adds one numeric answer. Welford 1962: stable for long streams.
func (s *span) score(x float64) {
	s.counts.Scored++
	d := x - s.mean
	s.mean += d / float64(s.counts.Scored)
	s.m2 += d * (x - s.mean)
}

func (s *span) snapshot() Counts {
	c := s.counts
	c.P50, c.P95, c.P99 = s.latency.quantile(0.50), s.latency.quantile(0.95), s.latency.quantile(0.99)
	c.ScoreMean = s.mean
	if c.Scored > 1 {
		c.ScoreSD = math.Sqrt(s.m2 / float64(c.Scored-1))
	}
	return c
}

// counters are one revision's three spans. Safe for concurrent use.
type counters struct {
	mu                   sync.Mutex
	step, rollout, total span
}

func newCounters(now time.Time) *counters {
	return &counters{step: newSpan(now), rollout: newSpan(now), total: newSpan(now)}
}

func (c *counters) each(f func(*span)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.step)
	f(&c.rollout)
	f(&c.total)
}

func (c *counters) restart(step, rollout bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if step {
		c.step = newSpan(now)
	}
	if rollout {
		c.rollout = newSpan(now)
	}
}

func (c *counters) snapshot() (step, rollout, total Counts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.step.snapshot(), c.rollout.snapshot(), c.total.snapshot()
}

// answered counts a request that the revision answered.
func (c *counters) answered(took time.Duration, rows []any, favourable any) {
	c.each(func(s *span) {
		s.counts.Requests++
		s.counts.Rows += int64(len(rows))
		s.latency.add(took)
		for _, v := range rows {
			if x, ok := number(v); ok {
				s.score(x)
			}
			if favourable != nil && v != nil {
				s.counts.Decided++
				if equalAnswer(v, favourable) {
					s.counts.Favoured++
				}
			}
		}
	})
}

func (c *counters) failed(took time.Duration) {
	c.each(func(s *span) { s.counts.Requests++; s.counts.Errors++; s.latency.add(took) })
}

func (c *counters) rejected() { c.each(func(s *span) { s.counts.Rejected++ }) }
func (c *counters) rescued()  { c.each(func(s *span) { s.counts.Rescued++ }) }

// number returns a numeric answer as a float.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int64:
		return float64(x), true
	}
	return 0, false
}

// equalAnswer compares an answer with what a person wrote in YAML or JSON, where 1 and 1.0 are one number.
func equalAnswer(got, want any) bool {
	if w, ok := want.(int); ok {
		want = int64(w)
	}
	a, okA := number(got)
	b, okB := number(want)
	if okA || okB {
		return okA && okB && a == b
	}
	return got == want
}

// histogram counts latencies in bins that grow by 5%, from 20 µs to about
// 2 minutes, so that a quantile is exact to 5% at worst.
type histogram struct {
	bins [320]int64
	n    int64
}

const (
	firstBin = 20e-6 // seconds
	binRatio = 1.05
)

func (h *histogram) add(d time.Duration) {
	i := 0
	if s := d.Seconds(); s > firstBin {
		i = min(len(h.bins)-1, int(math.Log(s/firstBin)/math.Log(binRatio))+1)
	}
	h.bins[i]++
	h.n++
}

// quantile returns seconds: the upper edge of the bin that holds the quantile, 0 without data.
func (h *histogram) quantile(q float64) float64 {
	if h.n == 0 {
		return 0
	}
	rank, seen := int64(math.Ceil(q*float64(h.n))), int64(0)
	for i, c := range h.bins {
		if seen += c; seen >= rank {
			return firstBin * math.Pow(binRatio, float64(i))
		}
	}
	return firstBin * math.Pow(binRatio, float64(len(h.bins)))
}
