// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReportsPage holds that the project on the page about reports is the one
// that the scenario runs.
func TestReportsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := os.ReadFile("testdata/reports.txtar")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no example")
	}
	for _, b := range blocks {
		if !strings.Contains(string(scenario), b[1]) {
			t.Errorf("no scenario runs this:\n%s", b[1])
		}
	}
}
