// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro/track"
)

// RunsBy implements track.Store.
func (s Track) RunsBy(ctx context.Context, o track.Origin) ([]track.Run, error) {
	if o.Run == "" {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE r.origin_run = ? AND r.origin_run <> '' AND r.origin_step = ? AND r.origin_cell = ?
		AND r.state = 'active' ORDER BY r.started_at, r.id LIMIT 10000`, o.Run, o.Step, o.Cell)
	list, err := collect(rows, err, func(r *sql.Rows) (storedRun, error) { return scanRun(r) })
	if err != nil {
		return nil, err
	}
	err = s.fillRuns(ctx, list)
	return plainRuns(list), err
}
