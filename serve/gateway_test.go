// SPDX-License-Identifier: Apache-2.0

package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/serve"
	"lastro/serve/servetest"
)

var fields = []serve.Field{{Name: "x", Type: "double", Required: true}, {Name: "hour", Type: "long", Required: true}, {Name: "carrier", Type: "string", Required: true}}

// good answers 0.1 + 0.5x.
var good = servetest.LinearModel{Base: 0.1, Weights: map[string]float64{"x": 0.5}, Fields: fields}

func with(change func(*servetest.LinearModel)) servetest.LinearModel {
	m := good
	change(&m)
	return m
}

// bench is a gateway behind a real port.
type bench struct {
	t       *testing.T
	dir     string
	gateway *serve.Gateway
	server  *httptest.Server
	routing serve.Routing
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), routing: serve.Routing{Endpoint: "local", Model: "flights", JoinKey: "flight_id", EventTime: "departure", Deadline: 2 * time.Second}}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *bench) start() {
	var err error
	if b.gateway, err = serve.NewGateway(serve.Options{Dir: b.dir, Runtimes: []serve.Runtime{servetest.Linear{}}}); err != nil {
		b.t.Fatal(err)
	}
	b.server = httptest.NewServer(b.gateway)
}

func (b *bench) stop() {
	b.server.Close()
	if err := b.gateway.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) revision(version int, m servetest.LinearModel) *serve.Revision {
	return &serve.Revision{Name: fmt.Sprintf("flights@%d", version), Version: fmt.Sprint(version), Digest: servetest.Install(b.t, b.dir, m.Folder(b.t))}
}

// route tells the next generation and waits until nothing is loading.
func (b *bench) route(champion, candidate *serve.Revision, share float64) serve.EndpointStats {
	b.t.Helper()
	b.routing.Generation++
	b.routing.Champion, b.routing.Candidate, b.routing.Share = champion, candidate, share
	if _, err := b.gateway.Route(b.routing); err != nil {
		b.t.Fatal(err)
	}
	return b.settled()
}

func (b *bench) settled() serve.EndpointStats {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s := b.gateway.Stats().Endpoints["local"]
		loading := false
		for _, r := range s.Revisions {
			loading = loading || r.State == serve.Loading || r.Role == "leaving" && s.Serving != r.Name
		}
		if !loading {
			return s
		}
	}
	b.t.Fatal("revisions are still loading")
	return serve.EndpointStats{}
}

func (b *bench) post(path, body string, header ...string) (int, http.Header, string) {
	b.t.Helper()
	req, err := http.NewRequest("POST", b.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

func (b *bench) get(path string) (int, string) {
	b.t.Helper()
	res, err := http.Get(b.server.URL + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func row(x float64, carrier string) string {
	return fmt.Sprintf(`{"dataframe_split":{"columns":["x","hour","carrier","flight_id","departure"],"data":[[%g,7,%q,"f1","2013-07-01T12:00:00Z"]]}}`, x, carrier)
}

type line struct {
	Req, Rev, Role, Error string
	Endpoint              string
	Status, Row           int
	T                     int64
	LatencyUS             int64  `json:"latency_us"`
	EventTime             int64  `json:"event_time"`
	FailedRev             string `json:"failed_rev"`
	FailedError           string `json:"failed_error"`
	In                    map[string]any
	Out                   any
}

func (b *bench) log() []line {
	b.t.Helper()
	if err := b.gateway.Flush(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	return readLog(b.t, serve.LogDir(b.dir, "local"))
}

func readLog(t *testing.T, dir string) []line {
	t.Helper()
	names, err := serve.Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			var l line
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Fatalf("%s: %v in %s", name, err, s.Bytes())
			}
			lines = append(lines, l)
		}
		f.Close()
	}
	return lines
}

func find(s serve.EndpointStats, name string) serve.RevisionStats {
	for _, r := range s.Revisions {
		if r.Name == name {
			return r
		}
	}
	return serve.RevisionStats{}
}

func TestOpenInference(t *testing.T) {
	b := open(t)
	if status, body := b.get("/v2/health/ready"); status != 503 || !strings.Contains(body, "nothing is deployed") {
		t.Errorf("ready before the first routing: %d %s", status, body)
	}
	b.route(b.revision(3, good), nil, 0)
	for path, want := range map[string]string{
		"/v2":                                 `"name":"lastro"`,
		"/v2/health/live":                     `{"live":true}`,
		"/v2/health/ready":                    `{"ready":true}`,
		"/v2/models/flights":                  `{"name":"hour","datatype":"INT64","shape":[-1]}`,
		"/v2/models/flights/ready":            `"ready":true`,
		"/v2/models/flights/versions/3":       `"versions":["3"]`,
		"/v2/models/flights/versions/3/ready": `"ready":true`,
		"/v2/models/local/ready":              `"ready":true`,
	} {
		if status, body := b.get(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s, want 200 with %s", path, status, body, want)
		}
	}
	if status, body := b.get("/v2/models/flight"); status != 404 || !strings.Contains(body, "did you mean flights") {
		t.Errorf("unknown model: %d %s", status, body)
	}
	if status, _ := b.get("/v2/models/flights/versions/4/ready"); status != 404 {
		t.Errorf("unknown version: %d, want 404", status)
	}
	// No Content-Type, [n] beside [n,1], nested data, a join key: all of it is allowed.
	const ask = `{"id":"r-1","inputs":[{"name":"x","datatype":"FP64","shape":[2],"data":[1,0.5]},{"name":"hour","datatype":"INT32","shape":[2,1],"data":[[7],[8]]},
		{"name":"carrier","datatype":"BYTES","shape":[2],"data":["AA","B6"]},{"name":"flight_id","datatype":"BYTES","shape":[2],"data":["f1","f2"]}]}`
	status, header, body := b.post("/v2/models/flights/infer", ask)
	want := `{"model_name":"flights","model_version":"3","id":"r-1","outputs":[{"name":"predict","datatype":"FP64","shape":[2],"data":[0.6,0.35]}]}`
	if status != 200 || body != want || header.Get("X-Lastro-Revision") != "flights@3" || header.Get("X-Lastro-Role") != "champion" {
		t.Errorf("infer: %d %v %s, want %s", status, header, body, want)
	}
	lines := b.log()
	if len(lines) != 2 || lines[1].In["flight_id"] != "f2" || lines[1].In["hour"] != 8.0 || lines[1].Out != 0.35 || lines[1].Row != 1 || lines[1].Req != "r-1" || lines[1].EventTime != 0 {
		t.Errorf("log: %+v", lines)
	}
}

func TestBadRequests(t *testing.T) {
	b := open(t)
	b.route(b.revision(3, good), nil, 0)
	const infer = "/v2/models/flights/infer"
	tensor := func(rest string) string { return `{"inputs":[{"name":"x",` + rest + `}]}` }
	for name, tc := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"no JSON":              {infer, `{"inputs":`, 400, `"error":"the body is no JSON`},
		"text after it":        {infer, `{} {}`, 400, "text after"},
		"NaN":                  {infer, tensor(`"datatype":"FP64","shape":[1],"data":[NaN]`), 400, "no JSON"},
		"no inputs":            {infer, `{}`, 400, "inputs is empty"},
		"shape too large":      {infer, tensor(`"datatype":"FP64","shape":[3],"data":[1]`), 400, "which is 3 values; 1 were sent"},
		"shape negative":       {infer, tensor(`"datatype":"FP64","shape":[-1],"data":[1]`), 400, "shape [-1]"},
		"shape overflows":      {infer, tensor(`"datatype":"FP64","shape":[9223372036854775807,2],"data":[1]`), 400, "the shape"},
		"no shape":             {infer, tensor(`"datatype":"FP64","data":[1]`), 400, "the shape"},
		"no data":              {infer, tensor(`"datatype":"FP64","shape":[1]`), 400, "data"},
		"datatype unknown":     {infer, tensor(`"datatype":"FP65","shape":[1],"data":[1]`), 400, "FP65"},
		"datatype wrong":       {infer, tensor(`"datatype":"FP64","shape":[1],"data":["1"]`), 400, `is no FP64`},
		"no rows":              {infer, tensor(`"datatype":"FP64","shape":[0],"data":[]`), 400, "no rows"},
		"a column missing":     {infer, tensor(`"datatype":"FP64","shape":[1],"data":[1]`), 400, "missing columns hour, carrier: flights@3 asks for 3 columns"},
		"a column misspelt":    {"/invocations", `{"dataframe_records":[{"x":1,"hour":1,"carier":"AA"}]}`, 400, `\"carier\" was sent; did you mean \"carrier\"`},
		"string for a number":  {"/invocations", `{"inputs":{"x":["1"],"hour":[1],"carrier":["AA"]}}`, 400, `column \"x\", row 0: \"1\" is no double`},
		"fraction for integer": {"/invocations", `{"inputs":{"x":[1],"hour":[1.5],"carrier":["AA"]}}`, 400, `column \"hour\", row 0: 1.5 is no long`},
		"null for integer":     {"/invocations", `{"inputs":{"x":[1],"hour":[null],"carrier":["AA"]}}`, 400, "no missing values"},
		"ragged":               {"/invocations", `{"dataframe_split":{"columns":["x","hour"],"data":[[1]]}}`, 400, "row 0 has 1 values, there are 2 columns"},
		"two forms":            {"/invocations", `{"inputs":[[1]],"instances":[[1]]}`, 400, "it has inputs and instances"},
		"no form":              {"/invocations", `{"data":[[1]]}`, 400, `"error_code":"BAD_REQUEST"`},
		"matrix for names":     {"/invocations", `{"instances":[[1,2,3]]}`, 400, "3 named columns; one unnamed matrix"},
		"event time":           {"/invocations", `{"dataframe_records":[{"x":1,"hour":1,"carrier":"AA","departure":"soon"}]}`, 400, "is no time"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, body := b.post(tc.path, tc.body); status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("POST %s %s: %d %s; want %d with %s", tc.path, tc.body, status, body, tc.status, tc.want)
			}
		})
	}
	if status, _, _ := b.post("/invocations", "x,hour\n1,2", "Content-Type", "text/csv"); status != 415 {
		t.Errorf("CSV: %d, want 415", status)
	}
	for name, header := range map[string][]string{"another site": {"Sec-Fetch-Site", "cross-site"}, "another origin": {"Origin", "http://evil.example"}} {
		if status, _, _ := b.post("/invocations", row(1, "AA"), header...); status != 403 {
			t.Errorf("%s: %d, want 403", name, status)
		}
	}
	req, _ := http.NewRequest("GET", b.server.URL+"/v2", nil)
	req.Host = "rebound.example"
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != 403 {
		t.Errorf("a name that only resolves to loopback: %v %v, want 403", res, err)
	}
	if c := find(b.settled(), "flights@3").Total; c.Errors != 0 || c.Requests != 0 || c.Rejected == 0 {
		t.Errorf("counts %+v: bad requests are no errors of the model", c)
	}
}

func TestMLflowForms(t *testing.T) {
	b := open(t)
	b.route(b.revision(3, good), nil, 0)
	for name, body := range map[string]string{
		"dataframe_split":     row(1, "AA"),
		"dataframe_records":   `{"dataframe_records":[{"x":1,"hour":7.0,"carrier":"AA","extra":[1,2]}]}`,
		"instances":           `{"instances":[{"x":1,"hour":7,"carrier":"AA"}]}`,
		"inputs":              `{"inputs":{"x":[1],"hour":[7],"carrier":["AA"]},"params":{}}`,
		"inputs, shape [n,1]": `{"inputs":{"x":[[1]],"hour":[[7]],"carrier":[["AA"]]}}`,
	} {
		if status, _, got := b.post("/invocations", body, "Content-Type", "application/json; charset=utf-8"); status != 200 || got != `{"predictions":[0.6]}` {
			t.Errorf("%s: %d %s", name, status, got)
		}
	}
	b.post("/invocations", `{"inputs":{"x":[1],"hour":[7],"carrier":["AA"]}}`, "X-Lastro-Event-Time", "2013-04-01T00:00:00Z")
	b.post("/invocations", row(1, "AA"))
	lines := b.log()
	// 2013-04-01 and 2013-07-01 12:00 UTC in seconds: `date -u -d ... +%s`.
	if n := len(lines); lines[n-2].EventTime != 1364774400e6 || lines[n-1].EventTime != 1372680000e6 || lines[n-1].In["departure"] != "2013-07-01T12:00:00Z" {
		t.Errorf("event times %d and %d", lines[n-2].EventTime, lines[n-1].EventTime)
	}
}

// A candidate that fails in any way loses no request (SEMANTICS 21).
func TestCandidateFails(t *testing.T) {
	for name, tc := range map[string]struct {
		candidate servetest.LinearModel
		carrier   string
		because   string
	}{
		"raises":               {with(func(m *servetest.LinearModel) { m.Raise = true }), "AA", "told to raise"},
		"raises on a value":    {with(func(m *servetest.LinearModel) { m.RaiseOn = "ZZ" }), "ZZ", "unknown carrier"},
		"is too slow":          {with(func(m *servetest.LinearModel) { m.Sleep = 5 * time.Second }), "AA", "did not answer within 150ms"},
		"answers too few rows": {with(func(m *servetest.LinearModel) { m.Rows = 2 }), "AA", "shape [2] to 1 rows"},
		"answers NaN":          {with(func(m *servetest.LinearModel) { m.NaN = true }), "AA", "no number"},
		"asks for more": {with(func(m *servetest.LinearModel) {
			m.Fields = append(append([]serve.Field{}, fields...), serve.Field{Name: "wind", Type: "double", Required: true})
		}), "AA", "missing column wind"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.routing.Deadline = 300 * time.Millisecond
			b.route(b.revision(1, good), b.revision(2, tc.candidate), 1)
			const n = 5
			for range n {
				status, header, body := b.post("/invocations", row(1, tc.carrier))
				if status != 200 || body != `{"predictions":[0.6]}` || header.Get("X-Lastro-Revision") != "flights@1" || header.Get("X-Lastro-Failed") != "flights@2" {
					t.Fatalf("%d %v %s; want the champion's answer", status, header, body)
				}
			}
			s := b.settled()
			if c := find(s, "flights@2").Step; c.Errors != n || c.Requests != n {
				t.Errorf("candidate's counts %+v, want %d errors of %d", c, n, n)
			}
			if c := find(s, "flights@1").Step; c.Errors != 0 || c.Requests != 0 || c.Rescued != n {
				t.Errorf("champion's counts %+v, want %d rescued", c, n)
			}
			if l := b.log()[0]; l.Rev != "flights@1" || l.Status != 200 || l.FailedRev != "flights@2" || !strings.Contains(l.FailedError, tc.because) {
				t.Errorf("log %+v; want it to say %q", l, tc.because)
			}
		})
	}
}

func TestSplitAndFigures(t *testing.T) {
	b := open(t)
	b.routing.Favourable = "yes"
	labels := with(func(m *servetest.LinearModel) { m.Labels = true })
	b.route(b.revision(1, good), b.revision(2, labels), 0.25)
	const n = 2000
	var client http.Client
	byID := map[string]string{}
	for i := range n {
		id := fmt.Sprintf("req-%d", i)
		req, _ := http.NewRequest("POST", b.server.URL+"/invocations", strings.NewReader(row(float64(i%4)/2, "AA")))
		req.Header.Set("X-Request-Id", id)
		res, err := client.Do(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		byID[id] = res.Header.Get("X-Lastro-Role")
	}
	s := b.settled()
	champion, candidate := find(s, "flights@1").Step, find(s, "flights@2").Step
	// Binomial(2000, 1/4): mean 500, sd 19.4; 5 sd either way.
	if champion.Requests+candidate.Requests != n || math.Abs(float64(candidate.Requests)-500) > 97 {
		t.Errorf("split %d / %d", champion.Requests, candidate.Requests)
	}
	// x is 0, .5, 1, 1.5 in turn: scores .1, .35, .6, .85, so by hand mean .475
	// and sd sqrt(.078125) = .2795; "yes" is said to the last two. Which rows go
	// to which side is chance: 5 standard errors.
	if math.Abs(champion.ScoreMean-0.475) > 0.04 || math.Abs(champion.ScoreSD-0.2795) > 0.02 || champion.Scored != champion.Requests {
		t.Errorf("champion's scores %+v", champion)
	}
	if rate := float64(candidate.Favoured) / float64(candidate.Decided); math.Abs(rate-0.5) > 0.12 || candidate.Scored != 0 {
		t.Errorf("candidate's decisions %+v", candidate)
	}
	if !(champion.P50 > 0 && champion.P50 <= champion.P95 && champion.P95 <= champion.P99 && champion.P99 < 2) {
		t.Errorf("latencies %+v", champion)
	}
	// The same id meets the same side again.
	for id, role := range byID {
		if _, header, _ := b.post("/invocations", row(1, "AA"), "X-Request-Id", id); header.Get("X-Lastro-Role") != role {
			t.Errorf("%s met %s, then %s", id, role, header.Get("X-Lastro-Role"))
		}
		break
	}
	// The next step counts anew; the rollout and the total go on.
	b.route(b.routing.Champion, b.routing.Candidate, 0.5)
	r := find(b.settled(), "flights@1")
	if r.Step.Requests != 0 || r.Rollout.Requests < champion.Requests || r.Total.Requests < champion.Requests {
		t.Errorf("after the next step: %+v", r)
	}
}

func TestRoutingGenerations(t *testing.T) {
	b := open(t)
	one, two := b.revision(1, good), b.revision(2, with(func(m *servetest.LinearModel) { m.Base = 0.2 }))
	b.route(one, nil, 0)
	if _, err := b.gateway.Route(b.routing); err != nil {
		t.Errorf("the same routing again: %v", err)
	}
	late := b.routing
	late.Champion = two
	if _, err := b.gateway.Route(late); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("another routing of the same generation: %v, want EConflict", err)
	}
	for name, bad := range map[string]func(*serve.Routing){
		"endpoint": func(r *serve.Routing) { r.Endpoint = "../x" },
		"share":    func(r *serve.Routing) { r.Share = 2 },
		"digest":   func(r *serve.Routing) { r.Champion = &serve.Revision{Digest: "sha256:../../etc"} },
	} {
		r := b.routing
		r.Generation++
		bad(&r)
		if _, err := b.gateway.Route(r); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("bad %s: %v, want EInvalid", name, err)
		}
	}
	b.route(two, nil, 0)
	if _, _, body := b.post("/invocations", row(1, "AA")); body != `{"predictions":[0.7]}` {
		t.Errorf("after the change: %s", body)
	}
	// A new process takes up what the old one was told.
	b.stop()
	b.start()
	b.settled()
	if _, header, body := b.post("/invocations", row(1, "AA")); body != `{"predictions":[0.7]}` || header.Get("X-Lastro-Revision") != "flights@2" {
		t.Errorf("after a restart: %s", body)
	}
}

// One flipped byte: not loaded, the reason said, the champion untouched.
func TestTampered(t *testing.T) {
	for name, harm := range map[string]func(dir string, d lastro.Digest) error{
		"a flipped byte": func(dir string, d lastro.Digest) error {
			path := filepath.Join(serve.ModelDir(dir, d), "linear.json")
			text, err := os.ReadFile(path)
			if err == nil {
				text[len(text)/2] ^= 1
				err = os.WriteFile(path, text, 0o600)
			}
			return err
		},
		"a file too many": func(dir string, d lastro.Digest) error {
			return os.WriteFile(filepath.Join(serve.ModelDir(dir, d), "sitecustomize.py"), nil, 0o600)
		},
		"a file too few": func(dir string, d lastro.Digest) error {
			return os.Remove(filepath.Join(serve.ModelDir(dir, d), "linear.json"))
		},
		"another manifest": func(dir string, d lastro.Digest) error {
			return os.WriteFile(serve.ManifestPath(dir, d), []byte("lastro-tree/1\n[]"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			one, two := b.revision(1, good), b.revision(2, with(func(m *servetest.LinearModel) { m.Base = 0.2 }))
			b.route(one, nil, 0)
			if err := harm(b.dir, two.Digest); err != nil {
				t.Fatal(err)
			}
			for _, s := range []serve.EndpointStats{b.route(one, two, 0.5), b.route(two, nil, 0)} {
				if r := find(s, "flights@2"); r.State != serve.Failed || r.Code != lastro.ETampered || r.Reason == "" {
					t.Fatalf("revision %+v, want failed for tampering", r)
				}
				if status, header, _ := b.post("/invocations", row(1, "AA")); status != 200 || header.Get("X-Lastro-Revision") != "flights@1" {
					t.Errorf("the champion answered %d as %s", status, header.Get("X-Lastro-Revision"))
				}
			}
			// Without a champion that verifies nothing answers, and it says why.
			b.stop()
			b.start()
			b.settled()
			if status, _, body := b.post("/invocations", row(1, "AA")); status != 503 || !strings.Contains(body, "are not what was registered") {
				t.Errorf("%d %s, want 503 with the reason", status, body)
			}
			if status, body := b.get("/v2/health/ready"); status != 503 || !strings.Contains(body, "are not what was registered") {
				t.Errorf("ready: %d %s", status, body)
			}
		})
	}
}

func TestManifestIsTheBlobStores(t *testing.T) {
	folder := good.Folder(t)
	text, err := os.ReadFile(filepath.Join(folder, "linear.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := blob.EncodeTree([]blob.Entry{{Path: "linear.json", Size: int64(len(text)), Digest: lastro.DigestOf(text)}})
	if got := servetest.Manifest(t, folder); err != nil || !bytes.Equal(got, want) {
		t.Errorf("manifest %s, want %s (%v)", got, want, err)
	}
}

func TestNoModelFolder(t *testing.T) {
	b := open(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "model.pkl"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := b.route(&serve.Revision{Name: "flights@1", Version: "1", Digest: servetest.Install(t, b.dir, folder)}, nil, 0)
	if r := s.Revisions[0]; r.State != serve.Failed || !strings.Contains(r.Reason, "neither MLmodel nor one *.onnx") {
		t.Errorf("revision %+v", r)
	}
}

func TestLinear(t *testing.T) {
	servetest.Run(t, servetest.Case{
		Runtime:  servetest.Linear{},
		Spec:     serve.LoadSpec{Dir: good.Folder(t)},
		Broken:   serve.LoadSpec{Dir: with(func(m *servetest.LinearModel) { m.Fails = "no weights" }).Folder(t)},
		BrokenIn: "no weights",
		Input:    serve.Batch{Rows: 2, Columns: []serve.Column{{Name: "x", Values: []any{1.0, 2.0}}}},
		Scores:   []float64{0.6, 1.1}, // 0.1 + 0.5x by hand
		Within:   1e-12,
	})
}
