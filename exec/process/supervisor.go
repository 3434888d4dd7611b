// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"lastro/exec"
)

// The files of the control directory.
const (
	lockFile   = "supervisor.lock" // flock: who holds it is the supervisor
	socketFile = "supervisor.sock"
	logFile    = "supervisor.log"
	recordFile = "tasks.jsonl"
)

// readyVar names the descriptor on which a supervisor that Open started says
// one word: ready, busy (another one lives), or what went wrong.
const readyVar = "LASTRO_SUPERVISOR_READY_FD"

const (
	sayReady = "ready"
	sayBusy  = "busy"
)

// supervisor is the state of one supervisor process.
type supervisor struct {
	opts    SupervisorOptions
	log     *slog.Logger
	boot    string
	records *records
	stalls  stalls
	groups  groups
	logs    logSync
	null    *os.File // /dev/null, what tasks read
	forward *forwarder
	life    context.Context // ends with the supervisor
	quit    context.CancelCauseFunc

	forking sync.RWMutex // held while a first process is started, until it is known; before mu

	mu      sync.Mutex
	live    map[string]*task // by ID; a task leaves when its record is on disk
	engines int              // connections of engines
	closing bool             // no task starts any more
	idle    *time.Timer      // runs while there is neither task nor engine
	orphan  *time.Timer      // runs while there is no engine
}

// errIdle is why a supervisor ends that nobody needs.
var errIdle = errors.New("neither task nor engine")

// RunSupervisor is the supervisor process: it returns when it has been idle
// for a while, when ctx ends or the process is asked to by SIGTERM or SIGINT
// (after stopping its tasks, which are then lost), or at once with a nil error
// when another supervisor holds opts.Dir. It changes the whole process (umask,
// session, working directory, reaping of children), so nothing else may run in it.
func RunSupervisor(ctx context.Context, opts SupervisorOptions) error {
	ready := openReady()
	defer ready.Close()
	dir, err := filepath.Abs(opts.Dir)
	if err == nil {
		opts.Dir = dir // the working directory will change
		err = runSupervisor(ctx, opts.withDefaults(), ready)
	}
	if err != nil {
		fmt.Fprint(ready, err)
	}
	return err
}

// openReady returns where to say that the supervisor is ready.
func openReady() *os.File {
	var fd int
	if _, err := fmt.Sscan(os.Getenv(readyVar), &fd); err != nil || fd < 3 {
		f, _ := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return f
	}
	os.Unsetenv(readyVar)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
}

func runSupervisor(ctx context.Context, opts SupervisorOptions, ready *os.File) error {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	syscall.Umask(0o077)
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return err
	}
	lock, err := takeLock(filepath.Join(opts.Dir, lockFile))
	if err != nil || lock == nil {
		fmt.Fprint(ready, sayBusy)
		return err
	}
	defer lock.Close()
	if err := becomeSupervisor(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)

	recs, err := openRecords(filepath.Join(opts.Dir, recordFile))
	if err != nil {
		return err
	}
	defer recs.close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	s := &supervisor{
		opts: opts, log: log, boot: bootID(), quit: quit, null: null,
		records: recs,
		stalls:  stalls{all: map[string]*stall{}},
		groups:  findGroups(),
		logs:    logSync{logs: map[*os.File]*logState{}},
		life:    ctx,
		live:    map[string]*task{},
	}
	if err := s.bury(); err != nil {
		return err
	}
	s.groups.sweep()
	return s.run(ctx, ready)
}

// takeLock returns nil without an error when another process holds the lock.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// becomeSupervisor leaves the terminal's session and makes every descendant
// that loses its parent a child of this process.
func becomeSupervisor() error {
	_, _ = syscall.Setsid()        // fails when this process leads a session already, as when Open started it
	const prSetChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of linux/prctl.h
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("become a subreaper: %w", errno)
	}
	return os.Chdir("/")
}

// run serves engines until the supervisor ends.
func (s *supervisor) run(ctx context.Context, ready *os.File) error {
	var err error
	if s.forward, err = newForwarder(s.opts.TrackSocket, s.opts.DialFor, s.log); err != nil {
		return err
	}
	defer s.forward.listener.Close()
	listener, err := ListenUnix(filepath.Join(s.opts.Dir, socketFile))
	if err != nil {
		return err
	}
	defer listener.Close()

	var all sync.WaitGroup
	reaping, stopReaping := context.WithCancel(context.Background())
	all.Go(func() { s.reapLoop(reaping) })
	all.Go(func() { s.logs.run(reaping) })
	all.Go(func() { s.forward.serve(ctx, s.forward.listener) })
	all.Go(func() { s.acceptLoop(ctx, listener) })
	s.mu.Lock()
	s.rearm()
	s.mu.Unlock()
	fmt.Fprint(ready, sayReady)
	ready.Close()
	s.log.InfoContext(ctx, "supervisor ready", "pid", os.Getpid(), "track_port", s.forward.port())

	<-ctx.Done()
	listener.Close()
	s.forward.listener.Close()
	s.stopAll("the supervisor was asked to end")
	stopReaping()
	all.Wait()
	s.log.InfoContext(ctx, "supervisor ends", "why", context.Cause(ctx))
	return nil
}

// rearm sets the timers that depend on whether there are engines and tasks;
// s.mu is held.
func (s *supervisor) rearm() {
	if s.engines > 0 || s.closing {
		stopTimer(&s.idle)
		stopTimer(&s.orphan)
		return
	}
	if len(s.live) > 0 {
		stopTimer(&s.idle)
		if s.orphan == nil {
			s.orphan = time.AfterFunc(s.opts.OrphanAfter, s.endOrphans)
		}
		return
	}
	stopTimer(&s.orphan)
	if s.idle == nil {
		s.idle = time.AfterFunc(s.opts.IdleAfter, s.endIdle)
	}
}

func stopTimer(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// endIdle ends the supervisor unless somebody came while the timer fired.
func (s *supervisor) endIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle == nil || s.engines > 0 || len(s.live) > 0 {
		return
	}
	s.closing = true
	s.quit(errIdle)
}

// endOrphans stops the tasks that no engine has watched for too long.
func (s *supervisor) endOrphans() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orphan == nil || s.engines > 0 {
		return
	}
	for _, t := range s.live {
		s.stop(t, exec.Lost, fmt.Sprintf("no engine came back for %s", s.opts.OrphanAfter))
	}
}

// stopAll stops every task and waits until their records are written.
func (s *supervisor) stopAll(why string) {
	s.mu.Lock()
	s.closing = true
	var left []*task
	for _, t := range s.live {
		s.stop(t, exec.Lost, why)
		left = append(left, t)
	}
	s.mu.Unlock()
	for _, t := range left {
		<-t.done
	}
}

// acceptLoop serves each engine until the listener is closed.
func (s *supervisor) acceptLoop(ctx context.Context, l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.log.WarnContext(ctx, "engine not accepted", "err", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		open.Go(func() { s.serve(ctx, conn) })
	}
}
