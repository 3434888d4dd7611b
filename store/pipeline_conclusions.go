// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"lastro/pipeline"
)

// Conclusion is how far the registering and deciding is that follows from a run.
type Conclusion struct {
	Run   int64
	Owner string // the process that does it
	Beat  int64  // counts up while that process lives
	Done  bool
}

// Conclude gives the conclusion of a run to owner when nobody has it, and
// returns whose it is.
func (p *Pipeline) Conclude(ctx context.Context, run int64, owner string) (Conclusion, error) {
	c := Conclusion{Run: run}
	err := p.db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO run_conclusions (run, owner) VALUES (?, ?) ON CONFLICT (run) DO NOTHING`, run, owner); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT owner, beat, done FROM run_conclusions WHERE run = ?`, run).Scan(&c.Owner, &c.Beat, &c.Done)
	})
	return c, err
}

// TakeConclusion gives an unfinished conclusion to another owner when it stands
// as it was seen; false when it moved on.
func (p *Pipeline) TakeConclusion(ctx context.Context, seen Conclusion, owner string) (bool, error) {
	return p.changeConclusion(ctx, `UPDATE run_conclusions SET owner = ?, beat = beat + 1 WHERE run = ? AND owner = ? AND beat = ? AND done = 0`,
		owner, seen.Run, seen.Owner, seen.Beat)
}

// BeatConclusion says that the owner still works at it; false when it is another's.
func (p *Pipeline) BeatConclusion(ctx context.Context, run int64, owner string) (bool, error) {
	return p.changeConclusion(ctx, `UPDATE run_conclusions SET beat = beat + 1 WHERE run = ? AND owner = ? AND done = 0`, run, owner)
}

// Concluded notes that all was done.
func (p *Pipeline) Concluded(ctx context.Context, run int64, owner string) (bool, error) {
	return p.changeConclusion(ctx, `UPDATE run_conclusions SET done = 1 WHERE run = ? AND owner = ?`, run, owner)
}

func (p *Pipeline) changeConclusion(ctx context.Context, query string, args ...any) (bool, error) {
	var n int64
	err := p.db.Write(ctx, func(tx *Tx) (err error) {
		n, err = tx.Exec(ctx, query, args...)
		return err
	})
	return n == 1, err
}

// Unconcluded returns the newest succeeded runs of a project whose conclusion
// is not done, oldest first.
func (p *Pipeline) Unconcluded(ctx context.Context, project string, limit int) ([]pipeline.Run, error) {
	rows, err := p.db.Query(ctx, pipelineRunColumns+`LEFT JOIN run_conclusions ON run_conclusions.run = runs.number
		WHERE project = ? AND state = 'succeeded' AND (done IS NULL OR done = 0) ORDER BY number DESC LIMIT ?`, project, limit)
	out, err := collect(rows, err, func(r *sql.Rows) (pipeline.Run, error) { return scanPipelineRun(r.Scan) })
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}
