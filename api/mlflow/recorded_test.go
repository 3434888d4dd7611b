// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recordedCall is one request that was sent to MLflow 3.17.2, with its answer;
// testdata/record/record.py made the files and says how they are read.
type recordedCall struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   map[string]any    `json:"query"`
	Body    any               `json:"body"`
	Raw     *string           `json:"raw"`
	Headers map[string]string `json:"headers"`
	Save    map[string]string `json:"save"` // name of a variable: where it is in the answer
	Only    *[]string         `json:"only"` // of the entries of a list in the answer, see shorten
	Status  int               `json:"status"`
	Answer  any               `json:"answer"`
}

// TestRecorded sends lastro what was sent to MLflow and compares status, error
// code and answer, except where differences.go says why they differ.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		subject := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(subject, func(t *testing.T) {
			var calls []recordedCall
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			if err := d.Decode(&calls); err != nil {
				t.Fatal(err)
			}
			p := player{server: start(t, nil), vars: map[string]string{}}
			for _, c := range calls {
				p.play(t, subject, c)
			}
		})
	}
}

// player sends recorded calls to one server.
type player struct {
	server *server
	vars   map[string]string
}

func (p *player) play(t *testing.T, subject string, c recordedCall) {
	status, answer, raw := p.send(t, c)
	want := p.plain(c.Answer, "")
	for name, where := range c.Save {
		value := valueAt(answer, where)
		if value == nil {
			t.Fatalf("%s should save %s, and the answer is %d %.300s", c.Name, where, status, raw)
		}
		p.vars[name] = fmt.Sprint(value)
	}
	if status < 300 && c.Only != nil {
		answer = shorten(answer, *c.Only)
	}
	diff := ""
	switch got, code := codeIn(answer), codeIn(want); {
	case status != c.Status || code != got && code != "": // without a code it is a page of MLflow's framework
		diff = fmt.Sprintf("%d %s, and MLflow %d %s", status, got, c.Status, code)
	case status < 300 && !reflect.DeepEqual(p.plain(answer, ""), want) && !(empty(want) && empty(p.plain(answer, ""))):
		diff = "differs:\n  lastro " + text(p.plain(answer, "")) + "\n  MLflow " + text(want)
	case status >= 400 && got != "" && len(messageIn(answer)) < 10:
		diff = "does not say what is wrong"
	}
	why := reason(subject + ": " + c.Name)
	if diff != "" && why == "" {
		t.Errorf("%s (%s %s): %s\n  %.300s", c.Name, c.Method, c.Path, diff, raw)
	}
	if diff == "" && why != "" {
		t.Errorf("%s is as in MLflow; take it out of the differences", c.Name)
	}
}

// send returns the status, the answer as JSON or text, and its first bytes.
func (p *player) send(t *testing.T, c recordedCall) (int, any, string) {
	t.Helper()
	path := c.Path
	if !strings.HasPrefix(path, "/") {
		path = "/api/2.0/mlflow/" + path
	}
	path = p.expandText(path)
	if len(c.Query) > 0 {
		q := url.Values{}
		for k, v := range c.Query {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, x := range list {
				q.Add(k, fmt.Sprint(p.expand(x)))
			}
		}
		path += "?" + q.Encode()
	}
	body := ""
	switch {
	case c.Raw != nil:
		body = p.expandText(*c.Raw)
	case c.Body != nil:
		b, err := json.Marshal(p.expand(c.Body))
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), c.Method, p.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.server.admin)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	d.UseNumber()
	var answer any
	if !strings.HasPrefix(string(out), "{") || d.Decode(&answer) != nil {
		return resp.StatusCode, string(out), string(out)
	}
	return resp.StatusCode, answer, string(out)
}

var (
	variable = regexp.MustCompile(`\$\{(\w+)\}`)
	repeated = regexp.MustCompile(`\$\{(.)\*(\d+)\}`)
	longList = regexp.MustCompile(`^\$\{(metrics|params|tags)\*(\d+)\}$`)
)

func (p *player) expandText(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(m string) string {
		part := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(part[2])
		return strings.Repeat(part[1], n)
	})
	return variable.ReplaceAllStringFunc(s, func(m string) string { return p.vars[m[2:len(m)-1]] })
}

func (p *player) expand(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[p.expandText(k)] = p.expand(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = p.expand(x)
		}
		return out
	case string:
		if m := longList.FindStringSubmatch(v); m != nil {
			n, _ := strconv.Atoi(m[2])
			return longOnes(m[1], n)
		}
		return p.expandText(v)
	}
	return v
}

func longOnes(kind string, n int) []any {
	out := make([]any, n)
	for i := range n {
		if kind == "metrics" {
			out[i] = map[string]any{"key": fmt.Sprint("m", i), "value": i, "timestamp": i, "step": i}
		} else {
			out[i] = map[string]any{"key": fmt.Sprint(kind[:1], i), "value": fmt.Sprint(i)}
		}
	}
	return out
}

// What the server decides; record.py has the same lists.
var (
	times = []string{"creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms", "last_updated_timestamp_ms",
		"last_updated_time", "created_time"}
	ignored = []string{"message", "sqlstate", "error_class", "user_id", "run_uuid", "next_page_token", "created_by", "last_updated_by", "storage_location",
		"status_message", "stack_trace", "workspace"}
	unordered = []string{"tags", "params", "aliases", "files", "dataset_summaries"}
)

// plain is record.py's plain: an answer as it is compared.
func (p *player) plain(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if slices.Contains(ignored, k) {
				continue
			}
			x = p.plain(x, k)
			if empty(x) {
				continue
			}
			if slices.Contains(times, k) && x != float64(0) {
				x = "<time>"
			}
			out[k] = x
		}
		return out
	case []any:
		return p.plainList(v, key)
	case json.Number:
		f, _ := v.Float64()
		return f
	case string:
		return p.plainText(v)
	}
	return v
}

func (p *player) plainList(list []any, key string) any {
	out := make([]any, len(list))
	keys := map[any]bool{}
	for i, x := range list {
		out[i] = p.plain(x, key)
		if m, ok := out[i].(map[string]any); ok {
			keys[m["key"]] = true
		}
	}
	// Tags of lastro's own, such as the digest of a version, are more than MLflow has.
	out = slices.DeleteFunc(out, func(x any) bool { return strings.HasPrefix(fieldOf(x, "key"), "lastro.") })
	switch {
	case slices.Contains(unordered, key):
		slices.SortFunc(out, func(a, b any) int { return cmp.Compare(text(a), text(b)) })
	case key == "metrics" && len(keys) == len(out):
		slices.SortFunc(out, func(a, b any) int { return cmp.Compare(fieldOf(a, "key"), fieldOf(b, "key")) })
	}
	return out
}

func (p *player) plainText(s string) any {
	switch s { // in its SQLite, MLflow keeps the largest number in place of an infinite one
	case "Infinity":
		return math.MaxFloat64
	case "-Infinity":
		return -math.MaxFloat64
	}
	names := slices.SortedFunc(maps.Keys(p.vars), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(p.vars[b]), len(p.vars[a])), cmp.Compare(a, b))
	})
	for _, name := range names {
		if value := p.vars[name]; len(value) >= 8 || s == value {
			s = strings.ReplaceAll(s, value, "${"+name+"}")
		}
	}
	if n := len([]rune(s)); n >= 300 {
		return fmt.Sprint(n, " characters")
	}
	return s
}

// shorten is record.py's shorten: ["runs", "info.run_name"] leaves the names of
// the runs, [] nothing at all.
func shorten(answer any, only []string) any {
	if len(only) == 0 {
		return map[string]any{}
	}
	list, _ := valueAt(answer, only[0]).([]any)
	out := make([]any, len(list))
	for i, x := range list {
		var parts []string
		for _, path := range only[1:] {
			parts = append(parts, fmt.Sprint(valueAt(x, path)))
		}
		out[i] = strings.Join(parts, " ")
	}
	return map[string]any{only[0]: out}
}

func valueAt(value any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		m, _ := value.(map[string]any)
		value = m[part]
	}
	return value
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// text is JSON with sorted keys, as Python writes it, nearly.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func fieldOf(v any, name string) string {
	m, _ := v.(map[string]any)
	s, _ := m[name].(string)
	return s
}

func codeIn(answer any) string    { return fieldOf(answer, "error_code") }
func messageIn(answer any) string { return fieldOf(answer, "message") }
