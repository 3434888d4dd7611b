// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sessionPrefix begins the names of sessions' directories; the process number
// follows, so that what a killed worker has left can be told from what is used.
const sessionPrefix = "lastro-data-"

// sweep removes the directories of sessions whose worker is gone: they may
// hold rows that were spilled to disk.
func sweep(tempDir string) {
	dirs, err := filepath.Glob(filepath.Join(cmp.Or(tempDir, os.TempDir()), sessionPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		number, _, ok := strings.Cut(strings.TrimPrefix(filepath.Base(dir), sessionPrefix), "-")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || pid <= 0 {
			continue
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // of another user: not ours to remove
		}
	}
}
