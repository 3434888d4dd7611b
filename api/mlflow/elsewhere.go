// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"lastro/auth"
)

// elsewhere are the parts of MLflow that lastro does not have, by the path below
// the prefix that they begin with. What answers them names them, so that nobody
// takes a missing product for a broken server.
var elsewhere = []struct{ path, what string }{
	{"/3.0/mlflow/gateway/", gatewayWords},
	{"/2.0/mlflow/gateway-proxy", gatewayWords},
	{"/2.0/mlflow/runs/create-promptlab-run", gatewayWords},
	{"/gateway/", gatewayWords},
	{"/3.0/mlflow/assistant/", "MLflow's assistant, a chat that works on the server's machine"},
	{"/3.0/mlflow/mcp-servers", "MLflow's registry of MCP servers"},
	{"/3.0/jobs", "MLflow's job queue"},
	{"/3.0/mlflow/jobs/", "MLflow's job queue"},
	{"/3.0/mlflow/scorer", scorerWords},
	{"/3.0/mlflow/genai/", scorerWords},
	{"/3.0/mlflow/prompt-optimization/", scorerWords},
	{"/3.0/mlflow/issues", "MLflow's detection of issues in traces"},
	{"/3.0/mlflow/label-schemas/", "MLflow's labelling of traces"},
	{"/3.0/mlflow/review-queues/", "MLflow's review queues for traces"},
	{"/3.0/mlflow/demo/", "the demonstration of MLflow's pages"},
	{"/3.0/mlflow/workspaces", "MLflow's workspaces; one lastro server holds one workspace"},
	{"/3.0/mlflow/ui-telemetry", "the telemetry of MLflow's pages; lastro sends nothing to anybody"},
	{"/2.0/mlflow/users/", accountWords},
	{"/3.0/mlflow/users/", accountWords},
	{"/3.0/mlflow/roles/", accountWords},
	{"/2.0/mlflow/get-online-trace-details", "Databricks' online traces"},
	{"/2.0/mlflow/unified-traces", "Databricks' unified traces"},
	{"/2.0/mlflow/artifacts/presigned-", presignedWords},
	{"/2.0/mlflow-artifacts/presigned/", presignedWords},
	{"/graphql", "GraphQL, which only MLflow's own pages use"},
	{"/build/", pagesWords},
	{"/static-files/", pagesWords},
}

const (
	gatewayWords   = "MLflow's AI gateway, a proxy to language models"
	scorerWords    = "MLflow's evaluation by language models on the server"
	accountWords   = "the accounts of MLflow's basic-auth app; lastro's are made with lastro user and lastro token"
	presignedWords = "presigned URLs of a cloud's object store; lastro keeps artifacts itself and streams them through the server"
	pagesWords     = "MLflow's own pages; lastro's begin at /"
)

// elsewhereRoutes are the refused paths outside of the prefixes.
func (h *handler) elsewhereRoutes() []auth.Route {
	var routes []auth.Route
	for _, e := range elsewhere {
		if !strings.HasPrefix(e.path, "/2.0/") && !strings.HasPrefix(e.path, "/3.0/") {
			routes = append(routes, auth.Route{Pattern: e.path, Permission: auth.ReadTracking, Handler: h.notBuilt, AnyContentType: true})
		}
	}
	return routes
}

// elsewhereOf returns the part of MLflow that a path belongs to, "" for none.
func elsewhereOf(path string) string {
	path = withoutPrefix(path)
	for _, e := range elsewhere {
		if strings.HasPrefix(path, e.path) {
			return e.what
		}
	}
	return ""
}

func withoutPrefix(path string) string {
	for _, prefix := range prefixes {
		if below, ok := strings.CutPrefix(path, prefix+"/"); ok {
			return "/" + below
		}
	}
	return path
}

// notBuilt answers what no route does: with the name of the product that it
// belongs to, with the methods that the path has, or with what was asked for.
func (h *handler) notBuilt(w http.ResponseWriter, r *http.Request) {
	code, status, path := "ENDPOINT_NOT_FOUND", http.StatusNotFound, shorten(r.URL.Path)
	if what := elsewhereOf(r.URL.Path); what != "" {
		writeJSON(w, status, refusal{code, fmt.Sprintf("%s %s belongs to %s, and lastro does not have it", r.Method, path, what)})
		return
	}
	if methods := h.methodsOf(r); len(methods) > 0 {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		writeJSON(w, http.StatusMethodNotAllowed, refusal{code, fmt.Sprintf("%s takes %s, not %s", path, strings.Join(methods, " or "), r.Method)})
		return
	}
	writeJSON(w, status, refusal{code, fmt.Sprintf("lastro has no endpoint for %s %s; docs/mlflow.md lists what it answers", r.Method, path)})
}

// methodsOf returns the methods under which the path of r is served.
func (h *handler) methodsOf(r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method, other.URL.Path = method, "/api"+withoutPrefix(r.URL.Path)
		if _, pattern := h.served.Handler(other); pattern != "" && !slices.Contains(methods, method) {
			methods = append(methods, method)
		}
	}
	return methods
}

// shorten bounds what an answer repeats of a request.
func shorten(path string) string {
	if len(path) > 200 {
		return path[:200] + "…"
	}
	return path
}
