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
	interrupt(f, 20, filepath.Join(notes, "pids"), func(n int) []string { return []string{"run", "-p", fmt.Sprintf("n=%d", n)} })
}

// TestInterruptData does so while data is read, checked and split.
func TestInterruptData(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	rows.WriteString("id,x\n")
	for i := range 50_000 {
		fmt.Fprintf(&rows, "%d,%d\n", i, i%97)
	}
	f := newFolder(t, map[string]string{"data/rows.csv": rows.String(), "rows.odcs.yaml": rowsContract, "lastro.yaml": `version: 1
name: rows
params: {n: 0}
data: {rows: {source: data, contract: rows.odcs.yaml, key: [id]}}
steps:
  split:
    uses: lastro/split
    inputs: [rows]
    with: {by: random, test: 20%, seed: "${{ params.n }}"}
    outputs: {train: work/train.parquet, test: work/test.parquet}
`})
	interrupt(f, 8, "", func(n int) []string {
		f.write("data/more.csv", fmt.Sprintf("id,x\n%d,1\n", 100_000+n)) // a new version of the data is checked again
		return []string{"run", "-p", fmt.Sprintf("n=%d", n)}
	})
}

const rowsContract = `apiVersion: v3.1.0
kind: DataContract
id: rows
name: rows
version: 1.0.0
status: active
schema:
  - name: rows
    physicalName: rows
    properties:
      - {name: id, logicalType: integer, required: true, unique: true}
      - {name: x, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0, maximum: 100}}
`

// interrupt stops the n-th command at a random moment of the n-th part of a
// run's time. It must end with 130, leave no step alive and every run ended,
// and the same command must work next.
func interrupt(f folder, points int, pids string, command func(n int) []string) {
	t := f.t
	t.Helper()
	whole := time.Hour
	for n := range 3 { // the first one is slower
		began := time.Now()
		f.ok(0, command(1000+n)...)
		whole = min(whole, time.Since(began))
	}
	interrupted := 0
	for i := range points {
		after := time.Duration((float64(i) + rand.Float64()) / float64(points) * float64(whole))
		args := command(i)
		r := f.start(args...)
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
		if pids != "" {
			if left := alive(t, pids); len(left) > 0 {
				t.Errorf("%s: steps go on: %v", where, left)
			}
		}
		for _, r := range f.runs() {
			if r.State != "succeeded" && r.State != "cancelled" {
				t.Errorf("%s: run #%d is %s", where, r.Run, r.State)
			}
		}
		f.ok(0, args...).has(t, "succeeded")
	}
	if interrupted < points/4 { // on a busy machine half of them are
		t.Errorf("only %d of %d runs were interrupted: the moments are badly spread", interrupted, points)
	}
	f.sound()
}
