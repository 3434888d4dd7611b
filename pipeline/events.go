// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"lastro"
)

var engineActor = lastro.System("engine")

// stepEvent is step.started, step.cached, step.succeeded, step.failed ...
func stepEvent(s StepRun, at time.Time) lastro.Event {
	verb := "step." + string(s.State)
	if s.State == Running {
		verb = "step.started"
	}
	data := map[string]any{"kind": s.Kind, "attempt": s.Attempt}
	if s.Reason != "" {
		data["reason"] = s.Reason
	}
	if s.Key != "" {
		data["key"] = s.Key
	}
	if s.CachedFrom != 0 {
		data["from"] = RunRef(s.CachedFrom)
	}
	if len(s.Outputs) > 0 {
		outputs := map[string]lastro.Digest{}
		for _, a := range s.Outputs {
			outputs[a.Name] = a.Digest
		}
		data["outputs"] = outputs
	}
	if len(s.Inputs) > 0 && s.State != Running {
		inputs := map[string]lastro.Digest{}
		for _, in := range s.Inputs {
			inputs[in.Name] = in.Digest
		}
		data["inputs"] = inputs
	}
	return lastro.NewEvent(at, engineActor, verb, s.Ref(), data)
}

// runEvent is run.started, run.resumed or run.finished.
func runEvent(r Run, verb string, at time.Time) lastro.Event {
	actor := engineActor
	data := map[string]any{"project": r.Project, "state": r.State}
	if verb == "run.started" {
		actor = r.Actor
		data["plan"], data["commit"], data["event"] = r.PlanDigest, r.Git.Commit, r.Event
	}
	if r.Reason != "" {
		data["reason"] = r.Reason
	}
	return lastro.NewEvent(at, actor, verb, r.Ref(), data)
}
