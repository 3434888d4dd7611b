// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"strconv"
	"strings"

	"lastro"
	"lastro/registry"
)

type createVersionRequest struct {
	Name        string     `json:"name"`
	Source      string     `json:"source"`
	RunID       string     `json:"run_id"`
	ModelID     string     `json:"model_id"`
	Description string     `json:"description"`
	Tags        []keyValue `json:"tags"`
}

type versionAnswer struct {
	Version modelVersion `json:"model_version"`
}

// createVersion makes a version of bytes that are here already. Which run made
// them is taken from the source where it says so, and every id that the client
// names must exist: a version does not point at nothing.
func (h *handler) createVersion(ctx context.Context, req createVersionRequest) (any, error) {
	if _, err := h.Registry.Model(ctx, req.Name); err != nil {
		return nil, err
	}
	o, err := h.resolve(ctx, req.Source)
	if err != nil {
		return nil, err
	}
	if o.loggedModel == "" && req.ModelID != "" {
		if _, err := h.Track.LoggedModel(ctx, req.ModelID); err != nil {
			return nil, err
		}
		o.loggedModel = req.ModelID
	}
	if o.trackedRun == "" {
		o.trackedRun = req.RunID
	}
	v := registry.Version{Model: req.Name, Source: req.Source, TrackedRun: o.trackedRun, LoggedModel: o.loggedModel,
		Description: req.Description, Tags: asMap(req.Tags), By: actor(ctx),
		// A copy is made from what its original was made from.
		DataVersions: o.from.DataVersions, Commit: o.from.Commit, Lock: o.from.Lock, Run: o.from.Run, Step: o.from.Step, Cell: o.from.Cell}
	if o.trackedRun != "" {
		r, err := h.Track.Run(ctx, o.trackedRun)
		if err != nil {
			return nil, err
		}
		if v.Run == "" {
			v.Run, v.Step, v.Cell = r.Origin.Run, r.Origin.Step, r.Origin.Cell
		}
	}
	if o.from.Number == 0 && v.Run != "" && h.MadeOf != nil {
		of, err := h.MadeOf(ctx, v.Run, v.Step, v.Cell)
		if err != nil {
			return nil, err
		}
		v.DataVersions, v.Commit, v.Lock = of.Data, of.Commit, of.Lock
	}
	if v.Digest, err = h.tree(ctx, o); err != nil {
		return nil, err
	}
	v, _, err = h.Registry.Register(ctx, registry.Registration{Version: v})
	return versionAnswer{toVersion(v)}, err
}

type versionRequest struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Stage       string `json:"stage"`
	Archive     bool   `json:"archive_existing_versions"`
	Key         string `json:"key"`
	Value       string `json:"value"`
}

func (h *handler) getVersion(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.Version(ctx, req.Name, n)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) searchVersions(ctx context.Context, req searchRequest) (any, error) {
	q, err := registryQuery(req.Filter, req.OrderBy, "name", "version_number", "run_id", "source_path", "current_stage")
	if err != nil {
		return nil, err
	}
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 200, 200_000); err != nil {
		return nil, err
	}
	list, next, err := h.Registry.Versions(ctx, q)
	return struct {
		Versions []modelVersion `json:"model_versions"`
		Next     string         `json:"next_page_token,omitempty"`
	}{toVersions(list), next}, err
}

func (h *handler) updateVersion(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.DescribeVersion(ctx, actor(ctx), req.Name, n, req.Description)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) deleteVersion(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.DeleteVersion(ctx, actor(ctx), req.Name, n)
}

// stageOf returns a stage in its one spelling.
func stageOf(text string) (string, error) {
	for _, s := range []string{"None", "Staging", "Production", "Archived"} {
		if strings.EqualFold(text, s) {
			return s, nil
		}
	}
	return "", &lastro.Error{Code: lastro.EInvalid, Msg: "\"" + text + "\" is not a stage", Hint: "use None, Staging, Production or Archived; aliases say more"}
}

func (h *handler) transitionStage(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	stage, err := stageOf(req.Stage)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.SetStage(ctx, actor(ctx), req.Name, n, stage, req.Archive)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) setVersionTag(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.SetVersionTag(ctx, req.Name, n, req.Key, req.Value)
}

func (h *handler) deleteVersionTag(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.DeleteVersionTag(ctx, req.Name, n, req.Key)
}

// downloadURI names the version's own folder, not where it was registered
// from: that may have been deleted, and only the folder has the version's digest.
func (h *handler) downloadURI(ctx context.Context, req versionRequest) (any, error) {
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.Version(ctx, req.Name, n)
	return map[string]string{"artifact_uri": treeURI(v.Digest)}, err
}

// registrationsOf lists the versions that were made of a logged model.
func (h *handler) registrationsOf(ctx context.Context, modelID string) ([]registration, error) {
	list, _, err := h.Registry.Versions(ctx, registry.Query{Where: []registry.Clause{{Key: "model_id", Op: "=", Text: modelID}}, Limit: 100})
	out := make([]registration, len(list))
	for i, v := range list {
		out[i] = registration{v.Model, strconv.Itoa(v.Number)}
	}
	return out, err
}
