// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"lastro/exec"
	"lastro/exec/exectest"
)

// roleVar makes this test binary play a process of its own: a supervisor, or
// an engine that is killed.
const roleVar = "LASTRO_TEST_ROLE"

// testGrace is the grace time of supervisors in tests.
const testGrace = 300 * time.Millisecond

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "supervisor":
		opts := SupervisorOptions{Dir: os.Args[1], Grace: testGrace, IdleAfter: time.Second}
		if s := os.Getenv("LASTRO_TEST_ORPHAN"); s != "" {
			opts.OrphanAfter, err = time.ParseDuration(s)
		}
		if err == nil {
			err = RunSupervisor(context.Background(), opts)
		}
	case "engine":
		err = playEngine(os.Args[1], os.Args[2])
	case "chaos":
		err = playChaos(os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options reach a supervisor that is this test binary.
func options(dir string, env ...string) Options {
	return Options{Dir: dir, Args: []string{dir}, Env: append([]string{roleVar + "=supervisor"}, env...)}
}

func open(t *testing.T, opts Options) *Executor {
	t.Helper()
	e, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestContract(t *testing.T) {
	exectest.Run(t, func(t *testing.T) exec.Executor { return open(t, options(t.TempDir())) })
}
