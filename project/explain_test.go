// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"strings"
	"testing"
)

// What explain says of the examples, read by a person before it was kept.
func TestExplain(t *testing.T) {
	for example, files := range map[string][]string{
		"a-minimal": {"split.py", "train.py", "evaluate.py"},
		"d-flights": {"src/train.py", "src/evaluate.py", "contracts/flights.odcs.yaml"},
		"e-income":  {"train.py", "evaluate.py", "contracts/census.odcs.yaml"},
	} {
		t.Run(example, func(t *testing.T) {
			p, err := Load(scaffold(t, example, files...))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, s := range Explain(p) {
				fmt.Fprintf(&out, "%s\n", s.Heading)
				for _, i := range s.Items {
					fmt.Fprintf(&out, "  %-14s %s\n", i.Name, i.Text)
					for _, m := range i.More {
						fmt.Fprintf(&out, "  %-14s   %s\n", "", m)
					}
				}
			}
			golden(t, "testdata/explain/"+example+".txt", []byte(out.String()))
		})
	}
}
