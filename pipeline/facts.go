// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// ReadFacts returns what gates may read of a run, also of its cached steps:
// every fact of the selected cells by its own name, and as steps.NAME.FACT. A
// name that several steps wrote is ambiguous and has no value (SEMANTICS 17),
// except counts of tests and findings, which are added up.
func ReadFacts(ctx context.Context, s Store, run int64) (Facts, error) {
	steps, err := s.StepRuns(ctx, run)
	if err != nil {
		return Facts{}, err
	}
	return collectFacts(steps), nil
}

func collectFacts(steps []StepRun) Facts {
	f := Facts{Values: map[string]float64{}, Ambiguous: map[string]string{}, Reports: map[string]json.RawMessage{}}
	wrote := map[string][]string{}
	for _, s := range steps {
		if !s.State.OK() || !s.Selected {
			continue
		}
		if len(s.Report) > 0 {
			f.Reports[s.Step] = s.Report
		}
		for name, v := range s.Facts {
			f.Values["steps."+s.Step+"."+name] = v
			if strings.HasPrefix(name, "tests.") || strings.HasPrefix(name, "sarif.") {
				f.Values[name] += v
				continue
			}
			f.Values[name] = v
			wrote[name] = append(wrote[name], s.Step)
		}
	}
	for name, by := range wrote {
		if len(by) > 1 {
			delete(f.Values, name)
			f.Ambiguous[name] = fmt.Sprintf("%s was written by the steps %s: say steps.%s.%s", name, strings.Join(by, " and "), by[len(by)-1], name)
		}
	}
	return f
}
