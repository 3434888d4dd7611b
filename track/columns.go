// SPDX-License-Identifier: Apache-2.0

package track

import (
	"cmp"
	"slices"
	"strings"
)

// Columns are the names that a table of these runs is most useful with: the
// metrics that most of them have, and the params in which they differ; at most
// n of each.
func Columns(runs []Run, n int) (metrics, params []string) {
	measured, values := map[string]int{}, map[string]map[string]int{}
	for _, r := range runs {
		for _, m := range r.Metrics {
			measured[m.Key]++
		}
		for _, p := range r.Params {
			if values[p.Key] == nil {
				values[p.Key] = map[string]int{}
			}
			values[p.Key][p.Value]++
		}
	}
	differ := map[string]int{}
	for key, counts := range values {
		have := 0
		for _, c := range counts {
			have += c
		}
		if len(counts) > 1 || have < len(runs) {
			differ[key] = have
		}
	}
	return commonest(measured, n), commonest(differ, n)
}

// commonest are the first n names by how many runs have them, then by name.
func commonest(counts map[string]int, n int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	return names[:min(len(names), n)]
}

// Metric returns the newest point of a metric.
func (r Run) Metric(key string) (Metric, bool) {
	i, ok := slices.BinarySearchFunc(r.Metrics, key, func(m Metric, key string) int { return strings.Compare(m.Key, key) })
	if !ok {
		return Metric{}, false
	}
	return r.Metrics[i], true
}

// Param returns the value of a param.
func (r Run) Param(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(r.Params, key, func(p Param, key string) int { return strings.Compare(p.Key, key) })
	if !ok {
		return "", false
	}
	return r.Params[i].Value, true
}
