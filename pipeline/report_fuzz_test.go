// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// FuzzReports reads anything as anything: no panic, and what was read can be
// stored and is consistent.
func FuzzReports(f *testing.F) {
	names, err := filepath.Glob("testdata/reports/*")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, text := range []string{`{"x":[1],"y":[null]}`, `[[1,2]]`, `{"matrix":[[1]]}`, "a,b\n1,2\n", "a<<E\nx\nE\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, format := range []string{"junit", "gotest", "sarif", "coverage"} {
			r, err := readReport(format, raw, plainly)
			if err != nil {
				continue
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("%s cannot be stored: %v", format, err)
			}
			facts := map[string]float64{}
			r.facts(facts)
			for name, v := range facts {
				if math.IsNaN(v) || v < 0 || name == "coverage.lines" && v > 1 {
					t.Errorf("%s = %v", name, v)
				}
			}
			if n := r.Tests; n != nil && n.Failed+n.Skipped > n.Total {
				t.Errorf("%+v", n)
			}
		}
		for _, file := range []string{"a.json", "a.csv"} {
			if p, err := ParsePlot(file, raw); err == nil && p.Kind != PlotMatrix {
				for _, s := range p.Series {
					if len(s.Y) != max(len(p.X), len(p.Words)) {
						t.Errorf("%+v", p)
					}
				}
			}
		}
		if values, err := ParseOutput(raw); err == nil {
			outFacts(values, map[string]float64{})
		}
	})
}
