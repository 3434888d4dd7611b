// SPDX-License-Identifier: Apache-2.0

// Package mlflow speaks MLflow's REST protocol, so that its unmodified Python
// client works: experiments, tracked runs, logged models, artifacts and the
// model registry. Wire types and MLflow's own words (stage, signature) stay in
// here. Rules are those of track and registry; what MLflow has and lastro does
// not answers ENDPOINT_NOT_FOUND and says what it is.
package mlflow

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"lastro"
	"lastro/auth"
	"lastro/blob"
	"lastro/registry"
	"lastro/trace"
	"lastro/track"
	"lastro/webhook"
)

// Blobs is what this door needs of a blob.Store.
type Blobs interface {
	Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error)
	Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error)
	PutEntries(ctx context.Context, entries []blob.Entry) (lastro.Digest, error)
	Tree(ctx context.Context, d lastro.Digest) ([]blob.Entry, error)
}

// Deps is what the routes work with.
type Deps struct {
	Track    *track.Service
	Registry *registry.Service
	Webhooks *webhook.Service // nil = none
	Traces   *trace.Service   // nil = none
	Blobs    Blobs
	// MadeOf says what went into the work of a step, so that a version that its
	// script registers knows it; nil when nothing can tell.
	MadeOf func(ctx context.Context, run, step, cell string) (Ingredients, error)
	// Mask takes the secrets of the calling step out of what does not come as a
	// JSON body; nil, and a nil function, when there are none.
	Mask    func(ctx context.Context) func([]byte) []byte
	Version string // of lastro, shown by server-info
	Log     *slog.Logger
}

// Ingredients are what a step worked with.
type Ingredients struct {
	Data   []registry.DataVersion
	Commit string        // "" without git
	Lock   lastro.Digest // of the dependency lock; "" without
}

type handler struct {
	Deps
	served *http.ServeMux // what is served below /api, to tell a wrong method from a wrong path
}

// ProtocolVersion is the release of MLflow whose REST protocol this follows;
// clients ask for it at /version.
const ProtocolVersion = "3.17.2"

// prefixes are where every route is served: clients use the first, MLflow's own
// pages the second.
var prefixes = []string{"/api", "/ajax-api"}

// endpoint is one row of the table: method, path below the prefix, permission, handler.
type endpoint struct {
	method, path string
	permission   auth.Permission
	serve        http.HandlerFunc
	upload       bool
}

// Routes returns every route of the protocol with its permission.
func Routes(d Deps) []auth.Route {
	h := &handler{Deps: d, served: http.NewServeMux()}
	endpoints := h.endpoints()
	for _, e := range endpoints {
		h.served.HandleFunc(e.method+" /api"+e.path, e.serve)
	}
	routes := append(h.miscRoutes(), h.elsewhereRoutes()...)
	for _, prefix := range prefixes {
		for _, e := range endpoints {
			routes = append(routes, auth.Route{Pattern: e.method + " " + prefix + e.path, Permission: e.permission, Handler: e.serve, AnyContentType: e.upload})
		}
		routes = append(routes, auth.Route{Pattern: prefix + "/2.0/", Permission: auth.ReadTracking, Handler: h.notBuilt, AnyContentType: true},
			auth.Route{Pattern: prefix + "/3.0/", Permission: auth.ReadTracking, Handler: h.notBuilt, AnyContentType: true})
	}
	return append(routes, h.spanRoute())
}

// ours are the beginnings of the paths that belong to this protocol.
var ours = []string{"/api/2.0/", "/api/3.0/", "/api/2.0mlflow/", "/ajax-api/", "/v1/traces", "/gateway/", "/graphql", "/get-artifact", "/model-versions/get-artifact"}

// Owns reports whether a request belongs to this protocol, so that refusals of
// the door in front (401, 403, 413, 415) are answered by Refuse.
func Owns(r *http.Request) bool {
	return slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) })
}

const (
	readT  = auth.ReadTracking
	writeT = auth.WriteTracking
	readR  = auth.ReadRegistry
	writeR = auth.WriteRegistry
)

func (h *handler) endpoints() []endpoint {
	return slices.Concat(h.coreEndpoints(), h.artifactEndpoints(), h.searchEndpoints(), h.miscEndpoints(), h.webhookEndpoints(),
		h.traceEndpoints(), h.assessmentEndpoints(), h.evaluationEndpoints())
}

func (h *handler) coreEndpoints() []endpoint {
	const e, r, lm = "/2.0/mlflow/experiments/", "/2.0/mlflow/runs/", "/2.0/mlflow/logged-models"
	const rm, mv, art = "/2.0/mlflow/registered-models/", "/2.0/mlflow/model-versions/", "/2.0/mlflow-artifacts/artifacts"
	return []endpoint{
		{"POST", e + "create", writeT, serve(h, h.createExperiment), false},
		{"GET", e + "get", readT, serve(h, h.getExperiment), false},
		{"GET", e + "get-by-name", readT, serve(h, h.getExperimentByName), false},
		{"POST", e + "update", writeT, serve(h, h.updateExperiment), false},
		{"POST", e + "delete", writeT, serve(h, h.deleteExperiment), false},
		{"POST", e + "restore", writeT, serve(h, h.restoreExperiment), false},
		{"POST", e + "set-experiment-tag", writeT, serve(h, h.setExperimentTag), false},
		{"POST", e + "delete-experiment-tag", writeT, serve(h, h.deleteExperimentTag), false},

		{"POST", r + "create", writeT, serve(h, h.createRun), false},
		{"GET", r + "get", readT, serve(h, h.getRun), false},
		{"POST", r + "update", writeT, serve(h, h.updateRun), false},
		{"POST", r + "delete", writeT, serve(h, h.deleteRun), false},
		{"POST", r + "restore", writeT, serve(h, h.restoreRun), false},
		{"POST", r + "set-tag", writeT, serve(h, h.setTag), false},
		{"POST", r + "delete-tag", writeT, serve(h, h.deleteTag), false},
		{"POST", r + "log-metric", writeT, serve(h, h.logMetric), false},
		{"POST", r + "log-parameter", writeT, serve(h, h.logParam), false},
		{"POST", r + "log-batch", writeT, serve(h, h.logBatch), false},
		{"POST", r + "log-inputs", writeT, serve(h, h.logInputs), false},
		{"POST", r + "log-model", writeT, serve(h, h.logModel), false},
		{"POST", r + "outputs", writeT, serve(h, h.logOutputs), false},
		{"GET", "/2.0/mlflow/metrics/get-history", readT, serve(h, h.getHistory), false},
		{"GET", "/2.0/mlflow/metrics/get-history-bulk-interval", readT, serve(h, h.getHistoryBulk), false},
		{"GET", "/2.0/mlflow/artifacts/list", readT, serve(h, h.listRunArtifacts), false},

		{"POST", lm, writeT, serve(h, h.createLoggedModel), false},
		{"GET", lm + "/{model_id}", readT, serve(h, h.getLoggedModel), false},
		{"PATCH", lm + "/{model_id}", writeT, serve(h, h.finalizeLoggedModel), false},
		{"DELETE", lm + "/{model_id}", writeT, serve(h, h.deleteLoggedModel), false},
		{"POST", lm + "/{model_id}/params", writeT, serve(h, h.logLoggedModelParams), false},
		{"PATCH", lm + "/{model_id}/tags", writeT, serve(h, h.setLoggedModelTags), false},
		{"DELETE", lm + "/{model_id}/tags/{tag_key...}", writeT, serve(h, h.deleteLoggedModelTag), false},
		{"GET", lm + "/{model_id}/artifacts/directories", readT, serve(h, h.listModelArtifacts), false},

		{"POST", rm + "create", writeR, serve(h, h.createModel), false},
		{"GET", rm + "get", readR, serve(h, h.getModel), false},
		{"PATCH", rm + "update", writeR, serve(h, h.updateModel), false},
		{"POST", rm + "rename", writeR, serve(h, h.renameModel), false},
		{"DELETE", rm + "delete", writeR, serve(h, h.deleteModel), false},
		{"POST", rm + "set-tag", writeR, serve(h, h.setModelTag), false},
		{"DELETE", rm + "delete-tag", writeR, serve(h, h.deleteModelTag), false},
		{"GET", rm + "get-latest-versions", readR, serve(h, h.latestVersions), false},
		{"POST", rm + "get-latest-versions", readR, serve(h, h.latestVersions), false},
		{"GET", rm + "alias", readR, serve(h, h.getByAlias), false},
		{"POST", rm + "alias", writeR, serve(h, h.setAlias), false},
		{"DELETE", rm + "alias", writeR, serve(h, h.deleteAlias), false},

		{"POST", mv + "create", writeR, serve(h, h.createVersion), false},
		{"GET", mv + "get", readR, serve(h, h.getVersion), false},
		{"PATCH", mv + "update", writeR, serve(h, h.updateVersion), false},
		{"DELETE", mv + "delete", writeR, serve(h, h.deleteVersion), false},
		{"POST", mv + "transition-stage", writeR, serve(h, h.transitionStage), false},
		{"POST", mv + "set-tag", writeR, serve(h, h.setVersionTag), false},
		{"DELETE", mv + "delete-tag", writeR, serve(h, h.deleteVersionTag), false},
		{"GET", mv + "get-download-uri", readR, serve(h, h.downloadURI), false},

		{"GET", art, readT, serve(h, h.listArtifacts), false},
		{"GET", art + "/{path...}", readT, h.download, false},
		{"PUT", art + "/{path...}", writeT, h.upload, true},
		{"DELETE", art + "/{path...}", writeT, serve(h, h.deleteArtifact), false},
	}
}

// caller is the identity of a request as track knows it.
func caller(ctx context.Context) track.Caller {
	id := auth.IdentityOf(ctx)
	return track.Caller{By: id.Actor, Origin: track.Origin{Run: id.Run, Step: id.Step, Cell: id.Cell}, Attempt: id.Attempt}
}
