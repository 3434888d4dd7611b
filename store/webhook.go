// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lastro"
	"lastro/webhook"
)

// Webhooks keeps webhooks and the messages that were not delivered yet.
type Webhooks struct{ db *DB }

var _ webhook.Store = Webhooks{}

// NewWebhooks returns the store of webhooks in db.
func NewWebhooks(db *DB) Webhooks { return Webhooks{db} }

const webhookColumns = `id, name, description, url, events, status, secret, after, created_at, updated_at, actor`

func scanWebhook(r interface{ Scan(...any) error }) (webhook.Hearing, error) {
	var w webhook.Hearing
	var created, updated int64
	var events, secret string
	err := r.Scan(&w.ID, &w.Name, &w.Description, &w.URL, &events, &w.Status, &secret, &w.After, &created, &updated, &w.By)
	if err != nil {
		return w, err
	}
	w.CreatedAt, w.UpdatedAt = lastro.FromMicros(created), lastro.FromMicros(updated)
	if w.Secret, err = base64.StdEncoding.DecodeString(secret); err != nil {
		return w, fmt.Errorf("read the secret of %s: %w", w.Ref(), err)
	}
	return w, json.Unmarshal([]byte(events), &w.Events)
}

// CreateWebhook implements webhook.Store.
func (s Webhooks) CreateWebhook(ctx context.Context, w webhook.Webhook, events ...lastro.Event) error {
	names, err := json.Marshal(w.Events)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		after, err := lastEvent(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO webhooks (`+webhookColumns+`) VALUES (`+marks(11)+`)`, w.ID, w.Name, w.Description, w.URL, string(names),
			string(w.Status), base64.StdEncoding.EncodeToString(w.Secret), after, lastro.Micros(w.CreatedAt), lastro.Micros(w.UpdatedAt), string(w.By))
		return err
	}, events...)
}

// lastEvent is the number of the newest event. It holds the lock of events, so
// that none with a lower number is committed later.
func lastEvent(ctx context.Context, tx *Tx) (last int64, err error) {
	if err := tx.Lock(ctx, "events"); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM events`).Scan(&last)
	return last, err
}

func noWebhook(id string) error {
	return &lastro.Error{Code: lastro.ENotFound, ID: "L0730", Msg: fmt.Sprintf("there is no webhook %.100q", id), Hint: "it may have been deleted: list them"}
}

// Webhook implements webhook.Store.
func (s Webhooks) Webhook(ctx context.Context, id string) (webhook.Webhook, error) {
	w, err := scanWebhook(s.db.QueryRow(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = noWebhook(id)
	}
	return w.Webhook, err
}

// Webhooks implements webhook.Store.
func (s Webhooks) Webhooks(ctx context.Context, before *webhook.Webhook, limit int) ([]webhook.Webhook, error) {
	where, args := "", []any{}
	if before != nil {
		at := lastro.Micros(before.CreatedAt)
		where, args = ` WHERE created_at < ? OR created_at = ? AND id < ?`, []any{at, at, before.ID}
	}
	rows, err := s.db.Query(ctx, `SELECT `+webhookColumns+` FROM webhooks`+where+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, limit)...)
	return collect(rows, err, func(r *sql.Rows) (webhook.Webhook, error) {
		w, err := scanWebhook(r)
		return w.Webhook, err
	})
}

// UpdateWebhook implements webhook.Store.
func (s Webhooks) UpdateWebhook(ctx context.Context, w webhook.Webhook, events ...lastro.Event) error {
	names, err := json.Marshal(w.Events)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		last, err := lastEvent(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE webhooks SET name = ?, description = ?, url = ?, events = ?, secret = ?, updated_at = ?,
			after = CASE WHEN status <> 'ACTIVE' THEN ? ELSE after END, status = ? WHERE id = ?`,
			w.Name, w.Description, w.URL, string(names), base64.StdEncoding.EncodeToString(w.Secret), lastro.Micros(w.UpdatedAt), last, string(w.Status), w.ID)
		if err == nil && n == 0 {
			return noWebhook(w.ID)
		}
		return err
	}, events...)
}

// DeleteWebhook implements webhook.Store.
func (s Webhooks) DeleteWebhook(ctx context.Context, id string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE id = ?`, id)
		if err == nil && n == 0 {
			return noWebhook(id)
		}
		return err
	}, events...)
}

// Hearings implements webhook.Store.
func (s Webhooks) Hearings(ctx context.Context) ([]webhook.Hearing, error) {
	rows, err := s.db.Query(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE status = 'ACTIVE' ORDER BY id LIMIT 10000`)
	return collect(rows, err, func(r *sql.Rows) (webhook.Hearing, error) { return scanWebhook(r) })
}

// Cursor implements webhook.Store.
func (s Webhooks) Cursor(ctx context.Context) (seq int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT seq FROM webhook_cursor WHERE id = 1`).Scan(&seq)
	return seq, err
}

// EventsAfter implements webhook.Store.
func (s Webhooks) EventsAfter(ctx context.Context, after int64, limit int) ([]lastro.Event, error) {
	return s.db.Events(ctx, EventFilter{After: after, Limit: limit})
}

// Enqueue implements webhook.Store.
func (s Webhooks) Enqueue(ctx context.Context, from, to int64, messages []webhook.Message) (moved bool, err error) {
	err = s.db.WriteSoon(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE webhook_cursor SET seq = ? WHERE id = 1 AND seq = ?`, to, from)
		if moved = n > 0; err != nil || !moved {
			return err
		}
		for _, m := range messages {
			// One whose webhook was deleted meanwhile is not kept.
			if _, err := tx.Exec(ctx, `INSERT INTO webhook_messages (id, webhook, event, body, attempts, next, at)
				SELECT ?, id, ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT) FROM webhooks WHERE id = ?`,
				m.ID, string(m.Event), m.Body, m.Attempts, lastro.Micros(m.Next), lastro.Micros(m.At), m.Webhook); err != nil {
				return err
			}
		}
		return nil
	})
	return moved, err
}

const messageColumns = `id, webhook, event, body, attempts, next, at`

func scanMessage(r *sql.Rows) (webhook.Message, error) {
	var m webhook.Message
	var next, at int64
	err := r.Scan(&m.ID, &m.Webhook, &m.Event, &m.Body, &m.Attempts, &next, &at)
	m.Next, m.At = lastro.FromMicros(next), lastro.FromMicros(at)
	return m, err
}

// Due implements webhook.Store.
func (s Webhooks) Due(ctx context.Context, now time.Time, limit int) ([]webhook.Message, time.Time, error) {
	rows, err := s.db.Query(ctx, `SELECT `+messageColumns+` FROM webhook_messages ORDER BY next, id LIMIT ?`, limit)
	list, err := collect(rows, err, scanMessage)
	for i, m := range list {
		if m.Next.After(now) {
			return list[:i], m.Next, err
		}
	}
	return list, time.Time{}, err
}

// Claim implements webhook.Store.
func (s Webhooks) Claim(ctx context.Context, m webhook.Message, until time.Time) (mine bool, err error) {
	err = s.db.WriteSoon(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `UPDATE webhook_messages SET next = ? WHERE id = ? AND next = ?`, lastro.Micros(until), m.ID, lastro.Micros(m.Next))
		mine = n > 0
		return err
	})
	return mine, err
}

// Delivered implements webhook.Store.
func (s Webhooks) Delivered(ctx context.Context, id string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM webhook_messages WHERE id = ?`, id)
		return err
	})
}

// Retry implements webhook.Store.
func (s Webhooks) Retry(ctx context.Context, id string, next time.Time) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `UPDATE webhook_messages SET next = ?, attempts = attempts + 1 WHERE id = ?`, lastro.Micros(next), id)
		return err
	})
}
