// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lastro"
	"lastro/blob"
)

// Blobs keeps small contents (SEMANTICS 6).
type Blobs struct {
	db    *DB
	known *recent
}

var _ blob.Small = (*Blobs)(nil)

// NewBlobs makes the store of small contents.
func NewBlobs(db *DB) *Blobs { return &Blobs{db: db, known: &recent{}} }

// PutSmall implements blob.Small. What refers to the contents commits later, so
// whatever survives power loss finds them.
func (s *Blobs) PutSmall(ctx context.Context, contents []blob.Content) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		at := now()
		for _, c := range contents { // a copy of no bytes is empty, not NULL
			if _, err := tx.Exec(ctx, `INSERT INTO small_blobs (digest, bytes, used_at) VALUES (?, ?, ?)
				ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at WHERE small_blobs.used_at < ?`,
				string(c.Digest), append([]byte{}, c.Bytes...), at, at-blob.Fresh.Microseconds()); err != nil {
				return err
			}
		}
		return nil
	})
}

// GetSmall implements blob.Small.
func (s *Blobs) GetSmall(ctx context.Context, d lastro.Digest) ([]byte, error) {
	if b, ok := s.known.get(d); ok {
		return b, nil
	}
	var b []byte
	err := s.db.QueryRow(ctx, `SELECT bytes FROM small_blobs WHERE digest = ?`, string(d)).Scan(&b)
	if err == nil {
		s.known.put(d, b)
	}
	return b, notFound(storageError(err), "there is no small content %s", d)
}

// UseSmall implements blob.Small. A database that is open for reading only
// marks nothing.
func (s *Blobs) UseSmall(ctx context.Context, d lastro.Digest) (bool, error) {
	var used int64
	err := s.db.QueryRow(ctx, `SELECT used_at FROM small_blobs WHERE digest = ?`, string(d)).Scan(&used)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil || used > now()-blob.Fresh.Microseconds() || s.db.writer == nil {
		return err == nil, storageError(err)
	}
	var n int64
	err = s.db.WriteSoon(ctx, func(tx *Tx) error {
		n, err = tx.Exec(ctx, `UPDATE small_blobs SET used_at = ? WHERE digest = ?`, now(), string(d))
		return err
	})
	return n == 1, err
}

// smallPage is how many rows are read at a time, so that no reader holds the
// database for long.
const smallPage = 1000

// EachSmall implements blob.Small.
func (s *Blobs) EachSmall(ctx context.Context, fn func(blob.Object) error) error {
	for after := ""; ; {
		rows, err := s.db.Query(ctx, `SELECT digest, length(bytes), used_at FROM small_blobs WHERE digest > ? ORDER BY digest LIMIT ?`, after, smallPage)
		page, err := collect(rows, err, func(r *sql.Rows) (blob.Object, error) {
			var o blob.Object
			var used int64
			err := r.Scan(&o.Digest, &o.Size, &used)
			o.Used = lastro.FromMicros(used)
			return o, err
		})
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := fn(o); err != nil {
				return err
			}
		}
		if len(page) < smallPage {
			return nil
		}
		after = string(page[len(page)-1].Digest)
	}
}

// RemoveSmall implements blob.Small.
func (s *Blobs) RemoveSmall(ctx context.Context, d lastro.Digest, before time.Time) (bool, error) {
	var n int64
	s.known.drop(d)
	err := s.db.Write(ctx, func(tx *Tx) error {
		var err error
		n, err = tx.Exec(ctx, `DELETE FROM small_blobs WHERE digest = ? AND used_at < ?`, string(d), lastro.Micros(before))
		return err
	})
	return n == 1, err
}
