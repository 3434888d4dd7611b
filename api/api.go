// SPDX-License-Identifier: Apache-2.0

// Package api is lastro's own JSON API: one table of routes, each with its
// permission. A handler decodes, calls one method and encodes; what an action
// means is brought by Actions and the capabilities. Errors are RFC 9457
// problem documents.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"lastro"
	"lastro/auth"
	"lastro/data"
	"lastro/deploy"
	"lastro/gate"
	"lastro/lineage"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/secret"
	"lastro/track"
)

// Actions are what needs more than one capability.
type Actions interface {
	// StartRun queues a run and returns its number.
	StartRun(ctx context.Context, r RunRequest, by lastro.Actor) (int64, error)
	// Deciding reports whether a run is still being carried out, or has ended
	// and its version is being registered and decided about.
	Deciding(run int64) bool
	// Plan says what such a run would do.
	Plan(ctx context.Context, r RunRequest, by lastro.Actor) (*pipeline.Plan, error)
	// CancelBecause ends a run; why may be "".
	CancelBecause(ctx context.Context, number int64, by lastro.Actor, why string) error
	// RetryRun lets an ended run go on: what did not end well is tried again.
	RetryRun(ctx context.Context, number int64, by lastro.Actor) error
	// ReproduceRun does a run again from its record, without the cache, and
	// returns the number of the run that does it; nothing is registered.
	ReproduceRun(ctx context.Context, number int64, by lastro.Actor) (int64, error)
	Release(ctx context.Context, environment, model string, version int, by lastro.Actor, why string) (deploy.Release, deploy.Rollout, error)
	Rollback(ctx context.Context, environment, reason string, by lastro.Actor) (deploy.Release, error)
	Waive(ctx context.Context, r gate.WaiveRequest) (gate.Waiver, error)
	// Evaluate measures every complete window of an environment now.
	Evaluate(ctx context.Context, environment string) (monitor.Report, error)
	// ReadLog returns bytes of what an attempt at a step printed, from an offset;
	// attempt 0 is the newest one.
	ReadLog(ctx context.Context, run int64, step string, cell, attempt int, offset int64) (text []byte, next int64, err error)
	Events(ctx context.Context, after int64, subject lastro.Ref, limit int) ([]lastro.Event, error)
	// Why explains a version or step in lines for a person.
	Why(ctx context.Context, ref string) (lineage.Why, error)
	Status() Status
}

// RunRequest is the body of POST /api/v1/runs.
type RunRequest struct {
	Only    []string       `json:"only,omitempty"`
	From    []string       `json:"from,omitempty"`
	NoCache bool           `json:"no_cache,omitempty"`
	Params  map[string]any `json:"params,omitempty"`
	Key     string         `json:"-"`                // Idempotency-Key: the same key gives the same run
	Strict  bool           `json:"strict,omitempty"` // steps write to their workspace only and reach no network but tracking
}

// Status is what a server says of itself.
type Status struct {
	Version   string `json:"version"`
	Project   string `json:"project,omitempty"`
	URL       string `json:"url"`
	Inference string `json:"inference,omitempty"` // address of the data plane, once it serves
	// Troubles are what the server's loops fail with now, by loop; they go on trying.
	Troubles map[string]string `json:"troubles,omitempty"`
}

// Deps is what the routes read.
type Deps struct {
	Actions  Actions
	Runs     pipeline.Store
	Registry *registry.Service
	Track    *track.Service
	Gates    *gate.Service
	Deploys  *deploy.Service
	Monitors *monitor.Service
	Data     data.Store
	Auth     *auth.Service
	Secrets  *secret.Service
	Triggers Triggers // nil = nothing but people starts runs
	Log      *slog.Logger
}

type handler struct{ Deps }

// Routes returns the table.
func Routes(d Deps) []auth.Route {
	h := &handler{d}
	route := func(pattern string, p auth.Permission, f func(*http.Request) (any, error)) auth.Route {
		return auth.Route{Pattern: pattern, Permission: p, Handler: h.answer(f)}
	}
	const v = "/api/v1"
	return append(slices.Concat(h.secretRoutes(v), h.triggerRoutes(v), h.trackingRoutes(v)), []auth.Route{
		route("GET "+v+"/status", auth.ReadRuns, h.status),
		route("GET "+v+"/runs", auth.ReadRuns, h.listRuns),
		route("POST "+v+"/runs", auth.WriteRuns, h.startRun),
		route("POST "+v+"/plan", auth.WriteRuns, h.plan),
		route("GET "+v+"/runs/{run}", auth.ReadRuns, h.showRun),
		route("POST "+v+"/runs/{run}/cancel", auth.WriteRuns, h.cancelRun),
		route("POST "+v+"/runs/{run}/retry", auth.WriteRuns, h.retryRun),
		route("POST "+v+"/runs/{run}/reproduce", auth.WriteRuns, h.reproduceRun),
		route("GET "+v+"/runs/{run}/log", auth.ReadRuns, h.readLog),
		route("GET "+v+"/models", auth.ReadRegistry, h.listModels),
		route("GET "+v+"/models/{model}", auth.ReadRegistry, h.showModel),
		route("GET "+v+"/models/{model}/aliases", auth.ReadRegistry, h.aliasMoves),
		route("GET "+v+"/models/{model}/versions/{version}", auth.ReadRegistry, h.showVersion),
		route("GET "+v+"/decisions", auth.ReadRegistry, h.listDecisions),
		route("GET "+v+"/decisions/{id}", auth.ReadRegistry, h.showDecision),
		route("POST "+v+"/decisions/{id}/waivers", auth.Approve, h.waive),
		route("GET "+v+"/environments", auth.ReadLive, h.listEnvironments),
		route("GET "+v+"/environments/{env}", auth.ReadLive, h.showEnvironment),
		route("POST "+v+"/environments/{env}/releases", auth.Deploy, h.release),
		route("POST "+v+"/environments/{env}/rollback", auth.Deploy, h.rollback),
		route("GET "+v+"/environments/{env}/releases", auth.ReadLive, h.listReleases),
		route("GET "+v+"/environments/{env}/rollouts", auth.ReadLive, h.listRollouts),
		route("GET "+v+"/environments/{env}/measurements", auth.ReadLive, h.listMeasurements),
		route("GET "+v+"/environments/{env}/alerts", auth.ReadLive, h.listAlerts),
		route("GET "+v+"/environments/{env}/retrains", auth.ReadLive, h.listRetrains),
		route("POST "+v+"/environments/{env}/evaluate", auth.WriteRuns, h.evaluate),
		route("GET "+v+"/datasets/{name}/versions", auth.ReadData, h.listVersions),
		route("GET "+v+"/datasets/{name}/reports", auth.ReadData, h.listReports),
		route("POST "+v+"/users", auth.Administer, h.addUser),
		route("POST "+v+"/users/{user}/tokens", auth.Administer, h.createToken),
		route("POST "+v+"/tokens/{id}/revoke", auth.Administer, h.revokeToken),
		route("GET "+v+"/events", auth.ReadRuns, h.listEvents),
		route("GET "+v+"/why/{ref...}", auth.ReadRegistry, h.why),
	}...)
}

// answer encodes what a handler returns; every error goes through problem.
func (h *handler) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			h.problem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			h.Log.WarnContext(r.Context(), "answer was not sent", "path", r.URL.Path, "err", err)
		}
	}
}

// Problem is an error document (RFC 9457), with what a person needs to go on.
type Problem struct {
	Type   string      `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Code   lastro.Code `json:"code"`
	ID     string      `json:"id,omitempty"`
	Hint   string      `json:"hint,omitempty"`
	Notes  []string    `json:"notes,omitempty"`
}

// problem is the one place that maps a code to a status.
func (h *handler) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := Problem{Type: "about:blank", Title: err.Error(), Code: lastro.CodeOf(err), Status: StatusOf(lastro.CodeOf(err))}
	var e *lastro.Error
	var several lastro.Problems
	if errors.As(err, &several) && len(several) > 0 { // the title names all of them
		e = several[0]
	}
	if e != nil || errors.As(err, &e) {
		p.ID, p.Hint, p.Notes = e.ID, e.Hint, e.Notes
	}
	if p.Status >= 500 {
		h.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// StatusOf maps an error's code to HTTP.
func StatusOf(c lastro.Code) int {
	switch c {
	case lastro.EInvalid:
		return http.StatusBadRequest
	case lastro.EDenied:
		return http.StatusForbidden
	case lastro.ENotFound:
		return http.StatusNotFound
	case lastro.EConflict, lastro.EGate, lastro.EWaiting, lastro.ETampered:
		return http.StatusConflict
	case lastro.EFailed:
		return http.StatusUnprocessableEntity
	case lastro.EUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// decode reads a JSON body into v; an empty body is allowed, an unknown field is not.
func decode(r *http.Request, v any) error {
	if r.ContentLength == 0 {
		return nil
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return lastro.Errorf(lastro.EInvalid, "the body is not what this route takes: %w", err)
	}
	return nil
}

// number reads an integer of the path.
func number(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n < 1 {
		return 0, lastro.Errorf(lastro.EInvalid, "%q is not a number", r.PathValue(name))
	}
	return n, nil
}

// limit reads ?limit=, at most 1,000.
func limit(r *http.Request, def int) int {
	n, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || n < 1 {
		return def
	}
	return min(n, 1000)
}

func actor(r *http.Request) lastro.Actor { return auth.IdentityOf(r.Context()).Actor }
