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

// Retrain implements monitor.Trigger. It returns at once; the run goes on. The
// request is the cause of the run, so that asking again gives the same run.
func (r retrainer) Retrain(ctx context.Context, req monitor.Retrain) (lastro.Ref, error) {
	v, err := r.h.versionOf(ctx, req.Model)
	if err != nil {
		return "", err
	}
	p := r.h.Project()
	if r.h.start == nil || p == nil {
		return "", lastro.Errorf(lastro.EErrored, "retrains are started by lastro up only")
	}
	c, err := r.h.triggers(p).Alerted(ctx, req.ID, req.Alert, req.Reason, v.Commit)
	if err != nil {
		return "", err
	}
	run, err := r.h.start(ctx, p, c)
	if run == 0 {
		return "", err
	}
	return pipeline.RunRef(run), err
}
