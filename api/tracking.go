// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"

	"lastro/auth"
	"lastro/track"
)

// trackingRoutes are what MLflow's protocol has no words for: removing for
// good what was deleted.
func (h *handler) trackingRoutes(v string) []auth.Route {
	purge := func(pattern string, bin func(id string) track.Bin) auth.Route {
		return auth.Route{Pattern: "POST " + v + pattern, Permission: auth.WriteTracking, Handler: h.answer(func(r *http.Request) (any, error) {
			return h.Track.Purge(r.Context(), trackCaller(r), bin(r.PathValue("id")))
		})}
	}
	return []auth.Route{
		purge("/tracked-runs/{id}/purge", func(id string) track.Bin { return track.Bin{Runs: []string{id}} }),
		purge("/logged-models/{id}/purge", func(id string) track.Bin { return track.Bin{LoggedModels: []string{id}} }),
		purge("/experiments/{id}/purge", func(id string) track.Bin { return track.Bin{Experiments: []string{id}} }),
	}
}

func trackCaller(r *http.Request) track.Caller {
	id := auth.IdentityOf(r.Context())
	return track.Caller{By: id.Actor, Origin: track.Origin{Run: id.Run, Step: id.Step, Cell: id.Cell}}
}
