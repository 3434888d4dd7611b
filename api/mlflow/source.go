// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lastro"
	"lastro/blob"
	"lastro/registry"
	"lastro/track"
)

// origin is what a source of a new version turned out to be.
type origin struct {
	files       []blob.Entry  // to be stored as a tree ...
	digest      lastro.Digest // ... or the tree that exists already
	trackedRun  string
	loggedModel string
	from        registry.Version // the version that is copied; zero otherwise
}

var (
	loggedModelURI = regexp.MustCompile(`^models:/(m-[0-9a-f]{32})$`)
	versionURI     = regexp.MustCompile(`^models:/([^/@:]+)/([0-9]{1,9})$`)
	aliasURI       = regexp.MustCompile(`^models:/([^/@:]+)@([^/@:]+)$`)
	runURI         = regexp.MustCompile(`^runs:/([0-9a-f]{32})/(.+)$`)
	runRoot        = regexp.MustCompile(`^[0-9]{1,20}/([0-9a-f]{32})/artifacts/.+$`)
	modelRoot      = regexp.MustCompile(`^[0-9]{1,20}/models/(m-[0-9a-f]{32})/artifacts(/.+)?$`)
)

// resolve finds the files that a source names. It accepts models:/ID,
// models:/NAME/NUMBER, models:/NAME@ALIAS, runs:/RUN/PATH and our own
// mlflow-artifacts:/PATH, and nothing else (SECURITY B1): no scheme that could
// reach a disk or a network.
func (h *handler) resolve(ctx context.Context, source string) (origin, error) {
	if m := loggedModelURI.FindStringSubmatch(source); m != nil {
		return h.fromLoggedModel(ctx, m[1], "")
	}
	if m := versionURI.FindStringSubmatch(source); m != nil {
		number, err := strconv.Atoi(m[2])
		if err != nil {
			return origin{}, badSource(source)
		}
		v, err := h.Registry.Version(ctx, m[1], number)
		return fromVersion(v), err
	}
	if m := aliasURI.FindStringSubmatch(source); m != nil {
		v, err := h.Registry.ByAlias(ctx, m[1], m[2])
		return fromVersion(v), err
	}
	if m := runURI.FindStringSubmatch(source); m != nil {
		return h.fromRun(ctx, m[1], m[2])
	}
	if p, ok := strings.CutPrefix(source, scheme); ok && track.CheckPath(p) == nil {
		return h.fromArtifacts(ctx, source, p)
	}
	return origin{}, badSource(source)
}

func badSource(source string) error {
	return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%.200q cannot be the source of a version", source),
		Hint: "register what was logged here: runs:/RUN_ID/PATH, models:/MODEL_ID, models:/NAME/VERSION, or mlflow-artifacts:/ as a run gave it"}
}

func fromVersion(v registry.Version) origin {
	return origin{digest: v.Digest, trackedRun: v.TrackedRun, loggedModel: v.LoggedModel, from: v}
}

func (h *handler) fromLoggedModel(ctx context.Context, id, below string) (origin, error) {
	m, err := h.Track.LoggedModel(ctx, id)
	if err != nil {
		return origin{}, err
	}
	if m.Status != track.ModelReady {
		return origin{}, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("logged model %s is %s, so its files may not all be here", id, m.Status),
			Hint: "log it again, and register it when that has ended"}
	}
	files, err := h.filesBelow(ctx, track.ModelRoot(m.ExperimentID, m.ID)+below)
	if err == nil && len(files) == 0 {
		err = nothingThere("logged model " + id)
	}
	return origin{files: files, trackedRun: m.SourceRun, loggedModel: id}, err
}

// fromRun reads a folder of a tracked run's artifacts, or the logged model of
// that name that the run wrote: MLflow 3 keeps models outside the run, but
// runs:/RUN/NAME still means them.
func (h *handler) fromRun(ctx context.Context, id, p string) (origin, error) {
	if err := track.CheckPath(p); err != nil {
		return origin{}, err
	}
	r, err := h.Track.Run(ctx, id)
	if err != nil {
		return origin{}, err
	}
	files, err := h.filesBelow(ctx, track.RunRoot(r.ExperimentID, r.ID)+"/"+p)
	if err != nil || len(files) > 0 {
		return origin{files: files, trackedRun: id}, err
	}
	for i := len(r.ModelOutputs) - 1; i >= 0; i-- {
		m, err := h.Track.LoggedModel(ctx, r.ModelOutputs[i].ModelID)
		if err == nil && m.Name == p {
			return h.fromLoggedModel(ctx, m.ID, "")
		}
	}
	return origin{}, nothingThere(fmt.Sprintf("tracked run %s under %q", id, p))
}

func (h *handler) fromArtifacts(ctx context.Context, source, p string) (origin, error) {
	if m := modelRoot.FindStringSubmatch(p); m != nil {
		return h.fromLoggedModel(ctx, m[1], m[2])
	}
	if m := runRoot.FindStringSubmatch(p); m != nil {
		r, err := h.Track.Run(ctx, m[1])
		if err != nil {
			return origin{}, err
		}
		below, ok := strings.CutPrefix(p, track.RunRoot(r.ExperimentID, r.ID)+"/")
		if !ok {
			return origin{}, badSource(source)
		}
		return h.fromRun(ctx, r.ID, below)
	}
	digest, below, ok, err := h.versionTree(ctx, p)
	if err != nil || !ok || below != "" {
		if err == nil {
			err = badSource(source)
		}
		return origin{}, err
	}
	list, _, err := h.Registry.Versions(ctx, registry.Query{Where: []registry.Clause{{Key: "digest", Op: "=", Text: string(digest)}}, Limit: 1})
	if err != nil || len(list) == 0 {
		return origin{}, err
	}
	return fromVersion(list[0]), nil
}

func nothingThere(what string) error {
	return &lastro.Error{Code: lastro.EInvalid, Msg: what + " has no artifacts, so there is nothing to register",
		Hint: "log the model first: mlflow.sklearn.log_model(model, name=\"model\")"}
}

// tree returns the digest of an origin's folder, storing the folder if needed.
func (h *handler) tree(ctx context.Context, o origin) (lastro.Digest, error) {
	if o.digest != "" {
		return o.digest, nil
	}
	return h.Blobs.PutEntries(ctx, o.files)
}
