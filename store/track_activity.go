// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro"
	"lastro/track"
)

// Activity implements track.Store.
func (s Track) Activity(ctx context.Context, experiments []string) (map[string]track.Activity, error) {
	out := map[string]track.Activity{}
	err := s.db.each(ctx, `SELECT e.id, COUNT(*), SUM(CASE WHEN r.ended_at = 0 THEN 1 ELSE 0 END), MAX(r.started_at)
		FROM `+runTables+` WHERE e.id IN (%s) AND r.state = 'active' GROUP BY e.id`, experiments, func(r *sql.Rows) error {
		var id string
		var a track.Activity
		var last int64
		err := r.Scan(&id, &a.Runs, &a.Running, &last)
		a.Last = lastro.FromMicros(last)
		out[id] = a
		return err
	})
	return out, err
}
