// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"strconv"

	"lastro/pipeline"
	"lastro/track"
)

// trackedOf is one tracked run of the attempt that a panel shows.
type trackedOf struct {
	Name, Link, Class string
}

// trackedListed is how many tracked runs and params a panel lists.
const trackedListed = 100

// tracked lists the tracked runs of an attempt, and the params that they name:
// those of the run and those that the client logged are one list there
// (ADR 0017). Work from the cache was tracked by the run that did it.
func (p *Pages) tracked(ctx context.Context, s pipeline.StepRun) (runs []trackedOf, params []pair, err error) {
	if p.Track == nil || s.Run == 0 {
		return nil, nil, nil
	}
	o := track.Origin{Run: strconv.FormatInt(s.Run, 10), Step: s.Step}
	if s.CachedFrom != 0 {
		o.Run = strconv.FormatInt(s.CachedFrom, 10)
	}
	if s.Cell != 0 {
		o.Cell = strconv.Itoa(s.Cell)
	}
	list, err := p.Track.RunsBy(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	seen := map[pair]bool{}
	for _, r := range list {
		if n := r.Tags[track.TagAttempt]; s.CachedFrom == 0 && n != "" && n != strconv.Itoa(s.Attempt) || len(runs) == trackedListed {
			continue
		}
		runs = append(runs, trackedOf{r.Name, trackedLink(r), statusClass(r.Status)})
		for _, kv := range r.Params {
			v := pair{kv.Key, shorten(kv.Value, 200)}
			if !seen[v] && len(params) < trackedListed {
				params = append(params, v)
			}
			seen[v] = true
		}
	}
	return runs, params, nil
}
