// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
	"lastro/step"
)

// CheckSettings reads the `with:` of every built-in step as its kind will, so
// that `lastro check` finds what planning a run would. Settings with
// expressions wait for the run that resolves them.
func CheckSettings(ctx context.Context, p *project.Project) error {
	kinds := map[string]pipeline.Kind{}
	for _, k := range step.Kinds(step.Deps{Champions: championOf{&House{}}, Datasets: p}) {
		kinds[k.Name()] = k
	}
	var problems lastro.Problems
	for _, s := range p.Pipeline.Steps {
		k := kinds[s.Kind]
		if k == nil || s.With == nil || bytes.Contains(s.With, []byte("${{")) {
			continue
		}
		_, err := k.Ingredients(ctx, s)
		var e *lastro.Error
		if errors.As(err, &e) && e.Code == lastro.EInvalid {
			problems = append(problems, e)
		}
	}
	if problems == nil {
		return nil
	}
	return problems.Sorted()
}
