// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"sort"

	"lastro"
	"lastro/track"
)

// pair is one row of a key and value table that hangs on an owner.
type pair struct{ key, value string }

type pairs []pair

func pairsOf(m map[string]string) pairs {
	out := make(pairs, 0, len(m))
	for k, v := range m {
		out = append(out, pair{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}

func (p pairs) asMap() map[string]string {
	m := make(map[string]string, len(p))
	for _, kv := range p {
		m[kv.key] = kv.value
	}
	return m
}

func (p pairs) asParams() []track.Param {
	out := make([]track.Param, len(p))
	for i, kv := range p {
		out[i] = track.Param{Key: kv.key, Value: kv.value}
	}
	return out
}

func (p pairs) keys() []string {
	out := make([]string, len(p))
	for i, kv := range p {
		out[i] = kv.key
	}
	return out
}

// putPairs writes or overwrites pairs of one owner.
func putPairs(ctx context.Context, tx *Tx, table, column, owner string, list pairs) error {
	for _, kv := range list {
		if _, err := tx.Exec(ctx, `INSERT INTO `+table+` (`+column+`, key, value) VALUES (?, ?, ?)
			ON CONFLICT (`+column+`, key) DO UPDATE SET value = excluded.value`, owner, kv.key, kv.value); err != nil {
			return err
		}
	}
	return nil
}

// deletePair removes one pair; lastro.ENotFound when there is none.
func (s Track) deletePair(ctx context.Context, table, column, owner, key string) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE `+column+` = ? AND key = ?`, owner, key)
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "%s has no tag %q", owner, key)
		}
		return err
	})
}

// pairs reads the pairs of several owners, each sorted by key.
func (db *DB) pairs(ctx context.Context, table, column string, owners []string) (map[string]pairs, error) {
	out := map[string]pairs{}
	err := db.each(ctx, `SELECT `+column+`, key, value FROM `+table+` WHERE `+column+` IN (%s) ORDER BY `+column+`, key`, owners, func(r *sql.Rows) error {
		var owner string
		var kv pair
		err := r.Scan(&owner, &kv.key, &kv.value)
		out[owner] = append(out[owner], kv)
		return err
	})
	return out, err
}

// each runs a query for ids in portions, because a statement takes a limited
// number of arguments, and calls scan for every row.
func (db *DB) each(ctx context.Context, query string, ids []string, scan func(*sql.Rows) error) error {
	return db.eachOf(ctx, query, anys(ids), scan)
}

// eachOf is each for ids of any type.
func (db *DB) eachOf(ctx context.Context, query string, ids []any, scan func(*sql.Rows) error) error {
	for len(ids) > 0 {
		n := min(len(ids), 500)
		rows, err := db.Query(ctx, fmt.Sprintf(query, marks(n)), ids[:n]...)
		if _, err := collect(rows, err, func(r *sql.Rows) (struct{}, error) { return struct{}{}, scan(r) }); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}
