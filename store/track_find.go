// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// How a search of runs works. The two databases read a range of an index at a
// quarter of a microsecond a row, one row after the other, and jump to a row in
// five or more; an experiment may have a million runs. So a search
//
//   - reads the runs in the first order's order from an index, a portion at a time,
//     and stops when the page is full (runs without a value come last, by the next order);
//   - drops those that do not match: by the set of all runs that a condition holds
//     for, read from its index, when that is small or is needed often; else by
//     looking the runs of the portion up;
//   - takes the runs from a condition's set instead, when that is very small.
//
// Whichever way it goes, it reads each index at most about once, so the worst
// search costs a few times the usual one.

// finder is one search of runs.
type finder struct {
	track       Track
	experiments []int64 // numbers; never empty
	orders      []runOrder
	// What spread finds out: how many runs the experiments have, and the numbers
	// of the first and the last of them.
	count, low, high int64
	findLimits
}

// findLimits are where a finder changes its ways. They change how long a search
// takes, never what it finds.
type findLimits struct {
	// runs is a number that the runs do not exceed.
	runs int
	// lookUpCost is how many runs are walked by in the time that it takes to look one up.
	lookUpCost int
	// largeTie is a number of runs with one value of an order that are not
	// compared one by one: their next order is walked.
	largeTie int
	// capacity is how many rows of a condition are read to see whether it is small.
	capacity int
	// patience is how many runs are looked up for a condition before its set is read.
	patience int
	// tagsRead is how many runs' tags are read in the time that one's are looked up.
	tagsRead int
	// portion is how many runs are read at first from the order's index.
	portion int
}

// limitsFor returns the limits where no more than so many runs exist.
var limitsFor = func(runs int) findLimits {
	return findLimits{runs: runs, lookUpCost: 16, largeTie: 2000, capacity: max(5000, runs/10), patience: max(100, runs/40), tagsRead: 4, portion: 256}
}

// lookUpAtOnce bounds the arguments of a statement.
const lookUpAtOnce = 500

// value is what a run has for an order: rank 0 with a value, 1 NaN, 2 nothing.
type value struct {
	rank int64
	of   any // int64, float64 or string by the order's kind
}

const (
	hasValue = iota
	hasNaN
	hasNothing
)

// found is a run with its values of the orders, from some order on.
type found struct {
	run    int64
	values []value
}

// candidate is a run with its value of one order.
type candidate struct {
	run int64
	of  any
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	}
	return strings.Compare(a.(string), b.(string))
}

// compare orders values of the orders from level on.
func (f *finder) compare(level int, a, b []value) int {
	for i := range a {
		c := cmp.Compare(a[i].rank, b[i].rank)
		if c == 0 && a[i].rank == hasValue {
			if c = compareValues(a[i].of, b[i].of); f.orders[level+i].desc {
				c = -c
			}
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// find returns the first runs after a position (nil = from the start) for which
// the conditions hold, ordered by the orders from level on; no more than need,
// and fewer only when there are no more.
func (f *finder) find(ctx context.Context, level int, conds []*condition, from []value, need int) ([]found, error) {
	few, ok, err := f.few(ctx, conds, need)
	if err != nil {
		return nil, err
	}
	if ok {
		return f.settle(ctx, level, few, nil, from, need)
	}
	o := f.orders[level]
	var out []found
	var have *runSet // the runs with a value, once they are known
	for _, rank := range o.ranks() {
		start := from
		if from != nil && rank != from[0].rank {
			if rank < from[0].rank {
				continue
			}
			start = nil
		}
		var more []found
		if rank == hasValue {
			more, have, err = f.walk(ctx, level, conds, start, need-len(out))
		} else {
			without := o.without(rank)
			if rank == hasNothing && have != nil {
				without = []*condition{{set: have, not: true}}
			}
			more, err = f.tied(ctx, level, value{rank: rank, of: o.kind.zero()}, append(slices.Clip(conds), without...), start, need-len(out))
			if rank == hasNaN && have != nil {
				have = f.with(have, without)
			}
		}
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) >= need {
			break
		}
	}
	return out, nil
}

// isFew says whether n runs are looked up in less time than it takes to come by
// as many of them as are needed on the way through all runs.
func (f *finder) isFew(n, need int) bool {
	way := f.runs
	if n > need {
		way = min(way, f.runs/n*need)
	}
	return n*f.lookUpCost <= way
}

// tied finds runs that all have v for the order of level.
func (f *finder) tied(ctx context.Context, level int, v value, conds []*condition, from []value, need int) ([]found, error) {
	if from != nil {
		from = from[1:]
	}
	list, err := f.find(ctx, level+1, conds, from, need)
	for i := range list {
		list[i].values = append([]value{v}, list[i].values...)
	}
	return list, err
}

// few returns the runs that conditions hold for, with ok, if the sets that have
// been read leave few of them.
func (f *finder) few(ctx context.Context, conds []*condition, need int) (runs []int64, ok bool, err error) {
	var least *condition
	for _, c := range conds {
		if err := f.sizeUp(ctx, c); err != nil {
			return nil, false, err
		}
		if c.set != nil && !c.not && (least == nil || c.set.count < least.set.count) {
			least = c
		}
	}
	if least == nil || least.set.count > f.runs/f.lookUpCost {
		return nil, false, nil
	}
	same := func(run int64) int64 { return run }
	if runs = keepKnown(conds, least.set.list(), same); !f.isFew(len(runs), need) {
		return nil, false, nil
	}
	runs, err = filterRuns(ctx, f, conds, runs, same)
	return runs, true, err
}

// with adds the runs of conditions to a set, if they have been read; else nil.
func (f *finder) with(set *runSet, conds []*condition) *runSet {
	for _, c := range conds {
		if c.set == nil {
			return nil
		}
		for _, run := range c.set.list() {
			set.add(run)
		}
	}
	return set
}

// walk finds runs that have a value for the order of level, and returns all of
// these when it went through them.
func (f *finder) walk(ctx context.Context, level int, conds []*condition, from []value, need int) (out []found, have *runSet, err error) {
	st, err := f.open(ctx, level, conds, from, need)
	if err != nil {
		return nil, nil, err
	}
	var held []candidate // sorted, and not looked at yet
	for size, more := max(f.portion, f.portion/64*need), true; more && len(out) < need; size = min(4*size, 1<<16) {
		var list []candidate
		if list, more, err = st.next(ctx, size); err != nil {
			return nil, nil, err
		}
		if list, err = filterRuns(ctx, f, conds, list, func(e candidate) int64 { return e.run }); err != nil {
			return nil, nil, err
		}
		held = append(held, list...)
		for len(held) > 0 && len(out) < need {
			n, tie := f.groups(held, need-len(out), more)
			if n == 0 {
				break // the last value goes on in the next portion
			}
			var got []found
			if tie {
				v := held[0].of
				if n == len(held) {
					st.skip(v)
				}
				got, err = f.tied(ctx, level, value{of: v}, append(slices.Clip(conds), f.orders[level].equals(f.track.db.dialect, v)), sameStart(from, v), need-len(out))
			} else {
				got, err = f.settle(ctx, level, runsOf(held[:n]), held[:n], from, need-len(out))
			}
			if err != nil {
				return nil, nil, err
			}
			out, held = append(out, got...), held[n:]
		}
		if !more {
			have = st.all()
		}
	}
	return out, have, nil
}

func runsOf(list []candidate) []int64 {
	out := make([]int64, len(list))
	for i, e := range list {
		out[i] = e.run
	}
	return out
}

// sameStart is the position among the runs with the value v.
func sameStart(from []value, v any) []value {
	if from != nil && compareValues(from[0].of, v) == 0 {
		return from
	}
	return nil
}

// groups returns how many candidates at the beginning are to be settled at once:
// whole groups of equal values, with at least need candidates as far as there are.
// With tie they are of one value that many runs have, and more may follow. With
// more, the last group may not be whole.
func (f *finder) groups(list []candidate, need int, more bool) (n int, tie bool) {
	for n < len(list) && n < need {
		end := n + 1
		for end < len(list) && sameGroup(list[n].of, list[end].of) {
			end++
		}
		if end-n > f.largeTie && !isLong(list[n].of) {
			if n == 0 {
				return end, true
			}
			return n, false
		}
		if end == len(list) && more {
			return n, false
		}
		n = end
	}
	return n, false
}

// isLong says that an index may not hold the whole of a value.
func isLong(v any) bool {
	text, ok := v.(string)
	return ok && len(text) >= indexedLength
}

// sameGroup says that an index may not tell two values apart.
func sameGroup(a, b any) bool {
	if isLong(a) && isLong(b) {
		return beginning(a.(string)) == beginning(b.(string))
	}
	return compareValues(a, b) == 0
}

// settle orders a few runs by all their values, and returns those after a
// position. first are their values for the first order, nil when not known.
func (f *finder) settle(ctx context.Context, level int, runs []int64, first []candidate, from []value, need int) ([]found, error) {
	list, err := f.values(ctx, level, runs, first)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b found) int { return f.compare(level, a.values, b.values) })
	if from != nil {
		list = slices.DeleteFunc(list, func(x found) bool { return f.compare(level, x.values, from) <= 0 })
	}
	return list[:min(len(list), need)], nil
}
