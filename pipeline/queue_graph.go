// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"math"
)

// graph is what the end of a step means to others.
type graph struct {
	specs     map[string]*StepSpec
	followers map[string][]string // those that need it directly
}

func graphOf(spec Spec) graph {
	g := graph{specs: map[string]*StepSpec{}, followers: map[string][]string{}}
	for i := range spec.Steps {
		s := &spec.Steps[i]
		g.specs[s.Name] = s
		for _, need := range directNeeds(*s) {
			g.followers[need] = append(g.followers[need], s.Name)
		}
	}
	return g
}

// graph returns the graph of a run, from memory after the first time.
func (q *Queue) graph(ctx context.Context, run int64) (graph, error) {
	q.mu.Lock()
	g, ok := q.graphs[run]
	q.mu.Unlock()
	if ok {
		return g, nil
	}
	r, err := q.store.Run(ctx, run)
	if err != nil {
		return g, err
	}
	g = graphOf(r.Spec)
	if r.State.Ended() {
		return g, nil // nobody would forget it
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.graphs[run] = g
	return g, nil
}

// weight is how many processors' worth of an engine a cell of the step takes.
func (s *StepSpec) weight() int { return max(1, int(math.Ceil(s.Limits.CPU))) }

// atOnce is how many cells of a step may be ready together: -1 is all.
func (s *StepSpec) atOnce() int {
	if s.Parallel > 0 {
		return s.Parallel
	}
	return -1
}
