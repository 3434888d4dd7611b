// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lastro"
)

// Held reports whether a living process works on a state directory.
func Held(p Paths) bool { return held(p) }

// HolderOf returns the process that works on a state directory now; ok is false
// when there is none. The lock's file names it; that the lock is taken and that
// this process has the file open confirms it, so a pid that another program has
// got since is never returned. Where /proc is missing that cannot be confirmed:
// EUnsupported.
func HolderOf(p Paths) (h Holder, ok bool, err error) {
	name := filepath.Join(p.State, "lock")
	if !held(p) {
		return h, false, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return h, false, diskError(err)
	}
	busy := &lastro.Error{Code: lastro.EConflict, ID: "L0664", Msg: "another lastro is just beginning to work on this project, or has just ended", Hint: "try again in a moment"}
	if json.Unmarshal(raw, &h) != nil || h.PID <= 1 {
		return h, false, busy
	}
	open, err := hasOpen(h.PID, name)
	if err != nil {
		return h, false, &lastro.Error{Code: lastro.EUnsupported, ID: "L0665", Hint: "press ctrl-C where it runs", Err: err,
			Msg: fmt.Sprintf("it cannot be confirmed here that process %d is the lastro that works on this project", h.PID)}
	}
	if !open {
		return h, false, busy
	}
	return h, true, nil
}

// hasOpen reports whether a process has a file open.
func hasOpen(pid int, name string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return false, err
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		if _, proc := os.Stat("/proc/self/fd"); proc == nil {
			return false, nil // the process is gone
		}
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		var other unix.Stat_t
		if unix.Stat(filepath.Join(dir, e.Name()), &other) == nil && other.Ino == st.Ino && other.Dev == st.Dev {
			return true, nil
		}
	}
	return false, nil
}
