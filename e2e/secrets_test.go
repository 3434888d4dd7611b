// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tracked60 says that the params and tags of all secrets were taken; a masked
// name of a tag or a metric is refused, because *** is no name.
var tracked60 = regexp.MustCompile(`tracked ([6-9]\d|1\d\d)`)

// TestSecretsAreHidden is S8: 30 secrets, printed in every form, written into
// reports, metrics, plots, the summary, values, tracked params and tags. None
// of the forms, which Python made, may be found in the log, the database or
// anything else of the state directory, nor in what commands print.
func TestSecretsAreHidden(t *testing.T) {
	made := t.TempDir()
	if out, err := exec.Command("python3", "testdata/s8.py", "make", made).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script, err := os.ReadFile("testdata/s8.py")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("S%02d", i+1))
	}
	list := "[" + strings.Join(names, ", ") + "]"
	f := newFolder(t, map[string]string{"s8.py": string(script), "lastro.yaml": `version: 1
name: s8
secrets: ` + list + `
steps:
  leak:
    run: python3 s8.py leak
    secrets: ` + list + `
    metrics: work/metrics.json
    reports: {junit: work/junit.xml}
    plots: [work/plot.json, work/plot.csv, work/plot.svg]
`})
	for _, name := range names {
		cmd := f.command("secret", "set", name)
		if cmd.Stdin, err = os.Open(filepath.Join(made, name)); err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("set %s: %v: %s", name, err, out)
		}
	}
	run := f.ok(1, "run")
	if !strings.Contains(run.stderr, "cannot go on without ***") {
		t.Errorf("the end of the log is not shown:\n%s\n%.4000s", run.stdout, run.stderr)
	}
	log := f.ok(0, "logs", "1", "leak")
	if n := strings.Count(log.stdout, "***"); n < 30*25 || !tracked60.MatchString(log.stdout) {
		t.Errorf("%d places are masked, %d bytes of log, tracked: %q", n, len(log.stdout), regexp.MustCompile(`tracked \d+`).FindString(log.stdout))
	}
	seen := map[string]string{"run": run.stdout + run.stderr, "run --json": f.ok(1, "run", "--json").stdout, "logs": log.stdout,
		"ls": f.ok(0, "ls", "runs", "--json").stdout, "secret ls": f.ok(0, "secret", "ls", "--json").stdout}
	read(t, filepath.Join(f.dir, ".lastro"), seen)
	f.answers(seen, "/runs/1", "/runs/1/log?step=leak", "/api/v1/runs/1", "/api/v1/events?limit=1000", "/api/v1/secrets")
	var forms []struct{ Secret, Form, Text string }
	raw, err := os.ReadFile(filepath.Join(made, "forms.json"))
	if err == nil {
		err = json.Unmarshal(raw, &forms)
	}
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for where, text := range seen {
		for _, form := range forms {
			if i := strings.Index(text, form.Text); i >= 0 {
				if found++; found <= 20 {
					t.Errorf("%s holds %s as %s: ...%.60q", where, form.Secret, form.Form, text[max(0, i-20):])
				}
			}
		}
	}
	t.Logf("%d forms of 30 secrets, %d texts, %d occurrences", len(forms), len(seen), found)
}

// answers adds what a server of the project says at some paths.
func (f folder) answers(into map[string]string, paths ...string) {
	f.t.Helper()
	_, url := f.up(freeAddress(f.t))
	raw, err := os.ReadFile(filepath.Join(f.dir, ".lastro", "run", "up.json"))
	var up struct{ Token string }
	if err == nil {
		err = json.Unmarshal(raw, &up)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	full := 0
	for _, p := range paths {
		req, _ := http.NewRequestWithContext(f.t.Context(), http.MethodGet, url+p, nil)
		req.Header.Set("Authorization", "Bearer "+up.Token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			f.t.Fatal(err)
		}
		if into[p] = string(body); strings.Contains(string(body), "***") {
			full++
		}
		if res.StatusCode != 200 {
			f.t.Errorf("%s: %s", p, res.Status)
		}
	}
	if full < 2 {
		f.t.Errorf("only %d answers hold masked text", full)
	}
}

// read adds every file below a folder, but for the workspace of the step that
// failed: its files are the step's own.
func read(t *testing.T, dir string, into map[string]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "work" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			raw, err := os.ReadFile(p)
			into[strings.TrimPrefix(p, dir)] = string(raw)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
