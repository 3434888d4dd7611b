// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/gob"
	"errors"
	"net"
	"sync"
	"syscall"

	"lastro"
	"lastro/exec"
)

// protocol changes when an older supervisor could misunderstand a newer
// engine. Fields may be added without changing it: gob skips unknown ones.
const protocol = 3

// The operations of a request.
const (
	opHello  = "hello" // must be the first
	opStart  = "start"
	opWait   = "wait" // answered when the task has ended
	opRun    = "run"  // start and wait in one: a small task is over before a second question would arrive
	opStop   = "stop"
	opList   = "list"
	opForget = "forget"
	opNone   = "" // only what Forget says
)

// request goes from the engine to the supervisor. Gob, and not JSON, because
// arguments and environments are bytes that need not be UTF-8.
type request struct {
	N     uint64 // echoed in the reply; replies come in any order
	Op    string
	ID    string
	Why   string
	Task  *exec.Task
	Hello *hello

	Forget []string // tasks to be forgotten before anything else is done; nobody waits for it
}

type hello struct {
	Protocol    int
	TrackSocket string // engine -> supervisor
	TrackPort   int    // supervisor -> engine
	PID         int    // of the sender
}

type reply struct {
	N     uint64
	Err   *wireError
	Exit  *exec.Exit
	List  []exec.Status
	Hello *hello
}

// wireError is what is left of an error on the other side of the socket.
type wireError struct {
	Code lastro.Code
	ID   string
	Msg  string
	Hint string
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Code: lastro.CodeOf(err), Msg: err.Error()}
	if e, ok := errors.AsType[*lastro.Error](err); ok {
		w.ID, w.Hint = e.ID, e.Hint
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		w.ID, w.Msg = "L0410", "the disk is full: nothing was lost, nothing more can be stored"
		w.Hint = "free some space (lastro keeps its state in .lastro), then run the same command again"
	}
	return w
}

func (w *wireError) err() error {
	if w == nil {
		return nil
	}
	return &lastro.Error{Code: w.Code, ID: w.ID, Msg: w.Msg, Hint: w.Hint}
}

// peer sends and receives messages on one connection; send may be called
// concurrently, receive not.
type peer struct {
	conn net.Conn
	dec  *gob.Decoder
	mu   sync.Mutex
	enc  *gob.Encoder
}

func newPeer(conn net.Conn) *peer {
	return &peer{conn: conn, dec: gob.NewDecoder(conn), enc: gob.NewEncoder(conn)}
}

func (p *peer) send(v any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.enc.Encode(v)
}

func (p *peer) receive(v any) error { return p.dec.Decode(v) }
