// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastro/transfer"
)

// realMLflow is the Python of an environment with the whole package mlflow
// 3.17 (not mlflow-skinny): pip install mlflow==3.17.2. Its server needs seconds
// to start and 500 MB, so this is not for every run of the tests.
func realMLflow(t testing.TB) string {
	python := os.Getenv("LASTRO_TEST_MLFLOW")
	if python == "" {
		t.Skip("set LASTRO_TEST_MLFLOW to the Python of an environment with mlflow 3.17.2")
	}
	return python
}

// startMLflow starts a real server on an export, and returns its address.
func startMLflow(t testing.TB, python, dir string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "mlflow.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(python), "mlflow"), "server", "--backend-store-uri", "sqlite:///"+filepath.Join(dir, transfer.ExportedDatabase),
		"--artifacts-destination", filepath.Join(dir, transfer.ExportedArtifacts), "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--workers", "1")
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait(); log.Close() })
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		res, err := http.Get(address + "/health")
		if err == nil {
			res.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("the server does not start: %s", text)
		}
	}
}

// TestRealServer lets MLflow open an export: what its client reads there is
// what it read from the server that the content came from. Then everything
// comes back from the real server by REST.
func TestRealServer(t *testing.T) {
	python := realMLflow(t)
	const release = "3.17.2"
	first := newHouse(t, "first")
	mustRun(t, first.importer(openDatabase(t, release)))
	dir, _ := export(t, first)
	address := startMLflow(t, python, dir)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", "make.py"), "dump", address)
	var said strings.Builder
	cmd.Stderr = &said
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	want, err := os.ReadFile(filepath.Join("testdata", "mlflow-"+release+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var before, after any
	if err := json.Unmarshal(want, &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &after); err != nil {
		t.Fatalf("%v: %.500s", err, raw)
	}
	held := differences("", before, after)
	for _, d := range held {
		t.Error(d)
	}

	started := time.Now()
	s, err := transfer.OpenServer(t.Context(), address, transfer.Login{})
	if err != nil {
		t.Fatal(err)
	}
	second := newHouse(t, "second")
	r := mustRun(t, second.importer(s))
	t.Logf("%d runs and %d points by REST from MLflow %s", r.Counts[transfer.Runs].Moved, r.Counts[transfer.Points].Moved, time.Since(started).Round(time.Millisecond))
	holdAgainst(t, second, readDump(t, release))
}

// expected are paths of the dump that differ because they name lastro's own
// tags, or say what MLflow does not keep twice.
func expected(path string) bool {
	return strings.Contains(path, "lastro.") || strings.HasSuffix(path, "/user") && strings.HasPrefix(path, "/models") ||
		strings.Contains(path, "/mlflow.trace.size")
}

// differences lists where two documents are not the same.
func differences(path string, a, b any) (out []string) {
	if expected(path) {
		return nil
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, not %v", path, b, a)}
		}
		for k := range x {
			out = append(out, differences(path+"/"+k, x[k], y[k])...)
		}
		for k := range y {
			if _, ok := x[k]; !ok && !expected(path+"/"+k) {
				out = append(out, fmt.Sprintf("%s/%s is new: %v", path, k, y[k]))
			}
		}
		return out
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return []string{fmt.Sprintf("%s is %v, not %v", path, b, a)}
		}
		for i := range x {
			out = append(out, differences(fmt.Sprintf("%s/%d", path, i), x[i], y[i])...)
		}
		return out
	}
	if !reflect.DeepEqual(a, b) {
		return []string{fmt.Sprintf("%s is %v, not %v", path, b, a)}
	}
	return nil
}
