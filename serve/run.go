// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lastro"
)

// DefaultListen is the inference port's address.
const DefaultListen = "127.0.0.1:7071"

// drainTimeout is how long requests under way may take once the process ends.
const drainTimeout = 15 * time.Second

// Run is the process `lastro serve`: it listens on the inference port and the
// admin socket, takes up the routing that it finds on disk, and answers until
// ctx ends or it is drained. A port in use, or another serve on the same Dir,
// is a *lastro.Error of code EErrored.
func Run(ctx context.Context, opts Options) error {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Listen == "" {
		opts.Listen = DefaultListen
	}
	if opts.Socket == "" {
		opts.Socket = filepath.Join(opts.Dir, "admin.sock")
	}
	unlock, err := lock(opts.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	port, err := listenPort(opts.Listen)
	if err != nil {
		return err
	}
	defer port.Close()
	socket, err := listenUnix(opts.Socket)
	if err != nil {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0606", Msg: "the admin socket cannot be made", Hint: "check the owner of " + filepath.Dir(opts.Socket), Err: err}
	}
	defer socket.Close()
	gateway, err := NewGateway(opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address := port.Addr().String()
	inference := &http.Server{Handler: gateway, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug)}
	admin := &http.Server{Handler: gateway.adminRoutes(address, cancel), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- inference.Serve(port) }()
	go func() { failed <- admin.Serve(socket) }()
	opts.Log.Info("serving", "address", address, "pid", os.Getpid())
	if opts.Listening != nil {
		opts.Listening(address)
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	gateway.drained.Store(true)
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer done()
	return errors.Join(err, inference.Shutdown(grace), admin.Shutdown(grace), gateway.Close())
}

// lock makes sure that one process serves from dir. The kernel releases it
// when the process ends, however that happens.
func lock(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the serve directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0607", Msg: "another lastro serve already serves from " + dir,
			Hint: "use it as it is, or end that process first", Err: err}
	}
	return func() { f.Close() }, nil
}

// Alive reports whether a serve process holds the directory now.
func Alive(dir string) bool {
	unlock, err := lock(dir)
	if err != nil {
		return true
	}
	unlock()
	return false
}

func listenPort(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	e := &lastro.Error{Code: lastro.EErrored, ID: "L0608", Msg: fmt.Sprintf("cannot listen on %s", address),
		Hint: "choose another address with --listen HOST:PORT", Err: err}
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		e.Msg, e.Err = fmt.Sprintf("port %s is in use", port), nil
		if who := portHolder(port); who != "" {
			e.Msg += " by " + who
		}
		e.Hint = "end that process, or choose another port with --listen 127.0.0.1:PORT"
	}
	return nil, e
}
