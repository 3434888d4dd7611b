// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"time"

	"lastro"
)

// connectFor is how long a supervisor that holds the lock may take to answer,
// or to end.
const connectFor = 20 * time.Second

// connect reaches the supervisor of opts.Dir, starting one when none lives.
func connect(ctx context.Context, opts Options) (*link, error) {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(connectFor)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l, err := hail(ctx, opts, os.Getpid())
		if err == nil {
			return l, nil
		}
		if _, foreign := errors.AsType[*lastro.Error](err); foreign {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		said, serr := sayBusy, error(nil)
		if !held(filepath.Join(opts.Dir, lockFile)) {
			said, serr = launch(ctx, opts)
		}
		switch {
		case serr != nil:
			return nil, serr
		case said == sayReady:
			continue
		case said != sayBusy:
			return nil, lastro.Errorf(lastro.EErrored, "start the supervisor: %s", said)
		}
		if time.Now().After(deadline) {
			return nil, &lastro.Error{Code: lastro.EErrored, Err: err,
				Msg:  fmt.Sprintf("a supervisor holds %s but does not answer", filepath.Join(opts.Dir, lockFile)),
				Hint: "see which process it is: fuser " + filepath.Join(opts.Dir, lockFile)}
		}
		// One is just starting or just ending.
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// Lives reports whether a supervisor lives in the control directory dir.
func Lives(dir string) bool { return held(filepath.Join(dir, lockFile)) }

// held reports whether a supervisor lives, which spares starting one that
// would only say so.
func held(lock string) bool {
	f, err := os.Open(lock)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// launch starts a supervisor and returns what it says about itself.
func launch(ctx context.Context, opts Options) (string, error) {
	program := opts.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return "", err
		}
	}
	said, say, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer said.Close()
	log, err := os.OpenFile(filepath.Join(opts.Dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		say.Close()
		return "", err
	}
	defer log.Close()

	cmd := osexec.Command(program, opts.Args...)
	cmd.Env = opts.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], readyVar+"=3") // ExtraFiles begin at 3
	cmd.ExtraFiles = []*os.File{say}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	say.Close()
	if err != nil {
		return "", fmt.Errorf("start the supervisor: %w", err)
	}
	go cmd.Wait() // it outlives this process; if it does not, it is reaped

	defer context.AfterFunc(ctx, func() { _ = said.SetReadDeadline(time.Unix(1, 0)) })()
	word, err := io.ReadAll(said)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case len(word) == 0:
		return fmt.Sprintf("it ended without a word; see %s", log.Name()), nil
	}
	return string(word), nil
}
