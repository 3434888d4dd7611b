// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/trigger"
)

// Trigger keeps causes of runs and how far triggers have looked; it implements
// trigger.Store.
type Trigger struct{ db *DB }

// NewTrigger returns the store of the trigger room.
func NewTrigger(db *DB) Trigger { return Trigger{db} }

var _ trigger.Store = Trigger{}

// causeBody is what of a cause no query searches.
type causeBody struct {
	Ref    string         `json:"ref,omitempty"`
	Commit string         `json:"commit,omitempty"`
	Before string         `json:"before,omitempty"`
	Base   string         `json:"base,omitempty"`
	Trust  trigger.Trust  `json:"trust,omitempty"`
	Detail map[string]any `json:"detail,omitempty"`
}

const causeColumns = `project, key, id, kind, state, reason, run, tries, at, seen_at, actor, body`

// rowScanner is *sql.Row or *sql.Rows.
type rowScanner interface{ Scan(...any) error }

func scanCause(r rowScanner) (trigger.Cause, error) {
	var c trigger.Cause
	var at, seen int64
	var body string
	if err := r.Scan(&c.Project, &c.Key, &c.ID, &c.Kind, &c.State, &c.Reason, &c.Run, &c.Tries, &at, &seen, &c.Actor, &body); err != nil {
		return c, err
	}
	c.At, c.SeenAt = lastro.FromMicros(at), lastro.FromMicros(seen)
	var b causeBody
	err := json.Unmarshal([]byte(body), &b)
	c.Ref, c.Commit, c.Before, c.Base, c.Trust, c.Detail = b.Ref, b.Commit, b.Before, b.Base, b.Trust, b.Detail
	return c, err
}

// addCause inserts a cause; added is false when its key is there.
func addCause(ctx context.Context, tx *Tx, c trigger.Cause) (added bool, err error) {
	body, err := json.Marshal(causeBody{c.Ref, c.Commit, c.Before, c.Base, c.Trust, c.Detail})
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO causes (`+causeColumns+`) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?) ON CONFLICT (project, key) DO NOTHING`,
		c.Project, c.Key, trigger.CauseID(c.Project, c.Key), string(c.Kind), string(c.State), c.Reason, lastro.Micros(c.At), lastro.Micros(c.SeenAt), string(c.Actor), string(body))
	if err != nil || n == 0 {
		return false, err
	}
	ev := lastro.NewEvent(c.SeenAt, c.Actor, "cause.recorded", trigger.CauseRef(trigger.CauseID(c.Project, c.Key)),
		map[string]string{"kind": string(c.Kind), "key": c.Key, "state": string(c.State)})
	return true, tx.append(ctx, &ev)
}

// Add records a cause once.
func (s Trigger) Add(ctx context.Context, c trigger.Cause) (kept trigger.Cause, added bool, err error) {
	err = s.db.Write(ctx, func(tx *Tx) error {
		if added, err = addCause(ctx, tx, c); err != nil {
			return err
		}
		kept, err = scanCause(tx.QueryRow(ctx, `SELECT `+causeColumns+` FROM causes WHERE project = ? AND key = ?`, c.Project, c.Key))
		return err
	})
	return kept, added, err
}

// Cause returns one cause by its ID.
func (s Trigger) Cause(ctx context.Context, project, id string) (trigger.Cause, error) {
	c, err := scanCause(s.db.QueryRow(ctx, `SELECT `+causeColumns+` FROM causes WHERE id = ? AND project = ?`, id, project))
	return c, notFound(err, "there is no cause %q", id)
}

// CauseOf returns one cause by its key.
func (s Trigger) CauseOf(ctx context.Context, project, key string) (trigger.Cause, error) {
	c, err := scanCause(s.db.QueryRow(ctx, `SELECT `+causeColumns+` FROM causes WHERE project = ? AND key = ?`, project, key))
	return c, notFound(err, "there is no cause %q", key)
}

// Causes lists causes, newest first.
func (s Trigger) Causes(ctx context.Context, f trigger.Filter) ([]trigger.Cause, error) {
	rows, err := s.db.Query(ctx, `SELECT `+causeColumns+` FROM causes
		WHERE project = ? AND (? = '' OR state = ?) AND (? = '' OR kind = ?)
		ORDER BY seen_at DESC, at DESC, id LIMIT ?`,
		f.Project, string(f.State), string(f.State), string(f.Kind), string(f.Kind), orDefault(f.Limit, 50))
	return collect(rows, err, func(r *sql.Rows) (trigger.Cause, error) { return scanCause(r) })
}

// Move changes the state of a cause that has no run.
func (s Trigger) Move(ctx context.Context, c trigger.Cause, from trigger.State, events ...lastro.Event) (bool, error) {
	err := s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE causes SET state = ?, reason = ?, tries = ? WHERE project = ? AND key = ? AND state = ? AND run = 0`,
			string(c.State), c.Reason, c.Tries, c.Project, c.Key, string(from))
		if err == nil && n == 0 {
			err = errMoved
		}
		return err
	}, events...)
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return err == nil, err
}

// errMoved undoes a transaction whose premise has changed.
var errMoved = errors.New("changed meanwhile")

// Mark returns how far was looked.
func (s Trigger) Mark(ctx context.Context, project, name string) (string, error) {
	var v string
	err := s.db.QueryRow(ctx, `SELECT value FROM trigger_marks WHERE project = ? AND name = ?`, project, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// Advance sets a mark and adds causes, or does neither.
func (s Trigger) Advance(ctx context.Context, project, name, from, to string, causes []trigger.Cause) (bool, error) {
	err := s.db.Write(ctx, func(tx *Tx) error {
		n, err := advance(ctx, tx, project, name, from, to)
		if err != nil {
			return err
		}
		if n == 0 {
			return errMoved
		}
		for _, c := range causes {
			added, err := addCause(ctx, tx, c)
			if err != nil {
				return err
			}
			if added || c.State != trigger.Pending {
				continue
			}
			// A tick that was passed over because the clock ran ahead has come after all.
			if _, err := tx.Exec(ctx, `UPDATE causes SET state = ?, reason = '' WHERE project = ? AND key = ? AND state = ? AND run = 0`,
				string(trigger.Pending), c.Project, c.Key, string(trigger.Missed)); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return err == nil, err
}

func advance(ctx context.Context, tx *Tx, project, name, from, to string) (int64, error) {
	if from == "" {
		return tx.Exec(ctx, `INSERT INTO trigger_marks (project, name, value) VALUES (?, ?, ?) ON CONFLICT (project, name) DO NOTHING`, project, name, to)
	}
	return tx.Exec(ctx, `UPDATE trigger_marks SET value = ? WHERE project = ? AND name = ? AND value = ?`, to, project, name, from)
}

// Delivered looks for a delivery by its ID and its body.
func (s Trigger) Delivered(ctx context.Context, d trigger.Delivery) (bool, error) {
	var n int64
	err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM webhook_deliveries WHERE provider = ? AND (id = ? OR digest = ?)`, d.Provider, d.ID, string(d.Digest)).Scan(&n)
	return n > 0, err
}

// Deliver records a webhook's delivery once.
func (s Trigger) Deliver(ctx context.Context, d trigger.Delivery) (again bool, err error) {
	err = s.db.Write(ctx, func(tx *Tx) error {
		// After so long a replay still finds the keys of its causes.
		if _, err := tx.Exec(ctx, `DELETE FROM webhook_deliveries WHERE at < ?`, lastro.Micros(d.At.Add(-keepDeliveries))); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO webhook_deliveries (provider, id, digest, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			d.Provider, d.ID, string(d.Digest), lastro.Micros(d.At))
		again = n == 0
		return err
	})
	return again, err
}

const keepDeliveries = 90 * 24 * time.Hour

// startCause ties a run that is being made to the cause that its event names.
// It is called in the transaction that makes the run, so that no cause ever has
// two: the second one is refused with EConflict, L0230, and leaves nothing. A
// person who has a run done again (event.again) gets one more run of its cause.
func startCause(ctx context.Context, tx *Tx, r pipeline.Run) error {
	key, _ := r.Event["cause"].(string)
	if _, copied := r.Event["reproduces"]; key == "" || copied { // a reproduction says what the first run was started by
		return nil
	}
	if again, _ := r.Event["again"].(bool); again {
		_, err := tx.Exec(ctx, `UPDATE causes SET run = ? WHERE project = ? AND key = ? AND run <> 0`, r.Number, r.Project, key)
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE causes SET run = ?, state = ?, reason = '' WHERE project = ? AND key = ? AND run = 0 AND state = ?`,
		r.Number, string(trigger.Started), r.Project, key, string(trigger.Pending))
	if err != nil || n == 1 {
		return err
	}
	var run int64
	var state string
	err = tx.QueryRow(ctx, `SELECT run, state FROM causes WHERE project = ? AND key = ?`, r.Project, key).Scan(&run, &state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return lastro.Errorf(lastro.EErrored, "the cause %q of a run was not recorded", key)
	case err != nil:
		return err
	case run == 0:
		return &lastro.Error{Code: lastro.EConflict, ID: "L0230", Msg: fmt.Sprintf("the cause %q starts no run: it is %s", key, state)}
	}
	return &lastro.Error{Code: lastro.EConflict, ID: "L0230", Msg: fmt.Sprintf("this has started run #%d already", run)}
}
