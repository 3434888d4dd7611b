// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"strconv"

	"lastro"
	"lastro/registry"
)

type modelRequest struct {
	Name        string     `json:"name"`
	NewName     string     `json:"new_name"`
	Description string     `json:"description"`
	Tags        []keyValue `json:"tags"`
	Key         string     `json:"key"`
	Value       string     `json:"value"`
	Alias       string     `json:"alias"`
	Version     string     `json:"version"`
	Stages      []string   `json:"stages"`
}

type modelAnswer struct {
	Model registeredModel `json:"registered_model"`
}

func (h *handler) createModel(ctx context.Context, req modelRequest) (any, error) {
	m, err := h.Registry.CreateModel(ctx, actor(ctx), registry.Model{Name: req.Name, Description: req.Description, Tags: asMap(req.Tags)})
	return modelAnswer{toModel(m)}, err
}

func (h *handler) getModel(ctx context.Context, req modelRequest) (any, error) {
	m, err := h.Registry.Model(ctx, req.Name)
	return modelAnswer{toModel(m)}, err
}

func (h *handler) searchModels(ctx context.Context, req searchRequest) (any, error) {
	q, err := registryQuery(req.Filter, req.OrderBy, "name")
	if err != nil {
		return nil, err
	}
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 100, 1000); err != nil {
		return nil, err
	}
	list, next, err := h.Registry.Models(ctx, q)
	out := make([]registeredModel, len(list))
	for i, m := range list {
		out[i] = toModel(m)
	}
	return struct {
		Models []registeredModel `json:"registered_models"`
		Next   string            `json:"next_page_token,omitempty"`
	}{out, next}, err
}

func (h *handler) updateModel(ctx context.Context, req modelRequest) (any, error) {
	if _, err := h.Registry.Describe(ctx, actor(ctx), req.Name, req.Description); err != nil {
		return nil, err
	}
	return h.getModel(ctx, req)
}

func (h *handler) renameModel(ctx context.Context, req modelRequest) (any, error) {
	m, err := h.Registry.Rename(ctx, actor(ctx), req.Name, req.NewName)
	return modelAnswer{toModel(m)}, err
}

func (h *handler) deleteModel(ctx context.Context, req modelRequest) (any, error) {
	return empty{}, h.Registry.Delete(ctx, actor(ctx), req.Name)
}

func (h *handler) setModelTag(ctx context.Context, req modelRequest) (any, error) {
	return empty{}, h.Registry.SetModelTag(ctx, req.Name, req.Key, req.Value)
}

func (h *handler) deleteModelTag(ctx context.Context, req modelRequest) (any, error) {
	return empty{}, h.Registry.DeleteModelTag(ctx, req.Name, req.Key)
}

func (h *handler) latestVersions(ctx context.Context, req modelRequest) (any, error) {
	if _, err := h.Registry.Model(ctx, req.Name); err != nil {
		return nil, err
	}
	for _, s := range req.Stages {
		if _, err := stageOf(s); err != nil {
			return nil, err
		}
	}
	list, err := h.Registry.Latest(ctx, req.Name, req.Stages)
	return map[string][]modelVersion{"model_versions": toVersions(list)}, err
}

func (h *handler) getByAlias(ctx context.Context, req modelRequest) (any, error) {
	v, err := h.Registry.ByAlias(ctx, req.Name, req.Alias)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) setAlias(ctx context.Context, req modelRequest) (any, error) {
	number, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.SetAlias(ctx, actor(ctx), req.Name, req.Alias, number, "")
}

func (h *handler) deleteAlias(ctx context.Context, req modelRequest) (any, error) {
	return empty{}, h.Registry.DeleteAlias(ctx, actor(ctx), req.Name, req.Alias, "")
}

func versionNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, lastro.Errorf(lastro.EInvalid, "%.40q is not a version number", text)
	}
	return n, nil
}
