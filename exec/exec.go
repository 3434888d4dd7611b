// SPDX-License-Identifier: Apache-2.0

// Package exec carries out one task anywhere: it holds the Executor
// interface, the task and its exit. How a task becomes a process or a pod
// lives in the folders below (exec/process); which task a step becomes, and
// whether an exit means failed or errored, is decided by the step kinds and
// the engine.
package exec

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lastro"
)

// Task is one attempt at one step or cell, ready to be carried out.
type Task struct {
	// ID names the task for ever, such as "142-train-3-1" (run, step, cell,
	// attempt). It is the key of every other call; another attempt is another ID.
	ID string

	// Argv is the program and its arguments. A program without a slash is
	// looked up in the PATH of Env. There is never a shell that the caller
	// did not name.
	Argv []string

	// Env is the whole environment, "NAME=value"; nothing is inherited.
	Env []string

	// Dir is the absolute path of the workspace, where the program starts.
	Dir string

	// LogPath is the absolute path of the file that receives stdout and stderr
	// interleaved, as raw bytes, appended. It is made with mode 0600.
	LogPath string

	// MakeDirs are absolute paths created with mode 0700 before the program
	// starts: its private HOME and TMPDIR. Removing them is up to the caller.
	MakeDirs []string

	// Timeout ends the task when it has not ended by itself; 0 means none.
	Timeout time.Duration

	// Limits are what all processes of the task together may use.
	Limits Limits

	// Sandbox is what the task may read, write and reach.
	Sandbox Sandbox

	// Secrets are more of Env, "NAME=value". Their values are masked in the
	// log, and an executor never writes them to a disk.
	Secrets []string
}

// Check reports what no executor could carry out, as EInvalid.
func (t Task) Check() error {
	bad := func(format string, args ...any) error {
		return lastro.Errorf(lastro.EInvalid, "task %q: "+format, append([]any{t.ID}, args...)...)
	}
	switch {
	case t.ID == "" || !utf8.ValidString(t.ID):
		return bad("it has no id, or one that is not UTF-8")
	case len(t.Argv) == 0 || t.Argv[0] == "":
		return bad("it has no program")
	case t.Timeout < 0:
		return bad("timeout %s is negative", t.Timeout)
	}
	for _, s := range slices.Concat([]string{t.ID}, t.Argv, t.Env) {
		if strings.ContainsRune(s, 0) {
			return bad("%q has a NUL byte", s)
		}
	}
	for _, kv := range t.Env {
		if strings.Index(kv, "=") < 1 {
			return bad("environment entry %q is not NAME=value", kv)
		}
	}
	for i, kv := range t.Secrets { // an error never shows one
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" || strings.ContainsRune(kv, 0) {
			return bad("secret %d is not NAME=value, or has a NUL byte", i+1)
		}
	}
	for _, p := range slices.Concat([]string{t.Dir, t.LogPath}, t.MakeDirs) {
		if !filepath.IsAbs(p) {
			return bad("path %q is not absolute", p)
		}
	}
	if err := t.Limits.check(); err != nil {
		return bad("%w", err)
	}
	if err := t.Sandbox.check(); err != nil {
		return bad("%w", err)
	}
	return nil
}

// Reason says why a task is over.
type Reason string

// The reasons. Exited, Signal and StartFailed speak about the user's work,
// Timeout, OOM and Cancelled about a limit or a person, Lost about the
// surroundings: a lost task may be worth another attempt.
const (
	Exited      Reason = "exited"       // by itself, with Code
	Signal      Reason = "signal"       // killed by Signal, and not by the executor
	Timeout     Reason = "timeout"      // Task.Timeout passed
	OOM         Reason = "oom"          // it needed more than Limits.Memory, and was killed for it
	Cancelled   Reason = "cancelled"    // Stop was called
	Lost        Reason = "lost"         // its end was not seen, or nobody watched it for too long
	StartFailed Reason = "start_failed" // the program could not be started; Detail says why
)

// Exit is how a task ended. It is written once and never changes.
type Exit struct {
	Reason  Reason        `json:"reason"`
	Code    int           `json:"code"`             // exit status 0 to 255 when the program exited, else -1
	Signal  int           `json:"signal,omitempty"` // number of the signal that killed the program, else 0
	Detail  string        `json:"detail,omitempty"` // for people: the reason of Stop, the program that is not there
	Started time.Time     `json:"started,omitzero"` // zero when it never started
	Ended   time.Time     `json:"ended"`            // UTC, as is Started
	UserCPU time.Duration `json:"user_cpu_ns"`      // of the program and the children it waited for
	SysCPU  time.Duration `json:"sys_cpu_ns"`       // of the same
	MaxRSS  int64         `json:"max_rss_bytes"`    // largest resident set of one of them, in bytes; under Limits.Memory the peak of all together, when the executor can tell; 0 = not known, as of a program that was over in no time

	// Isolation says what kept the task apart, and what kept it to its limits:
	// "bubblewrap", "landlock", "mounts", "namespaces" (of the network only) or
	// "none", then a space and "cgroup v1", "cgroup v2" or "rlimits" when it had
	// limits.
	Isolation string `json:"isolation,omitempty"`
}

// OK reports whether the program ended by itself with status 0.
func (e Exit) OK() bool { return e.Reason == Exited && e.Code == 0 }

// String is one short line: "exit status 2", "killed by signal 9", "timeout".
func (e Exit) String() string {
	s := string(e.Reason)
	switch e.Reason {
	case Exited:
		s = fmt.Sprintf("exit status %d", e.Code)
	case Signal:
		s = fmt.Sprintf("killed by signal %d", e.Signal)
	case OOM:
		s = "killed: out of memory"
	case StartFailed:
		s = "could not start"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Status is one task that an executor remembers.
type Status struct {
	ID   string
	Exit *Exit // nil while it runs
}

// Executor carries out tasks. An error of a method means that the executor
// itself could not do its work (EErrored, EInvalid, or the cause of ctx); how
// the task went is in its Exit and never an error. Tasks outlive the process
// that started them: another Executor on the same place finds them by ID.
// Every method may be called concurrently.
type Executor interface {
	// Start starts the task and returns without waiting for it. It is
	// idempotent by ID: for a task that runs or has ended it does nothing,
	// whatever the other fields say. A program that cannot be started is no
	// error but an Exit with reason StartFailed.
	Start(ctx context.Context, t Task) error

	// Wait returns how the task ended, at once when it has ended already. When
	// ctx ends first, Wait returns its cause and the task goes on. A task that
	// was never started, or was forgotten, is ENotFound.
	Wait(ctx context.Context, id string) (Exit, error)

	// Stop asks the task to end (SIGTERM, then SIGKILL after a grace time, to
	// all its processes) and returns without waiting; its Exit has reason
	// Cancelled and why as Detail. A task that has ended stays as it is; an
	// unknown one is ENotFound.
	Stop(ctx context.Context, id, why string) error

	// List returns the tasks that were started and not forgotten, by ID.
	List(ctx context.Context) ([]Status, error)

	// Forget drops the record of a task that has ended, once its Exit is kept
	// elsewhere. A running task is EConflict; an unknown one is no error. After
	// it the ID is free again.
	Forget(ctx context.Context, id string) error

	// Close lets go of the executor. Running tasks go on.
	Close() error
}
