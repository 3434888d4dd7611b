// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"
)

// preparer is a connection or a pool.
type preparer interface {
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

// statements keeps the statements of a connection or a pool prepared: to
// prepare one takes SQLite several times as long as to run it.
type statements struct {
	from preparer
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// statementsKept bounds the statements that are kept prepared. The texts of
// this package are fewer; those of searches vary, and the last of them are
// prepared each time.
const statementsKept = 500

func newStatements(from preparer) *statements {
	return &statements{from: from, kept: map[string]*sql.Stmt{}}
}

// get returns a text prepared, or nil when it is not to be kept.
func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.RLock()
	stmt, full := s.kept[query], len(s.kept) >= statementsKept
	s.mu.RUnlock()
	if stmt != nil || full {
		return stmt, nil
	}
	stmt, err := s.from.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.kept[query]; other != nil { // another goroutine was first
		_ = stmt.Close()
		return other, nil
	}
	s.kept[query] = stmt
	return stmt, nil
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for query, stmt := range s.kept {
		_ = stmt.Close()
		delete(s.kept, query)
	}
}
