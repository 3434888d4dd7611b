// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"lastro"
)

// lookUpAll asks the cache for cells whose keys are known. explain says of one
// that misses why it does.
func (e *Engine) lookUpAll(ctx context.Context, p *Plan, cells []*PlanCell, explain func(context.Context, *PlanCell) error) error {
	if len(cells) == 0 {
		return nil
	}
	hits, err := e.hits(ctx, p, cells)
	if err != nil {
		return err
	}
	for _, c := range cells {
		if c.hit, c.Why, err = e.usable(ctx, hits[c.spec.MaxAge], c.Key); err != nil {
			return err
		}
		c.Outlook = Miss
		if c.hit != nil {
			c.Outlook, c.Why = Hit, fmt.Sprintf("from #%d", c.hit.Run)
		} else if c.Why == "" {
			if err := explain(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// hits are what the store knows of the keys of cells, by how old a result may be.
func (e *Engine) hits(ctx context.Context, p *Plan, cells []*PlanCell) (map[time.Duration]map[lastro.Digest]StepRun, error) {
	keys, of := map[time.Duration][]lastro.Digest{}, map[time.Duration]StepSpec{}
	for _, c := range cells {
		age := c.spec.MaxAge
		keys[age], of[age] = append(keys[age], c.Key), c.spec
	}
	out := map[time.Duration]map[lastro.Digest]StepRun{}
	for age, list := range keys {
		hits, err := e.o.Store.Hits(ctx, p.Spec.Project, p.Options.Scope.readable(), list, e.oldest(of[age]))
		if err != nil {
			return nil, err
		}
		out[age] = hits
	}
	return out, nil
}

// lookUp asks the cache for one cell of a run that is under way.
func (e *Engine) lookUp(ctx context.Context, p *Plan, c *PlanCell) error {
	return e.lookUpAll(ctx, p, []*PlanCell{c}, func(ctx context.Context, c *PlanCell) error {
		return e.explain(ctx, p, c, map[int64]Run{})
	})
}

// oldest is when a cached result of a step must have ended at the earliest.
func (e *Engine) oldest(s StepSpec) time.Time {
	if s.MaxAge == 0 {
		return time.Time{}
	}
	return e.o.Clock.Now().Add(-s.MaxAge)
}

// usable returns the hit of a key whose outputs are all still stored; why says
// so of one whose are not.
func (e *Engine) usable(ctx context.Context, hits map[lastro.Digest]StepRun, key lastro.Digest) (hit *StepRun, why string, err error) {
	s, ok := hits[key]
	if !ok {
		return nil, "", nil
	}
	for _, a := range s.Outputs {
		there, err := e.o.Blobs.Has(ctx, a.Digest)
		if err != nil {
			return nil, "", err
		}
		if !there {
			return nil, fmt.Sprintf("its %s of #%d is no longer stored", a.Name, s.Run), nil
		}
	}
	return &s, "", nil
}

// explain says why a cell of a plan misses the cache. A step that never had a
// key has not run, whatever its cells.
func (p *planner) explain(ctx context.Context, c *PlanCell) error {
	name := c.spec.Name
	had, asked := p.keyed[name]
	if !asked {
		var err error
		if had, err = p.e.o.Store.HasKeyed(ctx, p.plan.Spec.Project, name); err != nil {
			return err
		}
		p.keyed[name] = had
	}
	if !had {
		c.Why = "it has not run before"
		return nil
	}
	return p.e.explain(ctx, p.plan, c, p.lastRuns)
}

// explain compares a cell with the last one of its step.
func (e *Engine) explain(ctx context.Context, p *Plan, c *PlanCell, memo map[int64]Run) error {
	last, ok, err := e.o.Store.LastKeyed(ctx, p.Spec.Project, c.spec.Name, c.Values)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		c.Why = "it has not run before"
		return nil
	case last.Key == c.Key:
		c.Why = sameKey(last, c.spec.MaxAge)
		return nil
	}
	run, known := memo[last.Run]
	if !known {
		if run, err = e.o.Store.Run(ctx, last.Run); err != nil {
			return err
		}
		memo[last.Run] = run
	}
	c.Why = changes(last.Ingredients, c.ingredients, changedFiles(run.Code, c.code, p.Code))
	return nil
}

// sameKey says why a result with the same key is not used.
func sameKey(last StepRun, maxAge time.Duration) string {
	if maxAge > 0 && last.State.OK() {
		return fmt.Sprintf("its result of #%d is older than max_age", cmp.Or(last.CachedFrom, last.Run))
	}
	return fmt.Sprintf("nothing changed since #%d, which %s", last.Run, ended(last.State))
}
