// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"sync"

	"lastro"
)

// recorder commits what many cells report in as few transactions as possible:
// what arrives while one is being written goes into the next together.
type recorder struct {
	store Store
	queue chan record
	done  sync.WaitGroup
}

type record struct {
	run    *Run
	steps  []StepRun
	events []lastro.Event
	result chan error
}

func newRecorder(store Store) *recorder {
	r := &recorder{store: store, queue: make(chan record, 64)}
	r.done.Go(r.loop)
	return r
}

// close ends the recorder after all that was asked of it.
func (r *recorder) close() { close(r.queue); r.done.Wait() }

// save asks for a record; the channel answers once it is committed.
func (r *recorder) save(run *Run, steps []StepRun, events ...lastro.Event) <-chan error {
	result := make(chan error, 1)
	r.queue <- record{run, steps, events, result}
	return result
}

func (r *recorder) loop() {
	for first := range r.queue {
		batch := []record{first}
		for more := true; more && len(batch) < 256; {
			select {
			case next, ok := <-r.queue:
				if more = ok; ok {
					batch = append(batch, next)
				}
			default:
				more = false
			}
		}
		r.write(batch)
	}
}

func (r *recorder) write(batch []record) {
	var all record
	for _, b := range batch {
		if b.run != nil {
			all.run = b.run
		}
		all.steps = append(all.steps, b.steps...)
		all.events = append(all.events, b.events...)
	}
	// Whoever asked may be cancelled; what has happened is recorded all the same.
	err := r.store.Record(context.Background(), all.run, all.steps, all.events...)
	for _, b := range batch {
		b.result <- err
	}
}
