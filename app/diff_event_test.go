// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	"lastro/lineage"
	"lastro/pipeline"
)

// TestDiffEvents: what steps read of the event that started a run differs like a param.
func TestDiffEvents(t *testing.T) {
	a := side{run: pipeline.Run{Params: map[string]any{"depth": 6}}, rows: []pipeline.StepRun{{Ingredients: map[string]string{"event.branch": "main", "code": "x"}}}}
	b := side{run: pipeline.Run{Params: map[string]any{"depth": 6}}, rows: []pipeline.StepRun{{Ingredients: map[string]string{"event.branch": "wip", "code": "y"}}}}
	got := lineage.Changes(a.params(), b.params())
	if len(got) != 1 || got[0] != (lineage.Change{Name: "event.branch", From: "main", To: "wip"}) {
		t.Errorf("%+v", got)
	}
}
