// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lastro"
	"lastro/exec"
)

// task is one task that runs, or whose end is being written. Its fields are
// guarded by supervisor.mu, but for exit and failed, which are set before done
// is closed.
//
//	starting -> running -> (stop asked: SIGTERM, grace, SIGKILL) -> first process
//	reaped -> what it left behind is ended and reaped -> exit recorded -> done
type task struct {
	id      string
	mark    uint64
	first   pidRecord // PID 0 while it is being started
	started time.Time
	log     *os.File
	cell    cell            // what keeps it apart and to its limits
	awaits  []chan struct{} // each is closed when something is known that the exit needs: the masked log is whole, the stage is over
	refused string          // what a stage could not do; guarded by the end of its await

	why    exec.Reason // set when the supervisor ends it: Timeout, Cancelled, Lost
	detail string
	kill   bool // what is left is killed, no more asked

	over    bool // the first process was reaped, with status and usage
	status  syscall.WaitStatus
	usage   syscall.Rusage
	ended   time.Time
	closing bool // its end is being written

	inherited, seen int64 // KiB: the supervisor's peak when the task began, and what was seen of its first process

	timeout, grace, drain, look *time.Timer

	exit   exec.Exit
	failed error // it was never started, through no fault of its program
	done   chan struct{}
}

// await makes the exit of a task that is being started wait for the channel.
func (t *task) await() chan struct{} {
	known := make(chan struct{})
	t.awaits = append(t.awaits, known)
	return known
}

// start starts t unless a task of its ID was started before.
func (s *supervisor) start(ctx context.Context, spec *exec.Task) error {
	if spec == nil {
		return lastro.Errorf(lastro.EInvalid, "start without a task")
	}
	if err := spec.Check(); err != nil {
		return err
	}
	t, err := s.admit(spec.ID)
	if t == nil || err != nil {
		return err
	}
	if err := s.prepare(t, spec); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.failed = err
		s.remove(t)
		return err
	}
	s.forking.RLock() // until the first process is known, nobody reaps it
	defer s.forking.RUnlock()
	pid, err := s.spawn(t, spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		t.started = time.Time{}
		s.finish(t, exec.Exit{Reason: exec.StartFailed, Code: -1, Detail: err.Error(), Ended: time.Now().UTC()})
		return nil
	}
	s.adopt(ctx, t, pid, spec.Timeout)
	return nil
}

// admit returns a new task that is starting, or nil when its ID is in use.
func (s *supervisor) admit(id string) (*task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errEnding
	}
	if s.live[id] != nil {
		return nil, nil
	}
	if s.records.exit(id) != nil {
		return nil, nil
	}
	t := &task{id: id, mark: newMark(), first: pidRecord{Birth: ticksNow()}, started: time.Now(), done: make(chan struct{})}
	s.live[id] = t
	s.rearm()
	return t, nil
}

// prepare makes the directories, the log and the record of a task.
func (s *supervisor) prepare(t *task, spec *exec.Task) error {
	for _, dir := range spec.MakeDirs {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	var err error
	if t.log, err = openLog(spec.LogPath); err != nil {
		return err
	}
	return s.records.add(record{ID: t.id, Start: &startRecord{Started: t.started.UTC(), Mark: t.mark, Boot: s.boot}})
}

// makeDir is os.MkdirAll for a folder whose parent most often is there.
func makeDir(dir string) error {
	if os.Mkdir(dir, 0o700) == nil {
		return nil
	}
	return os.MkdirAll(dir, 0o700)
}

func openLog(path string) (*os.File, error) {
	const appending = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	f, err := os.OpenFile(path, appending, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, appending, 0o600)
}

// adopt takes charge of the process that was started for t; s.mu is held. Who
// was asked to end while it was being started is asked now.
func (s *supervisor) adopt(ctx context.Context, t *task, pid int, timeout time.Duration) {
	t.first.PID = pid
	t.inherited = ownPeak()
	s.watchPeak(t, firstPeak)
	if err := s.records.add(record{ID: t.id, First: &t.first}); err != nil {
		s.log.WarnContext(ctx, "process id not recorded", "task", t.id, "err", err)
	}
	if timeout > 0 {
		t.timeout = time.AfterFunc(timeout, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stop(t, exec.Timeout, fmt.Sprintf("after %s", timeout))
		})
	}
	if t.why != "" {
		s.ask(t)
	}
}

// stop asks a task to end, and makes it after the grace time; s.mu is held.
// A task that ended or was asked before stays as it is.
func (s *supervisor) stop(t *task, why exec.Reason, detail string) {
	if t.over || t.closing || t.why != "" {
		return
	}
	t.why, t.detail = why, detail
	if t.first.PID != 0 {
		s.ask(t)
	}
}

// signal sends sig to every process of the task; s.mu is held. A sandbox's own
// process is not asked, but killed when all is: it ends with what it holds.
func (s *supervisor) signal(t *task, sig syscall.Signal) {
	if t.closing {
		return
	}
	spare := t.cell.wrapped && sig != syscall.SIGKILL
	if !t.over && !spare { // until it is reaped, nobody else can have its process group
		_ = syscall.Kill(-t.first.PID, sig)
	}
	for _, p := range allProcs() {
		switch {
		case !p.belongs(t.mark, t.first) || spare && p.pid == t.first.PID:
		case t.over || spare || p.pgrp != t.first.PID:
			_ = syscall.Kill(p.pid, sig)
		}
	}
	if sig == syscall.SIGKILL {
		t.cell.group.kill()
	}
}

// reaped notes that the first process of the task was reaped; s.mu is held.
func (s *supervisor) reaped(t *task, status syscall.WaitStatus, usage syscall.Rusage) {
	t.over, t.status, t.ended = true, status, time.Now()
	stopTimer(&t.look)
	t.alsoUsed(usage) // a sandbox's init may have been reaped before
	stopTimer(&t.timeout)
	t.kill = t.kill || t.why == "" // who ends by itself leaves nobody behind; who was asked to end has the grace time for all
}

// alsoUsed adds what another process of the task used, and those it waited for.
func (t *task) alsoUsed(u syscall.Rusage) {
	add := func(a, b syscall.Timeval) syscall.Timeval { return syscall.NsecToTimeval(a.Nano() + b.Nano()) }
	t.usage.Utime, t.usage.Stime = add(t.usage.Utime, u.Utime), add(t.usage.Stime, u.Stime)
	t.usage.Maxrss = max(t.usage.Maxrss, u.Maxrss)
}

// settle ends what the first process left behind, and then the task; s.mu is
// held. It is called again whenever a child was reaped. Deeper descendants
// become strays when their parents die.
func (s *supervisor) settle(t *task, strays []proc) {
	if !t.over || t.closing {
		return
	}
	left := t.left(strays)
	if left == 0 && t.cell.group.empty() {
		s.finish(t, t.result())
		return
	}
	if !t.kill {
		return
	}
	for _, p := range strays {
		if p.belongs(t.mark, t.first) {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	if t.cell.group != nil {
		// What is left there need not be a child of this process yet.
		t.cell.group.kill()
		time.AfterFunc(groupPoll, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle(t, s.strays())
		})
	}
	if t.drain == nil {
		t.drain = time.AfterFunc(s.opts.Grace, func() { s.giveUp(t) })
	}
}

// groupPoll is how soon a control group is looked at again that is not empty.
const groupPoll = 2 * time.Millisecond

// giveUp ends a task although processes of it will not die, such as those that
// wait for a dead network disk.
func (s *supervisor) giveUp(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.closing {
		return
	}
	e := t.result()
	e.Detail = fmt.Sprintf("%d of its processes do not die", max(1, t.left(s.strays())))
	s.finish(t, e)
}

// left counts the strays that are of t.
func (t *task) left(strays []proc) int {
	n := 0
	for _, p := range strays {
		if p.belongs(t.mark, t.first) {
			n++
		}
	}
	return n
}

// result is the exit of a task whose first process was reaped.
func (t *task) result() exec.Exit {
	e := exec.Exit{Reason: exec.Exited, Code: -1, Detail: t.detail, Started: t.started.UTC(), Ended: t.ended.UTC()}
	status := int(t.status.ExitStatus())
	switch {
	case t.status.Signaled():
		e.Reason, e.Signal = exec.Signal, int(t.status.Signal())
	case t.cell.wrapped && status > 128 && status <= 128+64: // how a sandbox tells of a signal, as a shell does
		e.Reason, e.Signal = exec.Signal, status-128
	default:
		e.Code = status
	}
	e.UserCPU = time.Duration(t.usage.Utime.Nano())
	e.SysCPU = time.Duration(t.usage.Stime.Nano())
	e.MaxRSS = t.maxRSS()
	if peak := t.cell.group.peak(); peak > 0 {
		e.MaxRSS = peak
	}
	switch {
	case t.why != "":
		e.Reason = t.why
	case !e.OK() && t.cell.group.oomKilled():
		e.Reason, e.Code = exec.OOM, -1
	}
	return e
}

// finish ends a task; s.mu is held. Something of it may still be on its
// way when the last process is gone.
func (s *supervisor) finish(t *task, e exec.Exit) {
	t.closing = true
	stopTimer(&t.timeout)
	stopTimer(&t.grace)
	stopTimer(&t.drain)
	stopTimer(&t.look)
	e.Isolation = t.cell.String()
	if len(t.awaits) == 0 {
		s.conclude(t, e)
		return
	}
	go func() {
		giveUp := time.After(s.opts.Grace) // a process that does not die holds the pipe
		for _, known := range t.awaits {
			select {
			case <-known:
			case <-giveUp:
				giveUp = time.After(0)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.refused != "" {
			e = exec.Exit{Reason: exec.StartFailed, Code: -1, Detail: t.refused, Ended: e.Ended, Isolation: e.Isolation}
		}
		s.conclude(t, e)
	}()
}

// conclude records the exit and tells who waits; s.mu is held. When the record
// cannot be written (a full disk), those who wait now still learn the truth;
// later ones find it lost.
func (s *supervisor) conclude(t *task, e exec.Exit) {
	if err := s.records.add(record{ID: t.id, Exit: &e}); err != nil {
		s.log.Error("exit record not written", "task", t.id, "exit", e.String(), "err", err)
	}
	t.exit = e
	s.remove(t)
}

// remove lets go of a task that is over; s.mu is held.
func (s *supervisor) remove(t *task) {
	close(t.done)
	delete(s.live, t.id)
	s.rearm()
	if t.log != nil {
		s.logs.ended(t.log)
	}
	t.cell.release()
}
