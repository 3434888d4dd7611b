// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastro"
)

// stopGrace is how long a worker may take to leave after its input has ended.
const stopGrace = 2 * time.Second

// worker is one process that holds a model and answers one request at a time.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
	dead   chan struct{} // closed when the process has ended
	hello  WorkerHello
}

// startWorker starts a process and waits until its model is loaded. The
// caller's goroutine must stay locked to its thread as long as the worker
// lives: the kernel kills the worker when that thread ends (PDEATHSIG), which
// is how none outlives a gateway that was killed.
func startWorker(spec PoolSpec, stop <-chan struct{}) (*worker, error) {
	w := &worker{cmd: exec.Command(spec.Argv[0], spec.Argv[1:]...), stderr: &tail{}, dead: make(chan struct{})}
	w.cmd.Env, w.cmd.Dir, w.cmd.Stderr = spec.Env, spec.Dir, w.stderr
	w.cmd.SysProcAttr = workerProcess()
	w.cmd.WaitDelay = stopGrace
	in, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.in, w.out = in, bufio.NewReaderSize(out, 64<<10)
	if err := w.cmd.Start(); err != nil {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0612", Msg: fmt.Sprintf("the worker of %s cannot be started", spec.Load.Name),
			Hint: "check that the interpreter of the model's environment exists and can be run", Err: err}
	}
	if err := w.greet(spec, stop); err != nil {
		w.kill()
		// Wait only after the pipe was read to its end, as os/exec asks.
		w.cmd.Wait()
		close(w.dead)
		return nil, w.loadError(spec, err)
	}
	return w, nil
}

// greet sends the script and the folder, and reads the worker's first word.
func (w *worker) greet(spec PoolSpec, stop <-chan struct{}) error {
	done := make(chan struct{})
	defer close(done)
	started := time.Now()
	go func() {
		select {
		case <-done:
		case <-stop:
			w.kill()
		case <-time.After(spec.StartTimeout):
			w.kill()
		}
	}()
	if spec.Preamble != nil {
		if err := writeBytes(w.in, spec.Preamble); err != nil {
			return err
		}
	}
	if err := WriteFrame(w.in, spec.Load); err != nil {
		return err
	}
	err := ReadFrame(w.out, &w.hello)
	switch {
	case err != nil && time.Since(started) >= spec.StartTimeout:
		return fmt.Errorf("it was not loaded within %s", spec.StartTimeout)
	case err != nil:
		return errors.New("its process ended while loading")
	case !w.hello.Ready:
		return errors.New(w.hello.Error)
	}
	return nil
}

// loadError is what a person reads when a model does not load: the model's own
// last words.
func (w *worker) loadError(spec PoolSpec, err error) error {
	e := &lastro.Error{Code: lastro.EFailed, ID: "L0613", Msg: fmt.Sprintf("%s does not load: %v", spec.Load.Name, err), Hint: spec.Hint}
	e.Notes = w.stderr.lines()
	return e
}

// ask sends a request and reads the answer; an error means that the worker is
// of no more use.
func (w *worker) ask(req WorkerRequest) (WorkerReply, error) {
	var reply WorkerReply
	if err := WriteFrame(w.in, req); err != nil {
		return reply, err
	}
	if err := ReadFrame(w.out, &reply); err != nil {
		return reply, err
	}
	if reply.ID != req.ID {
		return reply, fmt.Errorf("answer %d to request %d", reply.ID, req.ID)
	}
	return reply, nil
}

func (w *worker) alive() bool {
	select {
	case <-w.dead:
		return false
	default:
		return true
	}
}

// kill ends the worker and whatever it started.
func (w *worker) kill() { syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) }

// tail keeps the last lines written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const (
	tailBytes = 8 << 10
	tailLines = 20
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimRight(string(t.text), "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-tailLines):]
}
