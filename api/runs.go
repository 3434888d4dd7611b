// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"strconv"

	"lastro"
	"lastro/pipeline"
)

func (h *handler) status(*http.Request) (any, error) { return h.Actions.Status(), nil }

func (h *handler) listRuns(r *http.Request) (any, error) {
	runs, err := h.Runs.Runs(r.Context(), pipeline.RunFilter{Limit: limit(r, 50)})
	for i := range runs { // a list is for choosing; the whole run has its own route
		runs[i].Spec, runs[i].Code = pipeline.Spec{}, nil
	}
	return map[string]any{"runs": runs}, err
}

func (h *handler) startRun(r *http.Request) (any, error) {
	var req RunRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	req.Key = r.Header.Get("Idempotency-Key")
	n, err := h.Actions.StartRun(r.Context(), req, actor(r))
	return map[string]any{"run": n}, err
}

func (h *handler) plan(r *http.Request) (any, error) {
	var req RunRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return h.Actions.Plan(r.Context(), req, actor(r))
}

// RunDocument is a run with its steps and what was decided about its model.
type RunDocument struct {
	Run      pipeline.Run       `json:"run"`
	Steps    []pipeline.StepRun `json:"steps"`
	Versions []VersionDocument  `json:"versions,omitempty"`
	Deciding bool               `json:"deciding,omitempty"` // more will follow, although the last step may have ended
}

func (h *handler) showRun(r *http.Request) (any, error) {
	n, err := number(r, "run")
	if err != nil {
		return nil, err
	}
	deciding := h.Actions.Deciding(n) // asked first: after a no nothing more follows
	run, err := h.Runs.Run(r.Context(), n)
	if err != nil {
		return nil, err
	}
	doc := RunDocument{Run: run, Deciding: deciding}
	doc.Run.Code = nil
	if doc.Steps, err = h.Runs.StepRuns(r.Context(), n); err != nil {
		return nil, err
	}
	doc.Versions, err = h.versionsOfRun(r.Context(), n, doc.Steps)
	return doc, err
}

// CancelRequest is the body of POST /api/v1/runs/{run}/cancel; it may be left out.
type CancelRequest struct {
	Reason string `json:"reason,omitempty"`
}

func (h *handler) cancelRun(r *http.Request) (any, error) {
	n, err := number(r, "run")
	if err != nil {
		return nil, err
	}
	var req CancelRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return map[string]any{"run": n}, h.Actions.CancelBecause(r.Context(), n, actor(r), req.Reason)
}

func (h *handler) retryRun(r *http.Request) (any, error) {
	n, err := number(r, "run")
	if err != nil {
		return nil, err
	}
	return map[string]any{"run": n}, h.Actions.RetryRun(r.Context(), n, actor(r))
}

func (h *handler) reproduceRun(r *http.Request) (any, error) {
	n, err := number(r, "run")
	if err != nil {
		return nil, err
	}
	again, err := h.Actions.ReproduceRun(r.Context(), n, actor(r))
	return map[string]any{"run": again}, err
}

// readLog answers ?step=train&cell=2&attempt=1&offset=4096 with the text from
// there and the offset after it; text is "" when there is nothing more yet.
func (h *handler) readLog(r *http.Request) (any, error) {
	n, err := number(r, "run")
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	offset, _ := strconv.ParseInt(q.Get("offset"), 10, 64)
	cell, _ := strconv.Atoi(q.Get("cell"))
	attempt, _ := strconv.Atoi(q.Get("attempt"))
	if q.Get("step") == "" {
		return nil, lastro.Errorf(lastro.EInvalid, "say which step: ?step=NAME")
	}
	text, next, err := h.Actions.ReadLog(r.Context(), n, q.Get("step"), cell, attempt, max(offset, 0))
	return map[string]any{"text": string(text), "next": next}, err
}

func (h *handler) listEvents(r *http.Request) (any, error) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	events, err := h.Actions.Events(r.Context(), after, lastro.Ref(r.URL.Query().Get("subject")), limit(r, 200))
	return map[string]any{"events": events}, err
}

func (h *handler) why(r *http.Request) (any, error) {
	return h.Actions.Why(r.Context(), r.PathValue("ref"))
}

func (h *handler) listVersions(r *http.Request) (any, error) {
	versions, err := h.Data.Versions(r.Context(), r.PathValue("name"), limit(r, 100))
	return map[string]any{"versions": versions}, err
}

func (h *handler) listReports(r *http.Request) (any, error) {
	reports, err := h.Data.Reports(r.Context(), r.PathValue("name"), limit(r, 20))
	return map[string]any{"reports": reports}, err
}
