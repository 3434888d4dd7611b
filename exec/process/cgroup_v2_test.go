// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastro/exec"
)

// TestVersion2Files: what is written to and read from the files of version 2, as
// Documentation/admin-guide/cgroup-v2.rst has them.
func TestVersion2Files(t *testing.T) {
	g := &group{kind: "cgroup v2", memory: t.TempDir()}
	g.cpu = g.memory
	if err := g.limit(exec.Limits{CPU: 1.5, Memory: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "150000 100000"} {
		if b, err := read(g.memory, file); err != nil || b != want {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
	if g.oomKilled() || g.peak() != 0 {
		t.Error("an OOM kill or a peak without files that say so")
	}
	for file, text := range map[string]string{"memory.peak": "123456\n", "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 1\n"} {
		if err := os.WriteFile(filepath.Join(g.memory, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !g.oomKilled() || g.peak() != 123456 {
		t.Errorf("killed %v, peak %d", g.oomKilled(), g.peak())
	}
}

func read(dir, file string) (string, error) {
	p := filepath.Join(dir, file)
	_ = os.Chmod(p, 0o600)
	b, err := os.ReadFile(p)
	return string(b), err
}

// TestVersion2: a real tree of version 2, which a kernel mounts beside one of
// version 1 too, but without controllers then: a task is born in its group,
// found there, and killed with all that it started.
func TestVersion2(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
		t.Skip("a tree of version 2 cannot be mounted here: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	gs := groups{kind: "cgroup v2", memory: root, prefix: "lastro-test-", next: new(atomic.Int64)}
	g, err := gs.make(exec.Limits{})
	if err != nil {
		t.Skip("a group cannot be made here: ", err)
	}
	t.Cleanup(g.remove)

	var attr syscall.SysProcAttr
	leave, err := g.enter(&attr)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sleep 60 & setsid sleep 60 & sleep 60"}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &attr})
	leave()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(g.pids()) < 4 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(g.pids()); n != 4 || g.empty() {
		t.Errorf("%d processes in the group, want the shell and three others", n)
	}
	g.kill()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Signaled() {
		t.Errorf("the shell: %v, %v", status, err)
	}
	for deadline := time.Now().Add(10 * time.Second); !g.empty() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	g.remove()
	if _, err := os.Stat(g.memory); !os.IsNotExist(err) {
		t.Errorf("the group is left: %v", err)
	}
}
