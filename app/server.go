// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lastro"
	"lastro/api"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/web"
)

// Version is the release, set by main's door.
var Version = "0.1.0-dev"

// UpOptions configure the server.
type UpOptions struct {
	Listen   string // host:port; port 0 picks one
	AuthNone bool   // everybody is the local user; on loopback only
	Watching Watching
	Hosts    []string // names under which the server is called besides localhost, such as that of a proxy
	KeepAll  bool     // what nobody needs is removed only when somebody calls lastro gc
	// Ready is called once with the addresses that people and programs use.
	Ready func(Address)
}

// Address is where a living server is found.
type Address struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"` // of the local user, for commands of the same account
	PID   int    `json:"pid"`
	Login string `json:"-"` // one-time link for a browser; "" with --auth none
}

// Up serves until ctx ends, then lets runs go on under their supervisor and
// endpoints under their data plane.
func (h *House) Up(ctx context.Context, o UpOptions) error {
	l, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	s := newServer(h, localURL(l))
	h.submit, h.start, h.watching = s.submit, s.start, o.Watching
	s.keepAll = o.KeepAll
	handler, err := s.handler(l, o)
	if err != nil {
		return err
	}
	address, err := h.announce(ctx, s.url, o.AuthNone)
	if err != nil {
		return err
	}
	defer h.withdraw()
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: slog.NewLogLogger(h.Log.Handler(), slog.LevelWarn)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := httpServer.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if httpServer.Shutdown(stop) != nil {
			return httpServer.Close() // streams never end by themselves
		}
		return nil
	})
	group.Go(func() error { return h.keepAnnouncing(ctx, s.url) })
	for _, loop := range s.loops() {
		group.Go(func() error { return loop(ctx) })
	}
	if o.Ready != nil {
		o.Ready(address)
	}
	return group.Wait()
}

// localURL is where this machine reaches a listener: one that hears every
// address has none of its own, and the server is called by no such name.
func localURL(l net.Listener) string {
	at := l.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", at.Port)
	}
	return "http://" + at.String()
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0403", Msg: fmt.Sprintf("%s is in use by another program", address),
			Hint: "end that program, or choose another port: lastro up --listen 127.0.0.1:7080"}
	}
	if err != nil {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0404", Msg: "cannot listen on " + address, Hint: "--listen takes HOST:PORT, such as 127.0.0.1:7070", Err: err}
	}
	return l, nil
}

// doors is the one table of routes of every door.
func (s *server) doors(pages *web.Pages) []auth.Route {
	h := s.house
	routes := api.Routes(api.Deps{Actions: s, Runs: h.Runs, Registry: h.Registry, Track: h.Track, Gates: h.Gates, Deploys: h.Deploys, Monitors: h.Monitors,
		Data: h.DataStore, Auth: h.Auth, Secrets: h.Secrets, Triggers: triggerDoor{s}, Log: h.Log})
	routes = append(routes, h.mlflowRoutes()...)
	routes = append(routes, pages.Routes()...)
	routes = append(routes, auth.LoginRoutes(h.Auth, pages.Login, pages.Refuse)...)
	return append(routes, auth.Route{Pattern: "GET /healthz", Permission: auth.Public, Handler: healthy},
		auth.Route{Pattern: "GET /readyz", Permission: auth.Public, Handler: s.ready})
}

// pages are the server's pages.
func (s *server) pages() *web.Pages {
	h := s.house
	return web.New(h.showTracking(web.Deps{Version: Version, Project: s.projectName(), Runs: h.Runs, Registry: h.Registry, Gates: h.Gates, Deploys: h.Deploys,
		Monitors: h.Monitors, Data: h.DataStore, Why: s.Why, Watched: h.monitors, OpenLog: h.OpenLog, Files: h.Blobs, Cancel: s.CancelRun, Retry: s.RetryRun, Log: h.Log}))
}

// handler answers for every door.
func (s *server) handler(l net.Listener, o UpOptions) (http.Handler, error) {
	h := s.house
	loopback := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if o.AuthNone && !loopback {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0405", Msg: "--auth none is for this machine only, and " + o.Listen + " is reachable from others",
			Hint: "listen on 127.0.0.1, or leave --auth out"}
	}
	pages := s.pages()
	return auth.Handler(s.doors(pages), auth.Options{Service: h.Auth, None: o.AuthNone, Loopback: loopback, Hosts: o.Hosts, Log: h.Log, Refuse: func(w http.ResponseWriter, r *http.Request, status int, err error) {
		if mlflow.Owns(r) {
			mlflow.Refuse(w, r, status, err)
			return
		}
		pages.Refuse(w, r, status, err)
	}})
}

func healthy(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if _, err := s.house.Runs.Runs(r.Context(), runFilterOne); err != nil {
		http.Error(w, "the state database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *server) projectName() string {
	if s.house.Project() == nil {
		return ""
	}
	return s.house.Project().Name
}
