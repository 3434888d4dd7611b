// SPDX-License-Identifier: Apache-2.0

package process

import (
	"syscall"
	"time"
)

// ask asks a task to end, and makes it after the grace time; s.mu is held.
func (s *supervisor) ask(t *task) {
	if t.cell.wrapped && t.cell.strict {
		s.askInside(t, time.Now().Add(s.opts.Grace/2))
	} else {
		s.signal(t, syscall.SIGTERM)
	}
	t.grace = time.AfterFunc(s.opts.Grace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.kill = true
		s.signal(t, syscall.SIGKILL)
		s.settle(t, s.strays())
	})
}

// askEvery is how often it is looked whether those who were asked are gone.
const askEvery = 5 * time.Millisecond

// askInside asks a task whose sandbox ends with its program: the program is
// held up until what it started has ended, half the grace time at most. Else
// a shell that dies at once would take with it a child that is saving its work.
func (s *supervisor) askInside(t *task, until time.Time) {
	program, others := t.inside()
	for _, p := range others {
		_ = syscall.Kill(p.pid, syscall.SIGTERM)
	}
	if program == 0 {
		return
	}
	if len(others) == 0 {
		_ = syscall.Kill(program, syscall.SIGTERM)
		return
	}
	_ = syscall.Kill(program, syscall.SIGSTOP)
	var again func()
	again = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.over || t.closing || t.kill {
			return
		}
		if _, others := t.inside(); len(others) > 0 && time.Now().Before(until) {
			time.AfterFunc(askEvery, again)
			return
		}
		_ = syscall.Kill(program, syscall.SIGTERM)
		_ = syscall.Kill(program, syscall.SIGCONT)
	}
	time.AfterFunc(askEvery, again)
}

// inside returns the process of a sandboxed program, 0 when there is none, and
// the others in the sandbox: bubblewrap, its init, which is its child, and the
// program, which is the oldest child of that one, are not among them.
func (t *task) inside() (program int, others []proc) {
	var all []proc
	init, oldest := 0, uint64(0)
	for _, p := range allProcs() {
		if p.belongs(t.mark, t.first) && p.pid != t.first.PID {
			all = append(all, p)
			if p.ppid == t.first.PID {
				init = p.pid
			}
		}
	}
	for _, p := range all {
		if p.ppid == init && (program == 0 || p.birth < oldest || p.birth == oldest && p.pid < program) {
			program, oldest = p.pid, p.birth
		}
	}
	for _, p := range all {
		if p.pid != init && p.pid != program {
			others = append(others, p)
		}
	}
	return program, others
}
