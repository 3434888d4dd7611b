// SPDX-License-Identifier: Apache-2.0

package project

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	idInCode = regexp.MustCompile(`"(L0[0-9]\d{2})"`)
	idEntry  = regexp.MustCompile(`(?m)^\t"(L0\d{3})":`)
)

// Every number that the code gives an error of lastro.yaml, data, triggers, runs,
// steps, gates or secrets has its long text, and none has a text that nothing
// gives.
func TestEveryErrorIsExplained(t *testing.T) {
	used := map[string]string{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && e.Name() != "..") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		for _, m := range idInCode.FindAllStringSubmatch(string(idEntry.ReplaceAll(src, nil)), -1) {
			used[m[1]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 60 {
		t.Fatalf("found only %d numbers", len(used))
	}
	for id, path := range used {
		if IDs[id] == "" {
			t.Errorf("%s of %s has no text: add it to ids.go or ids_run.go", id, path)
		}
	}
	for id := range IDs {
		if used[id] == "" && id != "L0101" {
			t.Errorf("%s has a text, and nothing gives it", id)
		}
	}
}
