// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"lastro"
	"lastro/trace"
)

// AddSpans implements trace.Store. The batches are in the order of their ids.
// Nothing is written before all of them are allowed.
func (s Trace) AddSpans(ctx context.Context, c trace.Caller, experiment string, batches []trace.Batch) error {
	return s.db.WriteTogether(ctx, "trace:"+batches[0].ID, func(tx *Tx) error {
		number, err := activeExperiment(ctx, tx, experiment)
		if err != nil {
			return err
		}
		had, known := make([]traceRow, len(batches)), make([]bool, len(batches))
		for i, b := range batches {
			if had[i], known[i], err = lockTrace(ctx, tx, b.ID); err == nil && known[i] {
				err = c.MayWrite("trace", b.ID, had[i].origin)
			}
			if err != nil {
				return err
			}
		}
		for i, b := range batches {
			if !known[i] {
				if had[i], err = insertTrace(ctx, tx, number, traceOf(c, b)); err != nil {
					return err
				}
			}
			if err := addSpans(ctx, tx, had[i], known[i], b); err != nil {
				return err
			}
		}
		return nil
	})
}

// addSpans writes spans of a trace that was known before, or has just been made.
func addSpans(ctx context.Context, tx *Tx, had traceRow, known bool, b trace.Batch) error {
	n, err := tx.Exec(ctx, `INSERT INTO span_bodies (trace, hash, blob, bytes) VALUES (?, ?, ?, ?) ON CONFLICT (trace, hash) DO NOTHING`,
		had.number, b.Body.Hash, string(b.Body.Blob), append([]byte{}, b.Body.Bytes...))
	if err != nil || n == 0 {
		return err // sent again: everything is there
	}
	if err := putSpans(ctx, tx, had, b.Spans); err != nil {
		return err
	}
	tags := maps.Clone(b.Facts.Tags)
	delete(tags, trace.TagName) // has a column
	if !known {
		return putTracePairs(ctx, tx, had.number, had.experiment, user(b.Facts), tags)
	}
	if err := extendTrace(ctx, tx, had, b.Facts); err != nil {
		return err
	}
	return putTracePairs(ctx, tx, had.number, had.experiment, nil, tags)
}

// traceOf is the trace that spans make when nobody has told of it.
func traceOf(c trace.Caller, b trace.Batch) trace.Trace {
	f := b.Facts
	t := trace.Trace{ID: b.ID, State: trace.InProgress, At: f.Start, Request: f.Request, Response: f.Response, Session: f.Session, Usage: f.Usage,
		HasSpans: true, By: c.By, Origin: c.Origin}
	if f.State != "" {
		t.State = f.State
	}
	if !f.End.IsZero() {
		t.Took = new(max(0, f.End.Sub(f.Start)))
	}
	if name, ok := f.Tags[trace.TagName]; ok {
		t.Name = &name
	}
	return t
}

func user(f trace.SpanFacts) map[string]string {
	if f.User == "" {
		return nil
	}
	return map[string]string{trace.MetaUser: f.User}
}

// putSpans writes or replaces spans.
func putSpans(ctx context.Context, tx *Tx, had traceRow, spans []trace.SpanRow) error {
	rows, values := make([][]any, 0, len(spans)), [][]any(nil)
	for _, s := range spans {
		var tokens any
		if s.Usage != nil {
			tokens = string(s.Usage)
		}
		rows = append(rows, append([]any{had.number, s.ID, had.experiment, s.Parent, s.Name, s.Type, string(s.Status), s.Start, s.End, orNull(s.Model), orNull(s.Provider), tokens},
			costArgs(s.Cost)...))
		for _, v := range s.Values {
			values = append(values, []any{had.number, s.ID, v.Key, had.experiment, v.Value, flag(v.Whole)})
		}
		if had.spans {
			if _, err := tx.Exec(ctx, `DELETE FROM span_values WHERE trace = ? AND span = ?`, had.number, s.ID); err != nil {
				return err
			}
		}
	}
	if err := putRows(ctx, tx, `INSERT INTO spans (trace, id, experiment, parent, name, type, status, started, ended, model, provider, tokens, input_cost, output_cost, total_cost) VALUES `,
		` ON CONFLICT (trace, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, type = excluded.type, status = excluded.status,
			started = excluded.started, ended = excluded.ended, model = excluded.model, provider = excluded.provider, tokens = excluded.tokens,
			input_cost = excluded.input_cost, output_cost = excluded.output_cost, total_cost = excluded.total_cost`, rows); err != nil {
		return err
	}
	return putRows(ctx, tx, `INSERT INTO span_values (trace, span, key, experiment, value, whole) VALUES `, ` ON CONFLICT DO NOTHING`, values)
}

// putRows writes rows of one width in few statements.
func putRows(ctx context.Context, tx *Tx, insert, after string, rows [][]any) error {
	for len(rows) > 0 {
		n := portion(len(rows))
		args := make([]any, 0, n*len(rows[0]))
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if _, err := tx.Exec(ctx, insert+rowsOf(n, "("+marks(len(rows[0]))+")")+after, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// extendTrace adds what spans tell to a trace that exists. What a client has
// told of the whole trace is not changed.
func extendTrace(ctx context.Context, tx *Tx, had traceRow, f trace.SpanFacts) error {
	at, took, state := had.at, had.took, had.state
	if !had.finalized {
		at = min(at, lastro.Micros(f.Start))
		end := had.at + had.took.Int64
		if !f.End.IsZero() {
			end = max(end, lastro.Micros(f.End))
		}
		if took.Valid || !f.End.IsZero() {
			took = sql.NullInt64{Int64: max(0, end-at), Valid: true}
		}
	}
	if f.State != "" && (state == trace.InProgress || state == trace.Unspecified) {
		state = f.State
	}
	usage, err := usageWith(ctx, tx, had, f.Usage)
	if err != nil {
		return err
	}
	args := append([]any{string(state), at, took, nameIn(f.Tags), orNull(f.Request), orNull(f.Response), orNull(f.Session)}, usageArgs(usage)...)
	if _, err := tx.Exec(ctx, `UPDATE traces SET state = ?, at = ?, took = ?, name = COALESCE(?, name), request = COALESCE(request, ?), response = COALESCE(response, ?),
		session = COALESCE(session, ?), input_tokens = COALESCE(?, input_tokens), output_tokens = COALESCE(?, output_tokens), total_tokens = COALESCE(?, total_tokens),
		cache_read = COALESCE(?, cache_read), cache_write = COALESCE(?, cache_write), cache_write_one = COALESCE(?, cache_write_one),
		input_cost = COALESCE(?, input_cost), output_cost = COALESCE(?, output_cost), total_cost = COALESCE(?, total_cost), has_spans = 1 WHERE number = ?`,
		append(args, had.number)...); err != nil {
		return err
	}
	for key, value := range user(f) {
		if _, err := tx.Exec(ctx, `INSERT INTO trace_pairs (trace, kind, key, experiment, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT (trace, kind, key) DO NOTHING`,
			had.number, pairMetadata, key, had.experiment, value); err != nil {
			return err
		}
	}
	return nil
}

// usageWith sums usage over all spans of a trace, when these spans have told of
// any and the client has not told the sum itself.
func usageWith(ctx context.Context, tx *Tx, had traceRow, batch trace.Usage) (trace.Usage, error) {
	tokens, cost := batch.Any(), batch.Cost != nil
	if had.finalized {
		tokens, cost = tokens && !had.told, cost && !had.toldCost
	}
	if !tokens && !cost {
		return trace.Usage{}, nil
	}
	rows, err := tx.Query(ctx, `SELECT id, parent, tokens, input_cost, output_cost, total_cost FROM spans WHERE trace = ?`, had.number)
	list, err := collect(rows, err, func(r *sql.Rows) (trace.SpanRow, error) {
		var s trace.SpanRow
		var told sql.NullString
		var in, out, total sql.NullFloat64
		err := r.Scan(&s.ID, &s.Parent, &told, &in, &out, &total)
		if told.Valid {
			s.Usage = []byte(told.String)
		}
		s.Cost = costFrom(in, out, total)
		return s, err
	})
	if err != nil {
		return trace.Usage{}, err
	}
	u := trace.Aggregate(list)
	if !tokens {
		u = trace.Usage{Cost: u.Cost}
	}
	if !cost {
		u.Cost = nil
	}
	return u, nil
}

// bodyPage is how many traces' spans are read at a time.
const bodyPage = 100

// numbered is a body and its trace.
type numbered struct {
	trace int64
	trace.Body
}

// Bodies implements trace.Store. No rows are open while fn works: it may read too.
func (s Trace) Bodies(ctx context.Context, traces []int64, fn func(int64, trace.Body) error) error {
	for page := range slices.Chunk(traces, bodyPage) {
		rows, err := s.db.Query(ctx, `SELECT trace, hash, blob, bytes FROM span_bodies WHERE trace IN (`+marks(len(page))+`) ORDER BY number`, anys(page)...)
		list, err := collect(rows, err, func(r *sql.Rows) (b numbered, err error) {
			return b, r.Scan(&b.trace, &b.Hash, &b.Blob, &b.Bytes)
		})
		if err != nil {
			return err
		}
		for _, b := range list {
			if err := fn(b.trace, b.Body); err != nil {
				return err
			}
		}
	}
	return nil
}
