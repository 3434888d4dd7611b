// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path"
	"testing"

	"lastro/step"
)

// elsewhere are the kinds whose scenario is a Go test: it needs a server.
var elsewhere = map[string]string{"lastro/compare": "compare_test.go"}

// TestEveryKind finds the page and the scenario of each step kind.
func TestEveryKind(t *testing.T) {
	for _, k := range step.Kinds(step.Deps{}) {
		name := path.Base(k.Name())
		scenario := "testdata/step_" + name + ".txtar"
		if in, ok := elsewhere[k.Name()]; ok {
			scenario = in
		}
		for _, file := range []string{"../docs/steps/" + name + ".md", scenario} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("step kind %s: %v", k.Name(), err)
			}
		}
	}
}
