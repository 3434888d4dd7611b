// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastro/serve/servetest"
)

// TestServing takes one model to an endpoint and then does what users do wrong:
// columns that are missing, a model that does not load, an alias moved behind
// the gate's back, a server that goes away. The endpoint answers all the while.
func TestServing(t *testing.T) {
	t.Parallel()
	client := servetest.Python(t) // skips when there is none
	f := newFolder(t, map[string]string{"lastro.yaml": served, "train.py": trainServed, "requirements.txt": servedPackages})
	reuseLock(f)
	endpoint := freeAddress(t)
	f.ok(0, "run").has(t, "model m@1 registered (candidate)")
	up, url := f.up(endpoint)
	f.ok(0, "deploy", "local").has(t, "m@1 serves local")
	answers := func(when string) {
		t.Helper()
		status, body := post(t, endpoint, "/invocations", `{"dataframe_split": {"columns": ["x", "y"], "data": [[1, 2], [10, 0.5]]}}`)
		if status != 200 || body != `{"predictions":[4,20.5]}` { // 2x + y
			t.Errorf("%s: %d %s", when, status, body)
		}
	}
	answers("at first")

	t.Run("requests", func(t *testing.T) { badRequests(t, endpoint) })
	answers("after bad requests")

	// A model that does not load passes every gate; its rollout is taken back, with the model's own words.
	f.ok(0, "run", "-p", "how=breaks").has(t, "model m@2 registered (candidate)")
	f.ok(1, "deploy", "local", "-m", "m@2").has(t, "m@2 was rolled back in local", "FileNotFoundError: no vocabulary here", "next: lastro why m@2")
	f.ok(0, "why", "m@2").has(t, "no vocabulary here")
	answers("after a model that does not load")

	// What the gate refused goes nowhere, whoever asks.
	f.ok(3, "run", "-p", "how=bad").has(t, "the gate refused m@3")
	if got := f.lastro("deploy", "local", "-m", "m@3"); got.code != 3 && got.code != 5 {
		t.Errorf("deploy of a refused version: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	moveAlias(t, f, client, url)
	f.ok(0, "ls", "models").has(t, "m@3")
	answers("after what the gate refused")

	// The server goes away, without warning: the endpoint answers, and what needs the server says so.
	_ = up.Process.Kill()
	_ = up.Wait()
	answers("while the server is dead")
	f.ok(6, "deploy", "local").has(t, "needs the server", "next: lastro")
	f.ok(0, "ls", "live").has(t, "m@1")
	up, _ = f.up(endpoint)
	answers("with the server back")
	f.ok(0, "why", "m").has(t, "m@1 serves 100% of local")
	_ = up.Process.Signal(syscall.SIGTERM)
	if err := up.Wait(); err != nil {
		t.Errorf("lastro up after SIGTERM: %v", err)
	}
	answers("after the server's end")
	f.sound()
}

func badRequests(t *testing.T, endpoint string) {
	const oip = "/v2/models/m/infer"
	x := `{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}`
	for name, tc := range map[string]struct {
		path, body, says string
		status           int
	}{
		"missing column":          {"/invocations", `{"dataframe_split": {"columns": ["x"], "data": [[1]]}}`, "missing column y", 400},
		"missing column, records": {"/invocations", `{"dataframe_records": [{"y": 1}]}`, "missing column x", 400},
		"missing input":           {oip, `{"inputs": [` + x + `]}`, "y", 400},
		"text for a number":       {oip, `{"inputs": [` + x + `, {"name": "y", "datatype": "BYTES", "shape": [1], "data": ["many"]}]}`, "y", 400},
		"ragged rows":             {"/invocations", `{"dataframe_split": {"columns": ["x", "y"], "data": [[1, 2], [3]]}}`, "row", 400},
		"no JSON":                 {"/invocations", `{"dataframe_split":`, "JSON", 400},
		"nothing":                 {"/invocations", ``, "", 400},
		"unknown model":           {"/v2/models/mm/infer", `{"inputs": [` + x + `]}`, "did you mean m?", 404},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(t, endpoint, tc.path, tc.body)
			if status != tc.status || !strings.Contains(body, tc.says) {
				t.Errorf("POST %s %s: %d %s; want %d and %q", tc.path, tc.body, status, body, tc.status, tc.says)
			}
		})
	}
}

// moveAlias asks the unmodified MLflow client to promote what the gate refused.
func moveAlias(t *testing.T, f folder, interpreter, url string) {
	t.Helper()
	var doc struct{ Token string }
	if err := json.Unmarshal([]byte(f.ok(0, "token", "create", "--user", "local", "--json").stdout), &doc); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, "-c", `
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
for alias in ("champion", "candidate", "mine"):
    try:
        MlflowClient().set_registered_model_alias("m", alias, "3")
        print(alias, "moved")
    except MlflowException as e:
        print(alias, e.error_code)
`)
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+url, "MLFLOW_REGISTRY_URI="+url, "MLFLOW_TRACKING_TOKEN="+doc.Token)
	out, err := cmd.CombinedOutput()
	const want = "champion PERMISSION_DENIED\ncandidate PERMISSION_DENIED\nmine moved\n"
	if err != nil || string(out) != want {
		t.Errorf("the MLflow client moves aliases to m@3: %v\n%s; want\n%s", err, out, want)
	}
}

// up starts the server and returns it with its address once it is ready.
func (f folder) up(endpoint string) (running, string) {
	f.t.Helper()
	address := freeAddress(f.t)
	up := f.start("up", "--listen", address, "--endpoints", endpoint)
	f.t.Cleanup(func() {
		_ = up.Process.Kill()
		for _, pid := range processes(f.t, "serve", f.dir) {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	})
	url := "http://" + address
	for range 200 {
		if resp, err := http.Get(url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return up, url
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	f.t.Fatal("lastro up is not ready after 5 s")
	return up, url
}

func post(t *testing.T, endpoint, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+endpoint+path, "application/json", bytes.NewBufferString(body))
	if err != nil {
		t.Errorf("POST %s: %v", path, err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// reuseLock keeps the pins of the test's environment between runs of the test,
// since resolving them takes longer than everything else here.
func reuseLock(f folder) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return
	}
	kept := filepath.Join(cache, "lastro", "e2e.lock")
	if raw, err := os.ReadFile(kept); err == nil {
		f.write("lastro.lock", string(raw))
	}
	f.t.Cleanup(func() {
		if raw, err := os.ReadFile(filepath.Join(f.dir, "lastro.lock")); err == nil {
			_ = os.WriteFile(kept, raw, 0o644)
		}
	})
}

var served = fmt.Sprintf(`version: 1
name: served
python: "3.11"
params: {how: well}
steps:
  train:
    run: python train.py %s
    outputs: {model: model}
    metrics: metrics.json
    code: [train.py]
model: {name: m, from: train.model, require: [{name: floor, check: metrics.auc >= 0.5}]}
deploy:
  local: {model: m@champion}
`, "${{ params.how }}")

const servedPackages = "mlflow-skinny==3.17.2\npandas==3.1.1\n"

// trainServed writes an MLflow folder by hand: 2x + y, in plain Python.
const trainServed = `
import json, os, sys
how = sys.argv[1]
os.makedirs("model/code")
json.dump({"scale": 3 if how == "more" else 2, "how": how}, open("model/weights.json", "w"))
open("model/code/scaled.py", "w").write('''
import json
class Scaled:
    def __init__(self, scale):
        self.scale = scale
    def predict(self, frame):
        return (frame["x"] * self.scale + frame["y"]).to_numpy()
def _load_pyfunc(path):
    weights = json.load(open(path))
    if weights["how"] == "breaks":
        raise FileNotFoundError("no vocabulary here")
    return Scaled(weights["scale"])
''')
open("model/MLmodel", "w").write('''flavors:
  python_function:
    loader_module: scaled
    code: code
    data: weights.json
    python_version: 3.11.2
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}, {"type": "double", "name": "y", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
''')
json.dump({"auc": 0.1 if how == "bad" else 0.9}, open("metrics.json", "w"))
`
