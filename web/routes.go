// SPDX-License-Identifier: Apache-2.0

package web

import "lastro/auth"

// pages is the table of pages with their permissions.
func (p *Pages) pages() []auth.Route {
	return []auth.Route{
		{Pattern: "GET /runs", Permission: auth.ReadRuns, Handler: p.handle(p.runs)},
		{Pattern: "GET /runs/{run}", Permission: auth.ReadRuns, Handler: p.handle(p.run)},
		{Pattern: "GET /models", Permission: auth.ReadRegistry, Handler: p.handle(p.models)},
		{Pattern: "GET /models/{model}/{version}", Permission: auth.ReadRegistry, Handler: p.handle(p.version)},
		{Pattern: "GET /live", Permission: auth.ReadLive, Handler: p.handle(p.live)},
		{Pattern: "GET /live/{env}", Permission: auth.ReadLive, Handler: p.handle(p.environment)},
	}
}
