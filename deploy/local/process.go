// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lastro"
	"lastro/serve"
)

// alive asks the serve process how it is and starts one when there is none.
// d.mu is held.
func (d *Driver) alive(ctx context.Context) (serve.Stats, error) {
	admin := serve.Admin{Socket: d.Socket}
	stats, err := admin.Stats(ctx)
	if err == nil && !stats.Draining || ctx.Err() != nil {
		return stats, err
	}
	timeout := d.StartTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	deadline := time.Now().Add(timeout)
	var started *child
	for time.Now().Before(deadline) {
		// One that is starting or leaving holds the lock and does not answer yet.
		if started == nil && !serve.Alive(d.Dir) {
			if started, err = d.spawn(); err != nil {
				return stats, err
			}
		}
		select {
		case <-started.exited():
			return stats, started.reason()
		case <-ctx.Done():
			return stats, context.Cause(ctx)
		case <-time.After(30 * time.Millisecond):
		}
		if stats, err = admin.Stats(ctx); err == nil && !stats.Draining {
			return stats, nil
		}
	}
	return stats, &lastro.Error{Code: lastro.EErrored, ID: "L0650", Msg: fmt.Sprintf("lastro serve did not answer within %s", timeout),
		Hint: "read " + d.logPath() + "; or start it by hand: " + strings.Join(d.Command, " "), Err: err}
}

// child is a serve process that this one started. It is not waited for beyond
// its start: it is meant to outlive us.
type child struct {
	done chan struct{}
	err  error
	log  string
	from int64 // where its own words begin
}

// exited never fires for no child.
func (c *child) exited() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

// reason is why it ended while starting: its own words.
func (c *child) reason() error {
	e := &lastro.Error{Code: lastro.EErrored, ID: "L0651", Msg: "lastro serve ended while starting", Hint: "the last lines are from " + c.log, Err: c.err}
	if f, err := os.Open(c.log); err == nil {
		defer f.Close()
		text := make([]byte, 4<<10)
		n, _ := f.ReadAt(text, c.from)
		for line := range bytes.Lines(text[:n]) {
			e.Notes = append(e.Notes, strings.TrimRight(string(line), "\n"))
		}
	}
	if len(e.Notes) > 0 {
		e.Msg += ": " + e.Notes[0]
	}
	return e
}

func (d *Driver) logPath() string { return filepath.Join(d.Dir, "serve.log") }

// spawn starts the process in a session of its own, so that neither the end of
// this process nor ctrl-C in its terminal reaches it.
func (d *Driver) spawn() (*child, error) {
	if len(d.Command) == 0 {
		return nil, errors.New("the driver has no command")
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the serve directory: %w", err)
	}
	out, err := os.OpenFile(d.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of lastro serve: %w", err)
	}
	defer out.Close()
	at, err := out.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(d.Command[0], d.Command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, d.Env
	if cmd.Env == nil {
		cmd.Env = environ()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0652", Msg: "lastro serve cannot be started", Hint: "check that " + d.Command[0] + " can be run", Err: err}
	}
	d.Log.Info("lastro serve started", "pid", cmd.Process.Pid)
	c := &child{done: make(chan struct{}), log: d.logPath(), from: at}
	go func() { // reaps it while we live
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// environ passes on what finding programs, libraries and packages needs.
func environ() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "LASTRO_ONNXRUNTIME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
