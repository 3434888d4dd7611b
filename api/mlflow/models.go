// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// required refuses a request that leaves out what it must name. The pairs are
// names of fields and their values.
func required(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return &lastro.Error{Code: lastro.EInvalid, Msg: "the required field '" + pairs[i] + "' is missing or empty", Hint: "send " + pairs[i] + " as a text that is not empty"}
		}
	}
	return nil
}

func (h *handler) createModel(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name); err != nil {
		return nil, err
	}
	m, err := h.Registry.CreateModel(ctx, actor(ctx), registry.Model{Name: req.Name, Description: req.Description, Tags: asMap(req.Tags)})
	if lastro.Is(err, lastro.EConflict) {
		err = h.nameTaken(ctx, req)
	}
	return modelAnswer{toModel(m)}, err
}

// nameTaken says what has a name already: models and prompts share their names.
func (h *handler) nameTaken(ctx context.Context, req modelRequest) error {
	kind := func(prompt bool) string {
		if prompt {
			return "Prompt"
		}
		return "Registered Model"
	}
	wanted := registry.Model{Tags: asMap(req.Tags)}.IsPrompt()
	there, err := h.Registry.Model(ctx, req.Name)
	if err != nil {
		return err
	}
	e := &lastro.Error{Code: lastro.EConflict, Msg: fmt.Sprintf("%s (name=%s) already exists.", kind(wanted), req.Name), Hint: "choose another name, or add a version to it"}
	if there.IsPrompt() != wanted {
		e.Msg = fmt.Sprintf("the name %q is taken by a %s, and a %s cannot have the same", req.Name, kind(!wanted), kind(wanted))
	}
	return e
}

func (h *handler) getModel(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name); err != nil {
		return nil, err
	}
	m, err := h.Registry.Model(ctx, req.Name)
	return modelAnswer{toModel(m)}, err
}

func (h *handler) updateModel(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name); err != nil {
		return nil, err
	}
	if _, err := h.Registry.Describe(ctx, actor(ctx), req.Name, req.Description); err != nil {
		return nil, err
	}
	return h.getModel(ctx, req)
}

func (h *handler) renameModel(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name, "new_name", req.NewName); err != nil {
		return nil, err
	}
	m, err := h.Registry.Rename(ctx, actor(ctx), req.Name, req.NewName)
	return modelAnswer{toModel(m)}, err
}

func (h *handler) deleteModel(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name); err != nil {
		return nil, err
	}
	return empty{}, h.Registry.Delete(ctx, actor(ctx), req.Name)
}

func (h *handler) setModelTag(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name, "key", req.Key); err != nil {
		return nil, err
	}
	return empty{}, h.Registry.SetModelTag(ctx, actor(ctx), req.Name, req.Key, req.Value)
}

func (h *handler) deleteModelTag(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name, "key", req.Key); err != nil {
		return nil, err
	}
	return empty{}, h.Registry.DeleteModelTag(ctx, actor(ctx), req.Name, req.Key)
}

func (h *handler) latestVersions(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name); err != nil {
		return nil, err
	}
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
	if err := required("name", req.Name, "alias", req.Alias); err != nil {
		return nil, err
	}
	if strings.EqualFold(req.Alias, "latest") { // no alias can be called so: it is the highest number
		return h.newestVersion(ctx, req.Name)
	}
	if _, err := h.Registry.Model(ctx, req.Name); err != nil {
		return nil, err
	}
	v, err := h.Registry.ByAlias(ctx, req.Name, req.Alias)
	if lastro.Is(err, lastro.ENotFound) { // clients tell a wrong alias from a wrong model by the code
		err = &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("Registered model alias %s not found.", req.Alias), Hint: "set it first: set_registered_model_alias"}
	}
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) newestVersion(ctx context.Context, model string) (any, error) {
	if _, err := h.Registry.Model(ctx, model); err != nil {
		return nil, err
	}
	list, err := h.Registry.Latest(ctx, model, nil)
	if err == nil && len(list) == 0 {
		err = lastro.Errorf(lastro.ENotFound, "model %q has no version", model)
	}
	if err != nil {
		return nil, err
	}
	return versionAnswer{toVersion(slices.MaxFunc(list, func(a, b registry.Version) int { return a.Number - b.Number }))}, nil
}

func (h *handler) setAlias(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name, "alias", req.Alias, "version", req.Version); err != nil {
		return nil, err
	}
	number, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.SetAlias(ctx, actor(ctx), req.Name, req.Alias, number, "")
}

func (h *handler) deleteAlias(ctx context.Context, req modelRequest) (any, error) {
	if err := required("name", req.Name, "alias", req.Alias); err != nil {
		return nil, err
	}
	return empty{}, h.Registry.DeleteAlias(ctx, actor(ctx), req.Name, req.Alias, "")
}

func versionNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, lastro.Errorf(lastro.EInvalid, "%.40q is not a version number", text)
	}
	return n, nil
}
