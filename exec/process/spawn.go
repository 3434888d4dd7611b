// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"lastro/exec"
)

// spawner starts every task from one thread: the kernel kills a task (its
// PDEATHSIG) when the thread that started it ends, and the Go runtime ends
// threads as it likes unless a goroutine holds one for ever.
type spawner struct{ jobs chan func() }

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// start starts the task in a process group of its own, with the given mark,
// and returns its process id and the mark that it really has. An error means
// that the program cannot be started, in words for a person.
func (s *spawner) start(t exec.Task, mark uint64, log *os.File) (pid int, marked uint64, err error) {
	if fi, err := os.Stat(t.Dir); err != nil || !fi.IsDir() {
		return 0, 0, fmt.Errorf("the workspace %s is not there", t.Dir)
	}
	path, err := lookPath(t)
	if err != nil {
		return 0, 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: t.Dir,
		Env: t.Env,
		// The task writes to its log itself: nothing is copied, nothing is lost
		// with the supervisor, and bytes arrive in the order they were written.
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if attr.Env == nil {
		attr.Env = []string{} // nil would mean the supervisor's own
	}
	done := make(chan struct{})
	s.jobs <- func() {
		defer close(done)
		if setMark(mark) {
			marked = mark
			defer setMark(0)
		}
		pid, err = syscall.ForkExec(path, t.Argv, attr)
	}
	<-done
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		err = fmt.Errorf("%s is not a program for this machine, and has no #! line", path)
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%s is not there, or the interpreter in its #! line is not", path)
	case err != nil:
		err = fmt.Errorf("%s: %w", path, err)
	}
	return pid, marked, err
}

// lookPath finds the program of a task in the PATH of its own environment.
func lookPath(t exec.Task) (string, error) {
	name := t.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil // the kernel takes it from the workspace
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, kv := range t.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
			break
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			continue // an empty entry would mean the workspace: never by accident
		}
		file := filepath.Join(dir, name)
		if !filepath.IsAbs(file) {
			file = filepath.Join(t.Dir, file)
		}
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no program %q in PATH %s", name, path)
}
