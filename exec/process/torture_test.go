// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro"
	"lastro/exec"
)

// tortureRounds is how often a kill is tried: enough to notice a regression,
// and with LASTRO_TORTURE the number of SECURITY R4.
func tortureRounds() int {
	if os.Getenv("LASTRO_TORTURE") != "" {
		return 500
	}
	return 30
}

// tortured are the steps of a round: one that leaves a daemon behind, one that
// is deaf, one that forks and exits without end, one with limits and a strict one.
func tortured(h house) []exec.Task {
	quick := h.task("quick", "echo x >> ran-quick; sleep 0.05; (setsid env -i sleep 300 &) ; exit 5", exec.Sandbox{})
	deaf := h.task("deaf", "trap '' TERM HUP; echo x >> ran-deaf; sleep 300 & while :; do sleep 0.05; done", exec.Sandbox{})
	deaf.Timeout = 150 * time.Millisecond
	forker := h.task("forker", `echo x >> ran-forker; chain() { if [ "$1" -gt 0 ]; then (chain $(($1-1)) &) ; fi; sleep 0.01; }
		for i in 1 2 3 4 5 6; do chain 8; done; setsid bash -c 'while :; do sleep 0.02; (sleep 0.03 &); done' & exit 6`, exec.Sandbox{ReadOnly: []string{h.store}})
	limited := h.task("limited", "echo x >> ran-limited; (setsid env -i sleep 300 &) ; sleep 0.03; exit 7", exec.Sandbox{})
	limited.Limits = exec.Limits{CPU: 1, Memory: 128 << 20}
	strict := h.task("strict", "echo x >> ran-strict; (setsid sleep 300 &) ; sleep 0.03; exit 8", h.strict())
	return []exec.Task{quick, deaf, forker, limited, strict}
}

// proper says whether an exit is one that the step may have after a kill of
// target.
func proper(id, target string, e exec.Exit, code int) bool {
	switch {
	case e.Reason == exec.Exited && e.Code == code:
		return true
	case e.Reason == exec.Timeout && id == "deaf":
		return true
	case target == "step":
		return e.Reason == exec.Signal && e.Signal == 9
	}
	return e.Reason == exec.Lost || e.Reason == exec.Signal && e.Signal == 9 && target == "all"
}

// TestTorture (SECURITY R4): whatever is killed and when, a step runs once or
// is lost, nobody waits in vain, and nothing is left, neither processes nor
// control groups.
func TestTorture(t *testing.T) {
	targets := []string{"supervisor", "step", "all"}
	g := findGroups()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	slowest := time.Duration(0)
	for round := range tortureRounds() {
		h := newHouse(t)
		e := open(t, options(t.TempDir()))
		target, pause := targets[round%len(targets)], time.Duration(r.Int64N(int64(120*time.Millisecond)))
		first := e.SupervisorPID()
		var killed time.Time
		var all sync.WaitGroup
		all.Go(func() {
			time.Sleep(pause)
			kill(h, first, target)
			killed = time.Now()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for i, task := range tortured(h) {
			all.Go(func() {
				if err := e.Start(ctx, task); err != nil {
					t.Errorf("Start(%s): %v", task.ID, err)
					return
				}
				exit, err := e.Wait(ctx, task.ID)
				ran, _ := os.ReadFile(filepath.Join(h.work, "ran-"+task.ID))
				if err != nil || len(ran) > len("x\n") || !proper(task.ID, target, exit, 5+max(0, i-1)) {
					t.Errorf("%s ran %d times: %+v, %v", task.ID, len(ran)/2, exit, err)
				}
			})
		}
		all.Wait()
		cancel()
		slowest = max(slowest, time.Since(killed))
		for _, p := range allProcs() {
			if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); cwd == h.work {
				t.Errorf("process %+v is left", p)
			}
		}
		second := e.SupervisorPID()
		await(t, "the control groups are removed", func() bool { return len(groupsLeft(g, first))+len(groupsLeft(g, second)) == 0 })
		e.Close()
		if t.Failed() {
			t.Fatalf("seed %d, round %d: %s killed after %s", seed, round, target, pause)
		}
	}
	t.Logf("%d kills; all steps were over at most %s after", tortureRounds(), slowest.Round(time.Millisecond))
}

// kill kills the supervisor, or one step with its process group, or all at once.
func kill(h house, supervisor int, target string) {
	if target == "supervisor" || target == "all" {
		_ = syscall.Kill(supervisor, syscall.SIGKILL)
	}
	if target == "supervisor" {
		return
	}
	for _, p := range allProcs() {
		if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); cwd == h.work {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
			if target == "step" {
				return
			}
		}
	}
}

// TestHeldUp: a step that is stopped by a signal hears nothing, and ends.
func TestHeldUp(t *testing.T) {
	for name, box := range map[string]exec.Sandbox{"plain": {}, "strict": {Strict: true}} {
		h := newHouse(t)
		e := open(t, options(t.TempDir()))
		if err := e.Start(t.Context(), h.task(name, "kill -STOP $$; exit 0", box)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if err := e.Stop(t.Context(), name, "enough"); err != nil {
			t.Fatal(err)
		}
		wantExit(t, e, name, exec.Cancelled, -1)
	}
}

// TestSecretsNeedMask: a value never reaches a log because nobody was there to
// mask it.
func TestSecretsNeedMask(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	task := h.task("secret", "echo $TOKEN", exec.Sandbox{})
	task.Secrets = []string{"TOKEN=hunter2"}
	exit, log := h.run(t, e, task)
	if exit.Reason != exec.StartFailed || log != "" {
		t.Errorf("%+v, log %q", exit, log)
	}
	for _, bad := range []string{"hunter2", "=hunter2", "T=hunter2\x00"} {
		task.ID, task.Secrets = "bad", []string{bad}
		if err := e.Start(t.Context(), task); !lastro.Is(err, lastro.EInvalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
