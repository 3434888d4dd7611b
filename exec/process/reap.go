// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"encoding/binary"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"lastro/exec"
)

// reapLoop reaps every child, the tasks' first processes and what they left
// behind, until ctx ends. Nothing else in the supervisor waits for a process.
func (s *supervisor) reapLoop(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		s.reap()
		select {
		case <-died:
		case <-ctx.Done():
			return
		}
	}
}

// reap reaps all children that are dead.
func (s *supervisor) reap() {
	s.forking.Lock()
	defer s.forking.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		pid := deadChild()
		if pid == 0 {
			break
		}
		t := s.byPID(pid)
		var wrapped *task
		if t == nil {
			wrapped = s.sandboxOf(pid)
		}
		if t != nil && t.why == "" {
			// Before it is reaped nobody else can have its process group, so this
			// hits all of the group at once and nobody else.
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		var status syscall.WaitStatus
		var usage syscall.Rusage
		if got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, &usage); err != nil || got != pid {
			break
		}
		if t != nil {
			s.reaped(t, status, usage)
		} else if wrapped != nil {
			wrapped.alsoUsed(usage)
		}
	}
	s.settleAll()
}

// sandboxOf returns the task whose sandbox had the dead child as its init
// process, which waited for the program: bubblewrap itself need not.
func (s *supervisor) sandboxOf(pid int) *task {
	for _, t := range s.live {
		if !t.cell.wrapped {
			continue
		}
		if p, ok := readProc(pid); ok && p.belongs(t.mark, t.first) {
			return t
		}
	}
	return nil
}

// settleAll settles the tasks whose first process was reaped; s.mu is held.
func (s *supervisor) settleAll() {
	var over []*task
	for _, t := range s.live {
		if t.over && !t.closing {
			over = append(over, t)
		}
	}
	if len(over) == 0 {
		return
	}
	strays := s.strays()
	for _, t := range over {
		s.settle(t, strays)
	}
}

// strays returns the children of this process that no task started itself:
// what the first processes left behind.
func (s *supervisor) strays() []proc {
	known := map[int]bool{}
	for _, t := range s.live {
		if !t.over {
			known[t.first.PID] = true
		}
	}
	return children(known)
}

func (s *supervisor) byPID(pid int) *task {
	for _, t := range s.live {
		if !t.over && t.first.PID == pid {
			return t
		}
	}
	return nil
}

// deadChild returns a child that is dead and not reaped yet, or 0. The
// standard library waits only together with reaping.
func deadChild() int {
	const (
		pAll      = 0  // P_ALL of linux/wait.h
		pidOffset = 16 // si_pid in siginfo_t on 64-bit machines, see sigaction(2)
	)
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)),
			syscall.WEXITED|syscall.WNOHANG|syscall.WNOWAIT, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0
		}
		return int(binary.NativeEndian.Uint32(info[pidOffset:]))
	}
}

// bury ends what is left of tasks whose supervisor was killed, and records
// them as lost. The kernel killed their first processes with the supervisor;
// the mark finds what those had started.
func (s *supervisor) bury() error {
	var lost, here []record
	for _, r := range s.records.list() {
		if r.Exit != nil {
			continue
		}
		lost = append(lost, r)
		if r.Start.Boot == s.boot {
			here = append(here, r)
		}
	}
	killAll(here)
	for _, r := range lost {
		exit := exec.Exit{Reason: exec.Lost, Code: -1, Detail: "its supervisor was killed", Started: r.Start.Started, Ended: time.Now().UTC()}
		if err := s.records.add(record{ID: r.ID, Exit: &exit}); err != nil {
			return err
		}
		s.log.Warn("task lost with its supervisor", "task", r.ID)
	}
	return nil
}

// A look at all processes is no snapshot: one that forks and exits is missed
// while its child is not listed yet. So it counts as gone what was not seen
// looksForGone times in a row; who is found is killed with its whole process
// group, all of which the kernel hits at once.
const (
	looksForGone = 4
	looksAtMost  = 1000
)

// killAll kills every process of the tasks of a dead supervisor.
func killAll(tasks []record) {
	if len(tasks) == 0 {
		return
	}
	for unseen, looks := 0, 0; unseen < looksForGone && looks < looksAtMost; looks++ {
		unseen++
		for _, p := range allProcs() {
			for _, r := range tasks {
				if !p.belongs(r.Start.Mark, *r.First) {
					continue
				}
				unseen = 0
				if p.mark == r.Start.Mark && p.pgrp == r.First.PID {
					_ = syscall.Kill(-p.pgrp, syscall.SIGKILL)
				}
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		time.Sleep(time.Millisecond)
	}
}
