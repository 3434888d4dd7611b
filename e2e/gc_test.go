// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestCollectionKilled kills `lastro gc` at random moments between runs: all
// that kept runs need is there and sound each time.
func TestCollectionKilled(t *testing.T) {
	t.Parallel()
	f := newFolder(t, map[string]string{"lastro.yaml": `version: 1
name: tidy
params: {n: 1}
steps:
  large:
    run: head -c 300000 /dev/urandom > large.bin; mkdir -p dir; for i in 1 2 3 4 5 6 7 8; do head -c 20000 /dev/urandom > dir/$i; done
    env: {N: "${{ params.n }}"}
    outputs: {o: large.bin, d: dir}
  small:
    run: sha256sum large.bin > small.txt
    inputs: [large.o]
    outputs: {o: small.txt}
`})
	rounds := 5
	if os.Getenv("LASTRO_TORTURE") != "" {
		rounds = 300
	}
	for i := range rounds {
		f.ok(0, "run", "-p", fmt.Sprint("n=", i))
		gc := f.start("gc", "--keep-runs", "1", "--keep-days", "0", "--grace", "0s")
		time.Sleep(time.Duration(10+rand.IntN(250)) * time.Millisecond)
		_ = gc.Process.Kill()
		f.finish(gc)
		f.ok(0, "fsck")
	}
	f.ok(0, "gc", "--keep-runs", "1", "--keep-days", "0", "--grace", "0s")
	f.ok(0, "fsck").has(t, "all as they were stored")
	f.sound()
}
