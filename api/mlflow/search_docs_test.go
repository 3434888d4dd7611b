// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSearchExamples runs the table of examples of docs/reference/search.md.
func TestSearchExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/search.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "Examples, each of which a test runs:")
	table, _, _ = strings.Cut(table, "## Orders")
	s := start(t, nil)
	kinds := map[string]string{"runs": "runs", "experiments": "experiments", "logged models": "logged", "registered models": "models", "versions": "versions"}
	ran := 0
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z ]+) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(table, -1) {
		kind, ok := kinds[row[1]]
		if !ok {
			continue
		}
		fields := map[string]any{"filter": uncode(row[2]), "order_by": []string{uncode(row[3])}}
		if kind == "logged" {
			name, desc := strings.CutSuffix(uncode(row[3]), " DESC")
			fields["order_by"] = []any{map[string]any{"field_name": name, "ascending": !desc}}
		}
		if kind == "runs" || kind == "logged" {
			fields["experiment_ids"] = []string{"0"}
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _, code := s.ask(t, nil, kind, string(body)); status != 200 {
			t.Errorf("%s = %d %s", body, status, code)
		}
		ran++
	}
	if ran < 10 {
		t.Errorf("the page has %d examples", ran)
	}
}

// uncode takes the marks of code off.
func uncode(cell string) string {
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(cell), "`"))
}

// TestSearchDatasets lists what runs read, under each of its paths.
func TestSearchDatasets(t *testing.T) {
	s := start(t, nil)
	const api = "/api/2.0/mlflow/"
	var runs []string
	for range 3 {
		runs = append(runs, dig(s.mustCall(t, "POST", api+"runs/create", map[string]any{"experiment_id": "0"}), "run", "info", "run_id"))
	}
	for i, d := range [][3]string{{"iris", "d1", "training"}, {"iris", "d1", "training"}, {"wine", "d2", ""}} {
		tags := []any{}
		if d[2] != "" {
			tags = append(tags, map[string]string{"key": "mlflow.data.context", "value": d[2]})
		}
		s.mustCall(t, "POST", api+"runs/log-inputs", map[string]any{"run_id": runs[i], "datasets": []any{map[string]any{"tags": tags,
			"dataset": map[string]string{"name": d[0], "digest": d[1], "source_type": "local", "source": "{}"}}}})
	}
	for _, path := range []string{"/api/2.0/mlflow/experiments/search-datasets", "/ajax-api/2.0/mlflow/experiments/search-datasets", "/api/2.0mlflow/experiments/search-datasets"} {
		answer := s.mustCall(t, "POST", path, map[string]any{"experiment_ids": []string{"0"}})
		got, _ := json.Marshal(answer["dataset_summaries"])
		want := `[{"context":"training","digest":"d1","experiment_id":"0","name":"iris"},{"digest":"d2","experiment_id":"0","name":"wine"}]`
		if string(got) != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
	if status, body := s.call(t, s.admin, "POST", api+"experiments/search-datasets", `{}`); status != 400 || errorCode(body) != "INVALID_PARAMETER_VALUE" {
		t.Errorf("without experiments = %d %s, want 400 INVALID_PARAMETER_VALUE", status, body)
	}
}
