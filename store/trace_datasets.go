// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"lastro"
	"lastro/trace"
)

const evaluationColumns = `d.id, d.name, d.schema_json, d.profile, d.digest, d.created_at, d.updated_at, d.created_by, d.updated_by, d.actor, d.origin_run, d.origin_step, d.origin_cell`

func scanEvaluation(r scanner) (trace.EvaluationDataset, error) {
	var d trace.EvaluationDataset
	var created, updated int64
	err := r.Scan(&d.ID, &d.Name, &d.Schema, &d.Profile, &d.Digest, &created, &updated, &d.CreatedBy, &d.UpdatedBy, &d.By, &d.Origin.Run, &d.Origin.Step, &d.Origin.Cell)
	d.CreatedAt, d.UpdatedAt = lastro.FromMicros(created), lastro.FromMicros(updated)
	return d, err
}

func noEvaluation(id string) error {
	return lastro.Errorf(lastro.ENotFound, "there is no evaluation dataset with id %.80q", id)
}

// CreateDataset implements trace.Store.
func (s Trace) CreateDataset(ctx context.Context, d trace.EvaluationDataset, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO evaluation_datasets (id, name, schema_json, profile, digest, created_at, updated_at, created_by, updated_by, actor, origin_run, origin_step, origin_cell)
			VALUES (`+marks(13)+`)`, d.ID, d.Name, d.Schema, d.Profile, d.Digest, lastro.Micros(d.CreatedAt), lastro.Micros(d.UpdatedAt), d.CreatedBy, d.UpdatedBy, string(d.By),
			d.Origin.Run, d.Origin.Step, d.Origin.Cell); err != nil {
			return err
		}
		if err := putPairs(ctx, tx, "evaluation_tags", "dataset", d.ID, pairsOf(d.Tags)); err != nil {
			return err
		}
		return evaluationTx{tx, d.ID}.AddExperiments(ctx, d.Experiments)
	}, events...)
}

// Dataset implements trace.Store.
func (s Trace) Dataset(ctx context.Context, id string) (trace.EvaluationDataset, error) {
	d, err := scanEvaluation(s.db.QueryRow(ctx, `SELECT `+evaluationColumns+` FROM evaluation_datasets d WHERE d.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, noEvaluation(id)
	}
	if err != nil {
		return d, err
	}
	list := []trace.EvaluationDataset{d}
	err = s.fillDatasets(ctx, list)
	return list[0], err
}

func (s Trace) fillDatasets(ctx context.Context, list []trace.EvaluationDataset) error {
	ids, at := make([]string, len(list)), map[string]*trace.EvaluationDataset{}
	for i := range list {
		ids[i], at[list[i].ID] = list[i].ID, &list[i]
	}
	tags, err := s.db.pairs(ctx, "evaluation_tags", "dataset", ids)
	if err != nil {
		return err
	}
	for id, d := range at {
		d.Tags = tags[id].asMap()
	}
	return s.db.each(ctx, `SELECT dataset, experiment FROM evaluation_experiments WHERE dataset IN (%s) ORDER BY number`, ids, func(r *sql.Rows) error {
		var id, experiment string
		err := r.Scan(&id, &experiment)
		at[id].Experiments = append(at[id].Experiments, experiment)
		return err
	})
}

var (
	evaluationText    = map[string]string{"name": "d.name", "created_by": "d.created_by", "last_updated_by": "d.updated_by"}
	evaluationNumbers = map[string]string{"created_time": "d.created_at", "last_update_time": "d.updated_at"}
)

// SearchDatasets implements trace.Store.
func (s Trace) SearchDatasets(ctx context.Context, q trace.DatasetQuery) ([]trace.EvaluationDataset, string, error) {
	look := search{columns: evaluationColumns, from: "evaluation_datasets d", token: q.PageToken, limit: q.Limit, asked: fingerprint("datasets", q.Experiments, q.Where, q.Order)}
	if q.Experiments != nil {
		look.where.add("EXISTS (SELECT 1 FROM evaluation_experiments x WHERE x.dataset = d.id AND x.experiment IN ("+marks(len(q.Experiments))+"))", anys(q.Experiments)...)
	}
	for _, c := range q.Where {
		unknown := lastro.Errorf(lastro.EInvalid, "a search of evaluation datasets cannot compare %s %q by %s", c.Field, c.Key, c.Op)
		if expr, ok := evaluationNumbers[c.Key]; ok && c.Field == trace.Attribute {
			op, ok := numberOps[string(c.Op)]
			if !ok {
				return nil, "", unknown
			}
			look.where.add(expr+" "+op+" ?", int64(max(-1e18, min(1e18, c.Number*1000))))
			continue
		}
		expr, open, shut := evaluationText[c.Key], "", ""
		var args []any
		if c.Field == trace.Tag {
			expr, open, shut, args = "g.value", "EXISTS (SELECT 1 FROM evaluation_tags g WHERE g.dataset = d.id AND g.key = ? AND ", ")", []any{c.Key}
		}
		cond, more, ok := compareText(s.db.dialect, expr, string(c.Op), c.Text, c.Values)
		if !ok || expr == "" {
			return nil, "", unknown
		}
		look.where.add(open+cond+shut, append(args, more...)...)
	}
	for _, o := range q.Order {
		switch {
		case evaluationNumbers[o.Key] != "":
			look.terms = append(look.terms, term{expr: evaluationNumbers[o.Key], kind: isInteger, desc: o.Desc})
		case evaluationText[o.Key] != "":
			look.terms = append(look.terms, term{expr: evaluationText[o.Key], kind: isText, desc: o.Desc})
		}
	}
	look.terms = append(look.terms, term{expr: "d.id", kind: isText, desc: true})
	list, next, err := page(ctx, s.db, look, scanEvaluation)
	if err != nil {
		return nil, "", err
	}
	return list, next, s.fillDatasets(ctx, list)
}

// ChangeDataset implements trace.Store.
func (s Trace) ChangeDataset(ctx context.Context, c trace.Caller, id string, change func(trace.DatasetTx, *trace.EvaluationDataset) error, events ...lastro.Event) (trace.EvaluationDataset, error) {
	err := s.db.Write(ctx, func(tx *Tx) error {
		d, err := writableEvaluation(ctx, tx, c, id)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT key, value FROM evaluation_tags WHERE dataset = ?`, id)
		tags, err := collect(rows, err, func(r *sql.Rows) (p pair, err error) { return p, r.Scan(&p.key, &p.value) })
		if err != nil {
			return err
		}
		d.Tags = pairs(tags).asMap()
		if err := change(evaluationTx{tx, id}, &d); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE evaluation_datasets SET schema_json = ?, profile = ?, digest = ?, updated_at = ?, updated_by = ? WHERE id = ?`,
			d.Schema, d.Profile, d.Digest, lastro.Micros(d.UpdatedAt), d.UpdatedBy, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM evaluation_tags WHERE dataset = ?`, id); err != nil {
			return err
		}
		return putPairs(ctx, tx, "evaluation_tags", "dataset", id, pairsOf(d.Tags))
	}, events...)
	if err != nil {
		return trace.EvaluationDataset{}, err
	}
	return s.Dataset(ctx, id)
}

func writableEvaluation(ctx context.Context, tx *Tx, c trace.Caller, id string) (trace.EvaluationDataset, error) {
	if err := tx.Lock(ctx, "evaluationdataset:"+id); err != nil {
		return trace.EvaluationDataset{}, err
	}
	d, err := scanEvaluation(tx.QueryRow(ctx, `SELECT `+evaluationColumns+` FROM evaluation_datasets d WHERE d.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, noEvaluation(id)
	}
	if err != nil {
		return d, err
	}
	return d, c.MayWrite("evaluation dataset", id, d.Origin)
}

// DeleteDataset implements trace.Store.
func (s Trace) DeleteDataset(ctx context.Context, c trace.Caller, id string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if _, err := writableEvaluation(ctx, tx, c, id); err != nil {
			return err
		}
		for _, table := range []string{"evaluation_records", "evaluation_tags", "evaluation_experiments"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE dataset = ?`, id); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM evaluation_datasets WHERE id = ?`, id)
		return err
	}, events...)
}

// evaluationTx is a change of one dataset.
type evaluationTx struct {
	tx *Tx
	id string
}

const recordColumns = `id, dataset, inputs, outputs, expectations, tags, source, source_id, source_type, created_at, updated_at, created_by, updated_by`

func scanRecord(r scanner) (trace.Record, error) {
	var rec trace.Record
	var texts [5]sql.NullString
	var created, updated int64
	err := r.Scan(&rec.ID, &rec.Dataset, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4], &rec.SourceID, &rec.SourceType, &created, &updated, &rec.CreatedBy, &rec.UpdatedBy)
	for i, to := range recordTexts(&rec) {
		if texts[i].Valid {
			*to = []byte(texts[i].String)
		}
	}
	rec.CreatedAt, rec.UpdatedAt = lastro.FromMicros(created), lastro.FromMicros(updated)
	return rec, err
}

// RecordByInputs implements trace.DatasetTx.
func (t evaluationTx) RecordByInputs(ctx context.Context, hash string) (trace.Record, bool, error) {
	r, err := scanRecord(t.tx.QueryRow(ctx, `SELECT `+recordColumns+` FROM evaluation_records WHERE dataset = ? AND input_hash = ?`, t.id, hash))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// PutRecord implements trace.DatasetTx.
func (t evaluationTx) PutRecord(ctx context.Context, r trace.Record, hash string) error {
	args := []any{r.ID, t.id}
	for _, text := range recordTexts(&r) {
		if *text == nil {
			args = append(args, nil)
		} else {
			args = append(args, string(*text))
		}
	}
	args = append(args, r.SourceID, r.SourceType, lastro.Micros(r.CreatedAt), lastro.Micros(r.UpdatedAt), r.CreatedBy, r.UpdatedBy, hash)
	_, err := t.tx.Exec(ctx, `INSERT INTO evaluation_records (`+recordColumns+`, input_hash) VALUES (`+marks(14)+`)
		ON CONFLICT (id) DO UPDATE SET outputs = excluded.outputs, expectations = excluded.expectations, tags = excluded.tags,
			updated_at = excluded.updated_at, updated_by = excluded.updated_by`, args...)
	return err
}

// DeleteRecords implements trace.DatasetTx.
func (t evaluationTx) DeleteRecords(ctx context.Context, ids []string) (int, error) {
	total := 0
	for page := range slices.Chunk(ids, 500) {
		n, err := t.tx.Exec(ctx, `DELETE FROM evaluation_records WHERE dataset = ? AND id IN (`+marks(len(page))+`)`, append([]any{t.id}, anys(page)...)...)
		if err != nil {
			return 0, err
		}
		total += int(n)
	}
	return total, nil
}

// CountRecords implements trace.DatasetTx.
func (t evaluationTx) CountRecords(ctx context.Context) (n int, err error) {
	return n, t.tx.QueryRow(ctx, `SELECT COUNT(*) FROM evaluation_records WHERE dataset = ?`, t.id).Scan(&n)
}

// AddExperiments implements trace.DatasetTx.
func (t evaluationTx) AddExperiments(ctx context.Context, ids []string) error {
	for _, id := range ids {
		var found string
		if err := t.tx.QueryRow(ctx, `SELECT id FROM experiments WHERE id = ?`, id).Scan(&found); err != nil {
			return notFound(err, "there is no experiment with id %.80q", id)
		}
		if _, err := t.tx.Exec(ctx, `INSERT INTO evaluation_experiments (dataset, experiment, number)
			VALUES (?, ?, (SELECT COALESCE(MAX(x.number), 0) + 1 FROM evaluation_experiments x WHERE x.dataset = ?)) ON CONFLICT (dataset, experiment) DO NOTHING`, t.id, id, t.id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveExperiments implements trace.DatasetTx.
func (t evaluationTx) RemoveExperiments(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := t.tx.Exec(ctx, `DELETE FROM evaluation_experiments WHERE dataset = ? AND experiment = ?`, t.id, id); err != nil {
			return err
		}
	}
	return nil
}

// Records implements trace.Store.
func (s Trace) Records(ctx context.Context, q trace.RecordQuery) ([]trace.Record, string, error) {
	if _, err := s.Dataset(ctx, q.Dataset); err != nil {
		return nil, "", err
	}
	look := search{columns: recordColumns, from: "evaluation_records", token: q.PageToken, limit: q.Limit, asked: fingerprint("records", q.Dataset),
		terms: []term{{expr: "created_at", kind: isInteger}, {expr: "id", kind: isText}}}
	look.where.add("dataset = ?", q.Dataset)
	return page(ctx, s.db, look, scanRecord)
}

// recordTexts are the JSON columns of a record, in their order.
func recordTexts(r *trace.Record) [5]*json.RawMessage {
	return [5]*json.RawMessage{&r.Inputs, &r.Outputs, &r.Expectations, &r.Tags, &r.Source}
}
