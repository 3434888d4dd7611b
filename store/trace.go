// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/trace"
)

// Trace keeps traces, assessments and evaluation datasets (migrations 0017, 0020):
//
//	traces       number, id, experiment (number); rows by (experiment, at DESC, id)
//	trace_pairs  (trace, kind, key) -> value: metadata and tags that have no column
//	trace_links  (trace, kind, target): tracked runs and versions of prompts
//	spans        (trace, id) -> what of a span can be searched and counted
//	span_values  (trace, span, key) -> the first 250 characters of short attributes
//	span_bodies  number -> the spans of one request, compressed, or where they are
//	             in the content store
//	assessments  (trace, id)
//
// The experiment stands beside each key and value, so that one index finds the
// traces that have it. Who writes narrow rows has written or locked the trace's
// row, and who removes a trace removes them with it: there are no foreign keys.
type Trace struct{ db *DB }

var _ trace.Store = Trace{}

// NewTrace returns the store of traces in db.
func NewTrace(db *DB) Trace { return Trace{db} }

// The kinds of trace_pairs and of trace_links.
const (
	pairMetadata = 0
	pairTag      = 1
	linkRun      = 0
	linkPrompt   = 1
)

// traceColumns are read by scanTrace; the experiment is its id.
const traceColumns = `t.number, t.id, (SELECT e.id FROM experiments e WHERE e.number = t.experiment), t.state, t.at, t.took, t.name, t.client_id, t.request, t.response, t.session, ` +
	`t.input_tokens, t.output_tokens, t.total_tokens, t.cache_read, t.cache_write, t.cache_write_one, t.input_cost, t.output_cost, t.total_cost, ` +
	`t.finalized, t.has_spans, t.actor, t.origin_run, t.origin_step, t.origin_cell`

func scanTrace(r scanner) (trace.Trace, error) {
	var t trace.Trace
	var at int64
	var took sql.NullInt64
	var in, out, total sql.NullFloat64
	u := &t.Usage
	err := r.Scan(&t.Number, &t.ID, &t.ExperimentID, &t.State, &at, &took, &t.Name, &t.ClientID, &t.Request, &t.Response, &t.Session,
		&u.Input, &u.Output, &u.Total, &u.CacheRead, &u.CacheWrite, &u.CacheWriteOne, &in, &out, &total,
		&t.Finalized, &t.HasSpans, &t.By, &t.Origin.Run, &t.Origin.Step, &t.Origin.Cell)
	t.At, t.Metadata, t.Tags = lastro.FromMicros(at), map[string]string{}, map[string]string{}
	if took.Valid {
		t.Took = new(time.Duration(took.Int64) * time.Microsecond)
	}
	u.Cost = costFrom(in, out, total)
	return t, err
}

func costFrom(in, out, total sql.NullFloat64) *trace.Cost {
	if !in.Valid && !out.Valid && !total.Valid {
		return nil
	}
	c := trace.Cost{}
	for _, p := range []struct {
		to   *float64
		from sql.NullFloat64
	}{{&c.Input, in}, {&c.Output, out}, {&c.Total, total}} {
		if *p.to = p.from.Float64; !p.from.Valid {
			*p.to = math.NaN()
		}
	}
	return &c
}

// costArgs are the three parts of a cost as arguments, NULL for what is unknown.
func costArgs(c *trace.Cost) []any {
	if c == nil {
		return []any{nil, nil, nil}
	}
	args := make([]any, 3)
	for i, v := range []float64{c.Input, c.Output, c.Total} {
		if !math.IsNaN(v) {
			args[i] = v
		}
	}
	return args
}

// orNull turns a pointer into an argument.
func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func tookArg(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return d.Microseconds()
}

func usageArgs(u trace.Usage) []any {
	return append([]any{orNull(u.Input), orNull(u.Output), orNull(u.Total), orNull(u.CacheRead), orNull(u.CacheWrite), orNull(u.CacheWriteOne)}, costArgs(u.Cost)...)
}

// traceRow is what a write has to know of a trace that exists.
type traceRow struct {
	number, experiment int64
	state              trace.State
	at                 int64
	took               sql.NullInt64
	origin             trace.Origin
	finalized, spans   bool
	told               bool // of usage or cost
	toldCost           bool
}

// lockTrace reads a trace and keeps others from writing it. ok is false when
// there is none.
func lockTrace(ctx context.Context, tx *Tx, id string) (r traceRow, ok bool, err error) {
	if err := tx.Lock(ctx, "trace:"+id); err != nil {
		return r, false, err
	}
	err = tx.QueryRow(ctx, `SELECT number, experiment, state, at, took, origin_run, origin_step, origin_cell, finalized, has_spans,
		CASE WHEN input_tokens IS NULL AND output_tokens IS NULL AND total_tokens IS NULL THEN 0 ELSE 1 END,
		CASE WHEN total_cost IS NULL AND input_cost IS NULL AND output_cost IS NULL THEN 0 ELSE 1 END FROM traces WHERE id = ?`, id).Scan(
		&r.number, &r.experiment, &r.state, &r.at, &r.took, &r.origin.Run, &r.origin.Step, &r.origin.Cell, &r.finalized, &r.spans, &r.told, &r.toldCost)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// writableTrace is lockTrace for a trace that must exist and that the caller may write.
func writableTrace(ctx context.Context, tx *Tx, c trace.Caller, id string) (traceRow, error) {
	r, ok, err := lockTrace(ctx, tx, id)
	if err == nil && !ok {
		err = noTrace(id)
	}
	if err != nil {
		return r, err
	}
	return r, c.MayWrite("trace", id, r.origin)
}

func noTrace(id string) error {
	return lastro.Errorf(lastro.ENotFound, "there is no trace with id %.80q", id)
}

// activeExperiment returns the number of an experiment that is not deleted.
func activeExperiment(ctx context.Context, tx *Tx, id string) (number int64, err error) {
	var state, name string
	if err := tx.QueryRow(ctx, `SELECT number, state, name FROM experiments WHERE id = ?`, id).Scan(&number, &state, &name); err != nil {
		return 0, notFound(err, "there is no experiment with id %.80q", id)
	}
	if state != "active" {
		return 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0747", Msg: "experiment " + name + " (" + id + ") is deleted", Hint: "restore it first"}
	}
	return number, nil
}

// Start implements trace.Store.
func (s Trace) Start(ctx context.Context, c trace.Caller, t trace.Trace) (trace.Trace, error) {
	err := s.db.WriteTogether(ctx, "trace:"+t.ID, func(tx *Tx) error {
		experiment, err := activeExperiment(ctx, tx, t.ExperimentID)
		if err != nil {
			return err
		}
		had, ok, err := lockTrace(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		if !ok {
			had, err = insertTrace(ctx, tx, experiment, t)
		} else if err = c.MayWrite("trace", t.ID, had.origin); err == nil {
			err = completeTrace(ctx, tx, experiment, had, t)
		}
		if err != nil {
			return err
		}
		if err := putTracePairs(ctx, tx, had.number, experiment, t.Metadata, t.Tags); err != nil {
			return err
		}
		for _, a := range t.Assessments {
			if err := putAssessment(ctx, tx, had.number, experiment, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	list, err := s.Traces(ctx, []string{t.ID}, nil)
	if err == nil && len(list) == 0 {
		err = noTrace(t.ID)
	}
	if err != nil {
		return t, err
	}
	return list[0], nil
}

func insertTrace(ctx context.Context, tx *Tx, experiment int64, t trace.Trace) (r traceRow, err error) {
	r = traceRow{experiment: experiment, state: t.State, at: lastro.Micros(t.At), origin: t.Origin, finalized: t.Finalized}
	args := []any{t.ID, experiment, string(t.State), r.at, tookArg(t.Took), orNull(t.Name), orNull(t.ClientID), orNull(t.Request), orNull(t.Response), orNull(t.Session)}
	args = append(append(args, usageArgs(t.Usage)...), flag(t.Finalized), flag(t.HasSpans), string(t.By), t.Origin.Run, t.Origin.Step, t.Origin.Cell)
	err = tx.QueryRow(ctx, `INSERT INTO traces (id, experiment, state, at, took, name, client_id, request, response, session,
		input_tokens, output_tokens, total_tokens, cache_read, cache_write, cache_write_one, input_cost, output_cost, total_cost,
		finalized, has_spans, actor, origin_run, origin_step, origin_cell) VALUES (`+marks(25)+`) RETURNING number`, args...).Scan(&r.number)
	return r, err
}

// completeTrace writes what a client tells of a whole trace over what its spans
// have told before; what the client leaves out stays.
func completeTrace(ctx context.Context, tx *Tx, experiment int64, had traceRow, t trace.Trace) error {
	args := []any{experiment, string(t.State), lastro.Micros(t.At), tookArg(t.Took), orNull(t.ClientID), orNull(t.Name), orNull(t.Request), orNull(t.Response), orNull(t.Session)}
	args = append(append(args, usageArgs(t.Usage)...), flag(had.finalized || t.Finalized), had.number)
	_, err := tx.Exec(ctx, `UPDATE traces SET experiment = ?, state = ?, at = ?, took = ?, client_id = ?, name = COALESCE(?, name), request = COALESCE(?, request),
		response = COALESCE(?, response), session = COALESCE(?, session), input_tokens = COALESCE(?, input_tokens), output_tokens = COALESCE(?, output_tokens),
		total_tokens = COALESCE(?, total_tokens), cache_read = COALESCE(?, cache_read), cache_write = COALESCE(?, cache_write),
		cache_write_one = COALESCE(?, cache_write_one), input_cost = COALESCE(?, input_cost), output_cost = COALESCE(?, output_cost),
		total_cost = COALESCE(?, total_cost), finalized = ? WHERE number = ?`, args...)
	if err != nil || had.experiment == experiment {
		return err
	}
	for _, table := range []string{"trace_pairs", "spans", "span_values", "assessments"} {
		if _, err := tx.Exec(ctx, `UPDATE `+table+` SET experiment = ? WHERE trace = ?`, experiment, had.number); err != nil {
			return err
		}
	}
	return nil
}

func putTracePairs(ctx context.Context, tx *Tx, number, experiment int64, metadata, tags map[string]string) error {
	var rows [][]any
	for kind, m := range []map[string]string{pairMetadata: metadata, pairTag: tags} {
		for _, p := range pairsOf(m) {
			rows = append(rows, []any{number, kind, p.key, experiment, p.value})
		}
	}
	return putRows(ctx, tx, `INSERT INTO trace_pairs (trace, kind, key, experiment, value) VALUES `,
		` ON CONFLICT (trace, kind, key) DO UPDATE SET value = excluded.value`, rows)
}

// End implements trace.Store.
func (s Trace) End(ctx context.Context, c trace.Caller, id string, end trace.Ending) (trace.Trace, error) {
	err := s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, id)
		if err != nil {
			return err
		}
		took := max(0, lastro.Micros(end.At)-had.at)
		if _, err := tx.Exec(ctx, `UPDATE traces SET state = ?, took = ?, name = COALESCE(?, name), finalized = 1 WHERE number = ?`,
			string(end.State), took, nameIn(end.Tags), had.number); err != nil {
			return err
		}
		delete(end.Tags, trace.TagName)
		return putTracePairs(ctx, tx, had.number, had.experiment, end.Metadata, end.Tags)
	})
	if err != nil {
		return trace.Trace{}, err
	}
	list, err := s.Traces(ctx, []string{id}, nil)
	if err != nil || len(list) == 0 {
		return trace.Trace{}, errors.Join(err, noTrace(id))
	}
	return list[0], nil
}

func nameIn(tags map[string]string) any {
	if name, ok := tags[trace.TagName]; ok {
		return name
	}
	return nil
}

// Traces implements trace.Store.
func (s Trace) Traces(ctx context.Context, ids, experiments []string) ([]trace.Trace, error) {
	byID := map[string]trace.Trace{}
	for page := range slices.Chunk(ids, 500) {
		rows, err := s.db.Query(ctx, `SELECT `+traceColumns+` FROM traces t WHERE t.id IN (`+marks(len(page))+`)`, anys(page)...)
		list, err := collect(rows, err, func(r *sql.Rows) (trace.Trace, error) { return scanTrace(r) })
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if experiments == nil || slices.Contains(experiments, t.ExperimentID) {
				byID[t.ID] = t
			}
		}
	}
	out := make([]trace.Trace, 0, len(byID))
	for _, id := range ids {
		if t, ok := byID[id]; ok {
			out = append(out, t)
			delete(byID, id)
		}
	}
	return out, s.fill(ctx, len(out), func(i int) *trace.Trace { return &out[i] })
}

// fill reads the pairs and assessments of n traces.
func (s Trace) fill(ctx context.Context, n int, at func(i int) *trace.Trace) error {
	byNumber, numbers := make(map[int64]*trace.Trace, n), make([]any, n)
	for i := range n {
		t := at(i)
		byNumber[t.Number], numbers[i] = t, t.Number
	}
	err := s.eachOf(ctx, `SELECT trace, kind, key, value FROM trace_pairs WHERE trace IN (%s)`, numbers, func(r *sql.Rows) error {
		var number int64
		var kind int
		var key, value string
		err := r.Scan(&number, &kind, &key, &value)
		if t := byNumber[number]; kind == pairTag {
			t.Tags[key] = value
		} else {
			t.Metadata[key] = value
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.eachOf(ctx, `SELECT trace, `+assessmentColumns+` FROM assessments a WHERE trace IN (%s) ORDER BY trace, created_at, id`, numbers, func(r *sql.Rows) error {
		number, a, err := scanAssessment(r)
		if err != nil {
			return err
		}
		t := byNumber[number]
		a.Trace = t.ID
		t.Assessments = append(t.Assessments, a)
		return nil
	})
}

// eachOf runs a query for traces in portions and calls scan for every row.
func (s Trace) eachOf(ctx context.Context, query string, numbers []any, scan func(*sql.Rows) error) error {
	for page := range slices.Chunk(numbers, 500) {
		rows, err := s.db.Query(ctx, strings.Replace(query, "%s", marks(len(page)), 1), page...)
		if _, err := collect(rows, err, func(r *sql.Rows) (struct{}, error) { return struct{}{}, scan(r) }); err != nil {
			return err
		}
	}
	return nil
}

// SetTag implements trace.Store.
func (s Trace) SetTag(ctx context.Context, c trace.Caller, id, key, value string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, id)
		if err != nil {
			return err
		}
		if key == trace.TagName {
			_, err := tx.Exec(ctx, `UPDATE traces SET name = ? WHERE number = ?`, value, had.number)
			return err
		}
		return putTracePairs(ctx, tx, had.number, had.experiment, nil, map[string]string{key: value})
	})
}

// DeleteTag implements trace.Store.
func (s Trace) DeleteTag(ctx context.Context, c trace.Caller, id, key string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, id)
		if err != nil {
			return err
		}
		var n int64
		if key == trace.TagName {
			n, err = tx.Exec(ctx, `UPDATE traces SET name = NULL WHERE number = ? AND name IS NOT NULL`, had.number)
		} else {
			n, err = tx.Exec(ctx, `DELETE FROM trace_pairs WHERE trace = ? AND kind = ? AND key = ?`, had.number, pairTag, key)
		}
		if err == nil && n == 0 {
			return lastro.Errorf(lastro.ENotFound, "trace %s has no tag %q", id, key)
		}
		return err
	})
}

// LinkRun implements trace.Store.
func (s Trace) LinkRun(ctx context.Context, c trace.Caller, ids []string, run string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		var found string
		if err := tx.QueryRow(ctx, `SELECT id FROM tracked_runs WHERE id = ?`, run).Scan(&found); err != nil {
			return notFound(err, "there is no tracked run with id %.80q", run)
		}
		for _, id := range slices.Sorted(slices.Values(ids)) {
			had, ok, err := lockTrace(ctx, tx, id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := c.MayWrite("trace", id, had.origin); err != nil {
				return err
			}
			if err := linkTrace(ctx, tx, had.number, linkRun, run); err != nil {
				return err
			}
		}
		return nil
	})
}

func linkTrace(ctx context.Context, tx *Tx, number int64, kind int, target string) error {
	_, err := tx.Exec(ctx, `INSERT INTO trace_links (trace, kind, target) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, number, kind, target)
	return err
}

// LinkPrompts implements trace.Store.
func (s Trace) LinkPrompts(ctx context.Context, c trace.Caller, id string, prompts []string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, id)
		if err != nil {
			return err
		}
		for _, p := range prompts {
			if err := linkTrace(ctx, tx, had.number, linkPrompt, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// deletePage is how many traces one transaction removes, so that nobody waits long.
const deletePage = 500

// Delete implements trace.Store.
func (s Trace) Delete(ctx context.Context, c trace.Caller, d trace.Deletion, event func(n int) lastro.Event) (int, error) {
	most, total := math.MaxInt32, 0
	if d.Most != nil {
		most = *d.Most
	}
	for total < most {
		n := 0
		err := s.db.Write(ctx, func(tx *Tx) error {
			numbers, err := doomed(ctx, tx, c, d, min(deletePage, most-total))
			if n = len(numbers); err != nil || n == 0 {
				return err
			}
			if err := deleteTraces(ctx, tx, numbers); err != nil {
				return err
			}
			tx.Emit(event(n))
			return nil
		})
		if err != nil {
			return total, err
		}
		if total += n; n < deletePage {
			break
		}
	}
	return total, nil
}

// doomed selects traces to delete, the oldest first; a step's own only.
func doomed(ctx context.Context, tx *Tx, c trace.Caller, d trace.Deletion, most int) ([]any, error) {
	var w where
	w.add("experiment = (SELECT number FROM experiments WHERE id = ?)", d.Experiment)
	if len(d.IDs) > 0 {
		w.add("id IN ("+marks(len(d.IDs))+")", anys(d.IDs)...)
	}
	if d.Until != nil {
		w.add("at <= ?", lastro.Micros(*d.Until))
	}
	rows, err := tx.Query(ctx, `SELECT number, id, origin_run, origin_step, origin_cell FROM traces`+w.sql()+` ORDER BY at, id LIMIT ? FOR UPDATE`, append(w.args, most)...)
	return collect(rows, err, func(r *sql.Rows) (any, error) {
		var number int64
		var id string
		var o trace.Origin
		if err := r.Scan(&number, &id, &o.Run, &o.Step, &o.Cell); err != nil {
			return nil, err
		}
		return number, c.MayWrite("trace", id, o)
	})
}

func deleteTraces(ctx context.Context, tx *Tx, numbers []any) error {
	in := ` IN (` + marks(len(numbers)) + `)`
	rows, err := tx.Query(ctx, `SELECT (SELECT e.id FROM experiments e WHERE e.number = t.experiment), t.id FROM traces t WHERE number`+in, numbers...)
	roots, err := collect(rows, err, func(r *sql.Rows) (string, error) {
		var experiment, id string
		err := r.Scan(&experiment, &id)
		return trace.Root(experiment, id), err
	})
	if err != nil {
		return err
	}
	for _, root := range roots {
		if _, err := tx.Exec(ctx, `DELETE FROM artifacts WHERE path >= ? AND path < ?`, root+"/", root+"0"); err != nil {
			return err
		}
	}
	for _, table := range []string{"trace_pairs", "trace_links", "spans", "span_values", "span_bodies", "assessments"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE trace`+in, numbers...); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `DELETE FROM traces WHERE number`+in, numbers...)
	return err
}

// PutArtifact implements trace.Store.
func (s Trace) PutArtifact(ctx context.Context, path string, digest lastro.Digest, size int64, at time.Time) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO artifacts (path, digest, size, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at`, path, string(digest), size, lastro.Micros(at))
		return err
	})
}

// assessmentColumns are read by scanAssessment after the trace's number.
const assessmentColumns = `a.id, a.name, a.kind, a.value, a.error, a.source_type, a.source_id, a.run, a.span, a.rationale, a.metadata, a.overrides, a.valid, a.created_at, a.updated_at`

func scanAssessment(r scanner) (number int64, a trace.Assessment, err error) {
	var value, metadata string
	var problem sql.NullString
	var created, updated int64
	err = r.Scan(&number, &a.ID, &a.Name, &a.Kind, &value, &problem, &a.SourceType, &a.SourceID, &a.Run, &a.Span, &a.Rationale, &metadata, &a.Overrides, &a.Valid, &created, &updated)
	if err != nil {
		return number, a, err
	}
	a.Value, a.CreatedAt, a.UpdatedAt = json.RawMessage(value), lastro.FromMicros(created), lastro.FromMicros(updated)
	if problem.Valid {
		a.Error = json.RawMessage(problem.String)
	}
	if metadata != "" {
		err = json.Unmarshal([]byte(metadata), &a.Metadata)
	}
	return number, a, err
}

func putAssessment(ctx context.Context, tx *Tx, number, experiment int64, a trace.Assessment) error {
	metadata := ""
	if len(a.Metadata) > 0 {
		raw, err := json.Marshal(a.Metadata)
		if err != nil {
			return err
		}
		metadata = string(raw)
	}
	var problem any
	if a.Error != nil {
		problem = string(a.Error)
	}
	value, numeric := a.Number()
	_, err := tx.Exec(ctx, `INSERT INTO assessments (trace, id, experiment, name, kind, value, error, number, is_numeric, source_type, source_id, run, span, rationale,
		metadata, session, overrides, valid, created_at, updated_at) VALUES (`+marks(20)+`)
		ON CONFLICT (trace, id) DO UPDATE SET name = excluded.name, value = excluded.value, error = excluded.error, number = excluded.number,
			is_numeric = excluded.is_numeric, rationale = excluded.rationale, metadata = excluded.metadata, session = excluded.session, valid = excluded.valid,
			updated_at = excluded.updated_at`,
		number, a.ID, experiment, a.Name, string(a.Kind), string(a.Value), problem, orNull(value), flag(numeric), a.SourceType, a.SourceID, a.Run, a.Span, orNull(a.Rationale),
		metadata, flag(a.SessionWide()), a.Overrides, flag(a.Valid), lastro.Micros(a.CreatedAt), lastro.Micros(a.UpdatedAt))
	return err
}

// AddAssessment implements trace.Store.
func (s Trace) AddAssessment(ctx context.Context, c trace.Caller, a trace.Assessment) (trace.Assessment, error) {
	return a, s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, a.Trace)
		if err != nil {
			return err
		}
		var found string
		err = tx.QueryRow(ctx, `SELECT id FROM assessments WHERE trace = ? AND id = ?`, had.number, a.ID).Scan(&found)
		if err == nil {
			return lastro.Errorf(lastro.EConflict, "trace %s has an assessment %s already", a.Trace, a.ID)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if a.Overrides != "" {
			n, err := tx.Exec(ctx, `UPDATE assessments SET valid = 0 WHERE trace = ? AND id = ?`, had.number, a.Overrides)
			if err != nil {
				return err
			}
			if n == 0 {
				return noAssessment(a.Trace, a.Overrides)
			}
		}
		return putAssessment(ctx, tx, had.number, had.experiment, a)
	})
}

func noAssessment(trace, id string) error {
	return lastro.Errorf(lastro.ENotFound, "trace %.80s has no assessment with id %.80q", trace, id)
}

// Assessment implements trace.Store.
func (s Trace) Assessment(ctx context.Context, traceID, id string) (trace.Assessment, error) {
	_, a, err := scanAssessment(s.db.QueryRow(ctx, `SELECT trace, `+assessmentColumns+` FROM assessments a
		WHERE trace = (SELECT number FROM traces WHERE id = ?) AND a.id = ?`, traceID, id))
	a.Trace = traceID
	if errors.Is(err, sql.ErrNoRows) {
		if list, err := s.Traces(ctx, []string{traceID}, nil); err == nil && len(list) == 0 {
			return a, noTrace(traceID)
		}
		return a, noAssessment(traceID, id)
	}
	return a, err
}

// UpdateAssessment implements trace.Store.
func (s Trace) UpdateAssessment(ctx context.Context, c trace.Caller, traceID, id string, change func(*trace.Assessment) error) (out trace.Assessment, err error) {
	err = s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, traceID)
		if err != nil {
			return err
		}
		_, a, err := scanAssessment(tx.QueryRow(ctx, `SELECT trace, `+assessmentColumns+` FROM assessments a WHERE trace = ? AND a.id = ?`, had.number, id))
		if errors.Is(err, sql.ErrNoRows) {
			return noAssessment(traceID, id)
		}
		if err != nil {
			return err
		}
		a.Trace = traceID
		if err := change(&a); err != nil {
			return err
		}
		out = a
		return putAssessment(ctx, tx, had.number, had.experiment, a)
	})
	return out, err
}

// DeleteAssessment implements trace.Store.
func (s Trace) DeleteAssessment(ctx context.Context, c trace.Caller, traceID, id string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		had, err := writableTrace(ctx, tx, c, traceID)
		if err != nil {
			return err
		}
		var overrode string
		err = tx.QueryRow(ctx, `SELECT overrides FROM assessments WHERE trace = ? AND id = ?`, had.number, id).Scan(&overrode)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM assessments WHERE trace = ? AND id = ?`, had.number, id); err != nil || overrode == "" {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE assessments SET valid = 1 WHERE trace = ? AND id = ?`, had.number, overrode)
		return err
	})
}
