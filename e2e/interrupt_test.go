// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chain is a project of n steps, one after the other. Each writes its process
// id to pids and a line to count-NAME, then takes pause seconds.
func chain(notes string, n int, pause string) string {
	var b strings.Builder
	b.WriteString("version: 1\nname: chain\nparams: {n: 0}\nsteps:\n")
	for i := range n {
		inputs := ""
		if i > 0 {
			inputs = fmt.Sprintf("inputs: [s%d.o], ", i-1)
		}
		fmt.Fprintf(&b, "  s%d: {run: 'echo $$ >> %s/pids; echo ${{ params.n }} >> %s/count-s%d; sleep %s; echo ${{ params.n }} > o%d', %soutputs: {o: o%d}}\n",
			i, notes, notes, i, pause, i, inputs, i)
	}
	return b.String()
}

// TestInterrupt sends ctrl-C to the process group at moments spread over a
// whole run, from before its first line to after its last.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, 3, "0.05")})
	began := time.Now()
	f.ok(0, "run", "-p", "n=1000")
	whole := time.Since(began)
	const points = 20
	interrupted := 0
	for i := range points {
		after := time.Duration((float64(i) + rand.Float64()) / points * float64(whole))
		param := fmt.Sprintf("n=%d", i)
		r := f.start("run", "-p", param)
		time.Sleep(after)
		if err := syscall.Kill(-r.Process.Pid, syscall.SIGINT); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
		got := f.finish(r)
		where := fmt.Sprintf("ctrl-C after %s of %s", after, whole)
		switch got.code {
		case 130:
			interrupted++
		case 0: // it was over already
		default:
			t.Errorf("%s: exit %d\n%s%s", where, got.code, got.stdout, got.stderr)
		}
		if left := alive(t, filepath.Join(notes, "pids")); len(left) > 0 {
			t.Errorf("%s: steps go on: %v", where, left)
		}
		for _, r := range f.runs() {
			if r.State != "succeeded" && r.State != "cancelled" {
				t.Errorf("%s: run #%d is %s", where, r.Run, r.State)
			}
		}
		f.ok(0, "run", "-p", param).has(t, "succeeded")
	}
	if interrupted < points/2 {
		t.Errorf("only %d of %d runs were interrupted: the moments are badly spread", interrupted, points)
	}
	f.sound()
}
