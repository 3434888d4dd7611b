// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lastro/store"
)

// mlflowEndpoint is a row of testdata/endpoints.txt.
type mlflowEndpoint struct {
	group, method, path string
	api, ajax           bool // served under /api, under /ajax-api; neither: without a prefix
}

func mlflowEndpoints(t *testing.T) []mlflowEndpoint {
	t.Helper()
	f, err := os.Open("testdata/endpoints.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []mlflowEndpoint
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		part := strings.Split(lines.Text(), "\t")
		if len(part) != 4 {
			t.Fatalf("line %q has %d columns", lines.Text(), len(part))
		}
		list = append(list, mlflowEndpoint{part[0], part[1], part[2], strings.Contains(part[3], "api") && part[3] != "ajax", strings.Contains(part[3], "ajax")})
	}
	return list
}

// ownPages are paths at which lastro has pages of its own.
var ownPages = []string{"/"}

// TestEndpoints asks for every endpoint that MLflow 3.17.2 has: each is served,
// or refused with the name of the product that it belongs to. The table of
// docs/mlflow.md says the same numbers.
func TestEndpoints(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := startOn(t, db, nil, withWebhooks(db))
	served, refused := map[string]int{}, map[string]int{}
	var groups []string
	for _, e := range mlflowEndpoints(t) {
		if !slices.Contains(groups, e.group) {
			groups = append(groups, e.group)
		}
		if slices.Contains(ownPages, e.path) {
			refused[e.group]++
			continue
		}
		answers := map[string]bool{}
		for _, path := range e.paths() {
			answers[s.has(t, e.method, path)] = true
		}
		switch {
		case len(answers) > 1:
			t.Errorf("%s %s is served under one prefix and not under the other", e.method, e.path)
		case answers["served"]:
			served[e.group]++
		case answers["refused"]:
			refused[e.group]++
		default:
			t.Errorf("%s %s (%s) is neither served nor refused by name", e.method, e.path, e.group)
		}
	}
	var table strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&table, "| %s | %d | %d |\n", g, served[g], refused[g])
	}
	if doc := readDoc(t); !strings.Contains(doc, table.String()) {
		t.Errorf("docs/mlflow.md should have these rows:\n%s", table.String())
	}
}

var wild = regexp.MustCompile(`\{[a-z_]+\}`)

func (e mlflowEndpoint) paths() []string {
	path := wild.ReplaceAllString(e.path, "m-1")
	switch {
	case !e.api && !e.ajax:
		return []string{path}
	case !e.api:
		return []string{"/ajax-api" + path}
	}
	return []string{"/api" + path, "/ajax-api" + path}
}

// has says how a request is answered: "served", "refused" by name, or "" when
// lastro knows nothing of it.
func (s *server) has(t *testing.T, method, path string) string {
	t.Helper()
	if method == "ANY" { // all that is known of the endpoints of the basic-auth app
		return cmp.Or(s.has(t, "POST", path), s.has(t, "GET", path))
	}
	status, body := s.call(t, s.admin, method, path, "{}")
	switch {
	case errorCode(body) != "ENDPOINT_NOT_FOUND" && status != 405 && !strings.Contains(body, "404 page not found"):
		return "served"
	case strings.Contains(body, "and lastro does not have it"):
		return "refused"
	}
	return ""
}

func readDoc(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/mlflow.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
