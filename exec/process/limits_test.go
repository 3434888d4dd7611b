// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastro/exec"
	"lastro/exec/exectest"
)

// eat takes 400 MiB: dd needs its block in memory.
const eat = "dd if=/dev/zero of=/dev/null bs=400M count=1"

// needGroups skips a test on a machine without writable control groups.
func needGroups(t *testing.T) groups {
	t.Helper()
	g := findGroups()
	if g.kind == "" {
		t.Skip("no control group is writable here")
	}
	return g
}

// groupsLeft returns the control groups of the supervisor with that pid.
func groupsLeft(g groups, pid int) []string {
	var left []string
	for _, parent := range []string{g.memory, g.cpu} {
		dirs, _ := filepath.Glob(filepath.Join(parent, fmt.Sprintf("%s%d-*", g.prefix, pid)))
		left = append(left, dirs...)
	}
	return left
}

func TestMemoryLimit(t *testing.T) {
	g := needGroups(t)
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	const limit = 64 << 20
	for name, box := range map[string]exec.Sandbox{"plain": {}, "strict": h.strict()} {
		for what, script := range map[string]string{"itself": "exec " + eat, "child": eat + "; exit $?", "grandchild": "setsid bash -c '" + eat + "; exit $?'; exit 7"} {
			task := h.task(name+"-"+what, script, box)
			task.Limits = exec.Limits{Memory: limit}
			exit, log := h.run(t, e, task)
			if exit.Reason != exec.OOM || exit.MaxRSS < limit/2 || exit.MaxRSS > limit || !strings.HasSuffix(exit.Isolation, " "+g.kind) {
				t.Errorf("%s: %+v\n%s", task.ID, exit, log)
			}
		}
	}
	// Who stays within is not touched, and who goes on without the child that was killed has not failed.
	for id, script := range map[string]string{"modest": "x=$(head -c 8000000 /dev/zero | tr '\\0' x)", "goes-on": "(" + eat + ") || true"} {
		task := h.task(id, script, exec.Sandbox{})
		task.Limits = exec.Limits{Memory: limit}
		if exit, log := h.run(t, e, task); !exit.OK() {
			t.Errorf("%s: %+v\n%s", id, exit, log)
		}
	}
	await(t, "the control groups are removed", func() bool { return len(groupsLeft(g, e.SupervisorPID())) == 0 })
}

func TestCPULimit(t *testing.T) {
	if needGroups(t).cpu == "" {
		t.Skip("no control group for processor time is writable here")
	}
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	task := h.task("busy", "(while :; do :; done) & while :; do :; done", exec.Sandbox{})
	task.Limits = exec.Limits{CPU: 0.2}
	task.Timeout = time.Second
	exit, _ := h.run(t, e, task)
	used := (exit.UserCPU + exit.SysCPU).Seconds() / exit.Ended.Sub(exit.Started).Seconds()
	// The loop in the background is killed and reaped by itself, so only one of two is counted.
	if exit.Reason != exec.Timeout || used > 0.3 {
		t.Errorf("%.2f processors: %+v", used, exit)
	}
}

// TestGroupsOfTheDead: what a killed supervisor leaves in its control groups is
// ended and removed by the next one, whichever directory that one has.
func TestGroupsOfTheDead(t *testing.T) {
	g := needGroups(t)
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	task := h.task("forker", "setsid env -i bash -c 'echo $$ > pid; exec sleep 300' & sleep 300", exec.Sandbox{})
	task.Limits = exec.Limits{Memory: 64 << 20}
	if err := e.Start(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.work, "pid")
	await(t, "the step is up", func() bool { fi, err := os.Stat(file); return err == nil && fi.Size() > 0 })
	dead, left := e.SupervisorPID(), pidIn(t, file)
	e.Close()
	if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if len(groupsLeft(g, dead)) == 0 {
		t.Error("there was no control group")
	}
	open(t, options(t.TempDir()))
	await(t, "the orphan is killed", func() bool { return !exectest.Alive(left) })
	await(t, "its control group is removed", func() bool { return len(groupsLeft(g, dead)) == 0 })
}

// TestWithoutGroups: a limit for each process is better than none.
func TestWithoutGroups(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir(), withoutVar+"=bubblewrap cgroups"))
	task := h.task("big", eat+"; exit $?", exec.Sandbox{})
	task.Limits = exec.Limits{Memory: 64 << 20}
	exit, log := h.run(t, e, task)
	if exit.OK() || !strings.HasSuffix(exit.Isolation, " rlimits") || !strings.Contains(log, "memory exhausted") {
		t.Errorf("%+v\n%s", exit, log)
	}
}

// TestOwnGroups: where a process's groups are, on machines of three kinds.
func TestOwnGroups(t *testing.T) {
	for name, c := range map[string]struct {
		cgroup, mountinfo string
		want              map[string]string
	}{
		"version 1": {"4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n",
			"30 29 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
			map[string]string{"memory": "/sys/fs/cgroup/memory/a/b", "cpu": "/sys/fs/cgroup/cpu,cpuacct"}},
		"version 2": {"0::/user.slice/x.scope\n", "30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
			map[string]string{"": "/sys/fs/cgroup/user.slice/x.scope"}},
		"container": {"4:memory:/docker/0123\n", "30 29 0:26 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			map[string]string{"memory": "/sys/fs/cgroup/memory"}},
	} {
		got := ownGroups(c.cgroup, c.mountinfo)
		for controller, want := range c.want {
			if got[controller] != want {
				t.Errorf("%s: %q is in %q, want %q", name, controller, got[controller], want)
			}
		}
	}
}

// TestPeak: what a program used is its own, and not what its supervisor had.
func TestPeak(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	for id, c := range map[string]struct {
		script      string
		least, most int64
	}{
		"tiny":  {"true", 0, 0},
		"small": {"sleep 0.3", 1 << 20, 12 << 20}, // bash, then sleep in its place
		"large": {"x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 0.2; true", 100_000_000, 1 << 30},
	} {
		exit, log := h.run(t, e, h.task(id, c.script, exec.Sandbox{}))
		most := c.most
		if id == "tiny" {
			most = 12 << 20 // on a busy machine it lives long enough to be seen
		}
		if !exit.OK() || exit.MaxRSS < c.least || exit.MaxRSS > most {
			t.Errorf("%s: %d bytes, %+v\n%s", id, exit.MaxRSS, exit, log)
		}
	}
}
