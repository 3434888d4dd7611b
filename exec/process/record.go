// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"lastro"
	"lastro/exec"
)

// records is the journal of a supervisor's tasks: one file for all, of lines
// that are each written by one write(2):
//
//	{"id": "142-train-1", "start": ...}   before the task starts
//	{"id": "142-train-1", "first": ...}   right after: its first process
//	{"id": "142-train-1", "exit": ...}    when it has ended
//	{"id": "142-train-1", "forget": true} when the engine has its exit
//
// What was written is in the page cache and survives the kill of any process;
// it is not synced, because a loss of power ends supervisor and tasks too. A
// line that is not whole counts as not written. A start without an exit and
// without a supervisor is a lost task. A file for each task would cost more
// than all the rest of starting it: making and removing inodes is slow.
type records struct {
	path string

	mu   sync.Mutex
	file *os.File
	torn bool // the last line may not be whole
	all  map[string]*record

	size, compactAt int64 // bytes
}

// startRecord is what a later supervisor needs to find what is left of a task
// whose supervisor was killed. It holds neither arguments nor environment.
type startRecord struct {
	Started time.Time `json:"started"`
	Mark    uint64    `json:"mark"` // see mark.go
	Boot    string    `json:"boot"` // boot id of the kernel: after a reboot, process ids mean nothing
}

// pidRecord names the first process of a task.
type pidRecord struct {
	PID   int    `json:"pid"`   // also its process group
	Birth uint64 `json:"birth"` // clock ticks since boot: its start time is this or later
}

// record is a line, and in memory what all lines of one task say.
type record struct {
	ID     string       `json:"id"`
	Start  *startRecord `json:"start,omitempty"`
	First  *pidRecord   `json:"first,omitempty"`
	Exit   *exec.Exit   `json:"exit,omitempty"`
	Forget bool         `json:"forget,omitempty"`
}

// openRecords reads the journal at path and leaves out what was forgotten.
func openRecords(path string) (*records, error) {
	r := &records{path: path, all: map[string]*record{}}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(b) {
		var l record
		if line[len(line)-1] == '\n' && json.Unmarshal(line, &l) == nil {
			r.apply(l)
		}
	}
	return r, r.compact()
}

// apply notes what a line says. The first exit stands.
func (r *records) apply(l record) {
	rec := r.all[l.ID]
	switch {
	case l.Forget:
		delete(r.all, l.ID)
	case l.Start != nil:
		r.all[l.ID] = &record{ID: l.ID, Start: l.Start}
	case rec == nil:
	case l.First != nil:
		rec.First = l.First
	case l.Exit != nil && rec.Exit == nil:
		rec.Exit = l.Exit
	}
}

// add writes a line. What could not be written is not so, but for who asks now.
func (r *records) add(l record) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b = append(b, '\n')
	if r.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := r.file.Write(b)
	r.size += int64(n)
	if err != nil {
		r.torn = r.torn || n > 0
		return err
	}
	r.torn = false
	r.apply(l)
	if r.size > r.compactAt {
		_ = r.compact() // the disk may be full; what was written counts
	}
	return nil
}

// leastCompact is the size from which on a journal is written anew, in bytes;
// twice what was left of it when that is more.
const leastCompact = 1 << 20

// compact replaces the journal by one without what was forgotten, in one step;
// r.mu is held, or nobody else has r.
func (r *records) compact() error {
	var b bytes.Buffer
	for _, id := range slices.Sorted(maps.Keys(r.all)) {
		rec := r.all[id]
		for _, l := range []record{{ID: id, Start: rec.Start}, {ID: id, First: rec.First}, {ID: id, Exit: rec.Exit}} {
			if l.Start == nil && l.First == nil && l.Exit == nil {
				continue
			}
			if err := json.NewEncoder(&b).Encode(l); err != nil {
				return err
			}
		}
	}
	r.compactAt = max(leastCompact, 2*int64(b.Len()))
	if r.file != nil && r.size < r.compactAt {
		return nil
	}
	tmp := r.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b.Bytes()); err == nil {
		err = os.Rename(tmp, r.path)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.size, r.torn = f, int64(b.Len()), false
	return nil
}

// exit returns how a task ended that is not live, or nil when it was never
// started. A start without an exit means that the exit could not be written.
func (r *records) exit(id string) *exec.Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.all[id]
	switch {
	case rec == nil:
		return nil
	case rec.Exit == nil:
		return &exec.Exit{Reason: exec.Lost, Code: -1, Detail: "its end could not be recorded", Started: rec.Start.Started, Ended: rec.Start.Started}
	}
	return rec.Exit
}

// forget drops a task; one that is not known is no error.
func (r *records) forget(id string) error {
	if r.exit(id) == nil {
		return nil
	}
	return r.add(record{ID: id, Forget: true})
}

// list returns what is known of every task, in order of ID.
func (r *records) list() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]record, 0, len(r.all))
	for _, id := range slices.Sorted(maps.Keys(r.all)) {
		rec := *r.all[id]
		if rec.First == nil {
			rec.First = &pidRecord{} // a task may be lost before it has one
		}
		all = append(all, rec)
	}
	return all
}

func (r *records) close() error { return r.file.Close() }

func unknown(id string) error {
	return lastro.Errorf(lastro.ENotFound, "task %q was never started, or was forgotten", id)
}
