// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lastro"
)

// Holder is the process that writes a state directory. flock decides, so a
// dead holder is known at once (SEMANTICS 1).
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // run, up
	Since   time.Time `json:"since"`
}

// lock takes the state directory or fails with EConflict and its holder.
type lock struct{ f *os.File }

func takeLock(p Paths, command string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(p.State, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	err = flock(f)
	if err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the state directory: %w", err)
		}
		var h Holder
		_ = json.NewDecoder(f).Decode(&h)
		return nil, heldError(h)
	}
	raw, err := json.Marshal(Holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC()})
	if err == nil {
		_, err = f.WriteAt(raw, 0)
	}
	if err == nil {
		err = f.Truncate(int64(len(raw)))
	}
	if err != nil {
		f.Close()
		return nil, diskError(err)
	}
	return &lock{f}, nil
}

// flock takes the lock. Commands that only look hold it for an instant, so it
// is tried for longer than that.
func flock(f *os.File) error {
	for try := 0; ; try++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || try == 10 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func heldError(h Holder) error {
	return &lastro.Error{Code: lastro.EConflict, ID: "L0402",
		Msg:  fmt.Sprintf("another lastro works on this project: `lastro %s`, process %d, since %s", h.Command, h.PID, h.Since.Local().Format("15:04:05")),
		Hint: h.end()}
}

// end is how people get past a holder.
func (h Holder) end() string {
	if h.Command == "run" {
		return "wait until it ends (lastro logs -f), or end it: lastro cancel"
	}
	return fmt.Sprintf("wait until it ends, or end it: kill %d", h.PID)
}

func (l *lock) release() { l.f.Close() }

// held reports whether a living process holds the state directory.
func held(p Paths) bool {
	f, err := os.Open(filepath.Join(p.State, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return true
	}
	return false
}
