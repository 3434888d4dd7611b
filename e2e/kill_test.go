// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestKilled kills lastro without warning, again and again in one run. The
// steps live under their supervisor: the run goes on where it was, and no step
// starts twice.
func TestKilled(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	const steps = 6
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, steps, "0.4")})
	kills := 0
	for range 5 {
		r := f.start("run")
		time.Sleep(time.Duration(100+rand.IntN(500)) * time.Millisecond)
		_ = r.Process.Kill()
		if got := f.finish(r); got.code == 128+int(syscall.SIGKILL) {
			kills++
		}
	}
	if kills < 3 {
		t.Fatalf("only %d kills met a living run", kills)
	}
	f.ok(0, "run").has(t, "run #1 succeeded")
	for i := range steps {
		if n := count(t, fmt.Sprintf("%s/count-s%d", notes, i)); n != 1 {
			t.Errorf("step s%d was started %d times, want once", i, n)
		}
	}
	if runs := f.runs(); len(runs) != 1 || runs[0].State != "succeeded" {
		t.Errorf("runs: %v, want one, succeeded", runs)
	}
	f.sound()
	f.ok(0, "run").has(t, "6 of 6 steps from the cache")
}

// TestKilledAltogether kills lastro, its supervisor and the step: the machine
// went away. What had ended stays, and what was under way runs once more.
func TestKilledAltogether(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, 4, "0.5")})
	r := f.start("run")
	third := filepath.Join(notes, "count-s2")
	for range 1500 { // a busy machine
		if count(t, third) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if count(t, third) != 1 {
		t.Fatal("the third step did not start")
	}
	_ = r.Process.Kill()
	f.finish(r)
	for _, pid := range append(supervisors(t, f.dir), alive(t, filepath.Join(notes, "pids"))...) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	f.ok(0, "run").has(t, "succeeded")
	for i, want := range []int{1, 1, 2, 1} {
		if n := count(t, fmt.Sprintf("%s/count-s%d", notes, i)); n != want {
			t.Errorf("step s%d was started %d times, want %d", i, n, want)
		}
	}
	f.sound()
}

// TestKilledThenChanged changes the pipeline before going on: the old run ends
// errored and says that it was lost, its steps do not linger, the new one runs.
func TestKilledThenChanged(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, 2, "3")})
	r := f.start("run")
	for range 200 {
		if count(t, filepath.Join(notes, "count-s0")) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = r.Process.Kill()
	f.finish(r)
	f.write("lastro.yaml", chain(notes, 2, "0.1"))
	f.ok(0, "run").has(t, "run #2 succeeded")
	runs := f.runs()
	if len(runs) != 2 || runs[1].State != "errored" {
		t.Errorf("runs: %v, want #2 succeeded and #1 errored", runs)
	}
	if left := alive(t, filepath.Join(notes, "pids")); len(left) > 0 {
		t.Errorf("steps of the lost run go on: %v", left)
	}
	f.sound()
}

// supervisors returns the process ids of the project's supervisor.
func supervisors(t *testing.T, dir string) []int {
	t.Helper()
	out := processes(t, "supervisor", dir)
	if len(out) == 0 {
		t.Fatal("no supervisor of this project lives")
	}
	return out
}

// processes returns the ids of the living lastro processes with this command
// that work on the project.
func processes(t *testing.T, command, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("\x00"+command+"\x00")) && bytes.Contains(line, []byte(dir+"/")) {
			out = append(out, pid)
		}
	}
	return out
}
