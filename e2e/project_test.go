// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folder is a project of one test.
type folder struct {
	t   *testing.T
	dir string
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

func newFolder(t *testing.T, files map[string]string) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	for name, text := range files {
		f.write(name, text)
	}
	return f
}

func (f folder) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// command is lastro in a process group of its own, as a shell starts it.
func (f folder) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), gitIdentity...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// lastro runs a command to its end.
func (f folder) lastro(args ...string) result {
	f.t.Helper()
	return f.finish(f.start(args...))
}

// running is a command under way.
type running struct {
	*exec.Cmd
	out, err *bytes.Buffer
}

func (f folder) start(args ...string) running {
	f.t.Helper()
	r := running{f.command(args...), &bytes.Buffer{}, &bytes.Buffer{}}
	r.Stdout, r.Stderr = r.out, r.err
	// Nobody waits for ever for a pipe that a grandchild holds.
	r.WaitDelay = 20 * time.Second
	if err := r.Start(); err != nil {
		f.t.Fatal(err)
	}
	return r
}

// finish waits; a death by SIGINT counts as 130, as in a shell.
func (f folder) finish(r running) result {
	f.t.Helper()
	guard := time.AfterFunc(90*time.Second, func() { _ = r.Process.Kill() })
	defer guard.Stop()
	err := r.Wait()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			code = 128 + int(status.Signal())
		}
	} else if err != nil {
		f.t.Fatalf("%s: %v", r.Args, err)
	}
	return result{code, r.out.String(), r.err.String()}
}

// ok fails the test unless the command ended with the code.
func (f folder) ok(want int, args ...string) result {
	f.t.Helper()
	got := f.lastro(args...)
	if got.code != want {
		f.t.Fatalf("lastro %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got.code, want, got.stdout, got.stderr)
	}
	return got
}

// runs lists number and state, newest first.
func (f folder) runs() []runRow {
	f.t.Helper()
	var doc struct{ Runs []runRow }
	if err := json.Unmarshal([]byte(f.ok(0, "ls", "--json", "-n", "100").stdout), &doc); err != nil {
		f.t.Fatal(err)
	}
	return doc.Runs
}

type runRow struct {
	Run    int
	State  string
	Reason string
}

// has fails unless text holds every part.
func (r result) has(t *testing.T, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(r.stdout+r.stderr, p) {
			t.Errorf("no %q in\n%s%s", p, r.stdout, r.stderr)
		}
	}
}

// sound checks the state database and that no workspace is left behind.
func (f folder) sound() {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.dir, ".lastro", "lastro.db"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		f.t.Errorf("integrity of the state database: %s %v", verdict, err)
	}
	rows, err := db.Query("PRAGMA foreign_key_check")
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		f.t.Error("the state database has a row that refers to none")
	}
	work, err := os.ReadDir(filepath.Join(f.dir, ".lastro", "work"))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, w := range work {
		f.t.Errorf("a workspace was left behind: %s", w.Name())
	}
}

// alive returns which of the processes whose ids are the lines of a file still live.
func alive(t *testing.T, file string) []int {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []int
	for _, line := range strings.Fields(string(raw)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		// A zombie has ended; only its parent has not looked yet.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			out = append(out, pid)
		}
	}
	return out
}

// count is how many lines a file has; a file that is not there has none.
func count(t *testing.T, file string) int {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "\n")
}
