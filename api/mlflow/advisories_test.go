// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// canary is what lies outside of the store and may never be read, written or deleted.
const canary = "canary that nobody may read"

// encodings are the ways in which a client can write the parts that lead out of
// a folder, once, twice and three times encoded (CVE-2023-6018, -6753, -6831,
// -2024-1560, -2024-3099, -2025-11201, -2026-2033).
var encodings = []string{
	"../", "..%2f", "..%2F", "%2e%2e/", "%2e%2e%2f", "..%252f", "%252e%252e%252f", "..%25252f", "..\\", "..%5c", "%5c..%5c", "..%255c",
	"./../", "..;/", "....//", ".%2e/", "%2e./", "..%00/", "..%c0%af", "..%ef%bc%8f", "x/../../", "/", "%2f", "%252f", "//", "C:%5c", "file:%2f%2f%2f",
}

// TestTraversal holds that no path of a client reaches the file system: by
// every way in which an artifact is named, in every encoding, with each method.
func TestTraversal(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "canary")
	if err := os.WriteFile(outside, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	run := s.newRun(t)
	s.mustPut(t, run, "model/MLmodel", "flavors: {}\n")
	s.must(t, "registered-models/create", `{"name":"m"}`, 200)
	s.must(t, "model-versions/create", fmt.Sprintf(`{"name":"m","source":"runs:/%s/model","run_id":%q}`, run, run), 200)
	for _, up := range encodings {
		far := strings.Repeat(up, 12)
		for _, target := range []string{far + strings.TrimPrefix(outside, "/"), far + "etc/passwd", up + "canary"} {
			root := "/api/2.0/mlflow-artifacts/artifacts/"
			for _, path := range []string{root + target, root + "0/" + run + "/artifacts/" + target, root + "0/models/m-1/artifacts/" + target, root + "versions/" + target} {
				for _, method := range []string{"GET", "PUT", "DELETE"} {
					s.harmless(t, method, path, "overwritten")
				}
			}
			for _, path := range []string{
				root + "?path=" + target, "/api/2.0/mlflow/artifacts/list?run_id=" + run + "&path=" + target, "/get-artifact?run_id=" + run + "&path=" + target,
				"/get-artifact?run_id=" + target + "&path=MLmodel", "/model-versions/get-artifact?name=m&version=1&path=" + target,
				"/model-versions/get-artifact?name=" + target + "&version=1&path=MLmodel", "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files?artifact_file_path=" + target,
				"/api/2.0/mlflow/logged-models/" + target, "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=" + target, "/api/2.0/mlflow/runs/get?run_id=" + target,
			} {
				s.harmless(t, "GET", path, "")
			}
			for _, path := range []string{"/api/2.0/mlflow-artifacts/mpu/create/" + target, "/api/2.0/mlflow-artifacts/mpu/complete/" + target, "/api/2.0/mlflow-artifacts/mpu/abort/" + target,
				"/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + run + "&path=" + target} {
				s.harmless(t, "POST", path, `{"path":"x","num_parts":1}`)
			}
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != canary {
		t.Errorf("the canary is %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the canary, %v", len(entries)-1, err)
	}
}

// harmless sends a request that leads elsewhere: the answer shows nothing of
// what lies there, and is no fault of the server.
func (s *server) harmless(t *testing.T, method, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query // as it is, not cleaned by the client
	req.Header.Set("Authorization", "Bearer "+s.admin)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	defer resp.Body.Close()
	text := make([]byte, 4096)
	n, _ := resp.Body.Read(text)
	if answer := string(text[:n]); strings.Contains(answer, canary) || strings.Contains(answer, "root:") || resp.StatusCode >= 500 && resp.StatusCode != 501 {
		t.Errorf("%s %s?%s = %d %.200s", method, path, query, resp.StatusCode, answer)
	}
}

// TestSources tries the places outside that versions and experiments of MLflow
// could point at (CVE-2023-1176, -1177, -2356, -2780, -6909, -6977, -43472,
// -2024-1483, -1558, -1593, -2928, -3573, -3848, -8859, -2026-2614).
func TestSources(t *testing.T) {
	s := start(t, nil)
	run := s.newRun(t)
	s.must(t, "registered-models/create", `{"name":"m"}`, 200)
	for _, place := range []string{
		"file:///etc", "file:", "file:/etc", "file://localhost/etc", "FILE:///etc", "file:///etc#/x", "file:///etc?x", "/etc", "../../etc", "..\\..\\etc", "\\\\host\\share", "etc/../../x",
		"http:///#/../../etc", "http://host/?/../../etc", "http://host/;/../../etc", "https://127.0.0.1/x", "ftp://host/x", "sftp://host/x", "dbfs:/", "dbfs:/etc", "s3://bucket/../x", "hdfs://host/etc", "jdbc:x", "data:,x",
		"mlflow-artifacts:/../../etc", "mlflow-artifacts:/%2e%2e/%2e%2e/etc", "mlflow-artifacts:/..%252f..%252fetc", "mlflow-artifacts://host/../etc", "mlflow-artifacts:/0?x=../..", "mlflow-artifacts:/0#/../..",
		"mlflow-artifacts:/..\\..\\etc", "runs:/../x", "runs:/" + run + "/../../x", "runs:/" + run + "/..%2f..%2fx", "models:/m/../x", "models:/../../etc", "models:/m/1/../../x",
	} {
		quoted, err := json.Marshal(place)
		if err != nil {
			t.Fatal(err)
		}
		for _, tags := range []string{"[]", `[{"key":"mlflow.prompt.is_prompt","value":"true"}]`} { // CVE-2026-2614
			status, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/model-versions/create", fmt.Sprintf(`{"name":"m","source":%s,"run_id":%q,"tags":%s}`, quoted, run, tags))
			if status != 400 && status != 404 {
				t.Errorf("a version of %s = %d %s", place, status, body)
			}
		}
		if strings.HasPrefix(place, "mlflow-artifacts:/0") {
			continue
		}
		status, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/experiments/create", fmt.Sprintf(`{"name":%s,"artifact_location":%s}`, quoted, quoted))
		if status != 400 {
			t.Errorf("an experiment at %s = %d %s", place, status, body)
		}
	}
}

// TestBrowsers tries what a page of another site can make a browser send
// (CVE-2023-43472, -6568, -2025-14279, -1473, -2026-2611) to each route that writes.
func TestBrowsers(t *testing.T) {
	s := start(t, nil)
	for _, e := range mlflowEndpoints(t) {
		if e.method == "GET" || e.method == "ANY" {
			continue
		}
		for _, path := range e.paths() {
			for name, header := range map[string][]string{
				"another origin":  {"Origin", "http://evil.example"},
				"a null origin":   {"Origin", "null"},
				"cross-site":      {"Sec-Fetch-Site", "cross-site"},
				"a rebound name":  {"Host", "evil.example"},
				"an address of a": {"Host", "127.0.0.1.evil.example"},
			} {
				if status, body := s.call(t, s.admin, e.method, path, "{}", header...); status != 403 {
					t.Errorf("%s %s from %s = %d %.100s, want 403", e.method, path, name, status, body)
				}
			}
		}
	}
	for _, kind := range []string{"text/plain", "<script>alert(1)</script>", "text/html", "application/x-evil"} {
		status, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/experiments/create", `{"name":"x"}`, "Content-Type", kind)
		if status != 415 || strings.Contains(body, "<script>") {
			t.Errorf("a request of type %q = %d %s, want 415 without it", kind, status, body)
		}
	}
}

// TestCredentials tries the passwords that MLflow had, and its endpoints that
// asked for none (CVE-2023-6014, -2026-2635, -0545, -2652, -33866, -2025-15381, -2026-69146).
func TestCredentials(t *testing.T) {
	s := start(t, nil)
	for _, e := range mlflowEndpoints(t) {
		if e.path == "/" || e.path == "/health" || e.path == "/version" {
			continue
		}
		method := e.method
		if method == "ANY" {
			method = "POST"
		}
		for _, path := range e.paths() {
			if status, body := s.call(t, "", method, path, "{}"); status != 401 {
				t.Errorf("%s %s by nobody = %d %.100s, want 401", method, path, status, body)
			}
		}
	}
	for _, pair := range [][2]string{{"admin", "password1234"}, {"admin", "password"}, {"admin", "admin"}, {"admin", ""}, {"", ""}, {"ana", "ana"}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/2.0/mlflow/experiments/get?experiment_id=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(pair[0], pair[1])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 401 || strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s:%s = %d %s, want 401 without a password window", pair[0], pair[1], resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
}

// TestOthersRuns holds that a step's token writes nothing of another step, by
// any call that names a run (CVE-2026-2651, -69148, -2024-4263).
func TestOthersRuns(t *testing.T) {
	s := start(t, nil)
	run := s.newRun(t)
	s.mustPut(t, run, "a.txt", "mine")
	other := s.step(t, "9", "other")
	root := "/api/2.0/mlflow-artifacts/"
	for _, c := range [][3]string{
		{"POST", "/api/2.0/mlflow/runs/log-metric", `{"run_id":%q,"key":"k","value":1,"timestamp":1}`}, {"POST", "/api/2.0/mlflow/runs/log-parameter", `{"run_id":%q,"key":"k","value":"1"}`},
		{"POST", "/api/2.0/mlflow/runs/set-tag", `{"run_id":%q,"key":"k","value":"1"}`}, {"POST", "/api/2.0/mlflow/runs/delete-tag", `{"run_id":%q,"key":"mlflow.runName"}`},
		{"POST", "/api/2.0/mlflow/runs/log-batch", `{"run_id":%q,"tags":[{"key":"k","value":"1"}]}`}, {"POST", "/api/2.0/mlflow/runs/update", `{"run_id":%q,"status":"FAILED"}`},
		{"POST", "/api/2.0/mlflow/runs/delete", `{"run_id":%q}`},
		{"POST", "/api/2.0/mlflow/runs/log-inputs", `{"run_id":%q,"datasets":[{"dataset":{"name":"n","digest":"d","source_type":"local","source":"s"}}]}`},
		{"POST", "/api/2.0/mlflow/runs/log-model", `{"run_id":%q,"model_json":"{\"artifact_path\":\"m\",\"flavors\":{},\"run_id\":\"x\",\"utc_time_created\":\"t\"}"}`},
		{"PUT", root + "artifacts/0/" + run + "/artifacts/a.txt", "theirs"}, {"DELETE", root + "artifacts/0/" + run + "/artifacts/a.txt", ""},
		{"POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + run + "&path=a.txt", "theirs"},
	} {
		body := c[2]
		if strings.Contains(body, "%q") {
			body = fmt.Sprintf(body, run)
		}
		if status, answer := s.call(t, other, c[0], c[1], body); status != 403 {
			t.Errorf("%s %s by another step = %d %.100s, want 403", c[0], c[1], status, answer)
		}
		if status, answer := s.call(t, s.viewer, c[0], c[1], body); status != 403 { // CVE-2024-4263
			t.Errorf("%s %s by a viewer = %d %.100s, want 403", c[0], c[1], status, answer)
		}
	}
	if _, text := s.call(t, s.viewer, "GET", root+"artifacts/0/"+run+"/artifacts/a.txt", ""); text != "mine" {
		t.Errorf("a.txt is %q now", text)
	}
}

// TestLarge holds that what is large is refused and refused soon (CVE-2024-6838, -2025-0453).
func TestLarge(t *testing.T) {
	s := start(t, nil)
	began := time.Now()
	huge := strings.Repeat("x", 5<<20)
	for path, body := range map[string]string{
		"experiments/create":         `{"name":"` + huge + `"}`,
		"registered-models/create":   `{"name":"` + huge + `"}`,
		"runs/create":                `{"experiment_id":"0","run_name":"` + huge + `"}`,
		"runs/search":                `{"experiment_ids":["0"],"filter":"` + strings.Repeat("tags.a = 'b' AND ", 50_000) + `tags.a = 'b'"}`,
		"logged-models":              `{"experiment_id":"0","name":"` + huge + `"}`,
		"experiments/create?nested=": strings.Repeat("[", 1<<20),
	} {
		if status, answer := s.call(t, s.admin, "POST", "/api/2.0/mlflow/"+path, body); status != 400 && status != 413 {
			t.Errorf("%s with %d bytes = %d %.200s, want 400", path, len(body), status, answer)
		}
	}
	if status, _ := s.call(t, s.admin, "POST", "/api/2.0/mlflow/experiments/create", `{"name":"`+huge+huge+huge+`"}`); status != 413 {
		t.Errorf("a body of 15 MB = %d, want 413", status)
	}
	if status, body := s.call(t, s.admin, "POST", "/graphql", `{"query":"{`+strings.Repeat("a:x ", 300)+`}"}`); status != 404 || errorCode(body) != "ENDPOINT_NOT_FOUND" {
		t.Errorf("GraphQL = %d %s", status, body)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("to refuse them took %v", took)
	}
}

func (s *server) must(t *testing.T, path, body string, want int) string {
	t.Helper()
	status, answer := s.call(t, s.admin, "POST", "/api/2.0/mlflow/"+path, body)
	if status != want {
		t.Fatalf("%s = %d %s, want %d", path, status, answer, want)
	}
	return answer
}

// newRun makes a run in the first experiment and returns its id.
func (s *server) newRun(t *testing.T) string {
	t.Helper()
	var created struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := json.Unmarshal([]byte(s.must(t, "runs/create", `{"experiment_id":"0","start_time":1}`, 200)), &created); err != nil {
		t.Fatal(err)
	}
	return created.Run.Info.ID
}

func (s *server) mustPut(t *testing.T, run, name, text string) {
	t.Helper()
	if status, body := s.call(t, s.admin, "PUT", "/api/2.0/mlflow-artifacts/artifacts/0/"+run+"/artifacts/"+name, text); status != 200 {
		t.Fatalf("PUT %s = %d %s", name, status, body)
	}
}
