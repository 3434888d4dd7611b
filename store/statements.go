// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"
)

// session is a connection or a pool.
type session interface {
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// runner runs statements of the one SQL text in a session.
type runner struct {
	dialect dialect
	on      session
	kept    *statements // nil where the driver keeps them
}

// prepared returns the text prepared, or nil when it is not to be kept.
func (r runner) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if r.kept == nil {
		return nil, nil
	}
	return r.kept.get(ctx, query)
}

func (r runner) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	stmt, err := r.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return r.on.ExecContext(ctx, r.dialect.text(query), r.dialect.args(args)...)
}

func (r runner) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	stmt, err := r.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return r.on.QueryContext(ctx, r.dialect.text(query), r.dialect.args(args)...)
}

// row reports an error of preparing when the row is scanned.
func (r runner) row(ctx context.Context, query string, args []any) *sql.Row {
	if stmt, err := r.prepared(ctx, query); err == nil && stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return r.on.QueryRowContext(ctx, r.dialect.text(query), r.dialect.args(args)...)
}

// statements keeps the statements of a connection or a pool prepared: to
// prepare one takes SQLite several times as long as to run it.
type statements struct {
	from session
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// statementsKept bounds the statements that are kept prepared. The texts of
// this package are fewer; those of searches vary, and the last of them are
// prepared each time.
const statementsKept = 500

func newStatements(from session) *statements {
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
	stmt, err := s.from.PrepareContext(ctx, sqliteDialect.text(query))
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
