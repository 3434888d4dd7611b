// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lastro"
	"lastro/exec"
)

// task is one task that runs, or whose end is being written. Its fields are
// guarded by supervisor.mu, but for exit, which is set before done is closed.
//
//	running -> (stop asked: SIGTERM, grace, SIGKILL) -> first process reaped
//	        -> what it left behind is ended and reaped -> exit.json -> done
type task struct {
	id      string
	mark    uint64
	first   pidRecord
	started time.Time
	log     *os.File

	why    exec.Reason // set when the supervisor ends it: Timeout, Cancelled, Lost
	detail string
	kill   bool // what is left is killed, no more asked

	over    bool // the first process was reaped, with status and usage
	status  syscall.WaitStatus
	usage   syscall.Rusage
	closing bool // its end is being written

	timeout, grace, drain *time.Timer

	exit exec.Exit
	done chan struct{}
}

// start starts t unless a task of its ID was started before.
func (s *supervisor) start(ctx context.Context, spec *exec.Task) error {
	if spec == nil {
		return lastro.Errorf(lastro.EInvalid, "start without a task")
	}
	if err := spec.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errEnding
	}
	if s.live[spec.ID] != nil {
		return nil
	}
	if e, err := s.records.exit(spec.ID); e != nil || err != nil {
		return err
	}
	log, err := prepare(spec)
	if err != nil {
		return err
	}
	t := &task{id: spec.ID, started: time.Now(), log: log, done: make(chan struct{})}
	mark := newMark()
	if err := s.records.begin(startRecord{ID: t.id, Started: t.started.UTC(), Mark: mark, Boot: s.boot}); err != nil {
		log.Close()
		return err
	}
	s.live[t.id] = t
	s.rearm()
	pid, mark, err := s.spawn.start(*spec, mark, log)
	if err != nil {
		t.started = time.Time{}
		s.finish(t, exec.Exit{Reason: exec.StartFailed, Code: -1, Detail: err.Error(), Ended: time.Now().UTC()})
		return nil
	}
	s.adopt(ctx, t, pid, mark, spec.Timeout)
	return nil
}

// prepare makes the directories and the log of a task.
func prepare(spec *exec.Task) (*os.File, error) {
	for _, dir := range spec.MakeDirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(spec.LogPath), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(spec.LogPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// adopt takes charge of the process that was started for t.
func (s *supervisor) adopt(ctx context.Context, t *task, pid int, mark uint64, timeout time.Duration) {
	t.mark, t.first = mark, pidRecord{PID: pid}
	if p, ok := readProc(pid); ok {
		t.first.Birth = p.birth
	}
	if err := s.records.setPID(t.id, t.first); err != nil {
		s.log.WarnContext(ctx, "process id not recorded", "task", t.id, "err", err)
	}
	if timeout > 0 {
		t.timeout = time.AfterFunc(timeout, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stop(t, exec.Timeout, fmt.Sprintf("after %s", timeout))
		})
	}
	go s.syncLog(t)
}

// stop asks a task to end, and makes it after the grace time; s.mu is held.
// A task that ended or was asked before stays as it is.
func (s *supervisor) stop(t *task, why exec.Reason, detail string) {
	if t.over || t.closing || t.why != "" {
		return
	}
	t.why, t.detail = why, detail
	s.signal(t, syscall.SIGTERM)
	t.grace = time.AfterFunc(s.opts.Grace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.kill = true
		s.signal(t, syscall.SIGKILL)
		s.settle(t)
	})
}

// signal sends sig to every process of the task; s.mu is held.
func (s *supervisor) signal(t *task, sig syscall.Signal) {
	if t.closing {
		return
	}
	if !t.over { // until it is reaped, nobody else can have its process group
		_ = syscall.Kill(-t.first.PID, sig)
	}
	for _, p := range allProcs() {
		if p.belongs(t.mark, t.first) && (t.over || p.pgrp != t.first.PID) {
			_ = syscall.Kill(p.pid, sig)
		}
	}
}

// ended notes that the first process of the task was reaped; s.mu is held.
func (s *supervisor) ended(t *task, status syscall.WaitStatus, usage syscall.Rusage) {
	t.over, t.status, t.usage = true, status, usage
	t.exit.Ended = time.Now().UTC()
	stopTimer(&t.timeout)
	t.kill = t.kill || t.why == "" // who ends by itself leaves nobody behind; who was asked to end has the grace time for all
	s.settle(t)
}

// settle ends what the first process left behind, and then the task; s.mu is
// held. It is called again whenever a child was reaped.
func (s *supervisor) settle(t *task) {
	if !t.over || t.closing {
		return
	}
	left := s.left(t)
	if len(left) == 0 {
		s.finish(t, t.result())
		return
	}
	if !t.kill {
		return
	}
	for _, p := range left {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	if t.drain == nil {
		t.drain = time.AfterFunc(s.opts.Grace, func() { s.giveUp(t) })
	}
}

// giveUp ends a task although processes of it will not die, such as those that
// wait for a dead network disk.
func (s *supervisor) giveUp(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.closing {
		return
	}
	e := t.result()
	e.Detail = fmt.Sprintf("%d of its processes do not die", len(s.left(t)))
	s.finish(t, e)
}

// left returns the children of this process that are of t. Deeper descendants
// become children when their parents die.
func (s *supervisor) left(t *task) []proc {
	var left []proc
	for _, p := range children() {
		if p.belongs(t.mark, t.first) {
			left = append(left, p)
		}
	}
	return left
}

// result is the exit of a task whose first process was reaped.
func (t *task) result() exec.Exit {
	e := t.exit
	e.Reason, e.Code, e.Detail = exec.Exited, -1, t.detail
	switch {
	case t.status.Signaled():
		e.Reason, e.Signal = exec.Signal, int(t.status.Signal())
	default:
		e.Code = t.status.ExitStatus()
	}
	if t.why != "" {
		e.Reason = t.why
	}
	e.Started = t.started.UTC()
	e.UserCPU = time.Duration(t.usage.Utime.Nano())
	e.SysCPU = time.Duration(t.usage.Stime.Nano())
	e.MaxRSS = t.usage.Maxrss * 1024 // Linux counts in KiB
	return e
}

// finish writes the exit record, without holding up other tasks, and then
// tells who waits; s.mu is held. When the record cannot be written (a full
// disk), those who wait now still learn the truth; later ones find it lost.
func (s *supervisor) finish(t *task, e exec.Exit) {
	t.closing = true
	stopTimer(&t.timeout)
	stopTimer(&t.grace)
	stopTimer(&t.drain)
	go func() {
		if err := s.records.end(t.id, e); err != nil {
			s.log.Error("exit record not written", "task", t.id, "exit", e.String(), "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t.exit = e
		close(t.done)
		delete(s.live, t.id)
		s.rearm()
		if e.Reason == exec.StartFailed {
			t.log.Close() // else syncLog does
		}
	}()
}

// syncLog makes what the task wrote durable within 200 ms.
func (s *supervisor) syncLog(t *task) {
	defer t.log.Close()
	var synced int64
	sync := func() {
		if fi, err := t.log.Stat(); err == nil && fi.Size() != synced {
			synced = fi.Size()
			_ = syscall.Fdatasync(int(t.log.Fd()))
		}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			sync()
		case <-t.done:
			sync()
			return
		}
	}
}
