// SPDX-License-Identifier: Apache-2.0

// Package app wires the house: it is the one place that names every adapter,
// and it holds one file for each process (run, up, serve, data worker,
// supervisor). Rules about runs, models, gates or traffic live in their
// capabilities; app only connects them.
package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lastro"
)

// Paths is the layout of a state directory (SEMANTICS 1).
type Paths struct {
	Project string // absolute; holds lastro.yaml. "" for a server without a project
	State   string // absolute; PROJECT/.lastro unless --data said otherwise
}

// PathsOf returns the layout for a project folder; dataDir "" means the
// project's own .lastro.
func PathsOf(project, dataDir string) Paths {
	if dataDir == "" {
		dataDir = filepath.Join(project, ".lastro")
	}
	return Paths{Project: project, State: dataDir}
}

// DB is the state database.
func (p Paths) DB() string { return filepath.Join(p.State, "lastro.db") }

// Blobs holds content-addressed bytes.
func (p Paths) Blobs() string { return filepath.Join(p.State, "blobs") }

// Work holds the workspaces of steps.
func (p Paths) Work() string { return filepath.Join(p.State, "work") }

// Logs holds what steps printed, kept whole.
func (p Paths) Logs() string { return filepath.Join(p.State, "logs") }

// Serve holds the data plane's routing, models and request log.
func (p Paths) Serve() string { return filepath.Join(p.State, "serve") }

// Run holds sockets, process records and the address of a living server.
func (p Paths) Run() string { return filepath.Join(p.State, "run") }

// Server is the file in which a living server writes its address.
func (p Paths) Server() string { return filepath.Join(p.Run(), "up.json") }

// make creates the directories, readable by their owner only.
func (p Paths) make() error {
	for _, dir := range []string{p.State, p.Blobs(), p.Work(), p.Logs(), p.Serve(), p.Run()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return diskError(fmt.Errorf("make the state directory: %w", err))
		}
	}
	if p.Project != "" && filepath.Dir(p.State) == p.Project {
		return ignoreState(p.State)
	}
	return nil
}

// ignoreState keeps the state out of git wherever the project's own
// .gitignore does not name it.
func ignoreState(state string) error {
	name := filepath.Join(state, ".gitignore")
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	return diskError(os.WriteFile(name, []byte("*\n"), 0o600))
}

// diskError names what a person can mend about a file-system error.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be recorded",
			Hint: "free some space (lastro keeps its state in .lastro), then run the same command again", Err: err}
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EROFS):
		return &lastro.Error{Code: lastro.EErrored, ID: "L0411", Msg: "the state directory cannot be written", Hint: "check its owner and mode", Err: err}
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, os.ErrExist):
		return &lastro.Error{Code: lastro.EErrored, ID: "L0411", Msg: "the state directory cannot be made, because a file has its name", Hint: "move that file away", Err: err}
	}
	return err
}
