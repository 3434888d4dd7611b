// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"fmt"
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
	RunLink     string     `json:"run_link"`
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
	if err := required("name", req.Name, "source", req.Source); err != nil {
		return nil, err
	}
	m, err := h.Registry.Model(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	v := registry.Version{Model: req.Name, Source: req.Source, RunLink: req.RunLink, Description: req.Description, Tags: asMap(req.Tags), By: actor(ctx)}
	if v.IsPrompt() {
		err = h.ofPrompt(ctx, m, &v, req)
	} else {
		err = h.ofModel(ctx, &v, req)
	}
	if err != nil {
		return nil, err
	}
	v, _, err = h.Registry.Register(ctx, registry.Registration{Version: v})
	return versionAnswer{toVersion(v)}, err
}

// ofModel fills in where a version comes from.
func (h *handler) ofModel(ctx context.Context, v *registry.Version, req createVersionRequest) error {
	o, err := h.resolve(ctx, req.Source)
	if err != nil {
		return err
	}
	if o.from.IsPrompt() {
		return badSource(req.Source)
	}
	if err := h.agree(ctx, &o, req); err != nil {
		return err
	}
	v.TrackedRun, v.LoggedModel = o.trackedRun, o.loggedModel
	// A copy is made from what its original was made from.
	v.DataVersions, v.Commit, v.Lock, v.Run, v.Step, v.Cell = o.from.DataVersions, o.from.Commit, o.from.Lock, o.from.Run, o.from.Step, o.from.Cell
	if o.from.Number == 0 {
		if err := h.trace(ctx, v); err != nil {
			return err
		}
	}
	v.Digest, err = h.tree(ctx, o)
	return err
}

// agree sees that the ids that a client names belong to the source, and fills
// in those that the source does not know.
func (h *handler) agree(ctx context.Context, o *origin, req createVersionRequest) error {
	bad := func(field string) error {
		return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("Invalid model version source: %.200q does not belong to the %s of the request", req.Source, field),
			Hint: "send the " + field + " that made it, or leave it out"}
	}
	if req.ModelID != "" {
		if o.loggedModel != "" && o.loggedModel != req.ModelID {
			return bad("model_id")
		}
		m, err := h.Track.LoggedModel(ctx, req.ModelID)
		if err != nil {
			return err
		}
		o.loggedModel = m.ID
		if o.trackedRun == "" {
			o.trackedRun = m.SourceRun
		}
	} else if req.RunID != "" && o.trackedRun != "" && o.trackedRun != req.RunID {
		return bad("run_id")
	}
	if o.trackedRun == "" {
		o.trackedRun = req.RunID
	}
	return nil
}

// trace finds what a version was made from: the pipeline run, data and code of
// the step whose tracked run it is, or what a client outside said of its run.
func (h *handler) trace(ctx context.Context, v *registry.Version) error {
	if v.TrackedRun == "" {
		return nil
	}
	r, err := h.Track.Run(ctx, v.TrackedRun)
	if err != nil {
		return err
	}
	v.Run, v.Step, v.Cell = r.Origin.Run, r.Origin.Step, r.Origin.Cell
	if v.Run == "" {
		v.Commit = r.Tags["mlflow.source.git.commit"]
		for _, in := range r.Inputs {
			v.DataVersions = append(v.DataVersions, registry.DataVersion{Dataset: in.Name, Digest: lastro.Digest(in.Digest)})
		}
		return nil
	}
	if h.MadeOf == nil {
		return nil
	}
	of, err := h.MadeOf(ctx, v.Run, v.Step, v.Cell)
	v.DataVersions, v.Commit, v.Lock = of.Data, of.Commit, of.Lock
	return err
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
	if err := required("name", req.Name, "version", req.Version); err != nil {
		return nil, err
	}
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.Version(ctx, req.Name, n)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) updateVersion(ctx context.Context, req versionRequest) (any, error) {
	if err := required("name", req.Name, "version", req.Version); err != nil {
		return nil, err
	}
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.DescribeVersion(ctx, actor(ctx), req.Name, n, req.Description)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) deleteVersion(ctx context.Context, req versionRequest) (any, error) {
	if err := required("name", req.Name, "version", req.Version); err != nil {
		return nil, err
	}
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
	if err := required("name", req.Name, "version", req.Version, "stage", req.Stage); err != nil {
		return nil, err
	}
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	stage, err := stageOf(req.Stage)
	if err != nil {
		return nil, err
	}
	if req.Archive && stage != "Staging" && stage != "Production" {
		return nil, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("archive_existing_versions goes with Staging and Production, and the stage is %s", stage), Hint: "leave archive_existing_versions out"}
	}
	v, err := h.Registry.SetStage(ctx, actor(ctx), req.Name, n, stage, req.Archive)
	return versionAnswer{toVersion(v)}, err
}

func (h *handler) setVersionTag(ctx context.Context, req versionRequest) (any, error) {
	if err := required("name", req.Name, "version", req.Version, "key", req.Key); err != nil {
		return nil, err
	}
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.SetVersionTag(ctx, actor(ctx), req.Name, n, req.Key, req.Value)
}

func (h *handler) deleteVersionTag(ctx context.Context, req versionRequest) (any, error) {
	if err := required("name", req.Name, "version", req.Version, "key", req.Key); err != nil {
		return nil, err
	}
	n, err := versionNumber(req.Version)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Registry.DeleteVersionTag(ctx, actor(ctx), req.Name, n, req.Key)
}

// downloadURI names the version's own folder, not where it was registered
// from: that may have been deleted, and only the folder has the version's digest.
func (h *handler) downloadURI(ctx context.Context, req versionRequest) (any, error) {
	if err := required("name", req.Name, "version", req.Version); err != nil {
		return nil, err
	}
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
