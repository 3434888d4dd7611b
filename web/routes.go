// SPDX-License-Identifier: Apache-2.0

package web

import "lastro/auth"

// pages is the table of pages with their permissions.
func (p *Pages) pages() []auth.Route {
	routes := []auth.Route{
		{Pattern: "GET /runs", Permission: auth.ReadRuns, Handler: p.handle(p.runs)},
		{Pattern: "GET /runs/{run}", Permission: auth.ReadRuns, Handler: p.handle(p.run)},
		{Pattern: "GET /runs/{run}/log", Permission: auth.ReadRuns, Handler: p.wholeLog},
		{Pattern: "GET /runs/{run}/plots/{digest}", Permission: auth.ReadRuns, Handler: p.plotFile},
		{Pattern: "GET /runs/{run}/files/{digest}", Permission: auth.ReadData, Handler: p.download},
		{Pattern: "GET /experiments", Permission: auth.ReadTracking, Handler: p.handle(p.experiments)},
		{Pattern: "GET /experiments/{experiment}", Permission: auth.ReadTracking, Handler: p.handle(p.experiment)},
		{Pattern: "GET /experiments/{experiment}/runs/{run}", Permission: auth.ReadTracking, Handler: p.handle(p.trackedRun)},
		{Pattern: "GET /experiments/{experiment}/runs/{run}/files/{path...}", Permission: auth.ReadTracking, Handler: p.trackedFile},
		{Pattern: "GET /compare", Permission: auth.ReadTracking, Handler: p.handle(p.compare)},
		{Pattern: "GET /compare.csv", Permission: auth.ReadTracking, Handler: p.compareCSV},
		{Pattern: "GET /compare/curve", Permission: auth.ReadTracking, Handler: p.curveData},
		{Pattern: "GET /compare/curve.csv", Permission: auth.ReadTracking, Handler: p.curveCSV},
		{Pattern: "GET /models", Permission: auth.ReadRegistry, Handler: p.handle(p.models)},
		{Pattern: "GET /models/{model}/{version}", Permission: auth.ReadRegistry, Handler: p.handle(p.version)},
		{Pattern: "GET /live", Permission: auth.ReadLive, Handler: p.handle(p.live)},
		{Pattern: "GET /live/{env}", Permission: auth.ReadLive, Handler: p.handle(p.environment)},
	}
	if p.ExportRuns != nil {
		routes = append(routes, auth.Route{Pattern: "GET /experiments/{experiment}/runs.csv", Permission: auth.ReadTracking, Handler: p.exportRuns})
	}
	if p.Cancel != nil {
		routes = append(routes, auth.Route{Pattern: "POST /runs/{run}/cancel", Permission: auth.WriteRuns, Handler: p.cancelRun})
	}
	if p.Retry != nil {
		routes = append(routes, auth.Route{Pattern: "POST /runs/{run}/retry", Permission: auth.WriteRuns, Handler: p.retryRun})
	}
	return routes
}
