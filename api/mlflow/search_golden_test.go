// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// golden is what a real MLflow server finds: testdata/search/make.py.
type golden struct {
	MadeBy  string `json:"made_by"`
	Content struct {
		Experiments []struct {
			Name string            `json:"name"`
			Tags map[string]string `json:"tags"`
		} `json:"experiments"`
		Deleted []string `json:"deleted_experiments"`
		Runs    []struct {
			Experiment, Name, User, Status string
			Start                          int64
			End                            *int64
			Deleted                        bool
			Metrics                        map[string]any
			Params, Tags                   map[string]string
			Datasets                       []struct{ Name, Digest, Context string }
		} `json:"runs"`
		Models []struct {
			Name     string
			Tags     map[string]string
			Versions []struct {
				Run  int
				Tags map[string]string
			}
		} `json:"models"`
		LoggedModels []struct {
			Experiment, Name, Type string
			Run                    int
			Params, Tags           map[string]string
			Metrics                []map[string]any
			Ready                  bool
		} `json:"logged_models"`
	} `json:"content"`
	Questions []struct {
		Search string          `json:"search"`
		Body   json.RawMessage `json:"body"`
		// AnyOrder: ids decide the order and what is on the page, and they are random.
		AnyOrder bool `json:"any_order"`
		Want     struct {
			Status int    `json:"status"`
			Error  string `json:"error"`
			Found  []any  `json:"found"`
			More   bool   `json:"more"`
		} `json:"want"`
	} `json:"questions"`
}

// differs lists the questions that lastro answers otherwise than MLflow, on
// purpose. docs/reference/search.md says the same in prose.
var differs = map[string]string{
	// MLflow's grammar takes these for reserved words, or cannot read them; they are names.
	"params.case": "a key may be a word of SQL", "param.case": "a key may be a word of SQL", "metrics.m.dot/slash": "an unquoted key may have / : @ -",
	"`name` = 'churn-0'": "a quoted attribute is that attribute",
	"attributes.name":    "attributes means attribute everywhere", "attr.name": "attributes means attribute everywhere",
	"attribute.name": "attribute means attributes everywhere",
	"name ilike":     "operators are read in any case", "attributes.creation_time": "an attribute may be written with attributes.",
	// MLflow looks for an empty key.
	"metrics. > 0.5": "a key is not empty", `["metrics."]`: "a key is not empty",
	// MLflow compares with the quotation marks.
	`name = \"lm-0\"`: "both kinds of quotation mark hold a string",
	// MLflow compares the digest with "" when none is named.
	`{"dataset_name": "iris"}`: "a dataset without a digest is every one of that name", `{"dataset_name": "wine"}]`: "a dataset without a digest is every one of that name",
	// What MLflow takes for ACTIVE_ONLY is refused.
	`"run_view_type": "SOME"`: "an unknown view type is refused", `"view_type": "NONE"`: "an unknown view type is refused",
	"params.depth = 2":   "a number is not a string",
	`"max_results": "0"`: "a page has at least one entry", `"max_results": "-1"`: "a page has at least one entry", `"max_results": -1`: "a page has at least one entry",
	// Other servers, other content.
	"_time > 0": "the experiment Default is as old as the database", "creation_time < 5": "the experiment Default is as old as the database",
	`"order_by": ["name", "name DESC"]`: "an order names a field once",
}

func TestSearchIsMLflows(t *testing.T) {
	raw, err := os.ReadFile("testdata/search/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	known := s.writeGolden(t, g)
	same, used := 0, map[string]bool{}
	for _, q := range g.Questions {
		body := string(q.Body)
		for name, id := range known {
			body = strings.ReplaceAll(body, name, id)
		}
		status, found, more, code := s.ask(t, known, q.Search, body)
		if q.AnyOrder && len(found) == len(q.Want.Found) {
			q.Want.Found = found
		}
		ours := fmt.Sprintf("%d %v %v %s", status, found, more, code)
		if q.Want.Error != "" {
			if status == 400 && code == "INVALID_PARAMETER_VALUE" {
				same++
				continue
			}
		} else if status == 200 && fmt.Sprint(found) == fmt.Sprint(q.Want.Found) && more == q.Want.More {
			same++
			continue
		}
		part := isKnown(string(q.Body))
		if used[part] = true; part == "" {
			t.Errorf("%s %s\n  here   %.300s\n  MLflow %d %.300v more %v %.60s", q.Search, q.Body, ours, q.Want.Status, q.Want.Found, q.Want.More, q.Want.Error)
		}
	}
	for part := range differs {
		if !used[part] {
			t.Errorf("no answer differs because of %q", part)
		}
	}
	t.Logf("%d of %d answers are those of %s", same, len(g.Questions), g.MadeBy)
}

// isKnown returns the entry of differs that a question belongs to.
func isKnown(body string) string {
	for part := range differs {
		if strings.Contains(body, part) {
			return part
		}
	}
	return ""
}

func (s *server) mustCall(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		t.Fatal(err)
	}
	status, answer := s.call(t, s.admin, method, path, text.String())
	if status != http.StatusOK {
		t.Fatalf("%s %s %s = %d %s", method, path, text.String(), status, answer)
	}
	out := map[string]any{}
	_ = json.Unmarshal([]byte(answer), &out)
	return out
}

func dig(v any, path ...string) string {
	for _, p := range path {
		v = v.(map[string]any)[p]
	}
	return v.(string)
}

func keyValuesOf(m map[string]string) []map[string]string {
	out := []map[string]string{}
	for k, v := range m {
		out = append(out, map[string]string{"key": k, "value": v})
	}
	return out
}

// writeGolden writes the content; it returns the ids by the names that
// questions have for them, such as {run:3}.
func (s *server) writeGolden(t *testing.T, g golden) map[string]string {
	t.Helper()
	const api = "/api/2.0/mlflow/"
	ids := map[string]string{}
	for _, e := range g.Content.Experiments {
		ids["{exp:"+e.Name+"}"] = dig(s.mustCall(t, "POST", api+"experiments/create", map[string]any{"name": e.Name, "tags": keyValuesOf(e.Tags)}), "experiment_id")
	}
	for _, name := range g.Content.Deleted {
		s.mustCall(t, "POST", api+"experiments/delete", map[string]any{"experiment_id": ids["{exp:"+name+"}"]})
	}
	for i, r := range g.Content.Runs {
		answer := s.mustCall(t, "POST", api+"runs/create", map[string]any{"experiment_id": ids["{exp:"+r.Experiment+"}"], "run_name": r.Name, "user_id": r.User, "start_time": r.Start, "tags": keyValuesOf(r.Tags)})
		id := dig(answer, "run", "info", "run_id")
		ids[fmt.Sprintf("{run:%d}", i)] = id
		var metrics []map[string]any
		for k, v := range r.Metrics {
			metrics = append(metrics, map[string]any{"key": k, "value": v, "timestamp": r.Start, "step": 0})
		}
		s.mustCall(t, "POST", api+"runs/log-batch", map[string]any{"run_id": id, "metrics": metrics, "params": keyValuesOf(r.Params)})
		for _, d := range r.Datasets {
			s.mustCall(t, "POST", api+"runs/log-inputs", map[string]any{"run_id": id, "datasets": []any{map[string]any{
				"dataset": map[string]string{"name": d.Name, "digest": d.Digest, "source_type": "local", "source": "{}"},
				"tags":    []map[string]string{{"key": "mlflow.data.context", "value": d.Context}}}}})
		}
		if r.Status != "RUNNING" {
			update := map[string]any{"run_id": id, "status": r.Status}
			if r.End != nil {
				update["end_time"] = *r.End
			}
			s.mustCall(t, "POST", api+"runs/update", update)
		}
		if i < 30 {
			s.mustCall(t, "PUT", "/api/2.0/mlflow-artifacts/artifacts/"+ids["{exp:"+r.Experiment+"}"]+"/"+id+"/artifacts/model/MLmodel", "flavors: {}")
		}
		if r.Deleted {
			s.mustCall(t, "POST", api+"runs/delete", map[string]any{"run_id": id})
		}
	}
	for _, m := range g.Content.Models {
		s.mustCall(t, "POST", api+"registered-models/create", map[string]any{"name": m.Name, "tags": keyValuesOf(m.Tags)})
		for _, v := range m.Versions {
			run := ids[fmt.Sprintf("{run:%d}", v.Run)]
			s.mustCall(t, "POST", api+"model-versions/create", map[string]any{"name": m.Name, "source": "runs:/" + run + "/model", "run_id": run, "tags": keyValuesOf(v.Tags)})
		}
	}
	for i, m := range g.Content.LoggedModels {
		run := ids[fmt.Sprintf("{run:%d}", m.Run)]
		id := dig(s.mustCall(t, "POST", api+"logged-models", map[string]any{"experiment_id": ids["{exp:"+m.Experiment+"}"], "name": m.Name, "model_type": m.Type,
			"source_run_id": run, "params": keyValuesOf(m.Params), "tags": keyValuesOf(m.Tags)}), "model", "info", "model_id")
		ids[fmt.Sprintf("{logged:%d}", i)] = id
		for _, x := range m.Metrics {
			x["run_id"], x["model_id"], x["timestamp"] = run, id, 1_700_000_000_000
			s.mustCall(t, "POST", api+"runs/log-metric", x)
		}
		if m.Ready {
			s.mustCall(t, "PATCH", api+"logged-models/"+id, map[string]any{"model_id": id, "status": "LOGGED_MODEL_READY"})
		}
	}
	return ids
}

// ask puts one question and says what was found as golden.json spells it.
func (s *server) ask(t *testing.T, known map[string]string, search, body string) (status int, found []any, more bool, code string) {
	t.Helper()
	where := map[string]struct{ method, path, list string }{
		"runs":        {"POST", "runs/search", "runs"},
		"experiments": {"POST", "experiments/search", "experiments"},
		"models":      {"GET", "registered-models/search", "registered_models"},
		"versions":    {"GET", "model-versions/search", "model_versions"},
		"logged":      {"POST", "logged-models/search", "models"},
	}[search]
	path := "/api/2.0/mlflow/" + where.path
	if where.method == "GET" {
		path, body = path+"?"+asQuery(t, body), ""
	}
	status, text := s.call(t, s.admin, where.method, path, body)
	if status != 200 {
		return status, nil, false, errorCode(text)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	names := map[string]any{}
	for name, id := range known {
		var n float64
		if _, err := fmt.Sscanf(name, "{run:%g}", &n); err == nil {
			names[id] = n
		} else if _, err := fmt.Sscanf(name, "{logged:%g}", &n); err == nil {
			names[id] = n
		}
	}
	found = []any{}
	for _, item := range answer[where.list].([]any) {
		switch search {
		case "runs":
			found = append(found, names[dig(item, "info", "run_id")])
		case "logged":
			found = append(found, names[dig(item, "info", "model_id")])
		case "versions":
			found = append(found, dig(item, "name")+"/"+dig(item, "version"))
		default:
			found = append(found, dig(item, "name"))
		}
	}
	return status, found, answer["next_page_token"] != nil, ""
}

func asQuery(t *testing.T, body string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	q := url.Values{}
	for k, v := range fields {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			q.Add(k, fmt.Sprint(item))
		}
	}
	return q.Encode()
}
