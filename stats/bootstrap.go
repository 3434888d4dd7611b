// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Comparison is one metric of a candidate and a champion on the same rows.
type Comparison struct {
	Metric    string   `json:"metric"`
	Candidate float64  `json:"candidate"`
	Champion  float64  `json:"champion"`
	Diff      Estimate `json:"diff"` // candidate minus champion, raw sign, 95% percentile interval
	Higher    bool     `json:"higher_is_better"`
	Rows      int      `json:"rows"`
	Resamples int      `json:"resamples"` // those in which the metric exists (both classes drawn)
}

// PairedBootstrap compares two models on the same rows: truth, candidate and
// champion are parallel, and each resample draws rows with replacement and
// scores both models on it, so what the models share cancels. The same seed
// gives the same numbers. Rows are never sorted again: a resample is a vector
// of how often each row was drawn, and metrics read rows in an order made once.
// Intervals are percentiles (Efron and Tibshirani 1993, chapter 13).
func PairedBootstrap(truth, candidate, champion []float64, metrics []string, resamples int, seed uint64) ([]Comparison, error) {
	if resamples < 40 {
		return nil, fmt.Errorf("%d resamples: a 95%% interval needs at least 40", resamples)
	}
	pairs, out, err := prepare(truth, candidate, champion, metrics)
	if err != nil {
		return nil, err
	}
	n := len(truth)
	rng := rand.New(rand.NewPCG(seed, 0x6c617374726f)) // "lastro": the second half of the seed is fixed
	times := make([]int32, n)
	diffs := make([][]float64, len(pairs))
	for range resamples {
		clear(times)
		for range n {
			times[rng.Uint32N(uint32(n))]++
		}
		for k, p := range pairs {
			if d := p[0].weighted(times) - p[1].weighted(times); !math.IsNaN(d) {
				diffs[k] = append(diffs[k], d)
			}
		}
	}
	for k := range out {
		if len(diffs[k]) < resamples/2 {
			return nil, fmt.Errorf("%s: %w: most resamples lack a class", out[k].Metric, ErrTooFew)
		}
		slices.Sort(diffs[k])
		out[k].Diff.CILow, out[k].Diff.CIHigh = Quantile(diffs[k], 0.025), Quantile(diffs[k], 0.975)
		out[k].Resamples = len(diffs[k])
	}
	return out, nil
}

// weightedMetric computes one metric of one model on a resample; NaN when the
// resample lacks a class.
type weightedMetric interface{ weighted(times []int32) float64 }

func prepare(truth, candidate, champion []float64, metrics []string) ([][2]weightedMetric, []Comparison, error) {
	var pairs [][2]weightedMetric
	var out []Comparison
	ones := make([]int32, len(truth))
	for i := range ones {
		ones[i] = 1
	}
	for _, name := range metrics {
		m, ok := LookupMetric(name)
		if !ok {
			return nil, nil, fmt.Errorf("unknown metric %q", name)
		}
		for _, side := range [][]float64{candidate, champion} {
			if _, err := m.Estimate(truth, side); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		p := [2]weightedMetric{weightedFor(m.Name, truth, candidate), weightedFor(m.Name, truth, champion)}
		c := Comparison{Metric: m.Name, Candidate: p[0].weighted(ones), Champion: p[1].weighted(ones), Higher: m.Higher, Rows: len(truth)}
		c.Diff.Value = c.Candidate - c.Champion
		pairs, out = append(pairs, p), append(out, c)
	}
	return pairs, out, nil
}

func weightedFor(metric string, truth, prediction []float64) weightedMetric {
	switch metric {
	case "auc":
		return newWeightedAUC(truth, prediction)
	case "r2":
		return weightedR2{truth, rowLosses(truth, prediction, squaredError)}
	case "log_loss":
		return weightedMean{rowLosses(truth, prediction, negativeLogLikelihood), nil}
	case "accuracy":
		return weightedMean{rowLosses(truth, prediction, hit), nil}
	case "mae":
		return weightedMean{rowLosses(truth, prediction, absoluteError), nil}
	case "rmse":
		return weightedMean{rowLosses(truth, prediction, squaredError), math.Sqrt}
	}
	return weightedMean{rowLosses(truth, prediction, squaredError), nil} // brier
}

type weightedMean struct {
	rows  []float64
	final func(float64) float64
}

func (w weightedMean) weighted(times []int32) float64 {
	sum := 0.0
	for i, t := range times {
		sum += float64(t) * w.rows[i]
	}
	sum /= float64(len(times))
	if w.final != nil {
		return w.final(sum)
	}
	return sum
}

type weightedR2 struct{ truth, squared []float64 }

func (w weightedR2) weighted(times []int32) float64 {
	n := float64(len(times))
	mean, sse, sst := 0.0, 0.0, 0.0
	for i, t := range times {
		mean += float64(t) * w.truth[i]
	}
	mean /= n
	for i, t := range times {
		sse += float64(t) * w.squared[i]
		sst += float64(t) * (w.truth[i] - mean) * (w.truth[i] - mean)
	}
	if sst == 0 {
		return math.NaN()
	}
	return 1 - sse/sst
}

// weightedAUC has the rows by ascending score, a row of truth 1 marked in the
// lowest bit, and the ends of groups of equal scores.
type weightedAUC struct {
	rows []uint32
	ends []int32
}

func newWeightedAUC(truth, score []float64) weightedAUC {
	order := ascending(score)
	w := weightedAUC{rows: make([]uint32, len(order))}
	for k, i := range order {
		w.rows[k] = uint32(i) << 1
		if truth[i] == 1 {
			w.rows[k] |= 1
		}
		if k+1 == len(order) || score[order[k+1]] != score[i] {
			w.ends = append(w.ends, int32(k+1))
		}
	}
	return w
}

func (w weightedAUC) weighted(times []int32) float64 {
	var twice, below, positives int64 // twice the Mann–Whitney U, negatives below, positives in all
	from := int32(0)
	for _, to := range w.ends {
		var count [2]int64
		for _, r := range w.rows[from:to] {
			count[r&1] += int64(times[r>>1])
		}
		twice += count[1] * (2*below + count[0])
		below += count[0]
		positives += count[1]
		from = to
	}
	if positives == 0 || below == 0 {
		return math.NaN()
	}
	return float64(twice) / 2 / float64(positives) / float64(below)
}
