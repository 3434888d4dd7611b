// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
)

// Join adds an engine to those that work on the queue. Those of the same place
// are dead, or the caller would not hold it: their running attempts are the
// new engine's, and returned.
func (q *Queue) Join(ctx context.Context, e EngineRow) (rows []StepRun, err error) {
	e.StartedAt = q.clock.Now()
	err = q.store.Change(ctx, func(tx Tx) error {
		if err := tx.Join(ctx, e); err != nil {
			return err
		}
		rows, err = tx.Inherit(ctx, e.Place, e.ID)
		return err
	})
	return rows, err
}

// Beat says that an engine lives; ErrFenced when it was taken for dead.
func (q *Queue) Beat(ctx context.Context, engine string) error {
	return q.store.Change(ctx, func(tx Tx) error {
		alive, err := tx.Beat(ctx, engine)
		if err == nil && !alive {
			return ErrFenced
		}
		return err
	})
}

// Bury declares an engine dead whose beat has not changed for too long: what
// it was doing is lost, and tried again. found is false when it has moved since.
func (q *Queue) Bury(ctx context.Context, engine string, beat int64) (out Changed, found bool, err error) {
	err = q.store.Change(ctx, func(tx Tx) error {
		out = Changed{}
		// From here on it claims nothing more, so what it owns is all.
		if found, err = tx.Leave(ctx, engine, beat); err != nil || !found {
			return err
		}
		rows, err := tx.Owned(ctx, engine)
		if err != nil {
			return err
		}
		for _, s := range rows {
			if err := q.complete(ctx, tx, engine, s.lost("its engine was gone", q.clock.Now()), &out); err != nil && err != ErrFenced {
				return err
			}
		}
		return nil
	})
	return out, found, err
}
