// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/step/service"
)

// roleVar makes the test binary play the program that runs services.
const roleVar = "LASTRO_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) != "" {
		os.Exit(service.Main(os.Args[1], os.Stdout))
	}
	os.Exit(m.Run())
}

func program() service.Program { return service.Program{os.Args[0]} }

// scenario is a step with services, started as an executor starts it.
type scenario struct {
	job *pipeline.Job
	cmd *osexec.Cmd
	out bytes.Buffer
}

func newScenario(t *testing.T, script string, services ...pipeline.ServiceSpec) *scenario {
	t.Helper()
	s := &scenario{job: &pipeline.Job{Step: pipeline.StepSpec{Name: "e2e", Services: services, Secrets: []string{"TOKEN"}}, Scratch: t.TempDir(), Dir: t.TempDir()}}
	argv, err := program().Wrap(s.job, []string{"bash", "-euo", "pipefail", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = osexec.Command(argv[0], argv[1:]...)
	s.cmd.Dir, s.cmd.Env = s.job.Dir, append(os.Environ(), roleVar+"=beside", "TOKEN=hunter2x")
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.WaitDelay = &s.out, &s.out, 5*time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return s
}

// run returns the exit status and what Verdict says.
func (s *scenario) run(t *testing.T) (int, *lastro.Error) {
	t.Helper()
	err := s.cmd.Run()
	var exit *osexec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var e *lastro.Error
	if v := program().Verdict(s.job); v != nil && !errors.As(v, &e) {
		t.Fatal(v)
	}
	return s.cmd.ProcessState.ExitCode(), e
}

// server is Python's own, with a folder to serve.
const server = `mkdir -p www/v1 && echo answer > www/v1/health && cd www && exec python3 -u -m http.server --bind 127.0.0.1 "$PORT"`

func TestServices(t *testing.T) {
	s := newScenario(t, `python3 -c "
import os, urllib.request
print('step got', urllib.request.urlopen('http://' + os.environ['MY_APP_ADDR'] + '/v1/health').read().decode().strip(), 'and', os.environ['MY_APP_PORT'] == os.environ['MY_APP_ADDR'].split(':')[1])
"; echo $$ > step.pid; exit 3`,
		pipeline.ServiceSpec{Name: "first", Shell: `echo $$ > first.pid; touch is-ready; sleep 100`, Ready: "test -f is-ready"},
		pipeline.ServiceSpec{Name: "my-app", Shell: `test -f is-ready; echo "$GREETING, $FIRST_PORT"; ` + server, Env: map[string]string{"GREETING": "hello from env"}, Ready: "/v1/health"},
		pipeline.ServiceSpec{Name: "again", Shell: server}) // its port accepts
	code, e := s.run(t)
	if code != 3 || e != nil {
		t.Errorf("exit %d, %v", code, e)
	}
	for _, want := range []string{"step got answer and True\n", "[my-app] hello from env, ", `[my-app] 127.0.0.1 - - `, `"GET /v1/health HTTP/1.1" 200`} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, &s.out)
		}
	}
	gone(t, s.job.Dir, "first.pid")
}

// gone waits until the process of a file has ended.
func gone(t *testing.T, dir, file string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(raw)) + "/stat"); err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the process of %s is still there", file)
}

func TestServicesFail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	for name, tc := range map[string]struct {
		service  pipeline.ServiceSpec
		script   string
		id, want string
		note     string
	}{
		"ends before it is ready": {pipeline.ServiceSpec{Shell: "echo cannot open $TOKEN; exit 7"}, "echo never", "L0375", `step "e2e": service "db" ended before it was ready: exit status 7`, "cannot open ***"},
		"port in use":             {pipeline.ServiceSpec{Shell: "sleep 100", Port: taken}, "echo never", "L0378", fmt.Sprintf("port %d of service", taken), ""},
		"dies under the step":     {pipeline.ServiceSpec{Shell: "while [ ! -f began ]; do sleep 0.05; done; echo bye; exit 1", Ready: "true"}, "touch began; sleep 100", "L0379", `service "db" ended while the step needed it: exit status 1`, "bye"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.service.Name = "db"
			s := newScenario(t, tc.script, tc.service)
			code, e := s.run(t)
			if code != 1 || e == nil || e.ID != tc.id || e.Code != lastro.EFailed || !strings.Contains(e.Msg, tc.want) || strings.Contains(s.out.String(), "never\n") {
				t.Fatalf("exit %d, %+v\n%s", code, e, &s.out)
			}
			if tc.note != "" && (len(e.Notes) == 0 || e.Notes[len(e.Notes)-1] != tc.note) {
				t.Errorf("notes %q", e.Notes)
			}
		})
	}
}

func TestServicesNeverReady(t *testing.T) {
	s := newScenario(t, "echo never", pipeline.ServiceSpec{Name: "db", Shell: "sleep 100", Ready: "echo not yet; false"})
	plan := filepath.Join(s.job.Scratch, "tmp", "services.json")
	raw, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(plan, bytes.Replace(raw, []byte(`"Wait":60000000000`), []byte(`"Wait":300000000`), 1), 0o600)
	code, e := s.run(t)
	if code != 1 || e == nil || e.ID != "L0377" || !strings.Contains(e.Msg, "was not ready within 300ms: exit status 1: not yet") {
		t.Errorf("exit %d, %+v", code, e)
	}
}

// TestServicesStop ends the whole group as an executor does, and kills the
// program so that it can do nothing any more.
func TestServicesStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		s := newScenario(t, `trap 'echo step asked; exit 0' TERM; touch began; while true; do sleep 0.05; done`,
			pipeline.ServiceSpec{Name: "db", Shell: "echo $$ > db.pid; exec sleep 100", Ready: "true"})
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			if _, err := os.Stat(filepath.Join(s.job.Dir, "began")); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		target := -s.cmd.Process.Pid
		if sig == syscall.SIGKILL {
			target = s.cmd.Process.Pid
		}
		syscall.Kill(target, sig)
		err := s.cmd.Wait()
		gone(t, s.job.Dir, "db.pid")
		if e := program().Verdict(s.job); e != nil {
			t.Errorf("%v: verdict %v", sig, e)
		}
		if sig == syscall.SIGTERM && (err != nil || !strings.Contains(s.out.String(), "step asked")) {
			t.Errorf("%v: %v\n%s", sig, err, &s.out)
		}
	}
}

// TestServicesSignal passes the signal that killed the step on.
func TestServicesSignal(t *testing.T) {
	s := newScenario(t, "kill -9 $$", pipeline.ServiceSpec{Name: "db", Shell: "sleep 100", Ready: "true"})
	if code, e := s.run(t); code != -1 || e != nil || s.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("%v, %v", s.cmd.ProcessState, e)
	}
}

func TestNoServices(t *testing.T) {
	argv, err := program().Wrap(&pipeline.Job{}, []string{"true"})
	if err != nil || len(argv) != 1 || program().Verdict(&pipeline.Job{}) != nil {
		t.Errorf("%v, %v", argv, err)
	}
}
