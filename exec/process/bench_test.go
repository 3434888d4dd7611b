// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"lastro/exec"
)

// reportCPU reports what the processes themselves, without their children, use
// until the function it returns is called, in microseconds: a figure that a
// busy machine does not change much.
func reportCPU(b *testing.B, pids ...int) func() {
	used := func() (ticks int) {
		for _, pid := range pids {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			_, rest, _ := strings.Cut(string(stat), ") ")
			f := strings.Fields(rest)
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			ticks += user + system
		}
		return ticks
	}
	const tick = 10_000 // USER_HZ is 100 on every architecture that Go runs on
	before := used()
	return func() { b.ReportMetric(float64((used()-before)*tick)/float64(b.N), "own-cpu-µs/op") }
}

// benchScript is the step of the benchmarks of pipelines.
const benchScript = "echo x > out"

// BenchmarkBash is the floor: fork, exec and bash alone, two at a time. What
// BenchmarkTask takes above it is our own.
func BenchmarkBash(b *testing.B) {
	work := b.TempDir()
	defer reportCPU(b, os.Getpid())()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			cmd := osexec.Command("/bin/bash", "-euo", "pipefail", "-c", benchScript)
			cmd.Dir, cmd.Env = work, []string{"PATH=/usr/bin:/bin"}
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTask starts, waits for and forgets tasks, two at a time.
func BenchmarkTask(b *testing.B) {
	benchTask(b, func(*exec.Task) {})
}

func benchTask(b *testing.B, change func(*exec.Task), env ...string) {
	dir, work := b.TempDir(), b.TempDir()
	e, err := Open(b.Context(), options(dir, env...))
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var n atomic.Int64
	defer reportCPU(b, os.Getpid(), e.SupervisorPID())()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := strconv.FormatInt(n.Add(1), 10)
			t := exec.Task{ID: id, Argv: []string{"bash", "-euo", "pipefail", "-c", benchScript}, Env: []string{"PATH=/usr/bin:/bin"},
				Dir: work, LogPath: filepath.Join(work, id+".log"), MakeDirs: []string{filepath.Join(work, id, "home"), filepath.Join(work, id, "tmp")}}
			change(&t)
			if err := e.Start(b.Context(), t); err != nil {
				b.Fatal(err)
			}
			if exit, err := e.Wait(b.Context(), id); err != nil || !exit.OK() {
				b.Fatal(exit, err)
			}
			if err := e.Forget(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What keeping a task apart and to its limits adds.
func BenchmarkTaskStoreReadOnly(b *testing.B) {
	store := b.TempDir()
	benchTask(b, func(t *exec.Task) { t.Sandbox.ReadOnly = []string{store} })
}

func BenchmarkTaskLimits(b *testing.B) {
	benchTask(b, func(t *exec.Task) { t.Limits = exec.Limits{CPU: 1, Memory: 256 << 20} })
}

func BenchmarkTaskStrict(b *testing.B) {
	benchTask(b, func(t *exec.Task) { t.Sandbox.Strict = true })
}

func BenchmarkTaskStrictOffline(b *testing.B) {
	benchTask(b, func(t *exec.Task) { t.Sandbox = exec.Sandbox{Strict: true, Network: exec.NetworkNone} })
}

func BenchmarkTaskStrictLandlock(b *testing.B) {
	benchTask(b, func(t *exec.Task) { t.Sandbox = exec.Sandbox{Strict: true, Network: exec.NetworkNone} }, withoutVar+"=bubblewrap")
}
