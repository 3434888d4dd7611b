// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"net/http"
	"path"

	"lastro"
	"lastro/auth"
	"lastro/track"
)

// miscRoutes are the endpoints outside of the prefixes: links to artifacts that
// people keep in reports and notebooks.
func (h *handler) miscRoutes() []auth.Route {
	return []auth.Route{
		{Pattern: "GET /version", Permission: auth.Public, Handler: h.version},
		{Pattern: "GET /health", Permission: auth.Public, Handler: h.health},
		{Pattern: "GET /get-artifact", Permission: readT, Handler: h.named(h.runArtifact)},
		{Pattern: "GET /model-versions/get-artifact", Permission: readR, Handler: h.named(h.versionArtifact)},
	}
}

func (h *handler) miscEndpoints() []endpoint {
	return []endpoint{
		{"GET", "/3.0/mlflow/server-info", readT, serve(h, h.serverInfo), false},
		{"GET", "/2.0/mlflow/logged-models/{model_id}/artifacts/files", readT, h.named(h.modelArtifact), false},
		{"GET", "/2.0/mlflow/metrics/get-history-bulk", readT, serve(h, h.getHistoryOfRuns), false},
		{"POST", "/2.0/mlflow/upload-artifact", writeT, h.uploadNamed, true},
	}
}

// artifactNames are the ways in which a request names one artifact.
type artifactNames struct {
	Run     string `json:"run_id"`
	RunUUID string `json:"run_uuid"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Model   string `json:"model_id"`
	Path    string `json:"path"`
	File    string `json:"artifact_file_path"`
}

// named streams the artifact whose path find makes of the request.
func (h *handler) named(find func(context.Context, artifactNames) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var names artifactNames
		err := decode(w, r, &names)
		if err == nil {
			var at string
			if at, err = find(r.Context(), names); err == nil {
				r.SetPathValue("path", at)
				h.download(w, r)
				return
			}
		}
		h.fail(w, r, err)
	}
}

func (h *handler) runArtifact(ctx context.Context, n artifactNames) (string, error) {
	if err := present("path", n.Path); err != nil {
		return "", err
	}
	r, err := h.Track.Run(ctx, runID{n.Run, n.RunUUID}.String())
	if err != nil {
		return "", err
	}
	return below(track.RunRoot(r.ExperimentID, r.ID), n.Path)
}

func (h *handler) versionArtifact(ctx context.Context, n artifactNames) (string, error) {
	number, err := versionNumber(n.Version)
	if err != nil {
		return "", err
	}
	if err := present("path", n.Path); err != nil {
		return "", err
	}
	v, err := h.Registry.Version(ctx, n.Name, number)
	if err != nil {
		return "", err
	}
	return below(treeRoot+v.Digest.Hex(), n.Path)
}

func (h *handler) modelArtifact(ctx context.Context, n artifactNames) (string, error) {
	if err := present("artifact_file_path", n.File); err != nil {
		return "", err
	}
	m, err := h.Track.LoggedModel(ctx, n.Model)
	if err != nil {
		return "", err
	}
	return below(track.ModelRoot(m.ExperimentID, m.ID), n.File)
}

// uploadNamed stores the body under a path of a run.
func (h *handler) uploadNamed(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	at, err := h.runArtifact(r.Context(), artifactNames{Run: q.Get("run_uuid") + q.Get("run_id"), Path: q.Get("path")})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	r.SetPathValue("path", at)
	h.upload(w, r)
}

// below joins a path that a client names to the root that it belongs to; one
// that leads out of it is refused, not cleaned.
func below(root, name string) (string, error) {
	if err := track.CheckPath(name); err != nil {
		return "", err
	}
	if clean := path.Clean(name); clean != name {
		return "", lastro.Errorf(lastro.EInvalid, "path %.100q is not clean: write %q", name, clean)
	}
	return root + "/" + name, nil
}

type historyOfRunsRequest struct {
	Runs       []string `json:"run_id" need:"yes"`
	Key        string   `json:"metric_key" need:"yes"`
	MaxResults *int64s  `json:"max_results"`
}

// mostOfRuns bounds an answer with the histories of several runs, in points.
const mostOfRuns = 25_000

// getHistoryOfRuns is how MLflow's pages asked before they could name an
// interval: the first points of each run, by step.
func (h *handler) getHistoryOfRuns(ctx context.Context, req historyOfRunsRequest) (any, error) {
	most := mostOfRuns
	if req.MaxResults != nil {
		most = min(most, int(*req.MaxResults))
	}
	out := []metric{}
	for _, id := range req.Runs {
		points, err := h.Track.History(ctx, track.HistoryQuery{Run: id, Key: req.Key, Limit: mostOfRuns})
		if err != nil {
			return nil, err
		}
		for _, m := range points[:min(len(points), max(most-len(out), 0))] {
			w := toMetric(m)
			w.RunID = id
			out = append(out, w)
		}
	}
	return map[string][]metric{"metrics": out}, nil
}

// present refuses a request without a field that it needs.
func present(name, value string) error {
	if value != "" {
		return nil
	}
	return missing(name)
}

func missing(name string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0711", Msg: name + " is missing", Hint: "send it: this call needs it"}
}
