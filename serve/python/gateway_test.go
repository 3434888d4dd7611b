// SPDX-License-Identifier: Apache-2.0

package python_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastro/serve"
	"lastro/serve/python"
	"lastro/serve/servetest"
)

// The test binary is also `lastro serve`.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LASTRO_TEST_SERVE"); dir != "" {
		err := serve.Run(context.Background(), serve.Options{Dir: dir, Listen: "127.0.0.1:0", Runtimes: []serve.Runtime{python.Runtime{}},
			Listening: func(address string) { fmt.Println(address) }})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A real model through the real process: the answers are scikit-learn's, the
// model's folder still verifies after it was used, and kill -9 leaves no worker behind.
func served(t *testing.T, interpreter, folder string, s sample) {
	dir := t.TempDir()
	digest := servetest.Install(t, dir, folder)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LASTRO_TEST_SERVE="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatal(err)
	}
	admin := serve.Admin{Socket: filepath.Join(dir, "admin.sock")}
	routing := serve.Routing{Endpoint: "local", Generation: 1, Model: "flights", JoinKey: "flight_id", Workers: 1,
		Champion: &serve.Revision{Name: "flights@1", Version: "1", Digest: digest, Python: interpreter}}
	wait := func() serve.RevisionStats {
		t.Helper()
		for range 600 {
			got, err := admin.Route(t.Context(), routing)
			if err != nil {
				t.Fatal(err)
			}
			if r := got.Revisions[0]; r.State != serve.Loading {
				return r
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("not loaded in 30 s")
		return serve.RevisionStats{}
	}
	if r := wait(); r.State != serve.Ready {
		t.Fatalf("%+v", r)
	}
	columns := map[string][]any{"flight_id": {"a", "b", "c", "d", "e"}}
	for name, values := range s.Columns {
		columns[name] = values
	}
	body, _ := json.Marshal(map[string]any{"inputs": columns})
	res, err := http.Post("http://"+address+"/invocations", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	var got struct{ Predictions [][]float64 }
	if err := json.Unmarshal(text, &got); err != nil || len(got.Predictions) != len(s.Scores) {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	for i, want := range s.Scores {
		if p := got.Predictions[i]; len(p) != 2 || math.Abs(p[1]-want) > 1e-12 {
			t.Errorf("row %d: %v, want [_, %v]", i, p, want)
		}
	}
	// Loaded anew, it is verified anew.
	routing.Generation, routing.Champion.Reload = 2, 1
	r := wait()
	if r.State != serve.Ready {
		t.Errorf("after use: %s %s", r.State, r.Reason)
	}
	pids := r.Pids
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range pids {
		for i := 0; running(pid); i++ {
			if i > 300 {
				t.Fatalf("worker %d outlives the gateway", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// running is false for a zombie too: who reaps orphans here may be slow.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}
