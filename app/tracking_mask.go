// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"

	"lastro/auth"
	"lastro/pipeline"
	"lastro/secret"
)

// tracker names the step that a tracking token was given to.
type tracker struct{ run, step, cell string }

func trackerOf(j *pipeline.Job) tracker { return tracker{runName(j), j.Step.Name, cellName(j)} }

// hideFrom makes tracking hide the secrets of a step in what it tracks.
func (h *House) hideFrom(j *pipeline.Job) {
	if len(j.Secrets) > 0 {
		h.maskers.Store(trackerOf(j), secret.NewMasker(slices.Sorted(maps.Values(j.Secrets))))
	}
}

// masked are the routes of tracking with the secrets of the calling step taken
// out of what it sends: names, params, tags, metrics' names, notes. Files that
// it uploads are its own, as its outputs are.
func (h *House) masked(routes []auth.Route) []auth.Route {
	for i, r := range routes {
		if r.AnyContentType {
			continue
		}
		routes[i].Handler = func(w http.ResponseWriter, req *http.Request) {
			id := auth.IdentityOf(req.Context())
			if m, ok := h.maskers.Load(tracker{id.Run, id.Step, id.Cell}); ok && req.Body != nil {
				raw, err := io.ReadAll(req.Body) // the door bounds it
				if err != nil {
					http.Error(w, "the body could not be read", http.StatusBadRequest)
					return
				}
				raw = m.(*secret.Masker).JSON(raw)
				req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
			}
			r.Handler(w, req)
		}
	}
	return routes
}

// maskOf hides the secrets of the calling step in JSON that a route makes of
// another format, such as OpenTelemetry's; nil when the step has none.
func (h *House) maskOf(ctx context.Context) func([]byte) []byte {
	id := auth.IdentityOf(ctx)
	if m, ok := h.maskers.Load(tracker{id.Run, id.Step, id.Cell}); ok {
		return func(raw []byte) []byte { return m.(*secret.Masker).JSON(raw) }
	}
	return nil
}
