// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"

	"lastro"
	"lastro/auth"
	"lastro/trigger"
)

// Triggers is what the routes of triggers need.
type Triggers interface {
	Webhooks
	// Triggers says what starts runs, and when next.
	Triggers(ctx context.Context) (trigger.Overview, error)
	// Causes lists reasons for runs, newest first.
	Causes(ctx context.Context, f trigger.Filter) ([]trigger.Cause, error)
	// Decide lets the run of a waiting cause start, or not.
	Decide(ctx context.Context, id string, yes bool, why string, by lastro.Actor) (trigger.Cause, error)
}

// triggerRoutes are the routes of triggers. Webhooks are public: their
// signature says who sent them.
func (h *handler) triggerRoutes(v string) []auth.Route {
	if h.Triggers == nil {
		return nil
	}
	route := func(pattern string, p auth.Permission, f func(*http.Request) (any, error)) auth.Route {
		return auth.Route{Pattern: pattern, Permission: p, Handler: h.answer(f)}
	}
	routes := []auth.Route{
		route("GET "+v+"/triggers", auth.ReadRuns, h.listTriggers),
		route("GET "+v+"/causes", auth.ReadRuns, h.listCauses),
		route("POST "+v+"/causes/{id}/approve", auth.Approve, h.decideCause(true)),
		route("POST "+v+"/causes/{id}/refuse", auth.Approve, h.decideCause(false)),
		route("POST "+v+"/pushes", auth.WriteRuns, h.pushed),
	}
	for _, p := range providers {
		routes = append(routes, route("POST "+v+"/webhooks/"+p.name, auth.Public, h.webhook(p)))
	}
	return routes
}

func (h *handler) listTriggers(r *http.Request) (any, error) { return h.Triggers.Triggers(r.Context()) }

func (h *handler) listCauses(r *http.Request) (any, error) {
	q := r.URL.Query()
	list, err := h.Triggers.Causes(r.Context(), trigger.Filter{State: trigger.State(q.Get("state")), Kind: trigger.Kind(q.Get("kind")), Limit: limit(r, 50)})
	if list == nil {
		list = []trigger.Cause{}
	}
	return map[string]any{"causes": list}, err
}

func (h *handler) decideCause(yes bool) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var req struct {
			Why string `json:"why"`
		}
		if err := decode(r, &req); err != nil {
			return nil, err
		}
		return h.Triggers.Decide(r.Context(), r.PathValue("id"), yes, req.Why, actor(r))
	}
}

// PushRequest is the body of POST /api/v1/pushes: what a hook of git knows.
type PushRequest struct {
	Ref    string `json:"ref"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func (h *handler) pushed(r *http.Request) (any, error) {
	var req PushRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	told, err := changeOf(req.Ref, req.Before, req.After, actor(r), "")
	if err != nil {
		return nil, err
	}
	return h.Triggers.Changed(r.Context(), *told.change)
}
