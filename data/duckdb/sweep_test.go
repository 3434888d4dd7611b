// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, fmt.Sprintf("%s%d-1", sessionPrefix, gone.Process.Pid))
	used := filepath.Join(dir, fmt.Sprintf("%s%d-1", sessionPrefix, os.Getpid()))
	for _, d := range []string{left, used} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweep(dir)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("what a dead worker has left is still there")
	}
	if _, err := os.Stat(used); err != nil {
		t.Error("a living worker's directory is gone")
	}
}
