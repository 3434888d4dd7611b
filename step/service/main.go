// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/secret"
)

const (
	stopWait   = 3 * time.Second // between SIGTERM and SIGKILL for the services
	tolerance  = time.Second     // a step may end its service and then itself
	ourFault   = 125             // exit status when this program could not do its work
	tailLines  = 8               // of a service's log, in an error
	ourAddress = "127.0.0.1"
)

// shell runs a command as steps do.
var shell = []string{"bash", "-euo", "pipefail", "-c"}

// Main is what Program runs; dir is its last argument. It returns
// the exit status of the process, or ends it by the signal that ended the step.
func Main(dir string, out io.Writer) int {
	// A child asks to be killed when the thread that started it ends.
	runtime.LockOSThread()
	raw, err := os.ReadFile(filepath.Join(dir, planFile))
	var p plan
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		fmt.Fprintln(out, "lastro: read the services of the step:", err)
		return ourFault
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	t := &team{plan: p, out: &lines{w: out}}
	state, err := t.run(ctx)
	t.end()
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(out, "lastro:", err)
		return refuse(dir, p.Secrets, err)
	}
	if state == nil { // asked to end before the step began
		return 128 + int(syscall.SIGTERM)
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), ws.Signal())
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// refuse leaves the error for Verdict. It quotes what services printed, which
// nobody has masked yet.
func refuse(dir string, secrets []string, err error) int {
	var e *lastro.Error
	if !errors.As(err, &e) {
		return ourFault
	}
	var values []string
	for _, name := range secrets {
		values = append(values, os.Getenv(name))
	}
	m := secret.NewMasker(values)
	flat := lastro.Error{Code: e.Code, ID: e.ID, Msg: m.String(e.Error()), Hint: e.Hint}
	for _, n := range e.Notes {
		flat.Notes = append(flat.Notes, m.String(n))
	}
	raw, merr := json.Marshal(flat)
	if merr == nil {
		merr = os.WriteFile(filepath.Join(dir, verdictFile), raw, 0o600)
	}
	if merr != nil {
		return ourFault
	}
	return 1
}

// team is the step's command with what runs beside it.
type team struct {
	plan
	out      *lines
	env      []string // of the step: its own and where it finds the services
	services []*process
}

// run returns how the step's command ended; nil when it did not begin.
func (t *team) run(ctx context.Context) (*os.ProcessState, error) {
	ports, err := t.ports()
	if err != nil {
		return nil, err
	}
	died := make(chan *process, len(t.Services))
	for i, s := range t.Services {
		p, err := t.start(s, ports[i], died)
		if err != nil {
			return nil, err
		}
		t.services = append(t.services, p)
		if err := p.ready(ctx, t.Wait); err != nil {
			return nil, err
		}
	}
	return t.command(ctx, died)
}

// ports chooses a free port for each service that names none, and refuses one
// that somebody has: readiness would ask the wrong program.
func (t *team) ports() ([]int, error) {
	t.env = os.Environ()
	out := make([]int, len(t.Services))
	for i, s := range t.Services {
		l, err := net.Listen("tcp", net.JoinHostPort(ourAddress, strconv.Itoa(s.Port)))
		if err != nil {
			return nil, &lastro.Error{Code: lastro.EFailed, ID: "L0378", Msg: fmt.Sprintf("port %d of service %q is in use by another program", s.Port, s.Name),
				Hint: "leave `port:` out: a free one is chosen, and the step and the service find it in $" + Variable(s.Name, "PORT"), Err: err}
		}
		defer l.Close() // when all are chosen, so that no two are the same
		out[i] = l.Addr().(*net.TCPAddr).Port
		t.env = append(t.env, fmt.Sprintf("%s=%d", Variable(s.Name, "PORT"), out[i]), fmt.Sprintf("%s=%s:%d", Variable(s.Name, "ADDR"), ourAddress, out[i]))
	}
	return out, nil
}

// start starts one service; died hears of it when it ends.
func (t *team) start(s pipeline.ServiceSpec, port int, died chan<- *process) (*process, error) {
	p := &process{spec: s, port: port, env: append(t.env[:len(t.env):len(t.env)], "PORT="+strconv.Itoa(port)), log: t.out.of(s.Name), over: make(chan struct{})}
	for name, v := range s.Env {
		p.env = append(p.env, name+"="+v)
	}
	p.cmd = osexec.Command(shell[0], append(shell[1:len(shell):len(shell)], s.Shell)...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second // for grandchildren that hold the log open
	if err := p.cmd.Start(); err != nil {
		return nil, &lastro.Error{Code: lastro.EFailed, ID: "L0375", Msg: fmt.Sprintf("service %q could not be started", s.Name), Err: err}
	}
	go func() {
		_ = p.cmd.Wait() // its state says how
		p.log.flush()
		close(p.over)
		died <- p
	}()
	return p, nil
}

// command runs the step's own command until it ends, or a service does.
func (t *team) command(ctx context.Context, died <-chan *process) (*os.ProcessState, error) {
	if ctx.Err() != nil {
		return nil, nil
	}
	cmd := osexec.Command(t.Argv[0], t.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = t.env, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, &lastro.Error{Code: lastro.EFailed, ID: "L0304", Msg: "could not start: " + err.Error(), Hint: "is the program installed, or listed in requirements.txt?"}
	}
	over := make(chan struct{})
	go func() { _ = cmd.Wait(); close(over) }()
	var service *process
	select {
	case <-over:
		return cmd.ProcessState, nil
	case service = <-died:
	}
	wait := tolerance
	if ctx.Err() != nil { // all were asked to end, and this one was the first
		wait = time.Hour // whoever asked will not wait that long
	}
	select {
	case <-over:
		if ctx.Err() != nil || cmd.ProcessState.Success() {
			return cmd.ProcessState, nil
		}
	case <-time.After(wait):
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-over:
		case <-time.After(stopWait):
			_ = cmd.Process.Kill()
			<-over
		}
	}
	return nil, service.failed("L0379", "ended while the step needed it: "+service.cmd.ProcessState.String(), "")
}

// end ends the services, the last one first.
func (t *team) end() {
	for i := len(t.services) - 1; i >= 0; i-- {
		p := t.services[i]
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-p.over:
		case <-time.After(stopWait):
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // also what it left behind
		<-p.over
	}
}
