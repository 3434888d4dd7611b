// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"lastro"
	"lastro/exec"
)

// records are the control folders of tasks, one each, named by the digest of
// the task's ID:
//
//	start.json  written before the task starts, and pid right after
//	exit.json   written once, atomically, when it has ended
//
// A start without an exit and without a supervisor is a lost task.
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

func (r records) path(id string) string {
	return filepath.Join(r.dir, lastro.DigestOf([]byte(id)).Hex()[:32])
}

func (r records) begin(s startRecord) error {
	dir := r.path(s.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, "start.json"), s, false)
}

func (r records) setPID(id string, p pidRecord) error {
	return writeJSON(filepath.Join(r.path(id), "pid"), p, false)
}

func (r records) end(id string, e exec.Exit) error {
	return writeJSON(filepath.Join(r.path(id), "exit.json"), e, true)
}

// exit returns how a task ended that is not live, or nil when it was never
// started. A start without an exit means that the exit could not be written.
func (r records) exit(id string) (*exec.Exit, error) {
	var e exec.Exit
	err := readJSON(filepath.Join(r.path(id), "exit.json"), &e)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return &e, err
	}
	var s startRecord
	if err := readJSON(filepath.Join(r.path(id), "start.json"), &s); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	e = exec.Exit{Reason: exec.Lost, Code: -1, Detail: "its end could not be recorded", Started: s.Started, Ended: s.Started}
	return &e, nil
}

func (r records) forget(id string) error { return os.RemoveAll(r.path(id)) }

// record is one control folder as found on disk.
type record struct {
	startRecord
	pidRecord
	exit *exec.Exit
}

// list returns every record in order of ID. A folder without a readable start
// never held a started task and is skipped.
func (r records) list() ([]record, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []record
	for _, entry := range entries {
		dir := filepath.Join(r.dir, entry.Name())
		var rec record
		if readJSON(filepath.Join(dir, "start.json"), &rec.startRecord) != nil || rec.ID == "" {
			continue
		}
		_ = readJSON(filepath.Join(dir, "pid"), &rec.pidRecord) // a task may be lost before it has one
		var e exec.Exit
		switch err := readJSON(filepath.Join(dir, "exit.json"), &e); {
		case err == nil:
			rec.exit = &e
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		all = append(all, rec)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces path in one step: a reader sees the old file or the new
// one, and with sync also after a loss of power.
func writeJSON(path string, v any, sync bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}
