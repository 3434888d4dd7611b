// SPDX-License-Identifier: Apache-2.0

package serve

import "context"

// Admin speaks to the admin socket of a running serve process.
type Admin struct{ Socket string }

// Stats asks what the process does. A process that is not there is an error of
// code EServer.
func (a Admin) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	return s, a.call(ctx, "GET", "/stats", nil, &s)
}

// Route tells one endpoint what to serve; the answer is the endpoint's state.
// The same routing again changes nothing; a lower generation is EConflict.
func (a Admin) Route(ctx context.Context, r Routing) (EndpointStats, error) {
	var s EndpointStats
	return s, a.call(ctx, "PUT", "/routing", r, &s)
}

// Flush returns when every line logged so far is on disk, synced.
func (a Admin) Flush(ctx context.Context) error { return a.call(ctx, "POST", "/flush", nil, nil) }

// Drain stops taking requests, finishes those under way, and ends the process.
func (a Admin) Drain(ctx context.Context) error { return a.call(ctx, "POST", "/drain", nil, nil) }
