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

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/registry"
	"lastro/trace"
)

// errorCode is the protocol's code of an answer, "" when it has none.
func errorCode(body string) string {
	var e struct {
		Code string `json:"error_code"`
	}
	if json.Unmarshal([]byte(body), &e) != nil {
		return "no JSON: " + body
	}
	return e.Code
}

// TestEveryRouteAsksWho walks the table: without a token 401, with a viewer's
// no write. The public ones are those that SECURITY S5 lists.
func TestEveryRouteAsksWho(t *testing.T) {
	s := start(t, nil)
	public := map[string]bool{"GET /version": true, "GET /health": true}
	writes := map[auth.Permission]bool{auth.WriteTracking: true, auth.WriteRegistry: true}
	for _, r := range mlflow.Routes(mlflow.Deps{Traces: new(trace.Service)}) {
		method, path, found := strings.Cut(r.Pattern, " ")
		if !found {
			method, path = "POST", r.Pattern
			if strings.HasSuffix(path, "/") {
				path += "anything"
			}
		}
		for _, wild := range []string{"{path...}", "{model_id}", "{tag_key...}", "{trace_id}", "{request_id}", "{assessment_id}", "{dataset_id}", "{key...}", "{experiment}", "{trace}", "{file...}"} {
			path = strings.ReplaceAll(path, wild, "x")
		}
		status, body := s.call(t, "", method, path, "{}")
		if public[r.Pattern] {
			if status != 200 {
				t.Errorf("%s = %d, want 200", r.Pattern, status)
			}
			continue
		}
		if status != 401 || errorCode(body) != "UNAUTHENTICATED" {
			t.Errorf("%s without a token = %d %s, want 401 UNAUTHENTICATED", r.Pattern, status, body)
		}
		status, body = s.call(t, s.viewer, method, path, "{}")
		if writes[r.Permission] != (status == 403) {
			t.Errorf("%s by a viewer = %d %s; it asks for %s", r.Pattern, status, body, r.Permission)
		}
		if status >= 500 {
			t.Errorf("%s with {} = %d %s", r.Pattern, status, body)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, nil)
	huge := `{"name":"` + strings.Repeat("x", 5<<20) + `"}`
	const create = "/api/2.0/mlflow/experiments/create"
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		"not built":                  {"POST", "/api/3.0/mlflow/nothing/search", "{}", nil, 404, "ENDPOINT_NOT_FOUND"},
		"gateway proxy":              {"POST", "/ajax-api/2.0/mlflow/gateway-proxy", "{}", nil, 404, "ENDPOINT_NOT_FOUND"},
		"wrong method":               {"GET", create, "", nil, 405, "ENDPOINT_NOT_FOUND"},
		"not JSON":                   {"POST", create, "{", nil, 400, "INVALID_PARAMETER_VALUE"},
		"wrong type":                 {"POST", create, `{"name":5}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"unknown fields are ignored": {"POST", create, `{"name":"n","new_in_4":1}`, nil, 200, ""},
		"under the pages' prefix":    {"POST", "/ajax-api/2.0/mlflow/experiments/create", `{"name":"n2"}`, nil, 200, ""},
		"simple request of a page":   {"POST", create, `{"name":"x"}`, []string{"Content-Type", "text/plain"}, 415, "INVALID_PARAMETER_VALUE"},
		"script as content type":     {"POST", create, `{"name":"x"}`, []string{"Content-Type", "<script>"}, 415, "INVALID_PARAMETER_VALUE"},
		"rebound name":               {"GET", "/version", "", []string{"Host", "evil.example"}, 403, "PERMISSION_DENIED"},
		"another origin":             {"POST", create, `{"name":"x"}`, []string{"Origin", "http://evil.example"}, 403, "PERMISSION_DENIED"},
		"5 MB name":                  {"POST", create, huge, nil, 400, "INVALID_PARAMETER_VALUE"},
		"body over 10 MiB":           {"POST", create, huge + huge + huge, nil, 413, "INVALID_PARAMETER_VALUE"},
		"location of a file":         {"POST", create, `{"name":"y","artifact_location":"http:///#/../../etc"}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"no such experiment":         {"GET", "/api/2.0/mlflow/experiments/get?experiment_id=9", "", nil, 404, "RESOURCE_DOES_NOT_EXIST"},
		"a number as a string":       {"POST", "/api/2.0/mlflow/experiments/search", `{"max_results":"1"}`, nil, 200, ""},
		"a number that is none":      {"POST", "/api/2.0/mlflow/experiments/search", `{"max_results":"one"}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"too many results":           {"POST", "/api/2.0/mlflow/experiments/search", `{"max_results":50001}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"SQL in a filter":            {"POST", "/api/2.0/mlflow/experiments/search", `{"filter":"name = 'x' UNION SELECT 1"}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"SQL in an order":            {"POST", "/api/2.0/mlflow/experiments/search", `{"order_by":["name; DROP TABLE models"]}`, nil, 400, "INVALID_PARAMETER_VALUE"},
		"traversal read":             {"GET", "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2fetc%2fpasswd", "", nil, 400, "INVALID_PARAMETER_VALUE"},
		"traversal, encoded twice":   {"DELETE", "/api/2.0/mlflow-artifacts/artifacts/..%252f..%252fetc", "", nil, 400, "INVALID_PARAMETER_VALUE"},
		"traversal write":            {"PUT", "/api/2.0/mlflow-artifacts/artifacts/..%2fx", "x", nil, 400, "INVALID_PARAMETER_VALUE"},
		"traversal by backslash":     {"GET", "/api/2.0/mlflow-artifacts/artifacts/%5c..%5c..%5cetc", "", nil, 400, "INVALID_PARAMETER_VALUE"},
		"absolute":                   {"GET", "/api/2.0/mlflow-artifacts/artifacts/%2fetc%2fpasswd", "", nil, 400, "INVALID_PARAMETER_VALUE"},
		"traversal list":             {"GET", "/api/2.0/mlflow-artifacts/artifacts?path=../../etc", "", nil, 400, "INVALID_PARAMETER_VALUE"},
		"write to no run":            {"PUT", "/api/2.0/mlflow-artifacts/artifacts/x", "x", nil, 400, "INVALID_PARAMETER_VALUE"},
		"metric without value":       {"POST", "/api/2.0/mlflow/runs/log-metric", `{"run_id":"x","key":"k"}`, nil, 400, "INVALID_PARAMETER_VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := s.call(t, s.admin, tc.method, tc.path, tc.body, tc.header...)
			if status != tc.status || errorCode(body) != tc.code {
				t.Errorf("%s %s = %d %.300s, want %d %s", tc.method, tc.path, status, body, tc.status, tc.code)
			}
			if strings.Contains(body, "<script>") {
				t.Errorf("the answer repeats a script: %s", body)
			}
		})
	}
}

// TestTreesOfOthers holds that artifacts show the trees of versions only: data
// lies in the same store.
func TestTreesOfOthers(t *testing.T) {
	s := start(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "salaries.csv"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest, _, err := s.blobs.PutTree(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := "/api/2.0/mlflow-artifacts/artifacts"
	for _, path := range []string{at + "/versions/" + digest.Hex() + "/salaries.csv", at + "?path=versions/" + digest.Hex()} {
		if status, body := s.call(t, s.admin, "GET", path, ""); status != 404 {
			t.Errorf("a tree that no version is made of: GET %s = %d %s, want 404", path, status, body)
		}
	}
	body := fmt.Sprintf(`{"name":"m","source":"mlflow-artifacts:/versions/%s"}`, digest.Hex())
	s.call(t, s.admin, "POST", "/api/2.0/mlflow/registered-models/create", `{"name":"m"}`)
	if status, answer := s.call(t, s.admin, "POST", "/api/2.0/mlflow/model-versions/create", body); status != 404 {
		t.Errorf("a version of somebody's data = %d %s, want 404", status, answer)
	}
	if _, _, err := s.registry.Register(t.Context(), registry.Registration{Version: registry.Version{Model: "m", Digest: digest, By: lastro.System("test")}}); err != nil {
		t.Fatal(err)
	}
	status, got := s.call(t, s.viewer, "GET", at+"/versions/"+digest.Hex()+"/salaries.csv", "")
	if status != 200 || got != "secret" {
		t.Errorf("a file of a version = %d %q", status, got)
	}
	for _, path := range []string{"/versions/" + digest.Hex(), "/versions/" + digest.Hex() + "/none", "/versions/abc/x"} {
		if status, body := s.call(t, s.admin, "GET", at+path, ""); status != 404 {
			t.Errorf("GET %s = %d %s, want 404", path, status, body)
		}
	}
}

// TestWhatPagesAsk covers the endpoints that MLflow's own pages and its older
// clients call, and the Python client of today does not.
func TestWhatPagesAsk(t *testing.T) {
	s := start(t, nil)
	_, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/runs/create", `{"experiment_id":"0","start_time":"1700000000000"}`)
	var created struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := json.Unmarshal([]byte(body), &created); err != nil {
		t.Fatal(err)
	}
	id := created.Run.Info.ID
	for step := range 1000 {
		if step%100 == 0 {
			var points []string
			for i := range 100 {
				points = append(points, fmt.Sprintf(`{"key":"m","value":%d,"timestamp":"%d","step":"%d"}`, step+i, step+i, step+i))
			}
			if status, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/runs/log-batch", `{"run_id":"`+id+`","metrics":[`+strings.Join(points, ",")+`]}`); status != 200 {
				t.Fatalf("log-batch = %d %s", status, body)
			}
		}
	}
	for query, want := range map[string][3]int{ // number of points, first and last step
		"":                                       {320, 0, 999},
		"&max_results=10":                        {10, 0, 999},
		"&start_step=100&end_step=104":           {5, 100, 104},
		"&start_step=0&end_step=9&max_results=2": {2, 0, 9},
	} {
		status, body := s.call(t, s.viewer, "GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids="+id+"&metric_key=m"+query, "")
		var got struct {
			Metrics []struct {
				Step  int    `json:"step"`
				RunID string `json:"run_id"`
			} `json:"metrics"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(got.Metrics) != want[0] {
			t.Errorf("bulk history %q = %d, %d points, %v; want %v", query, status, len(got.Metrics), err, want)
			continue
		}
		if first, last := got.Metrics[0], got.Metrics[len(got.Metrics)-1]; first.Step != want[1] || last.Step != want[2] || first.RunID != id {
			t.Errorf("bulk history %q from %+v to %+v, want %v", query, first, last, want)
		}
	}
	for path, body := range map[string]string{
		"runs/log-metric": `{"run_uuid":"` + id + `","key":"nan","value":"NaN","timestamp":1,"step":"0"}`,
		"runs/log-model":  `{"run_id":"` + id + `","model_json":"{\"artifact_path\":\"m\",\"flavors\":{},\"run_id\":\"x\",\"utc_time_created\":\"2026-01-01\"}"}`,
		"runs/update":     `{"run_id":"` + id + `","status":"3","end_time":1700000001000}`,
	} {
		if status, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/"+path, body); status != 200 {
			t.Errorf("%s = %d %s", path, status, body)
		}
	}
	_, body = s.call(t, s.viewer, "GET", "/api/2.0/mlflow/runs/get?run_uuid="+id, "")
	for _, want := range []string{`"key":"nan","value":"NaN"`, `mlflow.log-model.history`, `"status":"FINISHED"`, `"end_time":1700000001000`} {
		if !strings.Contains(body, want) {
			t.Errorf("the run is %s, without %s", body, want)
		}
	}
	if status, body := s.call(t, s.viewer, "GET", "/api/2.0/mlflow/artifacts/list?run_id="+id, ""); status != 200 || !strings.Contains(body, `"root_uri":"mlflow-artifacts:/0/`+id) {
		t.Errorf("artifacts/list = %d %s", status, body)
	}
}

// TestArtifactIsNeverShown holds that a browser saves an artifact, whatever it is.
func TestArtifactIsNeverShown(t *testing.T) {
	s := start(t, nil)
	_, body := s.call(t, s.admin, "POST", "/api/2.0/mlflow/runs/create", `{"experiment_id":"0"}`)
	var created struct {
		Run struct {
			Info struct {
				URI string `json:"artifact_uri"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := json.Unmarshal([]byte(body), &created); err != nil {
		t.Fatal(err)
	}
	path := "/api/2.0/mlflow-artifacts/artifacts/" + strings.TrimPrefix(created.Run.Info.URI, "mlflow-artifacts:/") + "/x.html"
	if status, body := s.call(t, s.admin, "PUT", path, "<script>alert(1)</script>", "Content-Type", "text/html"); status != 200 {
		t.Fatalf("PUT = %d %s", status, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.viewer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for header, want := range map[string]string{"Content-Type": "application/octet-stream", "Content-Disposition": "attachment",
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"} {
		if got := resp.Header.Get(header); !strings.Contains(got, want) {
			t.Errorf("%s = %q, want %q", header, got, want)
		}
	}
	if status, _ := s.call(t, s.step(t, "9", "other"), "PUT", path, "changed"); status != 403 {
		t.Errorf("another step overwrites the artifact: %d, want 403", status)
	}
}
