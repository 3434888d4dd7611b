// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beside is a step that needs its service at its beginning and its end. Who is
// started writes down its process id; the service leaves a child of its own.
func beside(notes, pause string) string {
	return fmt.Sprintf(`version: 1
name: beside
steps:
  ask:
    run: |
      echo $$ >> %[1]s/pids; echo x >> %[1]s/asked
      ask() { python3 -c "import os, urllib.request as u; print(u.urlopen('http://' + os.environ['SITE_ADDR']).status)"; }
      ask; sleep %[2]s; ask
    code: []
    services:
      site:
        run: |
          sleep 300 & echo $! >> %[1]s/pids; echo $$ >> %[1]s/pids
          exec python3 -m http.server --bind 127.0.0.1 "$PORT"
        ready: /
`, notes, pause)
}

// none waits until the processes of a file are gone.
func none(t *testing.T, file string) {
	t.Helper()
	for range 400 {
		if len(alive(t, file)) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("processes live on: %v", alive(t, file))
}

func waitFor(t *testing.T, file string, lines int) {
	t.Helper()
	for range 1500 {
		if count(t, file) >= lines {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s has %d lines, want %d", filepath.Base(file), count(t, file), lines)
}

// TestServicesKilled kills lastro while a step and its service run: both go on,
// and the next command takes them over. Then it kills the supervisor: both die.
func TestServicesKilled(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	pids := filepath.Join(notes, "pids")
	f := newFolder(t, map[string]string{"lastro.yaml": beside(notes, "1.5")})
	r := f.start("run")
	waitFor(t, filepath.Join(notes, "asked"), 1)
	_ = r.Process.Kill()
	f.finish(r)
	f.ok(0, "run").has(t, "run #1 succeeded")
	if n := count(t, filepath.Join(notes, "asked")); n != 1 {
		t.Errorf("the step was started %d times", n)
	}
	none(t, pids)

	f.write("lastro.yaml", beside(notes, "300"))
	r = f.start("run")
	waitFor(t, filepath.Join(notes, "asked"), 2)
	if len(alive(t, pids)) < 3 {
		t.Fatalf("only %v live", alive(t, pids))
	}
	_ = r.Process.Kill()
	f.finish(r)
	for _, pid := range supervisors(t, f.dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// What the service left to itself has no parent that dies with the supervisor: the next supervisor ends it.
	f.write("lastro.yaml", beside(notes, "0"))
	f.ok(0, "run").has(t, "succeeded")
	none(t, pids)
}

// TestServicesCancelled: ctrl-C ends the step and its service.
func TestServicesCancelled(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": beside(notes, "300")})
	r := f.start("run")
	waitFor(t, filepath.Join(notes, "asked"), 1)
	_ = syscall.Kill(-r.Process.Pid, syscall.SIGINT)
	if got := f.finish(r); got.code != 130 {
		t.Errorf("exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	none(t, filepath.Join(notes, "pids"))
}

// TestSecretsThroughServer sets and uses a secret while a server holds the
// state; only who may administer can.
func TestSecretsThroughServer(t *testing.T) {
	t.Parallel()
	f := newFolder(t, map[string]string{"lastro.yaml": "version: 1\nname: s\nsecrets: [TOKEN]\nsteps: {use: {run: 'echo \"[$TOKEN]\"', secrets: [TOKEN], code: []}}\n"})
	f.up(freeAddress(t))
	set := func(token string) (string, error) {
		cmd := f.command("secret", "set", "TOKEN")
		cmd.Stdin = strings.NewReader("s3cr3t-thing\n")
		cmd.Env = append(cmd.Env, "LASTRO_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	f.ok(0, "user", "add", "ana", "--role", "author")
	ana := strings.TrimSpace(f.ok(0, "token", "create", "--user", "ana").stdout)
	if out, err := set(ana); err == nil || !strings.Contains(out, "secrets:write") {
		t.Errorf("an author set a secret: %s", out)
	}
	if out, err := set(""); err != nil || !strings.Contains(out, "TOKEN is set (version 1)") {
		t.Fatalf("%v: %s", err, out)
	}
	f.ok(0, "secret", "ls").has(t, "TOKEN  version 1")
	f.ok(0, "run").has(t, "succeeded")
	f.ok(0, "logs", "1", "use").has(t, "[***]")
	f.ok(0, "secret", "rm", "TOKEN")
	if got := f.ok(2, "run"); !strings.Contains(got.stderr, "L0370") {
		t.Errorf("without the secret: %s", got.stderr)
	}
	if raw, _ := os.ReadFile(filepath.Join(f.dir, ".lastro", "lastro.db")); strings.Contains(string(raw), "s3cr3t-thing") {
		t.Error("the database holds the value")
	}
}
