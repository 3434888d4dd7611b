// SPDX-License-Identifier: Apache-2.0

package project

import (
	"os"
	"path/filepath"
	"testing"
)

// scaffold writes the files that an example's lastro.yaml names, so that it
// can be loaded.
func scaffold(t *testing.T, example string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	src, err := os.ReadFile(filepath.Join("testdata/examples", example, FileName))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, FileName, string(src))
	for _, f := range files {
		write(t, dir, f, "")
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
