// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"

	"lastro"
	"lastro/track"
)

type createLoggedModelRequest struct {
	ExperimentID string     `json:"experiment_id" need:"yes"`
	Name         string     `json:"name"`
	Type         string     `json:"model_type"`
	SourceRun    string     `json:"source_run_id"`
	Params       []keyValue `json:"params"`
	Tags         []keyValue `json:"tags"`
}

type loggedModelAnswer struct {
	Model loggedModel `json:"model"`
}

func (h *handler) createLoggedModel(ctx context.Context, req createLoggedModelRequest) (any, error) {
	if err := checkModelName(req.Name); err != nil {
		return nil, err
	}
	m, err := h.Track.CreateLoggedModel(ctx, caller(ctx), track.LoggedModel{ExperimentID: req.ExperimentID, Name: req.Name, Type: req.Type,
		SourceRun: req.SourceRun, Params: asParams(req.Params), Tags: asMap(req.Tags)})
	return loggedModelAnswer{toLoggedModel(m)}, err
}

type loggedModelRequest struct {
	ID     string     `json:"model_id"`
	Status string     `json:"status"`
	Tags   []keyValue `json:"tags"`
	Params []keyValue `json:"params"`
	TagKey string     `json:"tag_key"`
	Dir    string     `json:"artifact_directory_path"`
}

func (h *handler) getLoggedModel(ctx context.Context, req loggedModelRequest) (any, error) {
	m, err := h.Track.LoggedModel(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	out := toLoggedModel(m)
	out.Info.Registrations, err = h.registrationsOf(ctx, m.ID)
	return loggedModelAnswer{out}, err
}

func (h *handler) finalizeLoggedModel(ctx context.Context, req loggedModelRequest) (any, error) {
	for status, name := range modelStatuses {
		if req.Status == name {
			m, err := h.Track.FinalizeLoggedModel(ctx, caller(ctx), req.ID, status)
			return loggedModelAnswer{toLoggedModel(m)}, err
		}
	}
	return nil, lastro.Errorf(lastro.EInvalid, "%q is not a status of a logged model", req.Status)
}

func (h *handler) deleteLoggedModel(ctx context.Context, req loggedModelRequest) (any, error) {
	return empty{}, h.Track.DeleteLoggedModel(ctx, caller(ctx), req.ID)
}

func (h *handler) logLoggedModelParams(ctx context.Context, req loggedModelRequest) (any, error) {
	return empty{}, h.Track.LogModelParams(ctx, caller(ctx), req.ID, asParams(req.Params))
}

func (h *handler) setLoggedModelTags(ctx context.Context, req loggedModelRequest) (any, error) {
	if err := h.Track.SetModelTags(ctx, caller(ctx), req.ID, asTags(req.Tags)); err != nil {
		return nil, err
	}
	return h.getLoggedModel(ctx, req)
}

func (h *handler) deleteLoggedModelTag(ctx context.Context, req loggedModelRequest) (any, error) {
	return empty{}, h.Track.DeleteModelTag(ctx, caller(ctx), req.ID, req.TagKey)
}

func (h *handler) listModelArtifacts(ctx context.Context, req loggedModelRequest) (any, error) {
	m, err := h.Track.LoggedModel(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return h.listBelow(ctx, track.ModelRoot(m.ExperimentID, m.ID), req.Dir)
}
