// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/api"
	"lastro/auth"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
)

// public lists what may be asked without an identity; a new entry here is a
// decision, not an accident.
var public = []string{"GET /healthz", "GET /readyz", "GET /version", "GET /health", "GET /login", "POST /login", "POST /session", "POST /logout",
	// Their signature says who sent them.
	"POST /api/v1/webhooks/github", "POST /api/v1/webhooks/gitlab", "POST /api/v1/webhooks/gitea"}

// TestDoors knocks at every route of every door without a token, with a wrong
// one, and with a viewer's where more is asked.
func TestDoors(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	s := newServer(h, "http://127.0.0.1:1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	handler, err := s.handler(l, UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Auth.CreateUser(t.Context(), "user:local", "vera", auth.Viewer); err != nil {
		t.Fatal(err)
	}
	viewer, _, err := h.Auth.CreateToken(t.Context(), "user:local", "vera", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	may := auth.Viewer.Permissions()
	routes := s.doors(s.pages())
	if len(routes) < 60 {
		t.Errorf("the table has only %d routes", len(routes))
	}
	wildcard := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range routes {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			method, path = "POST", r.Pattern
		}
		path = wildcard.ReplaceAllString(strings.ReplaceAll(path, "{$}", ""), "1")
		ask := func(token string) int {
			req := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader("{}"))
			req.Header.Set("Content-Type", "application/json")
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			return w.Code
		}
		if r.Permission == auth.Public {
			if !slices.Contains(public, r.Pattern) && !strings.Contains(r.Pattern, "/static/") {
				t.Errorf("%s is open to everybody", r.Pattern)
			}
			continue
		}
		for _, token := range []string{"", "lst_wrong"} {
			if got := ask(token); got != http.StatusUnauthorized {
				t.Errorf("%s with token %q: %d, want 401", r.Pattern, token, got)
			}
		}
		if !slices.Contains(may, r.Permission) {
			if got := ask(viewer); got != http.StatusForbidden {
				t.Errorf("%s (%s) as a viewer: %d, want 403", r.Pattern, r.Permission, got)
			}
		}
	}
}

// TestSubmit: nobody waits for ever for a run, and a run that nobody waits for
// does not begin.
func TestSubmit(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	s := newServer(h, "")
	ctx, leave := context.WithCancelCause(t.Context())
	left := errors.New("gone home")
	leave(left)
	if _, err := s.submit(ctx, RunRequest{Actor: "user:ana"}); !errors.Is(err, left) {
		t.Errorf("submit = %v, want the reason of who left", err)
	}
	stopping, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.runLoop(stopping) }()
	n, err := s.StartRun(t.Context(), api.RunRequest{Params: map[string]any{"n": 2}}, "user:ana")
	if err != nil || n != 1 {
		t.Errorf("StartRun = %d, %v; want run 1: the one before never began", n, err)
	}
	if _, err := s.StartRun(t.Context(), api.RunRequest{Params: map[string]any{"unknown": 2}}, "user:ana"); err == nil {
		t.Error("a run that cannot be planned has a number")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.busy) != 0 {
		t.Errorf("%d runs are busy after the server's end", len(s.busy))
	}
}

// TestRetrainOnce asks for the retrain of one alert again and again, also
// after a crash between the run and its record.
func TestRetrainOnce(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	if _, err := h.Run(t.Context(), RunRequest{Actor: "user:ana"}); err != nil {
		t.Fatal(err)
	}
	s := newServer(h, "")
	h.submit, h.start = s.submit, s.start
	stopping, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.runLoop(stopping) }()
	ask := monitor.Retrain{ID: "retrain-x", Alert: "alert:x", Model: "model:small-model@1", Reason: "it fell"}
	refs := map[lastro.Ref]bool{}
	for range 3 {
		ref, err := retrainer{h}.Retrain(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		refs[ref] = true
	}
	if !refs["run:2"] || len(refs) != 1 {
		t.Errorf("runs = %v; want run 2 alone", refs)
	}
	stop()
	<-ended
	runs, err := h.Runs.Runs(t.Context(), pipeline.RunFilter{})
	if err != nil || len(runs) != 2 || runs[0].Event["kind"] != "alert" {
		t.Errorf("runs = %+v, %v", runs, err)
	}
}

func TestLiving(t *testing.T) {
	f := newFolder(t, smallProject)
	if _, ok := Living(f.paths); ok {
		t.Error("a server lives where there is nothing")
	}
	h := f.open()
	a, err := h.announce(t.Context(), "http://127.0.0.1:7070", false)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.Login, "http://127.0.0.1:7070/login?code=") {
		t.Errorf("login = %q", a.Login)
	}
	got, ok := Living(f.paths)
	if !ok || got.Token != a.Token || got.PID != os.Getpid() {
		t.Errorf("Living = %+v, %t", got, ok)
	}
	if info, err := os.Stat(f.paths.Server()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the address with its token: %v, %v; want mode 600", info.Mode(), err)
	}
	// kill -9: the file stays, the lock does not.
	f.close(h)
	if _, err := os.Stat(f.paths.Server()); err != nil {
		t.Fatal(err)
	}
	if a, ok := Living(f.paths); ok {
		t.Errorf("a dead server lives: %+v", a)
	}
	h = f.open()
	if raw, _ := json.Marshal(got); os.WriteFile(f.paths.Server(), raw[:len(raw)/2], 0o600) != nil {
		t.Fatal("cannot write")
	}
	if _, ok := Living(f.paths); ok {
		t.Error("half an address is an address")
	}
	h.withdraw()
	if _, err := Open(t.Context(), OpenOptions{Project: h.Project(), Paths: f.paths, Command: "run"}); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("a second writer: %v", err)
	}
}

// TestLockBesideReaders: commands that only look never make a writer fail.
func TestLockBesideReaders(t *testing.T) {
	p := PathsOf(t.TempDir(), "")
	if err := p.make(); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				held(p)
			}
		}
	}()
	for range 50 {
		l, err := takeLock(p, "run")
		if err != nil {
			t.Error(err)
			break
		}
		l.release()
	}
	close(stop)
	<-done
}

// TestReload swaps lastro.yaml while others read it; run it with -race.
func TestReload(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	s := newServer(h, "")
	s.reload(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			_, _, _ = h.monitors(), h.targetColumn(), s.projectName()
		}
	}()
	file := filepath.Join(f.paths.Project, "lastro.yaml")
	edited := strings.Replace(smallProject, "  from: train.model\n", "  from: train.model\n  protect: [gold]\n", 1)
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload(t.Context())
	m, err := h.Registry.Model(t.Context(), "small-model")
	if err != nil || !slices.Contains(m.Protect, "gold") {
		t.Errorf("protected = %v, %v; want what the edited file protects", m.Protect, err)
	}
	good := h.Project()
	if err := os.WriteFile(file, []byte("version: 1\nname: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload(t.Context())
	if h.Project() != good {
		t.Error("a file with problems is in force")
	}
	<-done
}

func TestWaiver(t *testing.T) {
	f := newFolder(t, strings.Replace(smallProject, "auc: 0.7", "auc: 0.62", 1))
	h := f.open()
	out, err := h.Run(t.Context(), RunRequest{Actor: "user:ana"})
	if err != nil || out.Decision == nil || out.Decision.Verdict != gate.Waiting {
		t.Fatalf("decision = %+v, %v; want one that waits", out.Decision, err)
	}
	w := gate.WaiveRequest{Decision: out.Decision.ID, Bundle: out.Decision.Digest, Rule: "good", Reason: "a pilot", Until: time.Now().Add(time.Hour), Actor: "user:" + localUser}
	if _, err := h.Waive(t.Context(), w); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a waiver by nobody in particular: %v", err)
	}
	if _, err := h.Registry.ByAlias(t.Context(), "small-model", "candidate"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("candidate moved: %v", err)
	}
	w.Actor = "user:rita"
	if _, err := h.Waive(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if v, err := h.Registry.ByAlias(t.Context(), "small-model", "candidate"); err != nil || v.Number != 1 {
		t.Errorf("candidate = %+v, %v; want it to follow the waiver", v, err)
	}
}
