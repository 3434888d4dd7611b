// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"lastro"
	"lastro/exec"
)

// records are the control files of tasks, one each, named by the digest of the
// task's ID. A file holds up to three lines, each written by one write(2):
//
//	{"start": ...}  before the task starts
//	{"first": ...}  right after: its first process
//	{"exit": ...}   when it has ended
//
// What was written is in the page cache and survives the kill of any process;
// it is not synced, because a loss of power ends supervisor and tasks too. A
// line that is not whole counts as not written. A start without an exit and
// without a supervisor is a lost task.
type records struct{ dir string }

// startRecord is what a later supervisor needs to find what is left of a task
// whose supervisor was killed. It holds neither arguments nor environment.
type startRecord struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Mark    uint64    `json:"mark"` // see mark.go
	Boot    string    `json:"boot"` // boot id of the kernel: after a reboot, process ids mean nothing
}

// pidRecord names the first process of a task.
type pidRecord struct {
	PID   int    `json:"pid"`   // also its process group
	Birth uint64 `json:"birth"` // start time in clock ticks since boot
}

// record is a control file: one line when written, all of it when read.
type record struct {
	Start *startRecord `json:"start,omitempty"`
	First *pidRecord   `json:"first,omitempty"`
	Exit  *exec.Exit   `json:"exit,omitempty"`
}

func (r records) path(id string) string {
	return filepath.Join(r.dir, lastro.DigestOf([]byte(id)).Hex()[:32])
}

// begin makes the control file of a task, to which add then adds.
func (r records) begin(s startRecord) (*os.File, error) {
	f, err := os.OpenFile(r.path(s.ID), os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := add(f, record{Start: &s}); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// add writes one line. After half a line, which a full disk leaves, it begins
// a new one.
func add(f *os.File, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := f.Write(append(b, '\n'))
	if err != nil && n > 0 {
		_, _ = f.Write([]byte{'\n'})
	}
	return err
}

// read returns what the control file of a task says; nothing when there is none.
func (r records) read(path string) (record, error) {
	var rec record
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	for line := range bytes.Lines(b) {
		var l record
		if line[len(line)-1] != '\n' || json.Unmarshal(line, &l) != nil {
			continue
		}
		if l.Start != nil {
			rec.Start = l.Start
		}
		if l.First != nil {
			rec.First = l.First
		}
		if l.Exit != nil && rec.Exit == nil {
			rec.Exit = l.Exit
		}
	}
	return rec, err
}

// end adds the exit of a task whose control file is closed.
func (r records) end(id string, e exec.Exit) error {
	f, err := os.OpenFile(r.path(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _ = f.Write([]byte{'\n'}) // the last line may be half a line
	return add(f, record{Exit: &e})
}

// exit returns how a task ended that is not live, or nil when it was never
// started. A start without an exit means that the exit could not be written.
func (r records) exit(id string) (*exec.Exit, error) {
	rec, err := r.read(r.path(id))
	if err != nil || rec.Start == nil {
		return nil, err
	}
	if rec.Exit == nil {
		rec.Exit = &exec.Exit{Reason: exec.Lost, Code: -1, Detail: "its end could not be recorded", Started: rec.Start.Started, Ended: rec.Start.Started}
	}
	return rec.Exit, nil
}

// forget removes the control file of a task, and reports no error when there is none.
func (r records) forget(id string) error {
	err := os.Remove(r.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// list returns every record in order of ID. A file without a whole start never
// held a started task and is skipped.
func (r records) list() ([]record, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []record
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		rec, err := r.read(filepath.Join(r.dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		if rec.Start == nil || rec.Start.ID == "" {
			continue
		}
		if rec.First == nil {
			rec.First = &pidRecord{} // a task may be lost before it has one
		}
		all = append(all, rec)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Start.ID < all[j].Start.ID })
	return all, nil
}
