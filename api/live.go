// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"

	"lastro"
	"lastro/deploy"
	"lastro/monitor"
)

func (h *handler) listEnvironments(r *http.Request) (any, error) {
	names, err := h.Deploys.Store.Environments(r.Context())
	if err != nil {
		return nil, err
	}
	views := []deploy.View{}
	for _, n := range names {
		v, err := h.Deploys.Current(r.Context(), n)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return map[string]any{"environments": views}, nil
}

func (h *handler) showEnvironment(r *http.Request) (any, error) {
	return h.Deploys.Current(r.Context(), r.PathValue("env"))
}

// ReleaseRequest is the body of POST /api/v1/environments/{env}/releases.
type ReleaseRequest struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Why     string `json:"why,omitempty"`
}

func (h *handler) release(r *http.Request) (any, error) {
	var req ReleaseRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.Model == "" || req.Version < 1 {
		return nil, lastro.Errorf(lastro.EInvalid, "model and version are needed")
	}
	rel, rollout, err := h.Actions.Release(r.Context(), r.PathValue("env"), req.Model, req.Version, actor(r), req.Why)
	return map[string]any{"release": rel, "rollout": rollout}, err
}

// RollbackRequest is the body of POST /api/v1/environments/{env}/rollback.
type RollbackRequest struct {
	Reason string `json:"reason"`
}

func (h *handler) rollback(r *http.Request) (any, error) {
	var req RollbackRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	rel, err := h.Actions.Rollback(r.Context(), r.PathValue("env"), req.Reason, actor(r))
	return map[string]any{"release": rel}, err
}

func (h *handler) listReleases(r *http.Request) (any, error) {
	list, err := h.Deploys.Store.Releases(r.Context(), r.PathValue("env"), limit(r, 100))
	return map[string]any{"releases": list}, err
}

func (h *handler) listRollouts(r *http.Request) (any, error) {
	list, err := h.Deploys.Store.Rollouts(r.Context(), r.PathValue("env"), limit(r, 100))
	return map[string]any{"rollouts": list}, err
}

func (h *handler) listMeasurements(r *http.Request) (any, error) {
	q := r.URL.Query()
	list, err := h.Monitors.Measurements(r.Context(), monitor.Filter{Environment: r.PathValue("env"), Kind: monitor.Kind(q.Get("kind")),
		Name: q.Get("name"), Limit: limit(r, 1000)})
	return map[string]any{"measurements": list}, err
}

func (h *handler) listAlerts(r *http.Request) (any, error) {
	list, err := h.Monitors.Alerts(r.Context(), monitor.AlertFilter{Environment: r.PathValue("env"), Limit: limit(r, 100)})
	return map[string]any{"alerts": list}, err
}

func (h *handler) listRetrains(r *http.Request) (any, error) {
	list, err := h.Monitors.Retrains(r.Context(), r.PathValue("env"), limit(r, 100))
	return map[string]any{"retrains": list}, err
}

func (h *handler) evaluate(r *http.Request) (any, error) {
	return h.Actions.Evaluate(r.Context(), r.PathValue("env"))
}
