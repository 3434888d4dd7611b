// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"time"

	"lastro/trace"
)

// Traces implements Source; there are none before 2.14.
func (d *Database) Traces(ctx context.Context, experiment string, fn func(Trace) error) error {
	if !d.has("trace_info.request_id") {
		return nil
	}
	after := ""
	for {
		list, err := whole(ctx, d, `SELECT request_id, timestamp_ms, execution_time_ms, status, `+d.column("trace_info", "client_request_id", "NULL")+`, `+
			d.column("trace_info", "request_preview", "NULL")+`, `+d.column("trace_info", "response_preview", "NULL")+`, `+
			d.column("trace_info", "trace_name", "NULL")+`, `+d.column("trace_info", "session_id", "NULL")+`, `+
			d.column("trace_info", "input_tokens", "NULL")+`, `+d.column("trace_info", "output_tokens", "NULL")+`, `+d.column("trace_info", "total_tokens", "NULL")+`, `+
			d.column("trace_info", "cache_read_input_tokens", "NULL")+`, `+d.column("trace_info", "cache_creation_input_tokens", "NULL")+`, `+
			d.column("trace_info", "input_cost", "NULL")+`, `+d.column("trace_info", "output_cost", "NULL")+`, `+d.column("trace_info", "total_cost", "NULL")+`
			FROM trace_info WHERE experiment_id = ? AND request_id > ? ORDER BY request_id LIMIT ?`, []any{experiment, after, runsAtOnce}, scanTrace)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].ID
		for _, t := range list {
			t.ExperimentID = experiment
			if err := d.fillTrace(ctx, &t); err != nil {
				return err
			}
			if err := fn(t); err != nil {
				return err
			}
		}
	}
}

func scanTrace(r *sql.Rows) (t Trace, err error) {
	var at int64
	var took sql.NullInt64
	var in, out, total sql.NullFloat64
	u := &t.Usage
	err = r.Scan(&t.ID, &at, &took, &t.State, &t.ClientID, &t.Request, &t.Response, &t.Name, &t.Session,
		&u.Input, &u.Output, &u.Total, &u.CacheRead, &u.CacheWrite, &in, &out, &total)
	if in.Valid || out.Valid || total.Valid {
		u.Cost = &trace.Cost{Input: orNaN(in), Output: orNaN(out), Total: orNaN(total)}
	}
	t.At = time.UnixMilli(at).UTC()
	if took.Valid {
		t.Took = new(time.Duration(took.Int64) * time.Millisecond)
	}
	t.finish()
	return t, err
}

func orNaN(v sql.NullFloat64) float64 {
	if !v.Valid {
		return math.NaN()
	}
	return v.Float64
}

// finish derives what no source writes out.
func (t *Trace) finish() {
	if !t.State.Known() {
		t.State = trace.Unspecified
	}
	t.Tags, t.Metadata = map[string]string{}, map[string]string{}
}

func (d *Database) fillTrace(ctx context.Context, t *Trace) error {
	if err := d.texts(ctx, `SELECT key, COALESCE(value, '') FROM trace_tags WHERE request_id = ?`, t.Tags, t.ID); err != nil {
		return err
	}
	if err := d.texts(ctx, `SELECT key, COALESCE(value, '') FROM trace_request_metadata WHERE request_id = ?`, t.Metadata, t.ID); err != nil {
		return err
	}
	t.Finalized = t.Metadata[trace.MetaFinalized] == "true" || !d.has("spans.span_id")
	t.Root = t.Tags[trace.TagArtifacts]
	if err := errors.Join(d.assessments(ctx, t), d.linked(ctx, t)); err != nil {
		return err
	}
	if d.has("spans.span_id") {
		err := d.each(ctx, `SELECT content FROM spans WHERE trace_id = ? ORDER BY start_time_unix_nano, span_id`, []any{t.ID}, func(r *sql.Rows) error {
			var raw []byte
			if err := r.Scan(&raw); err != nil {
				return err
			}
			if len(raw) == 0 { // only the row is left of a span that was archived
				return nil
			}
			s, err := parseSpan(raw)
			t.Spans = append(t.Spans, s)
			return err
		})
		if err != nil || len(t.Spans) > 0 {
			return err
		}
	}
	return d.spansFile(ctx, t)
}

// spansFile reads the spans that are in a file.
func (d *Database) spansFile(ctx context.Context, t *Trace) error {
	if t.Root == "" {
		return nil
	}
	r, err := d.Open(ctx, t.Root, spansFile)
	if errors.Is(err, fs.ErrNotExist) || err != nil && onlyReal(err) == nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	if err == nil {
		t.Spans, err = parseSpans(raw)
	}
	return err
}

func (d *Database) linked(ctx context.Context, t *Trace) error {
	if !d.has("entity_associations.source_id") {
		return nil
	}
	return d.each(ctx, `SELECT destination_id FROM entity_associations WHERE source_type = 'trace' AND source_id = ? AND destination_type = 'run' ORDER BY 1`, []any{t.ID}, func(r *sql.Rows) error {
		var run string
		err := r.Scan(&run)
		t.Runs = append(t.Runs, run)
		return err
	})
}

func (d *Database) assessments(ctx context.Context, t *Trace) error {
	if !d.has("assessments.assessment_id") {
		return nil
	}
	return d.each(ctx, `SELECT assessment_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp, source_type, COALESCE(source_id, ''),
		COALESCE(run_id, ''), COALESCE(span_id, ''), rationale, COALESCE(overrides, ''), valid, assessment_metadata
		FROM assessments WHERE trace_id = ? ORDER BY created_timestamp, assessment_id`, []any{t.ID}, func(r *sql.Rows) error {
		a := trace.Assessment{Trace: t.ID}
		var value string
		var failure, meta sql.NullString
		var created, updated sql.NullInt64
		err := r.Scan(&a.ID, &a.Name, &a.Kind, &value, &failure, &created, &updated, &a.SourceType, &a.SourceID, &a.Run, &a.Span, &a.Rationale, &a.Overrides, &a.Valid, &meta)
		if err != nil {
			return err
		}
		a.Value, a.CreatedAt, a.UpdatedAt = json.RawMessage(value), millis(created), millis(updated)
		if failure.String != "" && failure.String != "null" {
			a.Error = json.RawMessage(failure.String)
		}
		if meta.String != "" {
			if err := json.Unmarshal([]byte(meta.String), &a.Metadata); err != nil {
				return err
			}
		}
		t.Assessments = append(t.Assessments, a)
		return nil
	})
}
