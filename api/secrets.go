// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"

	"lastro"
	"lastro/auth"
	"lastro/secret"
)

// SecretRequest is the body of POST /api/v1/secrets/{name}. No route ever
// answers with a value.
type SecretRequest struct {
	Value []byte `json:"value"` // in base64: a value need not be text
}

// secretRoutes are the routes of secrets: setting and removing has a
// permission of its own, names are no secrets.
func (h *handler) secretRoutes(v string) []auth.Route {
	route := func(pattern string, p auth.Permission, f func(*http.Request) (any, error)) auth.Route {
		return auth.Route{Pattern: pattern, Permission: p, Handler: h.answer(f)}
	}
	return []auth.Route{
		route("GET "+v+"/secrets", auth.ReadRuns, h.listSecrets),
		route("POST "+v+"/secrets/{name}", auth.WriteSecrets, h.setSecret),
		route("POST "+v+"/secrets/{name}/remove", auth.WriteSecrets, h.removeSecret),
	}
}

func (h *handler) listSecrets(r *http.Request) (any, error) {
	all, err := h.Secrets.List(r.Context())
	if all == nil {
		all = []secret.Secret{}
	}
	return map[string]any{"secrets": all}, err
}

func (h *handler) setSecret(r *http.Request) (any, error) {
	var req SecretRequest
	if err := decode(r, &req); err != nil { // which might quote a part of the value
		return nil, lastro.Errorf(lastro.EInvalid, "the body is not what this route takes")
	}
	return h.Secrets.Set(r.Context(), actor(r), r.PathValue("name"), string(req.Value))
}

func (h *handler) removeSecret(r *http.Request) (any, error) {
	return map[string]any{}, h.Secrets.Remove(r.Context(), actor(r), r.PathValue("name"))
}
