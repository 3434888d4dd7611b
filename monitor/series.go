// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"slices"
)

// Series groups the measurements of one kind by column or metric, oldest
// window first, over all releases of the environment.
func (s *Service) Series(ctx context.Context, environment string, kind Kind) ([]Series, error) {
	all, err := s.Store.Measurements(ctx, Filter{Environment: environment, Kind: kind})
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	var out []Series
	at := map[string]int{}
	for _, m := range all {
		i, ok := at[m.Name]
		if !ok {
			i = len(out)
			at[m.Name] = i
			out = append(out, Series{Kind: kind, Name: m.Name})
		}
		out[i].Points = append(out[i].Points, m)
	}
	return out, nil
}
