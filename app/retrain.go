// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"lastro"
	"lastro/monitor"
	"lastro/pipeline"
)

// retrainer starts the run that an alert asks for: the commit of the live
// release with the newest data (SEMANTICS 5).
type retrainer struct{ h *House }

// Retrain implements monitor.Trigger. It returns at once; the run goes on.
func (r retrainer) Retrain(ctx context.Context, req monitor.Retrain) (lastro.Ref, error) {
	v, err := r.h.versionOf(ctx, req.Model)
	if err != nil {
		return "", err
	}
	if r.h.submit == nil {
		return "", lastro.Errorf(lastro.EErrored, "retrains are started by lastro up only")
	}
	if run, ok, err := r.h.retrainRun(ctx, req.ID); ok || err != nil {
		return runRef(run), err
	}
	run, err := r.h.submit(ctx, RunRequest{once: req.ID, Commit: v.Commit, Actor: lastro.System("monitor"), Event: map[string]any{
		"kind": "alert", "alert": string(req.Alert), "reason": req.Reason, "request": req.ID}})
	if err != nil {
		return "", err
	}
	return runRef(run), nil
}

func runRef(run int64) lastro.Ref {
	if run == 0 {
		return ""
	}
	return pipeline.RunRef(run)
}

// retrainRun finds the run that a request started already: a crash may have
// come between the run and its record.
func (h *House) retrainRun(ctx context.Context, request string) (int64, bool, error) {
	if request == "" {
		return 0, false, nil
	}
	runs, err := h.Runs.Runs(ctx, pipeline.RunFilter{Limit: 1000})
	if err != nil {
		return 0, false, err
	}
	for _, r := range runs {
		if r.Event["request"] == request {
			return r.Number, true, nil
		}
	}
	return 0, false, nil
}
