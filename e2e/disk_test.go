// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk keeps a project on a file system of 12 MiB.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	f := newFolder(t, nil)
	if err := syscall.Mount("lastro-e2e", f.dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("a small file system needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(f.dir, syscall.MNT_DETACH) })
	f.write("lastro.yaml", `version: 1
name: full
params: {kib: 10}
steps:
  first: {run: "echo first > first.txt", outputs: {o: first.txt}}
  big: {run: "head -c ${{ params.kib }}K /dev/urandom > big.bin", inputs: [first.o], outputs: {o: big.bin}}
`)
	f.ok(0, "run").has(t, "run #1 succeeded")

	// The step's own writing meets the end, and then lastro's record of it.
	f.ok(9, "run", "-p", "kib=20000").has(t, "the disk is full", "next: free some space")

	// The step fits, keeping its output does not: lastro's surroundings broke.
	f.ok(9, "run", "-p", "kib=6500").has(t, "the disk is full", "next: free some space")

	// Nothing at all can be written.
	fill(t, filepath.Join(f.dir, "filler"))
	f.ok(9, "run", "-p", "kib=30").has(t, "the disk is full", "next: free some space")
	// Looking needs space only when SQLite has to make its index of the log anew.
	if r := f.lastro("ls"); r.code != 0 {
		f.ok(9, "ls").has(t, "the disk is full", "next: free some space")
	} else {
		r.has(t, "#1", "succeeded")
	}
	f.ok(0, "check")

	// Space again: the next command works, and what was done is not done again.
	if err := os.Remove(filepath.Join(f.dir, "filler")); err != nil {
		t.Fatal(err)
	}
	f.ok(0, "run", "-p", "kib=30").has(t, "succeeded", "1 of 2 steps from the cache")
	f.ok(0, "run").has(t, "2 of 2 steps from the cache")
	f.sound()
}

// fill writes to a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for block := make([]byte, 1<<16); len(block) > 0; {
		if _, err := out.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
