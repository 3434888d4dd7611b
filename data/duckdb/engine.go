// SPDX-License-Identifier: Apache-2.0

// Package duckdb computes on data files with DuckDB. Engine runs in process
// and belongs in the data worker only (SEMANTICS 3); Serve is the worker's
// loop; Client is what every other process uses: it starts the worker when
// there is something to do and ends it when there is not.
//
// What the numbers mean is decided in package data; this package turns its
// requests into SQL.
package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"lastro"
	"lastro/data"
)

// Options bound what the engine may use.
type Options struct {
	MemoryMB int    // 0 = 512; DuckDB spills to disk beyond it
	Threads  int    // 0 = 2
	TempDir  string // where spilled data and links go; "" = the system's
}

// Engine implements data.Engine in this process. It is safe for concurrent
// use; each request has a database of its own, in memory, that can reach the
// files of that request and nothing else.
type Engine struct {
	memoryMB, threads int
	tempDir           string
	turn              chan struct{}
}

var _ data.Engine = (*Engine)(nil)

// New makes an engine.
func New(o Options) *Engine {
	e := &Engine{memoryMB: o.MemoryMB, threads: o.Threads, tempDir: o.TempDir, turn: make(chan struct{}, 1)}
	if e.memoryMB == 0 {
		e.memoryMB = 512
	}
	if e.threads == 0 {
		e.threads = 2
	}
	return e
}

// session is one request's locked-down database.
type session struct {
	ctx   context.Context
	db    *sql.DB
	conn  *sql.Conn
	dir   string // private, removed at the end
	names int    // tables made so far
	sets  map[string]fileSet

	verbatim bool // CSV is being loaded as text
}

// open starts a session that may read the files of the tables and write the
// files named in writes. Requests take turns: the memory limit is one
// database's, and the machine's memory is shared.
func (e *Engine) open(ctx context.Context, tables []data.Table, writes ...string) (*session, error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s, err := e.start(ctx, tables, writes)
	if err != nil {
		<-e.turn
		return nil, err
	}
	return s, nil
}

// close ends the session and lets the next request have its turn.
func (e *Engine) close(s *session) {
	s.end()
	<-e.turn
}

func (s *session) end() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.db != nil {
		s.db.Close()
	}
	os.RemoveAll(s.dir)
}

func (e *Engine) start(ctx context.Context, tables []data.Table, writes []string) (*session, error) {
	dir, err := os.MkdirTemp(e.tempDir, fmt.Sprintf("%s%d-", sessionPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("make a private directory for the data engine: %w", err)
	}
	s := &session{ctx: ctx, dir: dir, sets: map[string]fileSet{}}
	var allowed []string
	for _, t := range tables {
		set, err := s.expand(t)
		if err != nil {
			s.end()
			return nil, err
		}
		allowed = append(allowed, set.paths...)
	}
	boot, err := e.lockdown(dir, append(allowed, writes...))
	if err != nil {
		s.end()
		return nil, err
	}
	connector, err := duck.NewConnector("", func(execer driver.ExecerContext) error {
		for _, q := range boot {
			if _, err := execer.ExecContext(ctx, q, nil); err != nil {
				return fmt.Errorf("prepare the data engine (%s): %w", q[:min(len(q), 40)], err)
			}
		}
		return nil
	})
	if err != nil {
		s.end()
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(1)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		s.end()
		return nil, explain(err, e.memoryMB)
	}
	return s, nil
}

// lockdown is what a database is told before it sees any file: limits, then
// the files it may touch, then that this cannot be changed again.
func (e *Engine) lockdown(dir string, allowed []string) ([]string, error) {
	list := make([]string, 0, len(allowed))
	for _, p := range allowed {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		list = append(list, text(abs))
	}
	return []string{
		fmt.Sprintf("SET memory_limit = '%dMB'", e.memoryMB),
		fmt.Sprintf("SET threads = %d", e.threads),
		"SET temp_directory = " + text(filepath.Join(dir, "spill")),
		"SET TimeZone = 'UTC'",
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET allow_community_extensions = false",
		"SET preserve_insertion_order = true",
		"SET allowed_paths = [" + strings.Join(list, ", ") + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}, nil
}

// text is an SQL string literal.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// ident is an SQL identifier.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func idents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = ident(n)
	}
	return strings.Join(out, ", ")
}

func texts(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text(v)
	}
	return strings.Join(out, ", ")
}

// exec runs a statement of ours.
func (s *session) exec(query string) error {
	_, err := s.conn.ExecContext(s.ctx, query)
	return err
}

// row reads one row of a query of ours.
func (s *session) row(query string, into ...any) error {
	return s.conn.QueryRowContext(s.ctx, query).Scan(into...)
}

// each calls scan for every row.
func (s *session) each(query string, scan func(*sql.Rows) error) error {
	rows, err := s.conn.QueryContext(s.ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// name makes a name for the next table of the session.
func (s *session) name() string {
	s.names++
	return fmt.Sprintf("lastro_%d", s.names)
}

func invalid(format string, args ...any) error {
	return lastro.Errorf(lastro.EInvalid, format, args...)
}

func failed(format string, args ...any) error {
	return lastro.Errorf(lastro.EFailed, format, args...)
}
