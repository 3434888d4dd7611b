// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro"
	"lastro/track"
)

// Activity implements track.Store. Each part is read from an index alone: an
// experiment may hold a million runs.
func (s Track) Activity(ctx context.Context, experiments []string) (map[string]track.Activity, error) {
	out := map[string]track.Activity{}
	err := s.db.each(ctx, `SELECT e.id,
		(SELECT COUNT(*) FROM tracked_runs r WHERE r.experiment = e.number) -
		(SELECT COUNT(*) FROM tracked_runs r WHERE r.experiment = e.number AND r.state <> 'active'),
		(SELECT COUNT(*) FROM tracked_runs r WHERE r.experiment = e.number AND r.state = 'active' AND r.ended_at = 0),
		COALESCE((SELECT r.started_at FROM tracked_runs r WHERE r.experiment = e.number AND r.state = 'active' ORDER BY r.started_at DESC LIMIT 1), 0)
		FROM experiments e WHERE e.id IN (%s)`, experiments, func(r *sql.Rows) error {
		var id string
		var a track.Activity
		var last int64
		err := r.Scan(&id, &a.Runs, &a.Running, &last)
		if a.Runs > 0 {
			a.Last = lastro.FromMicros(last)
			out[id] = a
		}
		return err
	})
	return out, err
}
