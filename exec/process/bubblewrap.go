// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lastro/exec"
)

// bubblewrap returns the path of bwrap when it is installed and works here, or
// "". It is tried once: distributions may forbid its namespaces.
var bubblewrap = sync.OnceValue(func() string {
	if without("bubblewrap") {
		return ""
	}
	path, err := osexec.LookPath("bwrap")
	if err != nil { // also for a process without PATH
		path = "/usr/bin/bwrap"
	}
	try := osexec.Command(path, "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true")
	if try.Run() != nil {
		return ""
	}
	return path
})

// keptCaps are what root keeps inside: what installing and changing users
// needs, and nothing that mounts, traces, makes devices or opens files by number.
var keptCaps = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE"}

// wrap makes the process start inside bubblewrap. Options are carried out in
// their order, so what is said later lies on top.
func wrap(spec *exec.Task, l *program) {
	box := spec.Sandbox
	a := []string{"bwrap", "--die-with-parent"}
	writable := append(append([]string{spec.Dir}, spec.MakeDirs...), box.Writable...)
	if box.Strict {
		// A process table of its own: /proc/PID/root of a process outside leads
		// around every mount, and what is left dies with the program.
		a = append(a, "--unshare-pid", "--unshare-ipc")
		a = append(a, showSystem()...)
		a = append(a, "--dev", "/dev", "--proc", "/proc")
		gpus, _ := filepath.Glob("/dev/nvidia*")
		for _, p := range append(gpus, "/dev/dri", "/dev/kfd") {
			a = append(a, "--dev-bind-try", p, p)
		}
		hidden := outermost(box.Hidden) // a project may lie below a folder of the system
		for _, p := range hidden {
			a = append(a, "--tmpfs", p)
		}
		for _, p := range box.ReadOnly {
			a = append(a, "--ro-bind-try", p, p)
		}
		for _, p := range writable {
			a = append(a, "--bind-try", p, p)
		}
		for _, p := range hidden {
			a = append(a, "--remount-ro", p)
		}
		a = append(a, "--remount-ro", "/")
	} else {
		a = append(a, "--dev-bind", "/", "/")
		for _, p := range box.ReadOnly {
			a = append(a, "--ro-bind-try", p, p)
		}
	}
	for _, b := range box.Binds {
		a = append(a, "--ro-bind", b.From, b.To)
	}
	if box.Network == exec.NetworkNone {
		a = append(a, "--unshare-net")
	}
	if os.Geteuid() == 0 {
		a = append(a, "--cap-drop", "ALL")
		for _, c := range keptCaps {
			a = append(a, "--cap-add", c)
		}
	}
	a = append(a, "--chdir", spec.Dir, "--", l.path)
	if l.argv[0] == stageName { // bwrap has no way to name a program otherwise than by its path
		a[len(a)-1] = stagePath
	}
	l.argv = append(a, l.argv[1:]...)
	l.path = bubblewrap()
}

// outermost returns the paths that exist and are not below another one.
func outermost(paths []string) []string {
	sorted := slices.Sorted(slices.Values(paths))
	var out []string
	for _, p := range sorted {
		_, err := os.Stat(p)
		below := slices.ContainsFunc(out, func(o string) bool { return p == o || strings.HasPrefix(p, o+"/") })
		if err == nil && !below {
			out = append(out, p)
		}
	}
	return out
}
