// SPDX-License-Identifier: Apache-2.0

// Package process carries out tasks as child processes of this machine. A
// supervisor, a small process in a session of its own, starts and ends them
// and writes how they ended; it outlives the engine, and an Executor is the
// engine's connection to it. The supervisor also forwards a stable TCP port
// to the engine's unix socket, so that steps reach tracking whichever engine
// is there. What a task means, its caching and its retries are not here.
package process

import (
	"io"
	"log/slog"
	"time"
)

// Options say how an engine reaches its supervisor.
type Options struct {
	// Dir is the absolute path of the control directory (.lastro/run): the
	// supervisor's lock, socket and log, and a folder for each task. It is
	// created with mode 0700. Its path may be longer than a socket address.
	Dir string

	// TrackSocket is the absolute path of the unix socket on which the engine
	// serves tracking; "" when it serves none. The newest engine's value wins.
	TrackSocket string

	// Program and Args start a supervisor when none lives: Program is "" for
	// this very executable, and Args make it call RunSupervisor with the same
	// Dir. The supervisor inherits Env (nil: this process's environment), of
	// which its tasks see nothing.
	Program string
	Args    []string
	Env     []string
}

// SupervisorOptions say how a supervisor behaves. Zero durations mean the
// values in parentheses.
type SupervisorOptions struct {
	Dir         string        // as Options.Dir
	TrackSocket string        // until an engine names its own; may be ""
	Grace       time.Duration // between SIGTERM and SIGKILL (5 s)
	IdleAfter   time.Duration // ends itself when it has had neither task nor engine for this long (5 s)
	OrphanAfter time.Duration // stops tasks that have had no engine for this long (10 min)
	DialFor     time.Duration // how long a tracking connection waits for an engine (60 s)

	// Mask returns a writer that passes on to w what it is given without the
	// values, in whatever encoding they appear, also when one is split over two
	// writes; Close passes on what it held back. Without Mask no task with
	// Secrets is started.
	Mask func(w io.Writer, values [][]byte) io.WriteCloser

	Log *slog.Logger // nil: text on stderr, which Open points at Dir/supervisor.log
}

func (o SupervisorOptions) withDefaults() SupervisorOptions {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Grace, 5*time.Second)
	def(&o.IdleAfter, 5*time.Second)
	def(&o.OrphanAfter, 10*time.Minute)
	def(&o.DialFor, time.Minute)
	return o
}
