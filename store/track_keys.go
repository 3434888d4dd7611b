// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"sync"
)

// keyCache remembers numbers of names (tracked_keys). A number, once committed,
// never changes and is never removed, so it may be remembered by any process.
type keyCache struct {
	mu      sync.RWMutex
	numbers map[string]int64
	names   map[int64]string
}

// keysKept bounds the memory for names: 100,000 of 250 characters are 30 MB.
const keysKept = 100_000

func (c *keyCache) get(names []string) (found map[string]int64, missing []string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found = make(map[string]int64, len(names))
	for _, name := range names {
		if n, ok := c.numbers[name]; ok {
			found[name] = n
		} else if !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return found, missing
}

func (c *keyCache) put(numbers map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers == nil || len(c.numbers)+len(numbers) > keysKept {
		c.numbers, c.names = make(map[string]int64, len(numbers)), make(map[int64]string, len(numbers))
	}
	for name, n := range numbers {
		c.numbers[name], c.names[n] = n, name
	}
}

// keyNumbers returns the number of each name, and gives new names one in a
// transaction of their own, so that a number that is known is there for good.
func (s Track) keyNumbers(ctx context.Context, names []string) (map[string]int64, error) {
	found, missing := s.db.keys.get(names)
	if len(missing) == 0 {
		return found, nil
	}
	slices.Sort(missing) // two writers lock new names in the same order
	made := map[string]int64{}
	err := s.db.WriteSoon(ctx, func(tx *Tx) error {
		for _, name := range missing {
			var n int64
			if _, err := tx.Exec(ctx, `INSERT INTO tracked_keys (key) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM tracked_keys WHERE key = ?) ON CONFLICT DO NOTHING`, name, name); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT number FROM tracked_keys WHERE key = ?`, name).Scan(&n); err != nil {
				return err
			}
			made[name] = n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.db.keys.put(made)
	for name, n := range made {
		found[name] = n
	}
	return found, nil
}
