// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var runnable = regexp.MustCompile("(?s)```yaml\n(# runs as it is\n.*?)```")

// Every example of the documentation that says so runs as it is.
func TestDocumentedExamplesRun(t *testing.T) {
	var pages []string
	for _, glob := range []string{"../docs/reference/*.md", "../docs/steps/*.md"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	n := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range runnable.FindAllStringSubmatch(string(text), -1) {
			n++
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "lastro.yaml"), []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(binary, "-C", dir, "run")
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "error[") {
				t.Errorf("%s: %v\n%s\n%s", page, err, m[1], out)
			}
		}
	}
	if n < 3 {
		t.Errorf("found only %d examples that run", n)
	}
}
