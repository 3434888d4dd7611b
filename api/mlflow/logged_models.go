// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"strings"

	"lastro"
	"lastro/track"
)

type createLoggedModelRequest struct {
	ExperimentID string     `json:"experiment_id"`
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

type searchLoggedModelsRequest struct {
	Experiments []string `json:"experiment_ids"`
	Filter      string   `json:"filter"`
	Datasets    []struct {
		Name string `json:"dataset_name"`
	} `json:"datasets"`
	OrderBy []struct {
		Field     string `json:"field_name"`
		Ascending *bool  `json:"ascending"`
		Dataset   string `json:"dataset_name"`
	} `json:"order_by"`
	MaxResults int64s `json:"max_results"`
	PageToken  string `json:"page_token"`
}

func (h *handler) searchLoggedModels(ctx context.Context, req searchLoggedModelsRequest) (any, error) {
	if len(req.Datasets) > 0 {
		return nil, lastro.Errorf(lastro.EInvalid, "a search of logged models by dataset is not supported yet")
	}
	var order []string
	for _, o := range req.OrderBy {
		if o.Dataset != "" {
			return nil, lastro.Errorf(lastro.EInvalid, "an order of logged models by dataset is not supported yet")
		}
		text := o.Field
		if o.Ascending != nil && !*o.Ascending {
			text += " DESC"
		}
		order = append(order, text)
	}
	q, err := loggedModelWords.query(req.Filter, order)
	if err != nil {
		return nil, err
	}
	for i, c := range q.Where {
		if c.Field == track.Attribute && c.Key == "status" {
			q.Where[i].Text = strings.TrimPrefix(c.Text, "LOGGED_MODEL_")
		}
	}
	if req.Experiments == nil {
		req.Experiments = []string{}
	}
	q.Experiments, q.State = req.Experiments, track.Active
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 100, 1000); err != nil {
		return nil, err
	}
	list, next, err := h.Track.LoggedModels(ctx, q)
	out := make([]loggedModel, len(list))
	for i, m := range list {
		out[i] = toLoggedModel(m)
	}
	return struct {
		Models []loggedModel `json:"models"`
		Next   string        `json:"next_page_token,omitempty"`
	}{out, next}, err
}
