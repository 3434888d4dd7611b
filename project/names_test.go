// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"strings"
	"testing"
)

// TestPathsOfOneLine: a path with a line break or another control character is
// refused where it stands.
func TestPathsOfOneLine(t *testing.T) {
	for _, escape := range []string{`\n`, `\r`, `\t`, `\e`, `\x7f`, `\u0085`} {
		text := fmt.Sprintf("version: 1\nname: demo\nsteps:\n  s:\n    run: echo\n    outputs: {o: \"work/a%sb\"}\n", escape)
		_, err := Parse("lastro.yaml", []byte(text))
		if err == nil || !strings.Contains(fmt.Sprintf("%+v %v", err, err), "L0124") && !strings.Contains(err.Error(), "characters that no path may have") {
			t.Errorf("%s: %v", escape, err)
		} else if !strings.Contains(err.Error(), "lastro.yaml:6:") {
			t.Errorf("%s: the place is not said: %v", escape, err)
		}
	}
}
