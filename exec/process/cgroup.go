// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lastro/exec"
)

// groups make the control groups of tasks with limits, beside or below the
// group that this process is in, whose own limits go on to hold. Version 1 has
// one tree for each controller, version 2 one for all; "" means that neither
// is writable here.
type groups struct {
	kind   string // "cgroup v1", "cgroup v2" or ""
	memory string // folder in which groups are made
	cpu    string // the same for processor time; "" = no such controller
	prefix string // of the groups of this machine's supervisors: lastro-NAMESPACE-
	next   *atomic.Int64
}

// group is the control group of one task. A nil group is none.
type group struct {
	kind        string
	memory, cpu string // folders; "" = not limited; the same under version 2
	homes       []string
}

// findGroups looks where groups can be made.
func findGroups() groups {
	g := groups{prefix: "lastro-" + pidNamespace() + "-", next: new(atomic.Int64)}
	if without("cgroups") {
		return g
	}
	mine, err := os.ReadFile("/proc/self/cgroup")
	mounts, merr := os.ReadFile("/proc/self/mountinfo")
	if err != nil || merr != nil {
		return g
	}
	paths := ownGroups(string(mine), string(mounts))
	if m := paths["memory"]; m != "" && writable(m) {
		g.kind, g.memory = "cgroup v1", m
		if c := paths["cpu"]; c != "" && writable(c) {
			g.cpu = c
		}
		return g
	}
	own := paths[""]
	if own == "" {
		return g
	}
	// A group of version 2 that holds processes has no limited groups below it,
	// unless it is the root: then they are made beside it.
	for _, dir := range []string{own, filepath.Dir(own)} {
		on, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		have := strings.Fields(string(on))
		if contains(have, "memory") && writable(dir) {
			g.kind, g.memory = "cgroup v2", dir
			if contains(have, "cpu") {
				g.cpu = dir
			}
			break
		}
	}
	return g
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

// ownGroups returns the folder of this process's group by controller, "" for
// version 2, from /proc/self/cgroup and /proc/self/mountinfo.
func ownGroups(cgroup, mountinfo string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(cgroup) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				own[c] = f[2]
			}
		}
	}
	paths := map[string]string{}
	for line := range strings.Lines(mountinfo) {
		// 36 35 98:0 /root /mount/point options ... - type source superoptions
		front, back, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, b := strings.Fields(front), strings.Fields(back)
		if !ok || len(f) < 5 || len(b) < 3 {
			continue
		}
		var controllers []string
		switch b[0] {
		case "cgroup":
			controllers = strings.Split(b[2], ",")
		case "cgroup2":
			controllers = []string{""}
		}
		for _, c := range controllers {
			path, is := own[c]
			if below, inside := strings.CutPrefix(path, strings.TrimSuffix(f[3], "/")); is && inside && paths[c] == "" {
				paths[c] = filepath.Join(f[4], below)
			}
		}
	}
	return paths
}

// pidNamespace tells process ids of this namespace from those of others that
// may share the tree of groups.
func pidNamespace() string {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return "0"
	}
	return strconv.FormatUint(st.Ino, 10)
}

// cpuPeriod is how often a share of the processors is given out, in microseconds.
const cpuPeriod = 100_000

// make makes a group with the limits. A group without the memory controller is
// none: an error.
func (gs groups) make(l exec.Limits) (*group, error) {
	if gs.kind == "" {
		return nil, errors.New("neither cgroup v1 nor v2 is writable")
	}
	self, _ := readStat(os.Getpid())
	name := fmt.Sprintf("%s%d-%d-%d", gs.prefix, os.Getpid(), self.birth, gs.next.Add(1))
	g := &group{kind: gs.kind, memory: filepath.Join(gs.memory, name)}
	dirs := []string{g.memory}
	if gs.kind == "cgroup v1" {
		g.homes = []string{gs.memory}
	}
	if l.CPU > 0 && gs.cpu != "" {
		g.cpu = filepath.Join(gs.cpu, name)
		if g.cpu != g.memory {
			dirs = append(dirs, g.cpu)
			g.homes = append(g.homes, gs.cpu)
		}
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			g.remove()
			return nil, err
		}
	}
	if err := g.limit(l); err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

func (g *group) limit(l exec.Limits) error {
	memory, quota := strconv.FormatInt(l.Memory, 10), int64(l.CPU*cpuPeriod)
	quota = max(quota, 1000) // the least that the kernel takes
	if g.kind == "cgroup v1" {
		if l.Memory > 0 {
			if err := put(g.memory, "memory.limit_in_bytes", memory); err != nil {
				return err
			}
			_ = put(g.memory, "memory.memsw.limit_in_bytes", memory) // not there without swap accounting
		}
		if g.cpu != "" {
			_ = put(g.cpu, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod))
			return put(g.cpu, "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
		}
		return nil
	}
	if l.Memory > 0 {
		if err := put(g.memory, "memory.max", memory); err != nil {
			return err
		}
		_ = put(g.memory, "memory.swap.max", "0")
		_ = put(g.memory, "memory.oom.group", "1")
	}
	if g.cpu != "" {
		return put(g.cpu, "cpu.max", fmt.Sprintf("%d %d", quota, cpuPeriod))
	}
	return nil
}

func put(dir, file, value string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
}

// enter makes the next process that this thread starts be one of the group;
// leave ends that. Version 1 moves the thread, which costs the kernel little
// because nobody but the thread itself asks for it.
func (g *group) enter(attr *syscall.SysProcAttr) (leave func(), err error) {
	leave = func() {}
	switch {
	case g == nil:
		return leave, nil
	case g.kind == "cgroup v2":
		f, err := os.Open(g.memory)
		if err != nil {
			return leave, err
		}
		attr.UseCgroupFD, attr.CgroupFD = true, int(f.Fd())
		return func() { f.Close() }, nil
	}
	leave = func() {
		for _, home := range g.homes {
			_ = put(home, "tasks", "0")
		}
	}
	for _, dir := range []string{g.memory, g.cpu} {
		if dir == "" {
			continue
		}
		if err := put(dir, "tasks", "0"); err != nil {
			leave()
			return func() {}, err
		}
	}
	return leave, nil
}

// pids returns the living processes of the group.
func (g *group) pids() []int {
	b, _ := os.ReadFile(filepath.Join(g.memory, "cgroup.procs"))
	var all []int
	for _, f := range strings.Fields(string(b)) {
		// This process is there only while a thread of it starts the task.
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 && pid != os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

// kill kills every process of the group, also those that fork meanwhile.
func (g *group) kill() {
	if g == nil || put(g.memory, "cgroup.kill", "1") == nil {
		return
	}
	for range 10 {
		pids := g.pids()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(pids) == 0 {
			return
		}
	}
}

func (g *group) empty() bool { return g == nil || len(g.pids()) == 0 }

// peak is the most memory that the group used, in bytes; 0 = not known.
func (g *group) peak() int64 {
	if g == nil {
		return 0
	}
	file := "memory.peak"
	if g.kind == "cgroup v1" {
		file = "memory.max_usage_in_bytes"
	}
	b, _ := os.ReadFile(filepath.Join(g.memory, file))
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n
}

// oomKilled reports whether the kernel killed a process of the group for its
// memory.
func (g *group) oomKilled() bool {
	if g == nil {
		return false
	}
	file := "memory.events"
	if g.kind == "cgroup v1" {
		file = "memory.oom_control"
	}
	b, _ := os.ReadFile(filepath.Join(g.memory, file))
	for line := range bytes.Lines(b) {
		if n, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok {
			return string(n) != "0"
		}
	}
	return false
}

// remove removes the group; a process that is just ending may still be in it.
// What cannot be removed is swept when the next supervisor starts.
func (g *group) remove() {
	for pause := time.Millisecond; pause < time.Second; pause *= 2 {
		left := false
		for _, dir := range []string{g.memory, g.cpu} {
			if dir == "" {
				continue
			}
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				left = true
			}
		}
		if !left {
			return
		}
		time.Sleep(pause)
	}
}

// sweep ends what is left in the groups of supervisors that are dead, and
// removes these groups.
func (gs groups) sweep() {
	if gs.kind == "" {
		return
	}
	for _, parent := range []string{gs.memory, gs.cpu} {
		if parent == "" {
			continue
		}
		dirs, _ := filepath.Glob(filepath.Join(parent, gs.prefix+"*"))
		for _, dir := range dirs {
			var pid, n int
			var birth uint64
			_, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(dir), gs.prefix), "%d-%d-%d", &pid, &birth, &n)
			if p, alive := readStat(pid); err != nil || alive && p.birth == birth && !p.dead {
				continue
			}
			g := &group{kind: gs.kind, memory: dir}
			g.kill()
			go g.remove()
		}
	}
}

// limitByShell is what is left without control groups: a limit for each process
// by itself, which makes its allocations fail. A shell sets it for itself and
// becomes the program, so that nothing is allocated before.
func limitByShell(l *program, memory int64) {
	script := "ulimit -d " + strconv.FormatInt(max(1, memory>>10), 10) + ` && exec "$0" "$@"` // in KiB
	l.argv = append([]string{"sh", "-c", script, l.path}, l.argv[1:]...)
	l.path = "/bin/sh"
}
