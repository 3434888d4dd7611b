// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro/pipeline"
	"lastro/registry"
	"lastro/track"
)

// viewsProject has a step that tracks and writes files, one that only writes
// files, and one that does neither. The first attempt at train fails.
const viewsProject = `version: 1
name: views
params: {depth: 4, opt: {lr: 0.1}}
steps:
  train:
    run: python3 src/train.py ${{ params.depth }}
    code: [src/**]
    outputs: {model: model}
    metrics: m.json
    retry: {on: ["exit:7"], max: 2}
  files:
    run: "echo '{\"f1\": 0.5, \"odd key %\": 1}' > f.json"
    metrics: f.json
  quiet:
    run: echo nothing
model:
  name: views
  from: train.model
  require:
    - {name: floor, check: metrics.auc >= 0.6}
`

const viewsTrain = `
import json, os, sys, time, urllib.request
base, token = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_TRACKING_TOKEN"]
def call(method, path, token=token, raw=None, **body):
    r = urllib.request.Request(base + path, raw or json.dumps(body).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + token}, method=method)
    return json.load(urllib.request.urlopen(r) or "{}")
api = "/api/2.0/mlflow/"
experiment = call("POST", api + "experiments/search", filter="name = 'views'", max_results=1)["experiments"][0]["experiment_id"]
run = call("POST", api + "runs/create", experiment_id=experiment, run_name="mine", start_time=int(time.time() * 1000))["run"]["info"]["run_id"]
notes = os.environ["NOTES"]
if not os.path.exists(notes):
    open(notes, "w").write(token)
    call("POST", api + "runs/log-metric", run_id=run, key="early", value=1, timestamp=1, step=0)
    sys.exit(7)
try:
    call("POST", api + "runs/log-metric", token=open(notes).read(), run_id=run, key="stale", value=1, timestamp=1, step=0)
    sys.exit("the token of the first attempt still writes")
except urllib.error.HTTPError as e:
    assert e.code == 401, e.code
for step in range(3):
    call("POST", api + "runs/log-metric", run_id=run, key="loss", value=1 / (step + 1), timestamp=1000 + step, step=step)
call("POST", api + "runs/log-metric", run_id=run, key="auc", value=0.1, timestamp=1000, step=9)
call("POST", api + "runs/log-parameter", run_id=run, key="depth", value="5")
call("PUT", "/api/2.0/mlflow-artifacts/artifacts/%s/%s/artifacts/model/MLmodel" % (experiment, run), raw=b"flavors: {}")
call("POST", api + "registered-models/create", name="inside")
call("POST", api + "model-versions/create", name="inside", source="runs:/%s/model" % run, run_id=run)
call("POST", api + "runs/update", run_id=run, status="FINISHED", end_time=int(time.time() * 1000))
os.makedirs("model")
open("model/MLmodel", "w").write("flavors: {}")
json.dump({"auc": 0.9, "loss": 1 / 3, "precision@5": 0.8}, open("m.json", "w"))
`

// TestOneRunTwoViews: what files and the client say about a step is one list,
// in lastro's view and in MLflow's; a tracked run names run, step and attempt;
// and every way to register a version says what it was made of.
func TestOneRunTwoViews(t *testing.T) {
	f := newFolder(t, viewsProject)
	if err := os.MkdirAll(filepath.Join(f.paths.Project, "src"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.paths.Project, "src", "train.py"), []byte(viewsTrain), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTES", filepath.Join(t.TempDir(), "notes"))
	yaml := strings.Replace(viewsProject, "    metrics: m.json\n", "    metrics: m.json\n    env: {NOTES: "+os.Getenv("NOTES")+"}\n", 1)
	if err := os.WriteFile(filepath.Join(f.paths.Project, "lastro.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	h := f.open()
	ctx := t.Context()
	out, err := h.Run(ctx, RunRequest{Actor: "user:local"})
	if err != nil || out.Run.State != pipeline.Succeeded {
		steps, _ := h.Runs.StepRuns(ctx, 1)
		for _, s := range steps {
			if log, err := h.OpenLog(ctx, s); err == nil {
				var b [4000]byte
				n, _ := log.Read(b[:])
				t.Logf("%s %s %s\n%s", s.Ref(), s.State, s.Reason, b[:n])
			}
		}
		t.Fatal(out.Run.State, out.Run.Reason, err)
	}

	runs, err := h.Track.RunsOf(ctx, "1", "train")
	if err != nil || len(runs) != 2 {
		t.Fatalf("train has %d tracked runs, %v; want one of each attempt", len(runs), err)
	}
	first, mine := runs[0], runs[1]
	if first.Tags[track.TagAttempt] != "1" || first.Status != track.Failed || mine.Tags[track.TagAttempt] != "2" || mine.Tags[track.TagRun] != "1" || mine.Tags[track.TagStep] != "train" {
		t.Errorf("tags of the attempts: %v %s, %v", first.Tags, first.Status, mine.Tags)
	}
	metrics := map[string]float64{}
	for _, m := range mine.Metrics {
		metrics[m.Key] = m.Value
	}
	params := map[string]string{}
	for _, p := range mine.Params {
		params[p.Key] = p.Value
	}
	if len(metrics) != 3 || metrics["precision@5"] != 0.8 || metrics["auc"] != 0.9 || metrics["loss"] != 1.0/3 {
		t.Errorf("metrics of the tracked run = %v; want auc of the file before the client's, and loss once", metrics)
	}
	if len(params) != 2 || params["depth"] != "5" || params["opt.lr"] != "0.1" {
		t.Errorf("params of the tracked run = %v; want the client's depth and the file's opt.lr", params)
	}
	steps, err := h.Runs.StepRuns(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Step == "train" && s.State == pipeline.Succeeded && (s.Facts["metrics.auc"] != 0.9 || s.Facts["metrics.loss"] != 1.0/3 || len(s.Facts) != 3) {
			t.Errorf("facts of the step = %v; want the same list, without those of the failed attempt", s.Facts)
		}
	}
	if made, err := h.Track.RunsOf(ctx, "1", "files"); err != nil || len(made) != 1 || made[0].Status != track.Finished || len(made[0].Metrics) != 2 || made[0].Name != "files" {
		t.Errorf("tracked runs of a step that only writes files: %+v, %v", made, err)
	}
	if made, err := h.Track.RunsOf(ctx, "1", "quiet"); err != nil || len(made) != 0 {
		t.Errorf("a step without metrics has %d tracked runs, %v", len(made), err)
	}

	// Four ways to register, one record.
	call, get := viewsClient(t, h)
	page := get("/runs/1?step=train")
	for _, want := range []string{"/experiments/" + mine.ExperimentID + "/runs/" + mine.ID, `opt.lr</dt><dd class="mono">0.1<`, `depth</dt><dd class="mono">5<`, `metrics.auc</th><td class="n">0.9`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the run lacks %s", want)
		}
	}
	if strings.Contains(page, first.ID) {
		t.Error("the page of the second attempt shows what the first one tracked")
	}
	if page := get("/models/views/1"); !strings.Contains(page, mine.ID[:8]) || strings.Contains(page, "lastro.digest") {
		t.Error("the page of the version does not name its tracked run, or repeats itself in tags")
	}
	if page := get("/models"); !strings.Contains(page, "Who moved its aliases") || !strings.Contains(page, `<th scope="row">candidate</th>`) {
		t.Error("the page of models does not say who moved an alias")
	}
	outside := call("POST", "runs/create", `{"experiment_id": "`+mine.ExperimentID+`", "start_time": 1, "tags": [{"key": "mlflow.source.git.commit", "value": "c0ffee"}]}`)["run"].(map[string]any)["info"].(map[string]any)["run_id"].(string)
	call("POST", "runs/log-inputs", `{"run_id": "`+outside+`", "datasets": [{"dataset": {"name": "iris", "digest": "d1", "source_type": "local", "source": "x"}}]}`)
	call("PUT", "/api/2.0/mlflow-artifacts/artifacts/"+mine.ExperimentID+"/"+outside+"/artifacts/m/MLmodel", "flavors: {}")
	call("POST", "registered-models/create", `{"name": "outside"}`)
	call("POST", "model-versions/create", `{"name": "outside", "source": "runs:/`+outside+`/m"}`)
	call("POST", "registered-models/create", `{"name": "copied"}`)
	call("POST", "model-versions/create", `{"name": "copied", "source": "models:/inside/1"}`)
	there, err := h.Registry.Version(ctx, "inside", 1)
	if err != nil {
		t.Fatal(err)
	}
	there.Model, there.Number, there.By = "imported", 7, "user:ana"
	if _, err := h.Registry.ImportModel(ctx, "user:ana", registry.Model{Name: "imported"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Registry.ImportVersion(ctx, there); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		model  string
		number int
		v      registry.Version
	}{
		{"views", 1, registry.Version{Run: "1", Step: "train", TrackedRun: mine.ID}},
		{"inside", 1, registry.Version{Run: "1", Step: "train", TrackedRun: mine.ID}},
		{"copied", 1, registry.Version{Run: "1", Step: "train", TrackedRun: mine.ID}},
		{"imported", 7, registry.Version{Run: "1", Step: "train", TrackedRun: mine.ID}},
		{"outside", 1, registry.Version{TrackedRun: outside, Commit: "c0ffee", DataVersions: []registry.DataVersion{{Dataset: "iris", Digest: "d1"}}}},
	} {
		v, err := h.Registry.Version(ctx, want.model, want.number)
		if err != nil {
			t.Errorf("%s: %v", want.model, err)
			continue
		}
		if _, err := h.Blobs.Tree(ctx, v.Digest); err != nil {
			t.Errorf("%s points at no bytes: %v", want.model, err)
		}
		if v.Run != want.v.Run || v.Step != want.v.Step || v.TrackedRun != want.v.TrackedRun || v.Commit != want.v.Commit || len(v.DataVersions) != len(want.v.DataVersions) {
			t.Errorf("%s was made of %+v, want %+v", want.model, v, want.v)
		}
		tags := map[string]any{}
		for _, tag := range call("GET", "model-versions/get?name="+want.model+"&version="+fmt.Sprint(v.Number), "")["model_version"].(map[string]any)["tags"].([]any) {
			kv := tag.(map[string]any)
			tags[kv["key"].(string)] = kv["value"]
		}
		if tags[registry.TagDigest] != string(v.Digest) || tags[registry.TagTracked] != want.v.TrackedRun || want.v.Run != "" && tags[registry.TagRun] != want.v.Run ||
			want.v.Commit != "" && (tags[registry.TagCommit] != want.v.Commit || tags["lastro.data.iris"] != "d1") {
			t.Errorf("clients read of %s: %v", want.model, tags)
		}
	}

	// Again from the cache: the version stays as it was.
	again, err := h.Run(ctx, RunRequest{Actor: "user:local"})
	if err != nil || again.Version == nil || again.Version.Number != 1 {
		t.Errorf("from the cache: %+v, %v", again.Version, err)
	}
	if runs, err := h.Track.RunsOf(ctx, "2", ""); err != nil || len(runs) != 0 {
		t.Errorf("a run from the cache has %d tracked runs, %v", len(runs), err)
	}
}

// viewsClient calls the MLflow API of a server over h, and gets its pages.
func viewsClient(t *testing.T, h *House) (call func(method, path, body string) map[string]any, get func(path string) string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	handler, err := newServer(h, "http://127.0.0.1:1").handler(l, UpOptions{AuthNone: true})
	if err != nil {
		t.Fatal(err)
	}
	get = func(path string) string {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1"+path, nil))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return w.Body.String()
	}
	call = func(method, path, body string) map[string]any {
		t.Helper()
		if !strings.HasPrefix(path, "/") {
			path = "/api/2.0/mlflow/" + path
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return out
	}
	return call, get
}
