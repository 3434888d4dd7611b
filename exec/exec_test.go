// SPDX-License-Identifier: Apache-2.0

package exec_test

import (
	"math"
	"strings"
	"testing"

	"lastro"
	"lastro/exec"
)

func TestCheck(t *testing.T) {
	good := func() exec.Task {
		return exec.Task{ID: "1-a-1", Argv: []string{"true"}, Env: []string{"A=b"}, Dir: "/w", LogPath: "/l", Secrets: []string{"T=hunter2"},
			Limits: exec.Limits{CPU: 0.5, Memory: 1 << 20}, Sandbox: exec.Sandbox{Strict: true, Network: exec.NetworkNone, Hidden: []string{"/p"}, Binds: []exec.Bind{{From: "/a", To: "/w/a"}}}}
	}
	if err := good().Check(); err != nil {
		t.Error(err)
	}
	for says, spoil := range map[string]func(*exec.Task){
		"not UTF-8":           func(t *exec.Task) { t.ID = "\xff" },
		"no program":          func(t *exec.Task) { t.Argv = []string{""} },
		"secret 1":            func(t *exec.Task) { t.Secrets = []string{"hunter2"} },
		"negative":            func(t *exec.Task) { t.Limits.Memory = -1 },
		"processors":          func(t *exec.Task) { t.Limits.CPU = math.NaN() },
		"neither full":        func(t *exec.Task) { t.Sandbox.Network = "half" },
		"absolute and clean":  func(t *exec.Task) { t.Sandbox.Hidden = []string{"/p/../q"} },
		`"a" is not absolute`: func(t *exec.Task) { t.Sandbox.Binds[0].From = "a" },
		"has a NUL byte":      func(t *exec.Task) { t.Sandbox.ReadOnly = []string{"/a\x00"} },
		"without a name":      func(t *exec.Task) { t.Sandbox.Writable = []string{"/"} },
	} {
		task := good()
		spoil(&task)
		err := task.Check()
		if !lastro.Is(err, lastro.EInvalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestExitString(t *testing.T) {
	for want, e := range map[string]exec.Exit{
		"exit status 2":              {Reason: exec.Exited, Code: 2},
		"killed by signal 9":         {Reason: exec.Signal, Signal: 9},
		"killed: out of memory":      {Reason: exec.OOM},
		"cancelled: enough":          {Reason: exec.Cancelled, Detail: "enough"},
		"could not start: no python": {Reason: exec.StartFailed, Detail: "no python"},
	} {
		if e.String() != want || e.OK() {
			t.Errorf("%q, want %q", e, want)
		}
	}
}
