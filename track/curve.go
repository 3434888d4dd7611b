// SPDX-License-Identifier: Apache-2.0

package track

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
)

// Curve is the history of one metric of a tracked run, thinned for a picture.
type Curve struct {
	Points []Metric // sorted by step; at most twice as many as were asked for
	Count  int64    // of all points
	Odd    int64    // of these, NaN or infinite: they are not in Points
	// Of the points that are numbers; zero without any. First and Last are by step.
	First, Last, Min, Max Metric
}

// Single reports whether there is nothing to draw a line through: all points
// are at one step.
func (c Curve) Single() bool { return c.Count == c.Odd || c.First.Step == c.Last.Step }

// Curve reads the history of one metric once, whatever its length, and keeps of
// each of n stretches the least and the greatest point, so that no peak is lost.
func (s *Service) Curve(ctx context.Context, run, key string, n int) (Curve, error) {
	return thinned(s.store.Points(ctx, HistoryQuery{Run: run, Key: key}), n)
}

// stretch is some neighbouring points, of which two are kept.
type stretch struct{ least, greatest Metric }

func (a stretch) and(b stretch) stretch {
	if b.least.Value < a.least.Value {
		a.least = b.least
	}
	if b.greatest.Value > a.greatest.Value {
		a.greatest = b.greatest
	}
	return a
}

// thinned keeps n to 2n stretches of equal length; when there are more, each
// two become one.
func thinned(points iter.Seq2[Metric, error], n int) (Curve, error) {
	var c Curve
	var kept []stretch
	length, filled := 1, 0 // of a stretch, and how much of the last one is there
	for m, err := range points {
		if err != nil {
			return c, err
		}
		if c.Count++; math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			c.Odd++
			continue
		}
		c.take(m)
		if filled == length || len(kept) == 0 {
			if len(kept) == 2*n {
				for i := range n {
					kept[i] = kept[2*i].and(kept[2*i+1])
				}
				kept, length = kept[:n], 2*length
			}
			kept, filled = append(kept, stretch{m, m}), 1
			continue
		}
		kept[len(kept)-1] = kept[len(kept)-1].and(stretch{m, m})
		filled++
	}
	for _, s := range kept {
		if c.Points = append(c.Points, s.least); s.greatest != s.least {
			c.Points = append(c.Points, s.greatest)
		}
	}
	slices.SortStableFunc(c.Points, func(a, b Metric) int { return cmp.Compare(a.Step, b.Step) })
	return c, nil
}

// take counts a point that is a number.
func (c *Curve) take(m Metric) {
	if c.Count-c.Odd == 1 {
		c.First, c.Last, c.Min, c.Max = m, m, m, m
		return
	}
	if m.Step < c.First.Step {
		c.First = m
	}
	if m.Step >= c.Last.Step {
		c.Last = m
	}
	if m.Value < c.Min.Value {
		c.Min = m
	}
	if m.Value > c.Max.Value {
		c.Max = m
	}
}
