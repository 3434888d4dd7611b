// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lastro"
	"lastro/blob/file"
	"lastro/registry"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/trace"
	"lastro/track"
)

// door is every route of the protocol without the door in front, over a new
// database with one run, one logged model and one version.
type door struct {
	http.Handler
	patterns []string // method and path, with ids of what is there
}

func openDoor(t testing.TB, target string) door {
	t.Helper()
	db, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	blobs, err := file.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	clock := lastro.SystemClock{}
	deps := Deps{Track: track.NewService(store.NewTrack(db), clock), Registry: registry.NewService(store.NewRegistry(db), nil, clock), Traces: trace.NewService(store.NewTrace(db), blobs, clock), Blobs: blobs, Version: "test"}
	who := track.Caller{By: "user:ana"}
	run, err := deps.Track.CreateRun(t.Context(), who, track.Run{ExperimentID: "0"})
	if err != nil {
		t.Fatal(err)
	}
	model, err := deps.Track.CreateLoggedModel(t.Context(), who, track.LoggedModel{ExperimentID: "0", SourceRun: run.ID})
	if err != nil {
		t.Fatal(err)
	}
	d := door{}
	mux := http.NewServeMux()
	ids := strings.NewReplacer("{model_id}", model.ID, "{tag_key...}", "k", "{path...}", "0/"+run.ID+"/artifacts/a.txt")
	rest := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range Routes(deps) {
		mux.Handle(r.Pattern, r.Handler)
		if method, path, ok := strings.Cut(r.Pattern, " "); ok && !strings.HasPrefix(path, "/ajax-api") {
			d.patterns = append(d.patterns, method+" "+rest.ReplaceAllString(ids.Replace(path), "x"))
		}
	}
	d.Handler = mux
	if _, err := deps.Registry.CreateModel(t.Context(), "user:ana", registry.Model{Name: "churn"}); err != nil {
		t.Fatal(err)
	}
	rightValues["run_id"], rightValues["run_uuid"], rightValues["model_id"] = run.ID, run.ID, model.ID
	return d
}

// rightValues are values that some fields want; others they refuse.
var rightValues = map[string]string{"experiment_id": "0", "name": "churn", "key": "k", "value": "1", "version": "1", "alias": "best", "status": "FINISHED", "stage": "Staging"}

// ask puts one request, and fails when the answer is not the protocol's.
func (d door) ask(t *testing.T, pattern, body string) (status int) {
	t.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	var r *http.Request
	if method == http.MethodGet {
		var fields map[string]any
		q := url.Values{}
		if json.Unmarshal([]byte(body), &fields) == nil {
			for k, v := range fields {
				q.Add(k, fmt.Sprint(v))
			}
		}
		r = httptest.NewRequestWithContext(t.Context(), method, path+"?"+q.Encode(), nil)
	} else {
		r = httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code >= 500 && w.Code != http.StatusNotImplemented {
		t.Errorf("%s %.2000s\n= %d %.500s", pattern, body, w.Code, w.Body)
	}
	var refused refusal
	if w.Code >= 400 && w.Code < 500 && (json.Unmarshal(w.Body.Bytes(), &refused) != nil || refused.Code == "" || refused.Message == "") {
		t.Errorf("%s %.2000s\n= %d %.500s, which is not the protocol's form of an error", pattern, body, w.Code, w.Body)
	}
	return w.Code
}

// TestNoRequestFailsInside sends every route requests with the fields of the
// protocol and values of every type: right ones, wrong ones, extreme ones.
func TestNoRequestFailsInside(t *testing.T) { storetest.EachTarget(t, testNoRequestFailsInside) }

func testNoRequestFailsInside(t *testing.T, target string) {
	d := openDoor(t, target)
	random := rand.New(rand.NewPCG(3, 17))
	answered := 0
	for _, pattern := range d.patterns {
		good := 0
		for range 40 {
			body, err := json.Marshal(randomObject(random, 0))
			if err != nil {
				t.Fatal(err)
			}
			if d.ask(t, pattern, string(body)) < 300 {
				good = 1
			}
		}
		answered += good
		for _, body := range []string{"", "null", "[]", "1", `"x"`, "{", `{"a":}`, "\xff", `{"run_id":null}`, strings.Repeat("[", 20_000), `{"key":"\ud800"}`} {
			d.ask(t, pattern, body)
		}
	}
	// Requests that are all refused at the first field would show little.
	if t.Logf("%d of %d routes did something", answered, len(d.patterns)); answered < len(d.patterns)/5 {
		t.Errorf("%d of %d routes did something", answered, len(d.patterns))
	}
}

var fieldNames = strings.Fields(`run_id run_uuid run_name experiment_id experiment_ids experiment_name name new_name user_id start_time end_time status tags key value timestamp step
	metrics params datasets dataset models model_id model_json path page_token max_results filter filter_string order_by view_type run_view_type metric_key run_ids start_step end_step
	version alias stage archive_existing_versions source description stages field_name ascending dataset_name dataset_digest digest source_type schema profile inputs
	artifact_location model_type source_run_id trace_id request_id trace_info trace assessment assessment_id locations type mlflow_experiment info spans url events secret
	webhook_id dataset_id records record_id inputs expectations timestamp_ms execution_time_ms request_time state trace_metadata num_parts file_size num_bytes max_timestamp_millis request_ids`)

func randomObject(random *rand.Rand, depth int) map[string]any {
	out := map[string]any{}
	for range random.IntN(8) {
		name := fieldNames[random.IntN(len(fieldNames))]
		if right, ok := rightValues[name]; ok && random.IntN(3) > 0 {
			out[name] = right
			continue
		}
		out[name] = randomJSON(random, depth+1)
	}
	if random.IntN(2) == 0 {
		out["run_id"] = rightValues["run_id"]
	}
	return out
}

func randomJSON(random *rand.Rand, depth int) any {
	kinds := 8
	if depth > 4 {
		kinds = 6
	}
	switch random.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return random.IntN(2) == 0
	case 2:
		return []any{0, 1, -1, 1 << 53, 9223372036854775807, -9223372036854775808, 1e308, -1e-320, 0.5, 18446744073709551615.0}[random.IntN(10)]
	case 3:
		return random.Float64() * 1e6
	case 4, 5:
		return []string{"", "x", "0", "1", "-1", "NaN", "Infinity", "1e999", "\x00", "a\x00b", "é\u202e", "../..", "%2e%2e", "runs:/x", "models:/churn/1", strings.Repeat("long", 3000),
			"metrics.a > 1", "tags.x = 'y'", "name DESC", "ACTIVE_ONLY", "2024-01-01T00:00:00Z", "m-0", `{"a":1}`, "\u0000\ufffd", "' OR 1=1 --"}[random.IntN(25)]
	case 6:
		list := make([]any, random.IntN(4))
		for i := range list {
			list[i] = randomJSON(random, depth+1)
		}
		return list
	}
	return randomObject(random, depth+1)
}

// FuzzRequests sends any bytes to any route.
func FuzzRequests(f *testing.F) {
	d := openDoor(f, filepath.Join(f.TempDir(), "lastro.db"))
	random := rand.New(rand.NewPCG(8, 1))
	for i := range d.patterns {
		body, _ := json.Marshal(randomObject(random, 0))
		f.Add(uint16(i), string(body))
	}
	f.Fuzz(func(t *testing.T, route uint16, body string) {
		d.ask(t, d.patterns[int(route)%len(d.patterns)], body)
	})
}
