// SPDX-License-Identifier: Apache-2.0

// Package python makes environments from requirements: it pins what
// requirements.txt asks in lastro.lock (by uv when found, else by pip) and
// builds each lock once, under the user's cache folder. Which step uses which
// environment is the project's matter; running Python is the executor's.
package python

import "lastro"

// Wanted says which environment a project or step wants.
type Wanted struct {
	// Requirements is the absolute path of requirements.txt. A file that is not
	// there means no packages at all.
	Requirements string

	// Lock is the absolute path of the lock file. With Own it belongs to the
	// user (pip's format), is used as it is and never written.
	Lock string
	Own  bool

	// Version is "3.11" or "3.11.9"; "" takes what the lock was made for, or
	// else the first python3 that is found.
	Version string
}

// Env is an environment that is complete on disk. Nobody writes to it again,
// so any number of steps may use it at once.
type Env struct {
	Dir    string        // the virtual environment
	Python string        // its interpreter, Dir/bin/python
	BinDir string        // Dir/bin, to be put first in PATH
	Digest lastro.Digest // of the lock, the exact Python version and the platform; part of a step's cache key
	Lock   lastro.Digest // of the lock file's bytes
	Exact  string        // exact version of the interpreter, such as "3.11.9"
	Pins   int           // number of pinned packages
}

// Vars are the variables that activate the environment, apart from PATH:
// VIRTUAL_ENV, and settings that keep steps from writing byte code or
// buffering their log.
func (e *Env) Vars() []string {
	return []string{
		"VIRTUAL_ENV=" + e.Dir,
		"PYTHONUNBUFFERED=1",
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHONNOUSERSITE=1",
	}
}

// Resolver makes environments. The zero value works; it is safe for
// concurrent use, also by several processes.
type Resolver struct {
	// CacheDir holds envs/; "" is $XDG_CACHE_HOME/lastro, or ~/.cache/lastro.
	CacheDir string

	// Env is the environment of uv, pip and the interpreters that are looked
	// for (nil: this process's), so PIP_INDEX_URL, PIP_FIND_LINKS,
	// UV_INDEX_URL, proxies and certificates work as elsewhere.
	Env []string

	// Progress receives one short line for each thing that takes long; nil drops
	// them. It may be called from another goroutine, as may Output.
	Progress func(line string)

	// Output receives the lines of the tools themselves, of which there are
	// hundreds; nil drops them. An error shows the last ones in any case.
	Output func(line string)

	// Tool is "uv" or "pip" to insist on one; "" takes uv when it is found.
	Tool string
}

// Plan is what Ensure would do, found without starting a process or writing.
type Plan struct {
	Locked bool // the lock is there and matches the requirements and version
	Built  bool // the environment of that lock is complete
	Env    *Env // when both, else nil
}
