// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A step may fork, change its process group, start a session and clear its
// environment, and what it leaves behind must still be found, also when the
// supervisor was killed. One thing goes through fork and exec unchanged and
// costs nothing: a resource limit. RLIMIT_LOCKS has had no effect since Linux
// 2.4.25, so its soft limit carries a random number, the mark of the task, and
// /proc/PID/limits shows it. A process that resets the limit itself escapes the
// mark, but not its process group.

const rlimitLocks = 10 // RLIMIT_LOCKS of linux/resource.h, the same on every architecture that Go runs on but MIPS

// newMark returns a mark that no other task has: random, above any limit that
// a person would set, and below infinity.
func newMark() uint64 { return rand.Uint64N(1<<61) | 1<<61 }

// setMark sets the mark of this process, which its next children inherit; 0
// takes it away. It reports whether the kernel took it.
func setMark(mark uint64) bool {
	var lim syscall.Rlimit
	if syscall.Getrlimit(rlimitLocks, &lim) != nil {
		return false
	}
	if lim.Cur = mark; mark == 0 {
		lim.Cur = lim.Max
	}
	return mark <= lim.Max && syscall.Setrlimit(rlimitLocks, &lim) == nil
}

// proc is one process as /proc shows it.
type proc struct {
	pid, ppid, pgrp int
	birth           uint64 // start time in clock ticks since boot
	mark            uint64 // 0 = none
	dead            bool   // waits to be reaped
}

// readProc returns false when the process is gone.
func readProc(pid int) (proc, bool) {
	p, ok := readStat(pid)
	if !ok {
		return p, false
	}
	limits, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if _, rest, ok := bytes.Cut(limits, []byte("Max file locks")); ok {
		if soft := bytes.Fields(rest); len(soft) > 0 {
			p.mark, _ = strconv.ParseUint(string(soft[0]), 10, 64)
		}
	}
	return p, true
}

// readStat is readProc without the mark.
func readStat(pid int) (proc, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, false
	}
	// The name is in parentheses and may itself hold any character.
	i := bytes.LastIndexByte(stat, ')')
	f := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(f) < 20 {
		return proc{}, false
	}
	p := proc{pid: pid, dead: f[0] == "Z" || f[0] == "X"}
	p.ppid, _ = strconv.Atoi(f[1])
	p.pgrp, _ = strconv.Atoi(f[2])
	p.birth, _ = strconv.ParseUint(f[19], 10, 64)
	return p, true
}

// ticksNow is the present in the unit of a process's start time: hundredths of
// a second since boot, sleep included (fs/proc/array.c, USER_HZ is 100
// everywhere that Go runs). A process that starts from here on has it or a later one.
func ticksNow() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano()) / uint64(10*time.Millisecond)
}

// allProcs returns every living process but this one and the kernel's.
func allProcs() []proc {
	names, _ := filepath.Glob("/proc/[0-9]*")
	var all []proc
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		if p, ok := readProc(pid); ok && p.pgrp != 0 && !p.dead {
			all = append(all, p)
		}
	}
	return all
}

// children returns the direct children of this process but the known ones,
// dead ones that are not reaped included. Who loses its parent becomes a child
// of the first living thread of its subreaper, which is the one that has the
// process's own number (kernel/exit.c, find_new_reaper): only its list is read.
func children(known map[int]bool) []proc {
	var mine []proc
	self := strconv.Itoa(os.Getpid())
	b, err := os.ReadFile("/proc/self/task/" + self + "/children")
	for _, f := range strings.Fields(string(b)) {
		pid, _ := strconv.Atoi(f)
		if known[pid] {
			continue
		}
		if p, ok := readProc(pid); ok {
			mine = append(mine, p)
		}
	}
	if err == nil {
		return mine
	}
	for _, p := range allProcs() { // a kernel without CONFIG_PROC_CHILDREN; without the dead, which are reaped anyway
		if p.ppid == os.Getpid() && !known[p.pid] {
			mine = append(mine, p)
		}
	}
	return mine
}

// belongs reports whether p is of the task with the given mark and first
// process.
func (p proc) belongs(mark uint64, first pidRecord) bool {
	if mark != 0 && p.mark == mark {
		return true
	}
	return first.PID != 0 && p.pgrp == first.PID && p.birth >= first.Birth
}

// bootID tells this boot of the kernel from others.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
