// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"lastro/exec"
)

// cell is what keeps one task apart and to its limits.
type cell struct {
	kind    string // of the isolation: bubblewrap, landlock, mounts, namespaces, none
	wrapped bool   // the first process is bubblewrap's, and not the program
	strict  bool
	rlimits bool   // there is no control group for its limits
	group   *group // nil = none
	stall   *stall
	stalls  *stalls
	closers []io.Closer // what serves the task until it is over
}

// String is exec.Exit.Isolation.
func (c *cell) String() string {
	s := c.kind
	switch {
	case c.group != nil:
		s += " " + c.group.kind
	case c.rlimits:
		s += " rlimits"
	}
	return strings.TrimPrefix(s, " ")
}

// release lets go of what the cell holds, without making anybody wait.
func (c *cell) release() {
	for _, cl := range c.closers {
		cl.Close()
	}
	if c.stall != nil {
		c.stalls.put(c.stall)
	}
	if c.group != nil {
		go c.group.remove()
	}
}

// program is how a task's first process is started.
type program struct {
	path  string
	argv  []string
	files []*os.File // its descriptors 0, 1, 2, ...
	attr  syscall.SysProcAttr
	own   []*os.File // closed in this process when it has started
}

// pass gives the process one more file, and returns its number there.
func (l *program) pass(f *os.File) int {
	l.files = append(l.files, f)
	return len(l.files) - 1
}

func (l *program) close() {
	for _, f := range l.own {
		f.Close()
	}
}

// confine makes the cell of a task and changes how it is started accordingly.
// What is asked for and cannot be had is an error.
func (s *supervisor) confine(t *task, spec *exec.Task, l *program) error {
	box := spec.Sandbox
	t.cell = cell{strict: box.Strict, stalls: &s.stalls}
	if spec.Limits != (exec.Limits{}) {
		var err error
		if t.cell.group, err = s.groups.make(spec.Limits); err != nil {
			s.log.Warn("no control group", "task", t.id, "err", err)
		}
		if t.cell.rlimits = t.cell.group == nil; t.cell.rlimits && spec.Limits.Memory > 0 {
			limitByShell(l, spec.Limits.Memory)
		}
	}
	if !box.Strict && box.Network != exec.NetworkNone && len(box.Binds) == 0 {
		t.cell.stall = s.stalls.get(box.ReadOnly)
		t.cell.kind = t.cell.stall.kind
		return nil
	}
	if err := Enforces(box); err != nil {
		return err
	}
	for _, b := range box.Binds {
		from, err := os.Stat(b.From)
		to, terr := os.Stat(b.To)
		if err != nil || terr != nil || from.IsDir() != to.IsDir() {
			return fmt.Errorf("%s cannot be shown at %s: one of them is not there, or only one is a folder", b.From, b.To)
		}
	}
	switch {
	case bubblewrap() != "":
		t.cell.stall = s.stalls.get(nil)
		t.cell.kind, t.cell.wrapped = "bubblewrap", true
	case box.Strict:
		t.cell.stall = s.stalls.get(nil)
		t.cell.kind = "landlock"
	default: // a network of its own beside what protects the store
		t.cell.stall = s.stalls.get(box.ReadOnly)
		if t.cell.kind = t.cell.stall.kind; t.cell.kind == "none" {
			t.cell.kind = "namespaces"
		}
	}
	if err := s.stage(t, spec, l); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if t.cell.wrapped {
		wrap(spec, l)
	}
	return nil
}
