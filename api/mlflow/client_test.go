// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/blob/file"
	"lastro/registry"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
)

// server is the whole stack behind the protocol, as `lastro up` has it: SQLite,
// the file blob store and the door.
type server struct {
	*httptest.Server
	db       *store.DB
	auth     *auth.Service
	track    *track.Service
	registry *registry.Service
	blobs    *file.Store
	admin    string // tokens
	viewer   string
}

// passed is a guard that lets versions move whose digest is in the set, as a
// passing decision would.
type passed map[lastro.Digest]bool

func (p passed) MayMove(_ context.Context, m registry.Move) error {
	if p[m.To.Digest] {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied, Msg: fmt.Sprintf("%s on model %q has no passing decision", m.Alias, m.Model), Hint: "lastro run decides"}
}

func start(t *testing.T, guard registry.Guard, change ...func(*mlflow.Deps)) *server {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return startOn(t, db, guard, change...)
}

func startOn(t *testing.T, db *store.DB, guard registry.Guard, change ...func(*mlflow.Deps)) *server {
	t.Helper()
	dir := t.TempDir()
	blobs, err := file.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	clock := lastro.SystemClock{}
	s := &server{db: db, blobs: blobs, auth: auth.NewService(store.NewAuth(db), clock), track: track.NewService(store.NewTrack(db), clock),
		registry: registry.NewService(store.NewRegistry(db), guard, clock)}
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	madeOf := func(_ context.Context, run, step, _ string) (mlflow.Ingredients, error) {
		return mlflow.Ingredients{Commit: "commit of " + run + "/" + step}, nil
	}
	deps := mlflow.Deps{Track: s.track, Registry: s.registry, Traces: trace.NewService(store.NewTrace(db), blobs, clock), Blobs: blobs, MadeOf: madeOf, Version: "test", Log: log}
	for _, c := range change {
		c(&deps)
	}
	door, err := auth.Handler(mlflow.Routes(deps),
		auth.Options{Service: s.auth, Loopback: true, Refuse: mlflow.Refuse, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(door)
	t.Cleanup(s.Close)
	s.admin, s.viewer = s.user(t, "ana", auth.Admin), s.user(t, "vic", auth.Viewer)
	return s
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func (s *server) user(t *testing.T, name string, role auth.Role) string {
	t.Helper()
	if _, err := s.auth.CreateUser(t.Context(), lastro.System("test"), name, role); err != nil {
		t.Fatal(err)
	}
	secret, _, err := s.auth.CreateToken(t.Context(), lastro.System("test"), name, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (s *server) step(t *testing.T, run, step string) string {
	t.Helper()
	secret, err := s.auth.IssueStepToken(auth.StepID{Run: run, Step: step, Attempt: 1}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// call sends one request and returns status and body.
func (s *server) call(t *testing.T, token, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

// python returns an interpreter that has the packages of
// testdata/requirements.txt: $LASTRO_TEST_PYTHON (make test sets it), or an
// environment that is built once under the user's cache directory.
func python(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("LASTRO_TEST_PYTHON"); p != "" {
		if out, err := exec.CommandContext(t.Context(), p, "-c", "import importlib.util as u, sys; "+
			"sys.exit(' '.join(m for m in ('mlflow', 'sklearn', 'skops', 'pandas') if u.find_spec(m) is None) or None)").CombinedOutput(); err != nil {
			t.Fatalf("LASTRO_TEST_PYTHON lacks %s: %s -m pip install -r api/mlflow/testdata/requirements.txt", bytes.TrimSpace(out), p)
		}
		return p
	}
	requirements, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(requirements)
	dir := filepath.Join(cache, "lastro", "test-mlflow", hex.EncodeToString(sum[:6]))
	bin, complete := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return bin
	}
	for _, argv := range [][]string{{"python3.11", "-m", "venv", "--clear", dir}, {bin, "-m", "pip", "install", "-q", "-r", "testdata/requirements.txt"}} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("the test needs the mlflow client, and this command failed: %s\n%v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	if err := os.WriteFile(complete, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return bin
}

// TestClient runs client_test.py, the unmodified MLflow client, with a step's
// token, and then looks at what it left behind.
func TestClient(t *testing.T) {
	guard := passed{}
	s := start(t, guard)
	if err := s.registry.Declare(t.Context(), lastro.System("test"), []registry.Spec{{Name: "guarded"}}); err != nil {
		t.Fatal(err)
	}
	s.fromPipeline(t)
	cmd := exec.CommandContext(t.Context(), python(t), "client_test.py")
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_TRACKING_TOKEN="+s.step(t, "142", "train"), "PERSON_TOKEN="+s.admin, "HOME="+t.TempDir(),
		"MLFLOW_HTTP_REQUEST_MAX_RETRIES=0", "PYTHONWARNINGS=ignore", "MLFLOW_DISABLE_TELEMETRY=true")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("client_test.py with %s: %v", cmd.Path, err)
	}

	runs, err := s.track.RunsOf(t.Context(), "142", "train")
	if err != nil || len(runs) == 0 {
		t.Fatalf("RunsOf(142, train) = %d runs, %v; the client's runs should carry their origin", len(runs), err)
	}
	for _, r := range runs {
		if r.Tags[track.TagRun] != "142" || r.Tags[track.TagStep] != "train" || r.By != "step:142/train" {
			t.Errorf("run %s has tags %v by %s; want lastro.run 142, lastro.step train by step:142/train", r.Name, r.Tags, r.By)
		}
	}
	v, err := s.registry.Version(t.Context(), "iris", 1)
	if err != nil || v.Run != "142" || v.Step != "train" || v.Commit != "commit of 142/train" {
		t.Errorf("version iris@1 = %+v, %v; want run 142, step train and its commit", v, err)
	}
	if err := s.blobs.Verify(t.Context(), v.Digest); err != nil {
		t.Errorf("the tree of iris@1: %v", err)
	}
	for _, verb := range []string{"model.created", "version.created", "alias.moved", "alias.refused", "trackedrun.created", "trackedrun.ended"} {
		if events, err := s.db.Events(t.Context(), store.EventFilter{Verb: verb}); err != nil || len(events) == 0 {
			t.Errorf("no event %s (%v)", verb, err)
		}
	}
}

// fromPipeline registers version 1 of model "piped" as a pipeline does: a
// folder that no MLflow client logged. client_test.py loads it.
func (s *server) fromPipeline(t *testing.T) {
	t.Helper()
	digest, _, err := s.blobs.PutTree(t.Context(), "testdata/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := registry.Registration{Version: registry.Version{Model: "piped", Digest: digest, Run: "141", Step: "train", By: lastro.System("engine")}, Once: true}
	first, created, err := s.registry.Register(t.Context(), r)
	if err != nil || !created {
		t.Fatalf("Register = %v, created %v, %v", first.Number, created, err)
	}
	if again, created, err := s.registry.Register(t.Context(), r); err != nil || created || again.Number != first.Number {
		t.Fatalf("Register again = version %d, created %v, %v; want version %d once", again.Number, created, err, first.Number)
	}
}
