// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// forwarder takes TCP connections of steps on a loopback port and passes them
// on to the engine's unix socket. While no engine listens there it keeps a
// connection waiting, so a step does not notice that the engine was replaced.
// It knows nothing about what is said; the engine authenticates every request.
type forwarder struct {
	listener net.Listener
	socket   atomic.Pointer[string]
	dialFor  time.Duration
	log      *slog.Logger
}

func newForwarder(socket string, dialFor time.Duration, log *slog.Logger) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: l, dialFor: dialFor, log: log}
	f.setSocket(socket)
	return f, nil
}

func (f *forwarder) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

// setSocket says where the present engine listens.
func (f *forwarder) setSocket(path string) { f.socket.Store(&path) }

// serve forwards what comes to l until it is closed, then waits for ctx to cut
// what is still open.
func (f *forwarder) serve(ctx context.Context, l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			f.log.WarnContext(ctx, "tracking connection not accepted", "err", err)
			time.Sleep(10 * time.Millisecond) // out of descriptors: let some go
			continue
		}
		open.Go(func() { f.forward(ctx, conn.(*net.TCPConn)) })
	}
}

func (f *forwarder) forward(ctx context.Context, step *net.TCPConn) {
	defer step.Close()
	conn, err := f.dial(ctx)
	if err != nil {
		f.log.WarnContext(ctx, "tracking connection given up", "err", err)
		return
	}
	engine := conn.(*net.UnixConn)
	defer engine.Close()
	defer context.AfterFunc(ctx, func() { step.Close(); engine.Close() })()

	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(engine, step)
		_ = engine.CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(step, engine)
		_ = step.CloseWrite()
	})
	both.Wait()
}

// dial connects to the engine, waiting for one to come back. The socket's path
// is read each time because another engine may serve elsewhere.
func (f *forwarder) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.dialFor)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		conn, err := DialUnix(ctx, *f.socket.Load())
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}
