// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastro"
	"lastro/pipeline"
)

// process is one service that was started.
type process struct {
	spec pipeline.ServiceSpec
	port int
	env  []string
	cmd  *osexec.Cmd
	log  *line
	over chan struct{} // closed when it has ended
}

// failed is an error about the service with the end of its log.
func (p *process) failed(id, how, hint string) error {
	return &lastro.Error{Code: lastro.EFailed, ID: id, Msg: fmt.Sprintf("service %q %s", p.spec.Name, how), Notes: p.log.last(tailLines), Hint: hint}
}

// ready waits until the service answers. Ctx ends it without an error.
func (p *process) ready(ctx context.Context, limit time.Duration) error {
	deadline := time.After(limit)
	why := "nothing was tried"
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		ok, seen := p.ask(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-p.over:
			return p.failed("L0375", "ended before it was ready: "+p.cmd.ProcessState.String(), "")
		default:
		}
		if ok {
			return nil
		}
		if why = seen; why == "" {
			why = "no answer"
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.over: // the next look says so
		case <-time.After(pause):
		case <-deadline:
			return p.failed("L0377", fmt.Sprintf("was not ready within %s: %s", limit, why), p.hint())
		}
	}
}

// hint says what has to happen for the service to be ready.
func (p *process) hint() string {
	switch {
	case p.spec.Ready == "":
		return fmt.Sprintf("it has to listen on %s port $PORT (%d); `ready:` can name a path or a command instead", ourAddress, p.port)
	case strings.HasPrefix(p.spec.Ready, "/"):
		return fmt.Sprintf("GET http://%s:%d%s has to answer 2xx; the service finds its port in $PORT", ourAddress, p.port, p.spec.Ready)
	}
	return "the command of `ready:` has to end with 0"
}

// ask tries once and says in words what was seen.
func (p *process) ask(ctx context.Context) (ok bool, seen string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	address := net.JoinHostPort(ourAddress, strconv.Itoa(p.port))
	switch {
	case p.spec.Ready == "":
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, err.Error()
		}
		conn.Close()
		return true, ""
	case strings.HasPrefix(p.spec.Ready, "/"):
		return askHTTP(ctx, "http://"+address+p.spec.Ready)
	}
	cmd := osexec.CommandContext(ctx, shell[0], append(shell[1:len(shell):len(shell)], p.spec.Ready)...)
	cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = p.env, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}, time.Second
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	text, err := cmd.CombinedOutput()
	if err != nil {
		said := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		return false, strings.TrimSuffix(fmt.Sprintf("%v: %.200s", err, said[len(said)-1]), ": ")
	}
	return true, ""
}

// direct asks without a proxy and follows nothing.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func askHTTP(ctx context.Context, url string) (ok bool, seen string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	res, err := direct.Do(req)
	if err != nil {
		return false, err.Error()
	}
	res.Body.Close()
	return res.StatusCode/100 == 2, "it answered " + res.Status
}

// lines puts whole lines of several writers into one.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// of returns a writer whose lines begin with a name.
func (l *lines) of(name string) *line { return &line{all: l, prefix: "[" + name + "] "} }

// maxLine is where a line that does not end is cut.
const maxLine = 64 << 10

// line writes the log of one service.
type line struct {
	all    *lines
	prefix string

	mu   sync.Mutex
	rest []byte
	tail []string
}

// Write passes on each line that is complete.
func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.rest)
		}
		l.pass(l.rest[:i])
		l.rest = l.rest[min(i+1, len(l.rest)):]
	}
}

// flush passes on what has no line end.
func (l *line) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.pass(l.rest)
	}
	l.rest = nil
}

func (l *line) pass(text []byte) {
	if s := strings.TrimRight(strings.ToValidUTF8(string(text), "?"), " \t\r"); s != "" {
		l.tail = append(l.tail, fmt.Sprintf("%.500s", s))
		l.tail = l.tail[max(0, len(l.tail)-tailLines):]
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	_, _ = fmt.Fprintf(l.all.w, "%s%s\n", l.prefix, text) // a full disk must not end the service
}

// last returns the newest lines.
func (l *line) last(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.tail[max(0, len(l.tail)-n):]...)
}
