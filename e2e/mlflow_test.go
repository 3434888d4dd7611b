// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSwitching does what docs/mlflow.md tells who comes from MLflow: the
// commands and the script of the page, in a folder without a project, first
// without and then with authentication.
func TestSwitching(t *testing.T) {
	py := testPython()
	if exec.CommandContext(t.Context(), py, "-c", "import mlflow, sklearn, skops").Run() != nil {
		t.Skip(py + " has no MLflow client: make python")
	}
	page := readPage(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.py"), []byte(page.script), 0o600); err != nil {
		t.Fatal(err)
	}
	train := func(t *testing.T, env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), py, "train.py")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(env, "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0", "PYTHONWARNINGS=ignore", "MLFLOW_DISABLE_TELEMETRY=true")...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	t.Run("alone", func(t *testing.T) {
		url := startAs(t, dir, page.start)
		if out, err := train(t, page.point(url)); err != nil || !strings.Contains(out, "[0 0 0]") {
			t.Fatalf("train.py: %v\n%s", err, out)
		}
	})

	t.Run("team", func(t *testing.T) {
		state := t.TempDir()
		url := startAs(t, dir, page.team[1], "LASTRO_DATA="+state)
		var token string
		for _, line := range page.team[2:] {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "LASTRO_DATA="+state, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			token = strings.TrimSpace(string(out))
		}
		for _, as := range [][]string{{"MLFLOW_TRACKING_TOKEN=" + token}, {"MLFLOW_TRACKING_USERNAME=ana", "MLFLOW_TRACKING_PASSWORD=" + token}} {
			if out, err := train(t, append(as, page.point(url))...); err != nil || !strings.Contains(out, "[0 0 0]") {
				t.Fatalf("train.py as %v: %v\n%s", as[0][:20], err, out)
			}
		}
		for _, as := range []string{"MLFLOW_TRACKING_TOKEN=lastro_wrong", "NOTHING="} {
			if out, err := train(t, as, page.point(url)); err == nil || !strings.Contains(out, "UNAUTHENTICATED") {
				t.Errorf("train.py with %s: %v\n%s\nwant UNAUTHENTICATED", as, err, out)
			}
		}
	})

	t.Run("never without authentication for others", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), binary, "-C", dir, "up", "--listen", "0.0.0.0:0", "--data", t.TempDir(), "--auth", "none").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "L0405") || !strings.Contains(string(out), "127.0.0.1") {
			t.Errorf("--auth none on 0.0.0.0: %v\n%s\nwant L0405 with what to do", err, out)
		}
	})
}

// switching is what docs/mlflow.md says under "Switch in ten minutes".
type switching struct {
	start, uri, script string
	team               []string
}

func (s switching) point(url string) string {
	return strings.TrimPrefix(strings.Replace(s.uri, "http://127.0.0.1:5000", url, 1), "export ")
}

func readPage(t *testing.T) switching {
	t.Helper()
	text, err := os.ReadFile("../docs/mlflow.md")
	if err != nil {
		t.Fatal(err)
	}
	shell := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	script := regexp.MustCompile("(?s)```python\n(.*?)```").FindStringSubmatch(string(text))
	if len(shell) < 3 || script == nil {
		t.Fatalf("docs/mlflow.md has %d shell blocks; the test runs the first three and a script", len(shell))
	}
	team := strings.Split(strings.TrimSpace(shell[2][1]), "\n")
	uri, _, _ := strings.Cut(shell[1][1], "\n")
	if len(team) != 4 || !strings.HasPrefix(team[1], "lastro up") || !strings.HasPrefix(uri, "export MLFLOW_TRACKING_URI=") {
		t.Fatalf("docs/mlflow.md changed its commands: %q, %q", uri, team)
	}
	return switching{strings.TrimSpace(shell[0][1]), uri, script[1], team}
}

// startAs starts a server by a line of the page, on a port that is free, and
// returns where this machine reaches it.
func startAs(t *testing.T, dir, line string, env ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	args := strings.Fields(strings.TrimSuffix(strings.Replace(line, ":5000", fmt.Sprint(":", port), 1), "&"))
	cmd := exec.CommandContext(t.Context(), binary, args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	url := fmt.Sprint("http://127.0.0.1:", port)
	for deadline := time.Now().Add(time.Minute); ; {
		if resp, err := http.Get(url + "/health"); err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer", line)
		}
		time.Sleep(5 * time.Millisecond)
	}
	cpu, memory := usage(t, cmd.Process.Pid)
	t.Logf("%s: ready after %v of CPU, %d MB", line, cpu, memory>>20)
	if cpu > time.Second || memory > 80<<20 {
		t.Errorf("%s was ready after %v of CPU with %d MB; 300 ms are promised on a quiet machine, and 80 MB", line, cpu, memory>>20)
	}
	return url
}

// usage is the CPU time and the resident memory of a process, from /proc.
func usage(t *testing.T, pid int) (time.Duration, int64) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	field := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	number := func(i int) int64 {
		n, err := strconv.ParseInt(field[i-3], 10, 64) // numbered from 1, after pid and name
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tick = 10 * time.Millisecond
	return time.Duration(number(14)+number(15)) * tick, number(24) * int64(os.Getpagesize())
}
