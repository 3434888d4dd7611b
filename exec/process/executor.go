// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"lastro"
	"lastro/exec"
)

// Executor is an engine's connection to its supervisor. When the supervisor is
// killed, the next call (also a Wait under way) starts another one, which
// finds the tasks of the first and reports them lost.
type Executor struct {
	opts Options

	mu     sync.Mutex // guards what follows; held while connecting
	link   *link
	closed bool

	past past
}

var _ exec.Executor = (*Executor)(nil)

// errClosed is the cause of calls after Close.
var errClosed = lastro.Errorf(lastro.EErrored, "the executor is closed")

// errBroken says that the supervisor went away before it answered.
var errBroken = errors.New("the supervisor went away")

// maxBroken is how many supervisors may go away during one call.
const maxBroken = 5

// Open connects to the living supervisor of opts.Dir, or starts one.
func Open(ctx context.Context, opts Options) (*Executor, error) {
	for _, p := range []string{opts.Dir, opts.TrackSocket} {
		if p != "" && !filepath.IsAbs(p) || opts.Dir == "" {
			return nil, lastro.Errorf(lastro.EInvalid, "supervisor path %q is not absolute", p)
		}
	}
	e := &Executor{opts: opts}
	if _, err := e.connected(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// TrackURL is the base address that steps reach tracking by,
// "http://127.0.0.1:PORT". It stays the same while the supervisor lives, so
// read it when a task is made, not once.
func (e *Executor) TrackURL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("http://127.0.0.1:%d", e.link.peerHello.TrackPort)
}

// SupervisorPID is the process id of the supervisor last spoken to.
func (e *Executor) SupervisorPID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link.peerHello.PID
}

// Start implements exec.Executor.
func (e *Executor) Start(ctx context.Context, t exec.Task) error {
	if err := t.Check(); err != nil {
		return err
	}
	_, err := e.call(ctx, request{Op: opStart, ID: t.ID, Task: &t})
	return err
}

// Wait implements exec.Executor.
func (e *Executor) Wait(ctx context.Context, id string) (exec.Exit, error) {
	return e.exit(ctx, request{Op: opWait, ID: id})
}

// Run is Start and then Wait in one exchange with the supervisor. When ctx ends
// first the task goes on, or was never started: Stop makes sure.
func (e *Executor) Run(ctx context.Context, t exec.Task) (exec.Exit, error) {
	if err := t.Check(); err != nil {
		return exec.Exit{}, err
	}
	return e.exit(ctx, request{Op: opRun, ID: t.ID, Task: &t})
}

func (e *Executor) exit(ctx context.Context, req request) (exec.Exit, error) {
	rep, err := e.call(ctx, req)
	if err != nil {
		return exec.Exit{}, err
	}
	e.past.ended(req.ID)
	return *rep.Exit, nil
}

// Stop implements exec.Executor.
func (e *Executor) Stop(ctx context.Context, id, why string) error {
	_, err := e.call(ctx, request{Op: opStop, ID: id, Why: why})
	return err
}

// List implements exec.Executor.
func (e *Executor) List(ctx context.Context) ([]exec.Status, error) {
	rep, err := e.call(ctx, request{Op: opList})
	return rep.List, err
}

// Forget implements exec.Executor. What is known to have ended is forgotten
// together with the next question that is asked, or soon: nobody waits for it.
func (e *Executor) Forget(ctx context.Context, id string) error {
	if e.past.forget(id, e.flush) {
		return nil
	}
	_, err := e.call(ctx, request{Op: opForget, ID: id})
	return err
}

// flush tells the supervisor what is to be forgotten. When it is not there, the
// next call does.
func (e *Executor) flush() {
	e.mu.Lock()
	l := e.link
	closed := e.closed
	e.mu.Unlock()
	if !closed && l != nil && l.alive() {
		if ids := e.past.take(); len(ids) > 0 {
			_ = l.send(request{Op: opNone, Forget: ids})
		}
	}
}

// Close implements exec.Executor. Calls under way end with an error.
func (e *Executor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	if ids := e.past.take(); len(ids) > 0 {
		_ = e.link.send(request{Op: opNone, Forget: ids})
	}
	return e.link.close()
}

// call sends a request and waits for its reply. Every operation is idempotent,
// so it is asked again when the supervisor went away.
func (e *Executor) call(ctx context.Context, req request) (reply, error) {
	req.Forget = e.past.take()
	for broken := 0; ; broken++ {
		l, err := e.connected(ctx)
		if err != nil {
			return reply{}, err
		}
		rep, err := l.call(ctx, req)
		if err == nil {
			return rep, rep.Err.err()
		}
		if !errors.Is(err, errBroken) {
			return reply{}, err
		}
		if broken == maxBroken {
			return reply{}, lastro.Errorf(lastro.EErrored, "task %q: the supervisor went away %d times; see %s", req.ID, broken+1, filepath.Join(e.opts.Dir, logFile))
		}
	}
}

// connected returns a living connection, making one when there is none.
func (e *Executor) connected(ctx context.Context) (*link, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if e.link != nil && e.link.alive() {
		return e.link, nil
	}
	l, err := connect(ctx, e.opts)
	if err != nil {
		return nil, err
	}
	e.link = l
	return l, nil
}

// link is one connection to a supervisor.
type link struct {
	*peer
	peerHello hello
	broken    chan struct{} // closed when the connection ended

	mu      sync.Mutex
	n       uint64
	waiting map[uint64]chan reply
}

// hail connects to a living supervisor.
func hail(ctx context.Context, opts Options, pid int) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := DialUnix(ctx, filepath.Join(opts.Dir, socketFile))
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p := newPeer(conn)
	var rep reply
	err = p.send(request{Op: opHello, Hello: &hello{Protocol: protocol, TrackSocket: opts.TrackSocket, PID: pid}})
	if err == nil {
		err = p.receive(&rep)
	}
	if err != nil || rep.Hello == nil {
		conn.Close()
		return nil, errBroken
	}
	if rep.Hello.Protocol != protocol {
		conn.Close()
		return nil, &lastro.Error{Code: lastro.EErrored,
			Msg:  fmt.Sprintf("the supervisor of %s (process %d) is of another version of lastro", opts.Dir, rep.Hello.PID),
			Hint: fmt.Sprintf("it ends by itself a few seconds after its steps and the other lastro; or: kill %d, which ends its steps", rep.Hello.PID)}
	}
	l := &link{peer: p, peerHello: *rep.Hello, broken: make(chan struct{}), waiting: map[uint64]chan reply{}}
	go l.readLoop()
	return l, nil
}

// readLoop hands out replies until the connection ends.
func (l *link) readLoop() {
	defer close(l.broken)
	for {
		var rep reply
		if l.receive(&rep) != nil {
			return
		}
		l.mu.Lock()
		ch := l.waiting[rep.N]
		delete(l.waiting, rep.N)
		l.mu.Unlock()
		if ch != nil {
			ch <- rep // has room for the only reply
		}
	}
}

func (l *link) call(ctx context.Context, req request) (reply, error) {
	ch := make(chan reply, 1)
	l.mu.Lock()
	l.n++
	req.N = l.n
	l.waiting[req.N] = ch
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, req.N)
		l.mu.Unlock()
	}()
	if l.send(req) != nil {
		l.conn.Close()
		return reply{}, errBroken
	}
	select {
	case rep := <-ch:
		return rep, nil
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	case <-l.broken:
	}
	select { // the reply may have come just before the end
	case rep := <-ch:
		return rep, nil
	default:
		return reply{}, errBroken
	}
}

func (l *link) alive() bool {
	select {
	case <-l.broken:
		return false
	default:
		return true
	}
}

// close ends the connection and waits for its reader.
func (l *link) close() error {
	err := l.conn.Close()
	<-l.broken
	return err
}
