// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro/exec"
)

// chaosTasks are small steps that count their executions and leave a child.
func chaosTasks(work string) []exec.Task {
	var all []exec.Task
	for i := range 12 {
		id := fmt.Sprint("step-", i)
		all = append(all, shell(work, id, fmt.Sprintf("echo x >> ran-%s; sleep 0.0%d; sleep 300 & exit %d", id, i, i)))
	}
	return all
}

// playChaos starts the tasks, until it is killed.
func playChaos(dir, work string) error {
	ctx := context.Background()
	e, err := Open(ctx, options(dir))
	if err != nil {
		return err
	}
	for _, t := range chaosTasks(work) {
		if err := e.Start(ctx, t); err != nil {
			return err
		}
	}
	time.Sleep(time.Minute)
	return nil
}

// waitAll starts and waits for every task, and checks that none ran twice.
func waitAll(t *testing.T, e exec.Executor, work string, mayBeLost bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i, task := range chaosTasks(work) {
		all.Go(func() {
			if err := e.Start(ctx, task); err != nil {
				t.Errorf("Start(%s): %v", task.ID, err)
				return
			}
			exit, err := e.Wait(ctx, task.ID)
			ran, _ := os.ReadFile(filepath.Join(work, "ran-"+task.ID))
			switch {
			case err != nil:
				t.Errorf("Wait(%s): %v", task.ID, err)
			case exit.Reason == exec.Exited && exit.Code == i && string(ran) == "x\n":
			case exit.Reason == exec.Lost && mayBeLost && len(ran) <= len("x\n"):
			default:
				t.Errorf("%s ran %d times: %+v", task.ID, strings.Count(string(ran), "x"), exit)
			}
		})
	}
	all.Wait()
	for _, p := range allProcs() {
		if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); cwd == work {
			t.Errorf("process %d is left", p.pid)
		}
	}
}

// TestKillEngineAnytime: whatever the engine was doing when it was killed, no
// step is lost and none runs twice.
func TestKillEngineAnytime(t *testing.T) {
	for range 4 {
		dir, work := t.TempDir(), t.TempDir()
		engine := osexec.CommandContext(t.Context(), os.Args[0], dir, work)
		engine.Env = []string{roleVar + "=chaos"}
		if err := engine.Start(); err != nil {
			t.Fatal(err)
		}
		pause := 10*time.Millisecond + rand.N(80*time.Millisecond)
		time.Sleep(pause)
		kill9(t, engine)
		waitAll(t, open(t, options(dir)), work, false)
		if t.Failed() {
			t.Fatalf("killed after %s", pause)
		}
	}
}

// TestKillSupervisorAnytime: a step may be lost with its supervisor, but it
// never runs twice, leaves nothing behind, and is never waited for in vain.
func TestKillSupervisorAnytime(t *testing.T) {
	for range 4 {
		work := t.TempDir()
		e := open(t, options(t.TempDir()))
		pause := rand.N(60 * time.Millisecond)
		supervisor := e.SupervisorPID()
		time.AfterFunc(pause, func() { _ = syscall.Kill(supervisor, syscall.SIGKILL) })
		waitAll(t, e, work, true)
		if t.Failed() {
			t.Fatalf("killed after %s", pause)
		}
	}
}
