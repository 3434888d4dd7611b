// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"database/sql"
	"strings"
	"testing"

	"lastro/store"
)

// TestQueuePlans: the statements that each step runs look at the rows that they
// change, and not at all cells of a wide matrix.
func TestQueuePlans(t *testing.T) {
	Each(t, func(t *testing.T, db *store.DB) {
		if db.Shared() {
			t.Skip("what PostgreSQL does depends on what is in the tables")
		}
		for query, index := range map[string]string{
			`SELECT cell FROM step_runs WHERE run = ? AND step = ? AND ready_at < 0 ORDER BY cell LIMIT ?`:                                                                     "USING INDEX step_runs_held",
			`SELECT run FROM step_runs WHERE state = 'pending' AND ready_at > 0 AND (ready_at <= ? OR ready_at > ?) ORDER BY run, position LIMIT ?`:                            "USING INDEX step_runs_ready",
			`SELECT run FROM step_runs WHERE state = 'succeeded' AND project = ? AND ended_at >= ? AND scope IN (?) AND cache_key IN (?, ?) ORDER BY ended_at`:                 "USING INDEX step_runs_hits",
			`SELECT run FROM step_runs WHERE project = ? AND step = ? AND cell_values = ? AND ended_at > 0 AND cache_key <> '' ORDER BY ended_at DESC LIMIT 1`:                 "USING INDEX step_runs_keyed",
			`SELECT run FROM step_runs WHERE run IN (SELECT number FROM runs WHERE state = 'running') AND owner = ? AND state = 'running' ORDER BY run, position LIMIT 100000`: "(run=?)",
		} {
			args := make([]any, strings.Count(query, "?"))
			for i := range args {
				args[i] = i
			}
			rows, err := db.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
			if err != nil {
				t.Fatal(err)
			}
			var plan []string
			for rows.Next() {
				var a, b, c sql.NullInt64
				var detail string
				if err := rows.Scan(&a, &b, &c, &detail); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, detail)
			}
			rows.Close()
			if text := strings.Join(plan, "; "); !strings.Contains(text, index) {
				t.Errorf("%s\n  %s\n  want %s", query, text, index)
			}
		}
	})
}
