// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/registry"
)

var update = flag.Bool("update", false, "rewrite testdata/*.html; read the diff before you commit it")

// get asks the pages as a browser does; every answer must be well-formed and
// obey the content security policy.
func (h *house) get(path string, l Lang) (status int, body string) {
	h.t.Helper()
	w := h.ask(http.MethodGet, path, l)
	body = w.Body.String()
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		for _, problem := range wellFormed(body) {
			h.t.Errorf("%s in %s: %s", path, l, problem)
		}
	}
	return w.Code, body
}

// ask sends one request as the reader h.who.
func (h *house) ask(method, path string, l Lang) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	for _, r := range h.pages.Routes() {
		mux.HandleFunc(r.Pattern, r.Handler)
	}
	r := httptest.NewRequest(method, path, nil)
	r = r.WithContext(auth.WithIdentity(r.Context(), h.who))
	r.Header.Set("Accept-Language", string(l))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// situations are the states of a project that pages are looked at in, with the
// pages worth keeping.
var situations = []struct {
	name  string
	fill  func(h *house)
	pages map[string]string // golden's name -> path
}{
	{"empty", func(*house) {}, map[string]string{"runs": "/runs", "models": "/models", "live": "/live", "experiments": "/experiments", "experiment": "/experiments/0"}},
	{"tracked", (*house).tracked, map[string]string{"experiments": "/experiments", "experiment": "/experiments/1", "filtered": "/experiments/1?filter=metrics.auc+%3E&order=metrics.%60auc%60+DESC",
		"run": trackedAt(1) + "?file=notes.txt", "compare": "/compare?run=" + trackedID(1) + "&run=" + trackedID(2) + "&run=" + trackedID(3) + "&run=" + trackedID(4)}},
	{"failed", func(h *house) {
		train := h.step("train", 1, pipeline.Failed, 2, 15)
		train.Reason, train.Error = "exit status 137", &lastro.Error{Code: lastro.EFailed, Msg: "step train: exit status 137", Hint: "137 is a kill: the step may need more memory"}
		h.logs["1/train"] = "[train] rows 62,318\n\x1b[31mKilled\x1b[0m\n"
		h.run(pipeline.Failed, "step train failed: exit status 137", nil, h.step("tests", 0, pipeline.Succeeded, 0, 1), h.step("split", 0, pipeline.Succeeded, 0, 2), train,
			h.step("train", 2, pipeline.Cancelled, 0, 0), h.step("compare", 0, pipeline.Skipped, 0, 0))
	}, map[string]string{"run": "/runs/1", "runs": "/runs"}},
	{"reports", (*house).reported, map[string]string{"run": "/runs/1?step=tests"}},
	{"waiting", func(h *house) {
		h.succeeded()
		v := h.version(1, "model")
		h.decide(v, 0.671, 0.160)
	}, map[string]string{"version": "/models/flight-delay/1", "models": "/models"}},
	{"first", func(h *house) {
		n := h.succeeded()
		v := h.version(n, "model")
		h.decide(v, 0.671, 0.05)
		h.plane.champion = good
		h.deploy("local", v)
	}, map[string]string{"live": "/live", "run": "/runs/1", "version": "/models/flight-delay/1"}},
	{"canary", canaryAt(412), map[string]string{"live": "/live/local", "version": "/models/flight-delay/2"}},
	{"collecting", canaryAt(120), map[string]string{"live": "/live/local"}},
	{"alert", func(h *house) {
		canaryAt(412)(h)
		h.tick()
		h.tick()
		h.months()
	}, map[string]string{"live": "/live/local", "champion": "/models/flight-delay/2"}},
	{"rolledback", func(h *house) {
		canaryAt(0)(h)
		h.plane.candidate = good
		h.plane.candidate.Errors = 30
		h.tick()
	}, map[string]string{"live": "/live/local", "version": "/models/flight-delay/2"}},
	{"two", func(h *house) {
		canaryAt(412)(h)
		h.clock.at = h.clock.at.Add(time.Hour)
		v, err := h.pages.Registry.Version(h.t.Context(), "flight-delay", 1)
		h.must(err)
		h.deploy("production", v)
	}, map[string]string{"live": "/live", "production": "/live/production"}},
	{"client", func(h *house) {
		h.run(pipeline.Pending, "", nil)
		_, _, err := h.pages.Registry.Register(h.t.Context(), registry.Registration{Version: registry.Version{Model: "churn", Digest: digest("churn"), By: "user:ana", TrackedRun: "0123456789abcdef0123456789abcdef"}})
		h.must(err)
		_, err = h.pages.Registry.CreateModel(h.t.Context(), "user:ana", registry.Model{Name: "empty"})
		h.must(err)
	}, map[string]string{"version": "/models/churn/1", "models": "/models"}},
	{"blocked", func(h *house) {
		h.succeeded()
		h.decide(h.version(1, "model"), 0.58, 0.05)
	}, map[string]string{"version": "/models/flight-delay/1"}},
}

// canaryAt is a second version at the step of 50%, having answered so many requests.
func canaryAt(requests int64) func(*house) {
	return func(h *house) {
		first := h.version(h.succeeded(), "model")
		h.decide(first, 0.652, 0.05)
		h.plane.champion = good
		h.deploy("local", first)
		h.clock.at = h.clock.at.Add(24 * time.Hour)
		second := h.version(h.succeeded(), "better model")
		h.decide(second, 0.671, 0.05)
		h.plane.candidate = deploy.Counts{}
		h.deploy("local", second)
		h.plane.candidate = good
		h.step10(requests)
	}
}

// step10 ends the step of 10% and lets the next one see so many requests.
func (h *house) step10(requests int64) {
	h.t.Helper()
	env := h.pages.Deploys
	ctx := h.t.Context()
	view, err := env.Current(ctx, "local")
	h.must(err)
	r := *view.Rollout
	r.History = []deploy.StepRecord{{Share: 0.1, StartedAt: h.clock.at, EndedAt: h.clock.at, Evidence: deploy.Evidence{Candidate: deploy.Counts{Requests: 311}}, Held: true}}
	r.Step, r.Generation = 1, r.Generation+1
	r.Strategy.Hold = 0
	h.plane.candidate = good
	h.plane.candidate.Requests = requests
	r.Now = &deploy.Evidence{Candidate: h.plane.candidate, Champion: good, Rules: []deploy.RuleOutcome{{Rule: "errors.rate > 2%"}, {Rule: "shift(score.mean) > 60%"}, {Rule: "score.sd < 0.02"}}}
	if requests < 200 {
		r.Now.Rules = nil
	}
	h.must(env.Store.UpdateRollout(ctx, r))
}

func TestPages(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			h := newHouse(t)
			s.fill(h)
			for name, path := range s.pages {
				for _, l := range []Lang{English, Portuguese} {
					status, body := h.get(path, l)
					if status != http.StatusOK {
						t.Errorf("%s: status %d\n%s", path, status, body)
					}
					golden(t, s.name+"-"+name+"."+string(l)+".html", body)
				}
			}
		})
	}
}

// frozen matches the digest of a decision, which changes with the gate's format.
var frozen = regexp.MustCompile(`(d-\d{4}) [0-9a-f]{7}|sha256:[0-9a-f]{64}`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = frozen.ReplaceAllString(got, "$1 DIGEST")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: run go test ./web -update and read the diff\n%s", name, firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "got  " + a[i] + "\nwant " + b[i]
		}
	}
	return "one is longer"
}

// TestLinks follows every link of every page in every situation.
func TestLinks(t *testing.T) {
	href := regexp.MustCompile(`(?:href|action)="([^"]*)"`)
	for _, s := range situations {
		h := newHouse(t)
		s.fill(h)
		seen := map[string]bool{"/runs": true}
		todo := []string{"/runs"}
		for len(todo) > 0 {
			path := todo[0]
			todo = todo[1:]
			status, body := h.get(path, English)
			if status >= 400 {
				t.Errorf("%s: %s answers %d", s.name, path, status)
			}
			for _, m := range href.FindAllStringSubmatch(body, -1) {
				target, fragment, _ := strings.Cut(strings.ReplaceAll(m[1], "&amp;", "&"), "#")
				if target == "" && fragment != "" && !strings.Contains(body, `id="`+fragment+`"`) {
					t.Errorf("%s: %s links to #%s, which is not there", s.name, path, fragment)
				}
				if target == "/compare" || strings.Contains(target, "order=") && strings.Contains(path, "order=") {
					continue // a form that needs a choice; one table sorted again and again
				}
				if strings.Contains(target, "lang=") && strings.Count(target, "=") > 1 {
					continue // the same page once more
				}
				if strings.HasPrefix(target, "/") && !seen[target] {
					seen[target] = true
					todo = append(todo, target)
				}
			}
		}
		if len(seen) < 5 {
			t.Errorf("%s: only %d pages were found", s.name, len(seen))
		}
	}
}

// wellFormed finds elements that are not closed, ids that are there twice and
// what the content security policy would refuse.
func wellFormed(page string) (problems []string) {
	var open []string
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*?)(/?)>`).FindAllStringSubmatch(page, -1) {
		name, attributes := m[2], m[3]
		if id := regexp.MustCompile(`\sid="([^"]*)"`).FindStringSubmatch(attributes); id != nil {
			if ids[id[1]] {
				problems = append(problems, "id "+id[1]+" is there twice")
			}
			ids[id[1]] = true
		}
		if name == "script" && m[1] == "" && !strings.Contains(attributes, ` nonce="test" src="/static/`) || regexp.MustCompile(`\s(style|on[a-z]+)=`).MatchString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(attributes, "")) {
			problems = append(problems, "refused by the content security policy: "+m[0])
		}
		switch {
		case m[4] == "/" || name == "meta" || name == "link" || name == "br" || name == "input" || name == "wbr" || name == "img" || name == "hr":
		case m[1] == "":
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			return append(problems, "</"+name+"> closes nothing; open: "+strings.Join(open, " "))
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		problems = append(problems, "not closed: "+strings.Join(open, " "))
	}
	for _, bad := range []string{"%!", "&lt;nil&gt;", "ZgotmplZ", "NaN"} {
		if strings.Contains(page, bad) {
			problems = append(problems, "the page holds "+bad)
		}
	}
	return problems
}

// TestRefresh asks again by itself while something goes on, and only then.
func TestRefresh(t *testing.T) {
	h := newHouse(t)
	h.run(pipeline.Running, "", nil, h.step("tests", 0, pipeline.Running, 1, 0))
	for path, want := range map[string]bool{"/runs": true, "/runs/1": true, "/models": false, "/live": false} {
		_, body := h.get(path, English)
		if got := strings.Contains(body, `http-equiv="refresh"`); got != want {
			t.Errorf("%s refreshes: %v, want %v", path, got, want)
		}
	}
	h = newHouse(t)
	canaryAt(120)(h)
	if _, body := h.get("/live", English); !strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("an open rollout does not refresh")
	}
}

// TestEscaping stores text that would be a script in every place where people
// or programs write.
func TestEscaping(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	h := newHouse(t)
	train := h.step("train", 1, pipeline.Failed, 2, 15)
	train.Reason, train.Values = evil, map[string]any{"depth": evil}
	train.Facts = map[string]float64{evil: 1}
	train.Outputs = []pipeline.Artifact{{Name: evil, Path: evil, Digest: digest("x")}}
	h.logs["1/train"] = evil
	n := h.run(pipeline.Failed, evil, map[string]any{"kind": "alert", "reason": evil}, train, h.fairness())
	v, _, err := h.pages.Registry.Register(t.Context(), registry.Registration{Version: registry.Version{Model: "m", Digest: digest("m"), Run: "1", Step: "train", By: "user:ana",
		Commit: evil, Tags: map[string]string{"k": evil}}})
	h.must(err)
	_, err = h.pages.Gates.Decide(t.Context(), gate.Subject{Ref: v.Ref(), Digest: v.Digest, Run: "1"}, []gate.Rule{{Name: evil, Check: evil, Why: evil}}, gate.Facts{evil: evil}, "user:ana")
	h.must(err)
	h.pages.Deploys.Spec = func(string) (deploy.Spec, bool) {
		return deploy.Spec{Strategy: deploy.Strategy{Kind: "canary", Steps: []float64{1}}, RollbackIf: []string{evil}}, true
	}
	h.deploy("local", v)
	h.must(h.store.Save(t.Context(), monitor.Changes{Alerts: []monitor.Alert{{ID: "a", Environment: "local", Kind: monitor.Drift, State: monitor.Firing, Title: evil, Harm: evil, Action: evil, OpenedAt: noon}},
		Measurements: []monitor.Measurement{{ID: "m", Environment: "local", Kind: monitor.Drift, Name: evil, Test: evil, Model: "model:m@1", Value: 1, Start: noon, End: noon.Add(time.Hour)}},
		Retrains:     []monitor.Retrain{{ID: "r", Environment: "local", Reason: evil, At: noon}}}))
	if n != 1 {
		t.Fatalf("run %d", n)
	}
	for _, path := range []string{"/runs", "/runs/1", "/models", "/models/m/1", "/live", "/runs/%3Cscript%3E", "/models/%3Cscript%3E/1", "/live/%3Cscript%3E"} {
		for _, l := range []Lang{English, Portuguese} {
			_, body := h.get(path, l)
			if strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
				t.Errorf("%s shows a script as it is", path)
			}
		}
	}
}

// TestLogin asks for a token, and says what was wrong with the last one.
func TestLogin(t *testing.T) {
	h := newHouse(t)
	for _, l := range []Lang{English, Portuguese} {
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		r.Header.Set("Accept-Language", string(l))
		w := httptest.NewRecorder()
		h.pages.Login(w, r)
		golden(t, "login."+string(l)+".html", w.Body.String())
		w = httptest.NewRecorder()
		h.pages.Refuse(w, r, http.StatusUnauthorized, lastro.Errorf(lastro.EDenied, "the token is <unknown>"))
		if body := w.Body.String(); w.Code != http.StatusUnauthorized || !strings.Contains(body, "the token is &lt;unknown&gt;") || len(wellFormed(body)) > 0 {
			t.Errorf("%s: status %d, %v", l, w.Code, wellFormed(body))
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/api/v1/runs", nil)
	w := httptest.NewRecorder()
	h.pages.Refuse(w, r, http.StatusForbidden, &lastro.Error{Code: lastro.EDenied, Msg: "no \x01", Hint: "ask"})
	var problem map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem["hint"] != "ask" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %v", w.Body, err)
	}
}

// TestErrorPages answers what is not there in the reader's language.
func TestErrorPages(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/runs/7", "/runs/x", "/models/none/1", "/models/none/x", "/live/nowhere"} {
		status, body := h.get(path, Portuguese)
		if status != http.StatusNotFound || !strings.Contains(body, "Isso não deu certo") {
			t.Errorf("%s: status %d", path, status)
		}
	}
}
