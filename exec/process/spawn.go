// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"lastro/exec"
)

// stall is a thread that starts tasks. The kernel kills a task (its PDEATHSIG)
// when the thread that started it ends, and the Go runtime ends threads as it
// likes unless a goroutine holds one; and what a thread is kept to (its mounts,
// its Landlock rules), the tasks that it starts are kept to, for nothing.
type stall struct {
	kind  string // what its tasks are kept apart by: mounts, landlock, none
	jobs  chan func()
	tasks int // that it started and that are not over
}

// maxStalls is how many stalls are kept although they have no task.
const maxStalls = 8

// stalls are the stalls by what their tasks cannot write.
type stalls struct {
	mu  sync.Mutex
	all map[string]*stall

	forking sync.Mutex // the mark is the limit of the whole process while one task is started
}

// get returns the stall for tasks that cannot write readOnly, and counts one
// more task for it.
func (s *stalls) get(readOnly []string) *stall {
	s.mu.Lock()
	defer s.mu.Unlock()
	readOnly = slices.DeleteFunc(slices.Clone(readOnly), func(p string) bool { _, err := os.Stat(p); return err != nil })
	key := strings.Join(readOnly, "\x00")
	st := s.all[key]
	if st == nil {
		st = newStall(readOnly)
		s.all[key] = st
	}
	st.tasks++
	return st
}

// put counts one task less. A stall that nobody needs ends, when there are many.
func (s *stalls) put(st *stall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.tasks--
	if len(s.all) <= maxStalls {
		return
	}
	for key, st := range s.all {
		if st.tasks == 0 && key != "" {
			delete(s.all, key)
			close(st.jobs)
		}
	}
}

// newStall makes a thread whose tasks cannot write readOnly: by mounts of its
// own, else by Landlock, else not.
func newStall(readOnly []string) *stall {
	for _, try := range []struct {
		kind string
		keep func([]string) error
	}{{"mounts", mountReadOnly}, {"landlock", landlockReadOnly}} {
		if len(readOnly) == 0 {
			break
		}
		st, ready := &stall{kind: try.kind, jobs: make(chan func())}, make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked: with the goroutine ends the thread
			err := try.keep(readOnly)
			ready <- err
			if err == nil {
				st.work()
			}
		}()
		if <-ready == nil {
			return st
		}
	}
	st := &stall{kind: "none", jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		st.work()
	}()
	return st
}

func (st *stall) work() {
	for job := range st.jobs {
		job()
	}
}

// do runs f on the thread of the stall.
func (st *stall) do(f func()) {
	done := make(chan struct{})
	st.jobs <- func() { defer close(done); f() }
	<-done
}

// spawn starts the program of t in a process group of its own. An error means
// that the program cannot be started, in words for a person. It sets t.mark to
// 0 when the kernel did not take the mark.
func (s *supervisor) spawn(t *task, spec *exec.Task) (int, error) {
	if fi, err := os.Stat(spec.Dir); err != nil || !fi.IsDir() {
		return 0, fmt.Errorf("the workspace %s is not there", spec.Dir)
	}
	path, err := lookPath(spec)
	if err != nil {
		return 0, err
	}
	out, err := s.output(t, spec)
	if err != nil {
		return 0, err
	}
	if out != t.log {
		defer out.Close()
	}
	l := &program{path: path, argv: spec.Argv, files: []*os.File{s.null, out, out}}
	l.attr = syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	defer l.close()
	if err := s.confine(t, spec, l); err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{Dir: spec.Dir, Env: environ(spec), Sys: &l.attr}
	for _, f := range l.files {
		attr.Files = append(attr.Files, f.Fd())
	}
	var pid int
	t.cell.stall.do(func() { pid, err = s.fork(t, l, attr) })
	return pid, explain(path, err)
}

// environ is the whole environment of a task; a secret wins over a variable of
// its name.
func environ(spec *exec.Task) []string {
	env := slices.Clone(spec.Secrets)
	for _, kv := range spec.Env {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(spec.Secrets, func(s string) bool { return strings.HasPrefix(s, name+"=") }) {
			env = append(env, kv)
		}
	}
	if env == nil {
		env = []string{} // nil would mean the supervisor's own
	}
	return env
}

// fork starts the process on this thread, in the task's control group and with
// its mark.
func (s *supervisor) fork(t *task, l *program, attr *syscall.ProcAttr) (pid int, err error) {
	s.stalls.forking.Lock()
	defer s.stalls.forking.Unlock()
	leave, err := t.cell.group.enter(attr.Sys)
	if err != nil {
		return 0, err
	}
	defer leave()
	if setMark(t.mark) {
		defer setMark(0)
	} else {
		t.mark = 0
	}
	return syscall.ForkExec(l.path, l.argv, attr)
}

// explain says in words why a program could not be started.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%s is not a program for this machine, and has no #! line", path)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%s is not there, or the interpreter in its #! line is not", path)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// output is what the task writes to. Without secrets that is its log itself:
// nothing is copied, nothing is lost with the supervisor, and bytes arrive in
// the order they were written. With secrets it is a pipe through the mask.
func (s *supervisor) output(t *task, spec *exec.Task) (*os.File, error) {
	s.logs.begins(t.log)
	if len(spec.Secrets) == 0 {
		return t.log, nil
	}
	if s.opts.Mask == nil {
		return nil, errors.New("it has secrets, and there is nothing here to mask them in its log")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for _, kv := range spec.Secrets {
		_, v, _ := strings.Cut(kv, "=")
		values = append(values, []byte(v))
	}
	go s.copyMasked(t, t.await(), r, s.opts.Mask(t.log, values))
	return w, nil
}

// lookPath finds the program of a task in the PATH of its own environment.
func lookPath(t *exec.Task) (string, error) {
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
