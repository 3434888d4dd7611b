// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// FairnessInput is one answer a row. Favourable and GoodTruth are in terms of
// the person: true is the answer, or the truth, that is good for them.
type FairnessInput struct {
	Group      []string
	Favourable []bool // the answer
	GoodTruth  []bool // the truth; nil when no labels are known: only selection rates then
	MinRows    int    // groups with fewer rows are listed and left out of gaps; 0 = 1
}

// Rate is a share of rows with its Wilson interval; of no rows it is 0 with
// the interval 0 to 1.
type Rate struct {
	Count int `json:"count"`
	Of    int `json:"of"`
	Estimate
}

func rate(count, of int) Rate {
	w := Wilson(count, of, Z95)
	r := Rate{Count: count, Of: of, Estimate: Estimate{CILow: w.Low, CIHigh: w.High}}
	if of > 0 {
		r.Value = float64(count) / float64(of)
	}
	return r
}

// GroupRates are the rates of one group.
type GroupRates struct {
	Group     string `json:"group"`
	Rows      int    `json:"rows"`
	Excluded  bool   `json:"excluded,omitempty"` // smaller than MinRows
	BaseRate  Rate   `json:"base_rate"`          // good truths
	Selection Rate   `json:"selection"`          // favourable answers
	TPR       Rate   `json:"tpr"`                // favourable among good truths
	FPR       Rate   `json:"fpr"`                // favourable among the other truths
	FNR       Rate   `json:"fnr"`                // not favourable among good truths
	PPV       Rate   `json:"ppv"`                // good truths among favourable answers
}

// Gap is the largest difference of one measure between two groups. The
// interval is Newcombe's between the highest and the lowest group; with more
// than two groups it is widened for every pair that could have been the widest
// (Bonferroni), and it never goes below 0, which means "perhaps none".
type Gap struct {
	Measure string   `json:"measure"` // a key of Fairness.Gaps
	MaxGap  Estimate `json:"max_gap"` // highest minus lowest rate, 0 to 1
	Highest string   `json:"highest"` // the groups
	Lowest  string   `json:"lowest"`
	Ratio   float64  `json:"ratio"` // lowest over highest rate; 1 when both are 0
}

// Fairness is what one model does to the groups of one attribute. Gaps has the
// keys demographic_parity (selection), and with truths equal_opportunity (TPR),
// false_positive_rate, predictive_parity (PPV) and equalized_odds (the wider
// of TPR and FPR); a measure that fewer than two groups have is missing.
type Fairness struct {
	Groups       []GroupRates   `json:"groups"` // by name
	Excluded     []string       `json:"excluded,omitempty"`
	Gaps         map[string]Gap `json:"gaps"`
	RatioCeiling float64        `json:"ratio_ceiling,omitempty"` // the selection ratio of a perfect classifier: lowest over highest base rate; 0 = no truths
}

// FairnessByGroup computes rates and gaps of one attribute. It fails with
// ErrTooFew without rows; with one group there are rates and no gaps.
// Definitions: Hardt, Price and Srebro 2016; Fairlearn's metrics.
func FairnessByGroup(in FairnessInput) (Fairness, error) {
	n := len(in.Group)
	if n == 0 {
		return Fairness{}, ErrTooFew
	}
	if len(in.Favourable) != n || in.GoodTruth != nil && len(in.GoodTruth) != n {
		return Fairness{}, fmt.Errorf("%d groups, %d answers and %d truths", n, len(in.Favourable), len(in.GoodTruth))
	}
	f := Fairness{Gaps: map[string]Gap{}}
	var kept []GroupRates
	for _, g := range groupRates(in) {
		if g.Excluded = g.Rows < in.MinRows; g.Excluded {
			f.Excluded = append(f.Excluded, g.Group)
		} else {
			kept = append(kept, g)
		}
		f.Groups = append(f.Groups, g)
	}
	f.addGaps(kept, in.GoodTruth != nil)
	return f, nil
}

func (f *Fairness) addGaps(groups []GroupRates, truths bool) {
	add := func(measure string, of func(GroupRates) Rate) {
		if g, ok := gap(measure, groups, of, 1); ok {
			f.Gaps[measure] = g
		}
	}
	add("demographic_parity", func(g GroupRates) Rate { return g.Selection })
	if !truths {
		return
	}
	tpr, fpr := func(g GroupRates) Rate { return g.TPR }, func(g GroupRates) Rate { return g.FPR }
	add("equal_opportunity", tpr)
	add("false_positive_rate", fpr)
	add("predictive_parity", func(g GroupRates) Rate { return g.PPV })
	a, okA := gap("equalized_odds", groups, tpr, 2)
	b, okB := gap("equalized_odds", groups, fpr, 2)
	if okA && okB {
		f.Gaps["equalized_odds"] = wider(a, b)
	}
	if base, ok := gap("base_rate", groups, func(g GroupRates) Rate { return g.BaseRate }, 1); ok {
		f.RatioCeiling = base.Ratio
	}
}

// groupRates counts every group, sorted by name.
func groupRates(in FairnessInput) []GroupRates {
	type counts struct{ rows, good, favourable, both int }
	by := map[string]*counts{}
	for i, name := range in.Group {
		c := by[name]
		if c == nil {
			c = &counts{}
			by[name] = c
		}
		c.rows++
		good := in.GoodTruth != nil && in.GoodTruth[i]
		if good {
			c.good++
		}
		if in.Favourable[i] {
			c.favourable++
			if good {
				c.both++
			}
		}
	}
	out := make([]GroupRates, 0, len(by))
	for name, c := range by {
		g := GroupRates{Group: name, Rows: c.rows, Selection: rate(c.favourable, c.rows)}
		if in.GoodTruth != nil {
			g.BaseRate = rate(c.good, c.rows)
			g.TPR = rate(c.both, c.good)
			g.FNR = rate(c.good-c.both, c.good)
			g.FPR = rate(c.favourable-c.both, c.rows-c.good)
			g.PPV = rate(c.both, c.favourable)
		}
		out = append(out, g)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Group < out[j].Group })
	return out
}

// gap compares the groups that have the rate at all; false for fewer than two.
// measures is how many gaps the caller will take the widest of.
func gap(measure string, groups []GroupRates, of func(GroupRates) Rate, measures int) (Gap, bool) {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g GroupRates) bool { return of(g).Of == 0 })
	k := len(groups)
	if k < 2 {
		return Gap{}, false
	}
	high, low := groups[0], groups[0]
	for _, g := range groups[1:] {
		if of(g).Value > of(high).Value {
			high = g
		}
		if of(g).Value <= of(low).Value {
			low = g
		}
	}
	if low.Group == high.Group { // all equal: any pair is the widest
		low = groups[1]
	}
	h, l := of(high), of(low)
	ci := Newcombe(h.Count, h.Of, l.Count, l.Of, zSimultaneous(measures*k*(k-1)/2))
	out := Gap{Measure: measure, Highest: high.Group, Lowest: low.Group, Ratio: 1,
		MaxGap: Estimate{h.Value - l.Value, math.Max(0, ci.Low), ci.High}}
	if h.Value > 0 {
		out.Ratio = l.Value / h.Value
	}
	return out, true
}

// wider joins two gaps whose intervals hold together.
func wider(a, b Gap) Gap {
	w := a
	if b.MaxGap.Value > a.MaxGap.Value {
		w = b
	}
	w.MaxGap.CILow = math.Max(a.MaxGap.CILow, b.MaxGap.CILow)
	w.MaxGap.CIHigh = math.Max(a.MaxGap.CIHigh, b.MaxGap.CIHigh)
	w.Ratio = math.Min(a.Ratio, b.Ratio)
	return w
}
