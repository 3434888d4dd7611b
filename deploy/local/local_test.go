// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro"
	"lastro/deploy"
	"lastro/deploy/local"
	"lastro/gate"
	"lastro/serve"
	"lastro/serve/servetest"
	"lastro/store"
)

// The test binary is also `lastro serve` and a control plane that is killed.
func TestMain(m *testing.M) {
	switch os.Getenv("LASTRO_TEST_AS") {
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := serve.Run(ctx, serve.Options{Dir: os.Getenv("LASTRO_TEST_DIR"), Listen: os.Getenv("LASTRO_TEST_LISTEN"), Runtimes: []serve.Runtime{servetest.Linear{}},
			Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		return
	case "control plane":
		var rel deploy.Release
		if err := json.Unmarshal([]byte(os.Getenv("LASTRO_TEST_RELEASE")), &rel); err != nil {
			panic(err)
		}
		d := driver(os.Getenv("LASTRO_TEST_DIR"), os.Getenv("LASTRO_TEST_LISTEN"), folders{rel.Digest: os.Getenv("LASTRO_TEST_FOLDER")})
		for {
			st, err := d.Apply(context.Background(), deploy.Target{Environment: "local", Generation: 1, Champion: &rel})
			if err != nil {
				panic(err)
			}
			if st.Serving == rel.Number {
				fmt.Println(st.Address)
				select {}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	os.Exit(m.Run())
}

// folders is a blob store of model folders.
type folders map[lastro.Digest]string

func (f folders) Materialise(ctx context.Context, tree lastro.Digest, dir string) ([]byte, error) {
	from, ok := f[tree]
	if !ok {
		return nil, lastro.Errorf(lastro.ENotFound, "no blob %s", tree.Short())
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return nil, err
	}
	return os.ReadFile(from + ".tree")
}

func (f folders) add(t *testing.T, m servetest.LinearModel) lastro.Digest {
	t.Helper()
	dir := m.Folder(t)
	manifest := servetest.Manifest(t, dir)
	if err := os.WriteFile(dir+".tree", manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	d := lastro.DigestOf(manifest)
	f[d] = dir
	return d
}

func driver(dir, listen string, trees local.Trees) *local.Driver {
	return &local.Driver{Dir: dir, Socket: filepath.Join(dir, "admin.sock"), Command: []string{os.Args[0]}, Trees: trees, Log: slog.New(slog.DiscardHandler),
		Env: append(os.Environ(), "LASTRO_TEST_AS=serve", "LASTRO_TEST_DIR="+dir, "LASTRO_TEST_LISTEN="+listen)}
}

// names is the registry's aliases.
type names struct {
	mu     sync.Mutex
	at     map[string]int
	denied int // a version that may not become champion
}

func (n *names) Point(_ context.Context, model, alias string, version int, by lastro.Actor, why string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if version != 0 && version == n.denied && alias == "champion" {
		return lastro.Errorf(lastro.EDenied, "%s@%d has no passing decision", model, version)
	}
	n.at[alias] = version
	return nil
}

func (n *names) get(alias string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at[alias]
}

func evalRule(rule string, facts map[string]any) (bool, error) {
	fires, err := gate.EvalBool(rule, facts)
	var missing *gate.Missing
	if errors.As(err, &missing) {
		return false, &lastro.Error{Code: lastro.ENotFound, Msg: missing.Error()}
	}
	return fires, err
}

type house struct {
	t       *testing.T
	dir     string
	trees   folders
	names   *names
	service *deploy.Service
	driver  *local.Driver
	db      *store.DB
	n       int // requests sent
	version int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "serve"), trees: folders{}, names: &names{at: map[string]int{}}}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	h.db = db
	h.driver = driver(h.dir, "127.0.0.1:0", h.trees)
	h.service = &deploy.Service{Store: store.NewDeploy(db), Driver: h.driver, Aliases: h.names, Eval: evalRule, Clock: lastro.SystemClock{}, Log: slog.New(slog.DiscardHandler),
		Spec: func(string) (deploy.Spec, bool) {
			return deploy.Spec{Name: "local", Model: "flights", Alias: "champion", Strategy: deploy.Strategy{Kind: "canary", Steps: []float64{0.1, 0.5, 1}, MinRequests: 20},
				RollbackIf: []string{"errors.rate > 2%", "shift(score.mean) > 60%", "score.sd < 0.02"}}, true
		}}
	t.Cleanup(func() {
		serve.Admin{Socket: h.driver.Socket}.Drain(context.Background())
		for i := 0; serve.Alive(h.dir) && i < 500; i++ {
			time.Sleep(10 * time.Millisecond)
		}
		db.Close()
	})
	return h
}

func (h *house) deploy(m servetest.LinearModel) deploy.Release {
	h.t.Helper()
	h.version++
	rel, _, err := h.service.Deploy(h.t.Context(), deploy.Request{Environment: "local", Model: "flights", Version: h.version, Digest: h.trees.add(h.t, m), By: "user:ana",
		Settings: deploy.Settings{JoinKey: "flight_id"}})
	if err != nil {
		h.t.Fatal(err)
	}
	return rel
}

// until ticks, and sends requests in between, until the newest rollout is closed.
func (h *house) until(send bool) deploy.Rollout {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := h.service.Tick(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		v, err := h.service.Current(h.t.Context(), "local")
		if err != nil {
			h.t.Fatal(err)
		}
		if !v.Rollout.State.Open() {
			return *v.Rollout
		}
		for range 25 {
			if send {
				h.ask(v.Status.Address)
			}
		}
		if !send {
			time.Sleep(10 * time.Millisecond)
		}
	}
	v, _ := h.service.Current(h.t.Context(), "local")
	h.t.Fatalf("the rollout is still open: %+v", v.Rollout)
	return deploy.Rollout{}
}

// ask sends a request that must be answered: none may be lost.
func (h *house) ask(address string) string {
	h.t.Helper()
	h.n++
	carrier := "AA"
	if h.n%3 == 0 {
		carrier = "ZZ" // an airline that no training data knew
	}
	body := fmt.Sprintf(`{"dataframe_records":[{"x":%g,"carrier":%q,"flight_id":"f%d"}]}`, float64(h.n%10)/10, carrier, h.n)
	res, err := http.Post(address+"/invocations", "application/json", strings.NewReader(body))
	if err != nil {
		h.t.Fatalf("request %d lost: %v", h.n, err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		h.t.Fatalf("request %d lost: %d %s", h.n, res.StatusCode, text)
	}
	return res.Header.Get("X-Lastro-Revision")
}

func (h *house) status() deploy.Status {
	h.t.Helper()
	if err := h.service.Tick(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	v, err := h.service.Current(h.t.Context(), "local")
	if err != nil {
		h.t.Fatal(err)
	}
	return v.Status
}

var (
	fields = []serve.Field{{Name: "x", Type: "double", Required: true}, {Name: "carrier", Type: "string", Required: true}}
	model  = servetest.LinearModel{Base: 0.1, Weights: map[string]float64{"x": 0.5}, Fields: fields}
	better = servetest.LinearModel{Base: 0.12, Weights: map[string]float64{"x": 0.5}, Fields: fields}
)

func TestRollouts(t *testing.T) {
	h := newHouse(t)
	first := h.deploy(model)
	if r := h.until(false); r.State != deploy.Succeeded || len(r.History) != 0 || h.names.get("champion") != 1 {
		t.Fatalf("the first release: %+v, champion %d", r, h.names.get("champion"))
	}
	again, _, err := h.service.Deploy(t.Context(), deploy.Request{Environment: "local", Model: "flights", Version: 1, Digest: first.Digest, Settings: first.Settings, By: "user:ana"})
	if err != nil || again.Number != first.Number {
		t.Errorf("the same version again: %+v, %v", again, err)
	}

	t.Run("a constant score is rolled back", func(t *testing.T) {
		h.deploy(servetest.LinearModel{Base: 0.3, Fields: fields})
		r := h.until(true)
		if r.State != deploy.RolledBack || r.Reason != "score.sd < 0.02" || h.names.get("champion") != 1 || h.names.get("challenger") != 0 {
			t.Errorf("%s because %q, aliases %v", r.State, r.Reason, h.names.at)
		}
	})
	t.Run("raising on an unseen value is rolled back", func(t *testing.T) {
		bad := better
		bad.RaiseOn = "ZZ"
		h.deploy(bad)
		r := h.until(true)
		if r.State != deploy.RolledBack || !strings.HasPrefix(r.Reason, "errors.rate > 2%") || h.names.get("champion") != 1 {
			t.Errorf("%s because %q", r.State, r.Reason)
		}
	})
	t.Run("a flipped byte is refused", func(t *testing.T) {
		flipped := h.trees.add(t, servetest.LinearModel{Base: 0.5, Fields: fields})
		path := filepath.Join(h.trees[flipped], "linear.json")
		text, _ := os.ReadFile(path)
		text[9] ^= 1
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		h.version++
		if _, _, err := h.service.Deploy(t.Context(), deploy.Request{Environment: "local", Model: "flights", Version: h.version, Digest: flipped, By: "user:ana"}); err != nil {
			t.Fatal(err)
		}
		if r := h.until(true); r.State != deploy.RolledBack || !strings.Contains(r.Reason, "are not what was registered") {
			t.Errorf("%s because %q", r.State, r.Reason)
		}
	})
	t.Run("a healthy one is promoted step by step", func(t *testing.T) {
		h.deploy(better)
		r := h.until(true)
		if r.State != deploy.Succeeded || len(r.History) != 3 || h.names.get("champion") != h.version || h.names.get("challenger") != 0 {
			t.Errorf("%s after %d steps because %q, aliases %v", r.State, len(r.History), r.Reason, h.names.at)
		}
		if got := h.ask(h.status().Address); got != fmt.Sprintf("flights@%d", h.version) {
			t.Errorf("%s answers", got)
		}
	})
	t.Run("the registry's no ends a rollout", func(t *testing.T) {
		h.names.denied = h.version + 1
		h.deploy(model)
		if r := h.until(true); r.State != deploy.RolledBack || !strings.Contains(r.Reason, "no passing decision") {
			t.Errorf("%s because %q", r.State, r.Reason)
		}
	})
	t.Run("a person rolls back", func(t *testing.T) {
		rel, err := h.service.Rollback(t.Context(), "local", "odd answers", "user:ana")
		if err != nil || rel.EqualTo != first.Number {
			t.Fatalf("%+v, %v; want a release equal to %d", rel, err, first.Number)
		}
		if r := h.until(true); r.State != deploy.Succeeded || h.names.get("champion") != 1 {
			t.Errorf("%s, champion %d", r.State, h.names.get("champion"))
		}
		if got := h.ask(h.status().Address); got != "flights@1" {
			t.Errorf("%s answers", got)
		}
		if _, err := h.service.Rollback(t.Context(), "local", "more", "user:ana"); !lastro.Is(err, lastro.EConflict) {
			t.Errorf("going back further than the first: %v, want EConflict", err)
		}
	})
	t.Run("a dead data plane is started again", func(t *testing.T) {
		pid := h.status().Pid
		syscall.Kill(pid, syscall.SIGKILL)
		for serve.Alive(h.dir) {
			time.Sleep(5 * time.Millisecond)
		}
		st := h.status()
		for i := 0; st.Serving == 0 && i < 200; i++ {
			time.Sleep(10 * time.Millisecond)
			st = h.status()
		}
		if st.Pid == pid || h.ask(st.Address) != "flights@1" {
			t.Errorf("status %+v", st)
		}
	})
	events, err := h.db.Events(t.Context(), store.EventFilter{Verb: "rollout.rolled_back"})
	if err != nil || len(events) != 4 {
		t.Errorf("%d events rollout.rolled_back, %v; want 4", len(events), err)
	}
}

// The data plane goes on when the control plane that started it is killed.
func TestControlPlaneKilled(t *testing.T) {
	h := newHouse(t)
	digest := h.trees.add(t, model)
	rel, _ := json.Marshal(deploy.Release{Environment: "local", Number: 1, Model: "flights", Version: 1, Digest: digest})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LASTRO_TEST_AS=control plane", "LASTRO_TEST_DIR="+h.dir, "LASTRO_TEST_LISTEN=127.0.0.1:0",
		"LASTRO_TEST_FOLDER="+h.trees[digest], "LASTRO_TEST_RELEASE="+string(rel))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for range 50 {
		if got := h.ask(address); got != "flights@1" {
			t.Fatalf("%s answers", got)
		}
	}
	// The next control plane finds it, and nothing is restarted.
	stats, err := serve.Admin{Socket: h.driver.Socket}.Stats(t.Context())
	if err != nil || "http://"+stats.Address != address {
		t.Errorf("stats %+v, %v", stats, err)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "serve")
	_, err = driver(dir, l.Addr().String(), folders{}).Apply(t.Context(), deploy.Target{Environment: "local", Generation: 1})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if !lastro.Is(err, lastro.EErrored) || !strings.Contains(err.Error(), "port "+port+" is in use by local.test (pid "+fmt.Sprint(os.Getpid())) {
		t.Errorf("Apply: %v; want EErrored that names this process", err)
	}
}
