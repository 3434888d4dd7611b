// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A program inherits the peak of the process that started it: the kernel counts
// what was resident before execve too (fs/exec.c, exec_mmap). So what a small
// task is said to have used is what its supervisor did, and says nothing. What
// the program itself reached is in /proc while it lives, so it is looked at now
// and then; of one that is over before, nothing is known and nothing said.
const (
	firstPeak = 20 * time.Millisecond
	lastPeak  = 5 * time.Second // between two looks
)

// ownPeak is the most memory that this process had, in KiB.
func ownPeak() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Maxrss
}

// peakOf is the most memory that a living process had since it became its
// program, in KiB; 0 when it is gone.
func peakOf(pid int) int64 {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := bytes.Cut(b, []byte("VmHWM:"))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return n
}

// watchPeak looks at the peak of the task's first process until it is over;
// s.mu is held.
func (s *supervisor) watchPeak(t *task, after time.Duration) {
	t.look = time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.over || t.closing {
			return
		}
		t.seen = max(t.seen, peakOf(t.first.PID))
		s.watchPeak(t, min(2*after, lastPeak))
	})
}

// maxRSS is the largest resident set of one process of the task in bytes; 0 = not known.
func (t *task) maxRSS() int64 {
	if t.usage.Maxrss > t.inherited {
		return t.usage.Maxrss * 1024 // Linux counts in KiB
	}
	return t.seen * 1024
}
