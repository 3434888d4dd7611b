// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"bytes"
	"context"
	encoding "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastro"
	"lastro/data"
)

// ClientOptions say how to start the worker.
type ClientOptions struct {
	Program string        // what speaks Serve's protocol on stdin and stdout: the lastro binary ...
	Args    []string      // ... and its arguments: data-worker
	Env     []string      // its whole environment; nil = PATH and TMPDIR of this process
	Idle    time.Duration // the worker ends after this long without a request; 0 = 30 s
}

// Client implements data.Engine in a worker process. The first request starts
// the worker; one that dies fails the requests that it was working on, with
// EErrored, and the next request starts another. Safe for concurrent use.
type Client struct {
	opts ClientOptions

	mu     sync.Mutex // guards what follows
	proc   *process
	nextID int64
	idle   *time.Timer
	closed bool
}

var _ data.Engine = (*Client)(nil)

// NewClient makes a client; nothing is started yet.
func NewClient(o ClientOptions) *Client {
	if o.Idle == 0 {
		o.Idle = 30 * time.Second
	}
	if o.Env == nil {
		for _, name := range []string{"PATH", "TMPDIR"} {
			if v, ok := os.LookupEnv(name); ok {
				o.Env = append(o.Env, name+"="+v)
			}
		}
		o.Env = append(o.Env, "LC_ALL=C.UTF-8")
	}
	return &Client{opts: o}
}

// Close ends the worker; running requests fail. The client cannot be used
// afterwards.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	p := c.proc
	c.proc = nil
	c.mu.Unlock()
	if p != nil {
		p.stop()
	}
	return nil
}

// Running reports whether a worker process is there now.
func (c *Client) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc != nil
}

// process is one worker.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr *tail
	done   chan struct{} // closed when it has ended and why is known

	write sync.Mutex // one frame at a time

	mu      sync.Mutex // guards waiting and why
	waiting map[int64]chan response
	why     error
}

func (c *Client) call(ctx context.Context, method string, params, into any) error {
	raw, err := encoding.Marshal(params)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	p, id, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.release(p)
	answer := make(chan response, 1)
	p.mu.Lock()
	p.waiting[id] = answer
	p.mu.Unlock()
	if err := p.send(request{ID: id, Method: method, Params: raw}); err != nil {
		<-p.done // it cannot be written to any more: it is ending
		return p.endedIn(ctx)
	}
	select {
	case res := <-answer:
		return decode(res, into)
	case <-p.done:
		select { // the answer may have come just before the end
		case res := <-answer:
			return decode(res, into)
		default:
			return p.endedIn(ctx)
		}
	case <-ctx.Done():
		p.forget(id)
		return context.Cause(ctx)
	}
}

func decode(res response, into any) error {
	if err := res.err(); err != nil {
		return err
	}
	if err := encoding.Unmarshal(res.Result, into); err != nil {
		return fmt.Errorf("read the data worker's answer: %w", err)
	}
	return nil
}

// acquire returns a living worker and a number for a request.
func (c *Client) acquire() (*process, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, 0, lastro.Errorf(lastro.EErrored, "the data engine is closed")
	}
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.proc != nil {
		select {
		case <-c.proc.done:
			c.proc = nil
		default:
		}
	}
	if c.proc == nil {
		p, err := start(c.opts)
		if err != nil {
			return nil, 0, err
		}
		c.proc = p
	}
	c.nextID++
	return c.proc, c.nextID, nil
}

// release starts the idle clock when nothing runs any more.
func (c *Client) release(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != p || p.busy() {
		return
	}
	c.idle = time.AfterFunc(c.opts.Idle, func() {
		c.mu.Lock()
		if c.proc != p || p.busy() {
			c.mu.Unlock()
			return
		}
		c.proc = nil
		c.mu.Unlock()
		p.stop()
	})
}

func start(o ClientOptions) (*process, error) {
	cmd := exec.Command(o.Program, o.Args...)
	cmd.Env = o.Env
	p := &process{cmd: cmd, stderr: &tail{}, done: make(chan struct{}), waiting: map[int64]chan response{}}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = 5 * time.Second
	// In a group of its own a ctrl-C at the terminal does not reach the worker:
	// the request is cancelled in order instead.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0524", Msg: "the data worker cannot be started", Hint: "is the lastro binary still where it was?", Err: err}
	}
	go p.read(out)
	return p, nil
}

// read hands answers to who waits for them, until the worker ends.
func (p *process) read(out io.Reader) {
	var broken error
	for {
		var res response
		if broken = readFrame(out, &res); broken != nil {
			break
		}
		p.mu.Lock()
		if answer := p.waiting[res.ID]; answer != nil {
			answer <- res
			delete(p.waiting, res.ID)
		}
		p.mu.Unlock()
	}
	if !errors.Is(broken, io.EOF) {
		_ = p.cmd.Process.Kill() // it no longer speaks the protocol
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.why = crashed(err, p.stderr.String())
	p.mu.Unlock()
	close(p.done)
}

// crashed says how a worker that was still needed ended.
func crashed(err error, stderr string) error {
	e := &lastro.Error{Code: lastro.EErrored, ID: "L0525", Msg: "the data worker ended in the middle of its work"}
	if err != nil {
		e.Msg += " (" + err.Error() + ")"
	}
	e.Hint = "run the same command again: a new worker is started"
	if err != nil && strings.Contains(err.Error(), "killed") {
		e.Hint = "the machine may have run out of memory: free some, then run the same command again"
	}
	if stderr != "" {
		e.Notes = strings.Split(stderr, "\n")
	}
	return e
}

func (p *process) send(v any) error {
	p.write.Lock()
	defer p.write.Unlock()
	return writeFrame(p.in, v)
}

// forget cancels a request that nobody waits for any more.
func (p *process) forget(id int64) {
	p.mu.Lock()
	delete(p.waiting, id)
	p.mu.Unlock()
	_ = p.send(request{ID: id, Method: "cancel"})
}

func (p *process) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

func (p *process) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// endedIn is ended for a request. A ctrl-C at the very moment of the fork still
// finds the worker in our process group: then the request was cancelled too,
// and ctx says so an instant later.
func (p *process) endedIn(ctx context.Context) error {
	if state := p.cmd.ProcessState; state != nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGINT {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
	}
	return p.ended()
}

// stop ends the worker: it stops by itself when its input ends, and is killed
// when it does not.
func (p *process) stop() {
	p.in.Close()
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tail keeps the last 2 KiB of what the worker says on stderr.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - 2048; extra > 0 {
		t.buf = t.buf[extra:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// Describe implements data.Engine.
func (c *Client) Describe(ctx context.Context, t data.Table) (out data.Schema, err error) {
	err = c.call(ctx, "describe", t, &out)
	return out, err
}

// Check implements data.Engine.
func (c *Client) Check(ctx context.Context, req data.CheckRequest) (out data.Report, err error) {
	err = c.call(ctx, "check", req, &out)
	return out, err
}

// Split implements data.Engine.
func (c *Client) Split(ctx context.Context, req data.SplitRequest) (out data.SplitResult, err error) {
	err = c.call(ctx, "split", req, &out)
	return out, err
}

// Project implements data.Engine.
func (c *Client) Project(ctx context.Context, req data.ProjectRequest) (out data.Written, err error) {
	err = c.call(ctx, "project", req, &out)
	return out, err
}

// Columns implements data.Engine.
func (c *Client) Columns(ctx context.Context, req data.ColumnsRequest) (out []data.Column, err error) {
	err = c.call(ctx, "columns", req, &out)
	return out, err
}

// Scores implements data.Engine.
func (c *Client) Scores(ctx context.Context, req data.ScoresRequest) (out data.Scores, err error) {
	err = c.call(ctx, "scores", req, &out)
	return out, err
}

// GroupCounts implements data.Engine.
func (c *Client) GroupCounts(ctx context.Context, req data.GroupCountsRequest) (out []data.GroupCounts, err error) {
	err = c.call(ctx, "groups", req, &out)
	return out, err
}

// Count implements data.Engine.
func (c *Client) Count(ctx context.Context, req data.CountRequest) (out data.Count, err error) {
	err = c.call(ctx, "count", req, &out)
	return out, err
}

// Typed implements data.Engine.
func (c *Client) Typed(ctx context.Context, req data.TypedRequest) (out data.Written, err error) {
	err = c.call(ctx, "typed", req, &out)
	return out, err
}

// Compact implements data.Engine.
func (c *Client) Compact(ctx context.Context, req data.CompactRequest) (out data.Written, err error) {
	err = c.call(ctx, "compact", req, &out)
	return out, err
}
