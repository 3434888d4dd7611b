// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lastro"
)

// adminRoutes is the table of the admin socket: mode 0600, so whoever reaches
// it is this user.
func (g *Gateway) adminRoutes(address string, drain func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		s := g.Stats()
		s.Pid, s.Address = os.Getpid(), address
		writeJSON(w, http.StatusOK, s)
	})
	mux.HandleFunc("PUT /routing", func(w http.ResponseWriter, r *http.Request) {
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		dec.DisallowUnknownFields()
		var routing Routing
		if err := dec.Decode(&routing); err != nil {
			writeAdminError(w, lastro.Errorf(lastro.EInvalid, "routing: %v", err))
			return
		}
		s, err := g.Route(routing)
		if err != nil {
			writeAdminError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, s)
	})
	mux.HandleFunc("POST /flush", func(w http.ResponseWriter, r *http.Request) {
		if err := g.Flush(r.Context()); err != nil {
			writeAdminError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) {
		g.drained.Store(true)
		writeJSON(w, http.StatusOK, struct{}{})
		drain()
	})
	return mux
}

func writeAdminError(w http.ResponseWriter, err error) {
	var e *lastro.Error
	if !errors.As(err, &e) {
		e = lastro.Errorf(lastro.EErrored, "%v", err)
	}
	status := statusOf(err)
	if e.Code == lastro.EConflict {
		status = http.StatusConflict
	}
	writeJSON(w, status, e)
}

// call makes one request on the socket. Errors of the other side come back as
// the *lastro.Error that they were.
func (a Admin) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://serve"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialUnix(ctx, a.Socket) }}}
	res, err := client.Do(req)
	if err != nil {
		return &lastro.Error{Code: lastro.EServer, ID: "L0605", Msg: "lastro serve does not answer on its admin socket",
			Hint: "lastro up starts it; or run lastro serve", Err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("read the answer of lastro serve: %w", err)
	}
	if res.StatusCode >= 400 {
		e := &lastro.Error{}
		if err := json.Unmarshal(text, e); err != nil || e.Msg == "" {
			e = lastro.Errorf(lastro.EErrored, "lastro serve answered %s: %.200s", res.Status, text)
		}
		return e
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// A unix socket's path holds at most 107 bytes (unix(7)); a longer one is
// reached through the descriptor of its directory.
const maxSocketPath = 107

func withShortPath[T any](path string, use func(string) (T, error)) (T, error) {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	var zero T
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return zero, err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	return withShortPath(path, func(short string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", short)
	})
}

// listenUnix replaces a socket that nobody listens on any more; the caller
// holds the lock that says so.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return withShortPath(path, func(short string) (net.Listener, error) {
		l, err := net.Listen("unix", short)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(short, "/proc/self/fd/") {
			l.(*net.UnixListener).SetUnlinkOnClose(false) // that path will mean something else by then
		}
		return l, os.Chmod(path, 0o600)
	})
}
