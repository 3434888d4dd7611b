// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lastro/registry"
	"lastro/track"
)

func trackedID(n int) string { return fmt.Sprintf("%032x", 0xabc000+n) }

func trackedAt(n int) string { return "/experiments/1/runs/" + trackedID(n) }

// trackedRun stores one tracked run of experiment 1.
func (h *house) trackedRun(n int, r track.Run, b track.Batch) {
	h.t.Helper()
	r.ID, r.ExperimentID, r.State, r.By = trackedID(n), "1", track.Active, "user:ana"
	r.StartedAt = noon.Add(time.Duration(n) * time.Minute)
	if r.Status == "" {
		r.Status, r.EndedAt = track.Finished, r.StartedAt.Add(12300*time.Millisecond)
	}
	h.must(h.kept.CreateRun(h.t.Context(), r))
	h.must(h.pages.Track.Log(h.t.Context(), track.Caller{By: "user:ana"}, r.ID, b))
}

// curve are points of a metric that nears its goal.
func curve(key string, goal float64, steps int) (out []track.Metric) {
	for i := range steps {
		out = append(out, track.Metric{Key: key, Step: int64(i), At: noon.Add(time.Duration(i) * time.Second), Value: goal * (1 - math.Exp(-float64(i+1)/8))})
	}
	return out
}

func folds(key string, values ...float64) (out []track.Metric) {
	for i, v := range values {
		out = append(out, track.Metric{Key: key, At: noon.Add(time.Duration(i) * time.Second), Value: v})
	}
	return out
}

// tracked fills an experiment: folds, curves, seeds, a failure, one under way.
func (h *house) tracked() {
	h.t.Helper()
	ctx := h.t.Context()
	h.must(h.kept.CreateExperiment(ctx, track.Experiment{ID: "1", Name: "wine", State: track.Active, CreatedAt: noon, UpdatedAt: noon, By: "user:ana"}))
	params := func(list ...string) (out []track.Param) {
		for _, p := range list {
			key, value, _ := strings.Cut(p, "=")
			out = append(out, track.Param{Key: key, Value: value})
		}
		return out
	}
	h.succeeded()
	h.trackedRun(1, track.Run{Name: "first", Origin: track.Origin{Run: "1", Step: "train", Cell: "1"}, Tags: map[string]string{"team": "risk", "mlflow.note.content": "The *base* of all others.", "mlflow.user": "ana", "lastro.run": "1", "lastro.attempt": "1"}},
		track.Batch{Params: params("depth=4", "loss=mse", "seed=1", "lr=0.1"), Metrics: append(folds("auc", 0.771, 0.779, 0.768, 0.774, 0.776), curve("valid_auc", 0.77, 40)...)})
	h.trackedRun(2, track.Run{Name: "deeper", Tags: map[string]string{"mlflow.source.git.commit": "1a2b3c4d5e"}},
		track.Batch{Params: params("depth=6", "loss=mse", "seed=1", "lr=0.1"), Metrics: append(folds("auc", 0.781, 0.784, 0.779), curve("valid_auc", 0.784, 40)...)})
	h.trackedRun(3, track.Run{Name: "deeper again"}, track.Batch{Params: params("depth=6", "loss=mse", "seed=2", "lr=0.1"), Metrics: append(folds("auc", 0.78), curve("valid_auc", 0.78, 25)...)})
	h.trackedRun(4, track.Run{Name: "huber", Status: track.Failed, EndedAt: noon.Add(5 * time.Minute)}, track.Batch{Params: params("depth=4", "loss=huber", "seed=1"),
		Metrics: append(folds("auc", math.NaN()), folds("rmse", 12345.678)...)})
	h.trackedRun(5, track.Run{Name: "under way", Status: track.Running}, track.Batch{Params: params("depth=9")})
	h.must(h.pages.Track.LogInputs(ctx, track.Caller{By: "user:ana"}, trackedID(1), []track.Input{{Name: "wine", Digest: "9f2c1a77", SourceType: "local", Tags: map[string]string{track.TagContext: "training"}}}, nil))
	for path, text := range map[string]string{"notes.txt": "alpha\n\x1b[31mbeta\x1b[0m <b>\n", "plots/roc.png": "\x89PNG", "model/MLmodel": "flavors: {}\n", "weights.bin": "\x00\x01", "page.html": "<script>alert(1)</script>"} {
		a := h.files.keep(path, text)
		h.must(h.kept.PutArtifact(ctx, track.Artifact{Path: track.RunRoot("1", trackedID(1)) + "/" + path, Digest: a.Digest, Size: a.Size, At: noon}))
	}
	h.must(h.kept.CreateLoggedModel(ctx, track.LoggedModel{ID: "m-" + trackedID(9), ExperimentID: "1", Name: "wine-model", Type: "sklearn", SourceRun: trackedID(1), Status: track.ModelReady, CreatedAt: noon, UpdatedAt: noon, By: "user:ana"}))
	h.must(h.pages.Track.LogOutputs(ctx, track.Caller{By: "user:ana"}, trackedID(1), []track.ModelOutput{{ModelID: "m-" + trackedID(9)}}))
	_, _, err := h.pages.Registry.Register(ctx, registry.Registration{Version: registry.Version{Model: "wine", Digest: digest("wine"), TrackedRun: trackedID(1), By: "user:ana"}})
	h.must(err)
}

// TestTrackedFiles saves what a run logged and shows pictures in a sandbox only.
func TestTrackedFiles(t *testing.T) {
	h := newHouse(t)
	h.tracked()
	for path, want := range map[string]string{"/files/page.html": "application/octet-stream", "/files/plots/roc.png": "application/octet-stream", "/files/plots/roc.png?show=1": "image/png", "/files/page.html?show=1": "application/octet-stream"} {
		w := h.ask(http.MethodGet, trackedAt(1)+path, English)
		head := w.Header()
		if w.Code != 200 || head.Get("Content-Type") != want || !strings.Contains(head.Get("Content-Security-Policy"), "sandbox") || head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, head)
		}
		if saved := strings.HasPrefix(head.Get("Content-Disposition"), "attachment"); saved == (want == "image/png") {
			t.Errorf("%s: saved %v", path, saved)
		}
	}
	for _, path := range []string{trackedAt(1) + "/files/none.txt", "/experiments/0/runs/" + trackedID(1) + "/files/notes.txt", trackedAt(2) + "/files/notes.txt", trackedAt(1) + "/files/..%2f..%2fnotes.txt"} {
		if w := h.ask(http.MethodGet, path, English); w.Code < 400 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for file, want := range map[string]string{"page.html": "&lt;script&gt;", "plots%2Froc.png": `src="` + trackedAt(1) + `/files/plots/roc.png?show=1"`, "weights.bin": "choose one", "none": "choose one"} {
		if _, body := h.get(trackedAt(1)+"?file="+file, English); !strings.Contains(body, want) {
			t.Errorf("%s: the page does not hold %s", file, want)
		}
	}
}

// TestCurves reads what the script and spreadsheets read.
func TestCurves(t *testing.T) {
	h := newHouse(t)
	h.tracked()
	asked := "metric=valid_auc&run=" + trackedID(1) + "&run=" + trackedID(3) + "&run=" + trackedID(4)
	var doc curveDocument
	w := h.ask(http.MethodGet, "/compare/curve?"+asked, English)
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || len(doc.Series) != 3 || doc.Series[0].Points != 40 || len(doc.Series[1].X) != 25 || len(doc.Series[2].X) != 0 {
		t.Errorf("%s %v", w.Body, err)
	}
	w = h.ask(http.MethodGet, "/compare/curve.csv?"+asked, English)
	if lines := strings.Count(w.Body.String(), "\n"); lines != 66 || !strings.HasPrefix(w.Body.String(), "run_id,run_name,step,time,value\n") {
		t.Errorf("%d lines: %.200s", lines, w.Body)
	}
	for _, bad := range []string{"metric=auc", "run=" + trackedID(1), "metric=auc&run=" + trackedID(77)} {
		if w := h.ask(http.MethodGet, "/compare/curve?"+bad, English); w.Code < 400 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	w = h.ask(http.MethodGet, "/compare.csv?run="+trackedID(1)+"&run="+trackedID(2), English)
	if !strings.Contains(w.Body.String(), "param,depth,4,6\n") || !strings.Contains(w.Body.String(), "metric,auc,0.77360") {
		t.Errorf("%s", w.Body)
	}
}

// TestManyPoints thins a long history without losing its ends and peaks.
func TestManyPoints(t *testing.T) {
	h := newHouse(t)
	h.tracked()
	for at := 0; at < 20_000; at += track.MaxBatch {
		var b track.Batch
		for i := at; i < at+track.MaxBatch; i++ {
			v := math.Sin(float64(i) / 500)
			if i == 12_345 {
				v = 9
			}
			b.Metrics = append(b.Metrics, track.Metric{Key: "long", Step: int64(i), At: noon.Add(time.Duration(i) * time.Millisecond), Value: v})
		}
		h.must(h.pages.Track.Log(t.Context(), track.Caller{By: "user:ana"}, trackedID(2), b))
	}
	c, err := h.pages.Track.Curve(t.Context(), trackedID(2), "long", 100)
	if err != nil || c.Count != 20_000 || len(c.Points) > 400 || len(c.Points) < 100 || c.Max.Step != 12_345 || c.Last.Step != 19_999 {
		t.Fatalf("%d of %d points, %v, greatest at %d", len(c.Points), c.Count, err, c.Max.Step)
	}
	peak := false
	for _, m := range c.Points {
		peak = peak || m.Value == 9
	}
	if !peak {
		t.Error("the peak is lost")
	}
	if _, body := h.get(trackedAt(2), English); len(body) > 60_000 {
		t.Errorf("the page has %d bytes", len(body))
	}
}

// TestCompareRefuses says what can be compared.
func TestCompareRefuses(t *testing.T) {
	h := newHouse(t)
	h.tracked()
	for path, want := range map[string]int{"/compare": 400, "/compare?run=" + trackedID(1): 400, "/compare?run=" + trackedID(1) + "&run=" + trackedID(1): 400,
		"/compare?run=" + trackedID(1) + "&run=x": 404, "/compare?run=x" + strings.Repeat("&run=x", 10): 400, "/experiments/77": 404, "/experiments/1/runs/" + trackedID(77): 404, "/experiments/0/runs/" + trackedID(1): 404} {
		if status, _ := h.get(path, Portuguese); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

// TestScripts allows the own scripts by a nonce, and sends little.
func TestScripts(t *testing.T) {
	h := newHouse(t)
	h.tracked()
	w := h.ask(http.MethodGet, trackedAt(1), English)
	if csp := w.Header().Get("Content-Security-Policy"); csp != "script-src 'nonce-test'" {
		t.Errorf("policy %q", csp)
	}
	if w := h.ask(http.MethodGet, "/models", English); w.Header().Get("Content-Security-Policy") != "" || strings.Contains(w.Body.String(), "<script") {
		t.Error("a page without scripts lets some run")
	}
	sum := w.Body.Len()
	for _, path := range []string{"/static/lastro.css", plotStylesheet, plotLibrary, curveScript} {
		if !strings.Contains(w.Body.String(), path) {
			t.Errorf("the page does not load %s", path)
		}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		got := httptest.NewRecorder()
		mux := http.NewServeMux()
		for _, route := range h.pages.Routes() {
			mux.HandleFunc(route.Pattern, route.Handler)
		}
		mux.ServeHTTP(got, r)
		if got.Code != 200 || got.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(got.Header().Get("Content-Type"), map[bool]string{true: "css", false: "javascript"}[strings.HasSuffix(path, "css")]) {
			t.Errorf("%s: %d %v", path, got.Code, got.Header())
		}
		n, _ := io.Copy(io.Discard, got.Body)
		sum += int(n)
	}
	if sum > 60<<10 { // UI.md: 60 KB for the first load
		t.Errorf("the first load is %d bytes", sum)
	}
	t.Logf("first load: %d bytes", sum)
}

// TestTrackedHostile stores what would be a script wherever a client writes.
func TestTrackedHostile(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	h := newHouse(t)
	h.must(h.kept.CreateExperiment(t.Context(), track.Experiment{ID: "1", Name: evil, State: track.Active, CreatedAt: noon, UpdatedAt: noon, By: "user:ana", Tags: map[string]string{"mlflow.note.content": evil}}))
	for n := 1; n <= 2; n++ {
		h.trackedRun(n, track.Run{Name: evil, User: evil, Tags: map[string]string{evil: evil, "mlflow.note.content": evil, "mlflow.source.name": evil}},
			track.Batch{Params: []track.Param{{Key: evil, Value: fmt.Sprint(evil, n)}}, Metrics: append(curve(evil, float64(n), 3), folds("<b>", 1, 2)...)})
		h.must(h.pages.Track.LogInputs(t.Context(), track.Caller{By: "user:ana"}, trackedID(n), []track.Input{{Name: evil, Digest: evil, SourceType: evil, Tags: map[string]string{track.TagContext: evil}}}, nil))
	}
	for _, path := range []string{"/experiments", "/experiments?find=%3Cscript%3E", "/experiments/1", "/experiments/1?filter=%3Cscript%3E&order=%22%3E&col=metrics.%3Cscript%3E", trackedAt(1),
		"/compare?run=" + trackedID(1) + "&run=" + trackedID(2) + "&all=1&x=%3Cscript%3E"} {
		for _, l := range []Lang{English, Portuguese} {
			if _, body := h.get(path, l); strings.Contains(body, "<script>") || strings.Contains(body, "<img") || strings.Contains(body, "<b>\"") {
				t.Errorf("%s shows a script as it is", path)
			}
		}
	}
}
