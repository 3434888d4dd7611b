// SPDX-License-Identifier: Apache-2.0

package process

import (
	"sync"
	"time"
)

// forgetSoon is how late the supervisor hears at the latest that a task may be
// forgotten.
const forgetSoon = 50 * time.Millisecond

// past is what an executor remembers of tasks that have ended, so that it can
// forget them without a question of its own.
type past struct {
	mu    sync.Mutex
	known map[string]bool // those whose exit it has seen
	going []string        // of these, to be forgotten
	timer *time.Timer
}

// ended notes that the exit of a task was seen.
func (p *past) ended(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]bool{}
	}
	p.known[id] = true
}

// forget notes that a task is to be forgotten, and calls flush soon; false when
// nobody knows here that it has ended.
func (p *past) forget(id string, flush func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known[id] {
		return false
	}
	delete(p.known, id)
	p.going = append(p.going, id)
	switch {
	case len(p.going) > 1: // the timer runs
	case p.timer == nil:
		p.timer = time.AfterFunc(forgetSoon, flush)
	default:
		p.timer.Reset(forgetSoon)
	}
	return true
}

// take returns the tasks that are to be forgotten; whoever calls it tells the
// supervisor.
func (p *past) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := p.going
	p.going = nil
	return ids
}
