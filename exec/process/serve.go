// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"lastro"
	"lastro/exec"
)

// serve answers one engine until its connection ends.
func (s *supervisor) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if !sameUser(conn) {
		s.log.WarnContext(ctx, "connection of another user refused")
		return
	}
	p := newPeer(conn)
	if !s.greet(ctx, p) {
		return
	}
	s.addEngine(1)
	defer s.addEngine(-1)

	var waits sync.WaitGroup
	defer waits.Wait()
	defer cancel() // before the waits are waited for
	for {
		var req request
		if p.receive(&req) != nil {
			return
		}
		for _, id := range req.Forget {
			_ = s.forget(id) // what is not forgotten costs a line of the journal
		}
		if req.Op == opRun {
			if err := s.start(ctx, req.Task); err != nil {
				s.reply(ctx, p, reply{N: req.N}, err)
				continue
			}
			req.Op = opWait
		}
		switch req.Op {
		case opNone:
		case opWait:
			waits.Go(func() { s.answer(ctx, p, req) })
		default:
			s.answer(ctx, p, req)
		}
	}
}

// sameUser reports whether the other end runs as this user, or as root. The
// socket's mode says the same; this holds on file systems that ignore modes.
func sameUser(conn net.Conn) bool {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var ok bool
	err = raw.Control(func(fd uintptr) {
		cred, cerr := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		ok = cerr == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
	})
	return err == nil && ok
}

// greet exchanges hellos. An engine that speaks another protocol is told who
// it met, and goes.
func (s *supervisor) greet(ctx context.Context, p *peer) bool {
	var req request
	if p.receive(&req) != nil || req.Op != opHello || req.Hello == nil {
		return false
	}
	err := p.send(reply{N: req.N, Hello: &hello{Protocol: protocol, TrackPort: s.forward.port(), PID: os.Getpid()}})
	if err != nil || req.Hello.Protocol != protocol {
		return false
	}
	if req.Hello.TrackSocket != "" {
		s.forward.setSocket(req.Hello.TrackSocket)
	}
	s.log.InfoContext(ctx, "engine connected", "pid", req.Hello.PID)
	return true
}

func (s *supervisor) addEngine(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engines += n
	s.rearm()
}

// errEnding is never told to an engine: its connection ends, and it asks the
// next supervisor.
var errEnding = errors.New("the supervisor is ending")

// answer carries out one request; a connection that broke meanwhile is no
// matter, since the engine asks again.
func (s *supervisor) answer(ctx context.Context, p *peer, req request) {
	rep := reply{N: req.N}
	var err error
	switch req.Op {
	case opStart:
		err = s.start(ctx, req.Task)
	case opWait:
		rep.Exit, err = s.wait(ctx, req.ID)
	case opStop:
		err = s.cancel(req.ID, req.Why)
	case opList:
		rep.List = s.list()
	case opForget:
		err = s.forget(req.ID)
	default:
		err = lastro.Errorf(lastro.EUnsupported, "the supervisor does not know %q", req.Op)
	}
	s.reply(ctx, p, rep, err)
}

func (s *supervisor) reply(ctx context.Context, p *peer, rep reply, err error) {
	if ctx.Err() != nil || errors.Is(err, errEnding) {
		p.conn.Close()
		return
	}
	rep.Err = toWire(err)
	_ = p.send(rep)
}

func (s *supervisor) wait(ctx context.Context, id string) (*exec.Exit, error) {
	s.mu.Lock()
	t := s.live[id]
	s.mu.Unlock()
	if t != nil {
		select {
		case <-t.done:
			if t.failed != nil {
				return nil, t.failed
			}
			return &t.exit, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if e := s.records.exit(id); e != nil {
		return e, nil
	}
	return nil, unknown(id)
}

func (s *supervisor) cancel(id, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.live[id]; t != nil {
		s.stop(t, exec.Cancelled, why)
		return nil
	}
	if s.records.exit(id) == nil {
		return unknown(id)
	}
	return nil
}

func (s *supervisor) list() []exec.Status {
	recs := s.records.list()
	all := make([]exec.Status, len(recs))
	for i, r := range recs {
		all[i] = exec.Status{ID: r.ID, Exit: r.Exit}
	}
	return all
}

func (s *supervisor) forget(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[id] != nil {
		return lastro.Errorf(lastro.EConflict, "task %q is running", id)
	}
	return s.records.forget(id)
}
