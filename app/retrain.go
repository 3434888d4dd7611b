// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strconv"
	"strings"

	"lastro"
	"lastro/monitor"
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
	run, err := r.h.submit(RunRequest{Commit: v.Commit, Actor: lastro.System("monitor"), Event: map[string]any{
		"kind": "alert", "alert": string(req.Alert), "reason": req.Reason, "request": req.ID}})
	if err != nil {
		return "", err
	}
	return lastro.NewRef("run", strconv.FormatInt(run, 10), ""), nil
}

// retrainOf finds the run that a request started already.
func retrainOf(event map[string]any) (string, bool) {
	id, ok := event["request"].(string)
	return id, ok && strings.TrimSpace(id) != ""
}
