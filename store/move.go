// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/track"
)

// Move writes whole contents of another server, with the ids, times and states
// that they have there (migration 0021). Every method is one transaction and
// can be repeated.
type Move struct {
	db     *DB
	track  Track
	source string
}

// NewMove writes into db what comes from source, which is remembered without
// user and password.
func NewMove(db *DB, source string) Move { return Move{db, NewTrack(db), source} }

// Marks returns what was remembered of things that were moved here, "" for one
// whose rest is missing. What was never moved is not in the map.
func (s Move) Marks(ctx context.Context, kind string, ids []string) (map[string]string, error) {
	out := map[string]string{}
	for part := range slices.Chunk(ids, 400) {
		rows, err := s.db.Query(ctx, `SELECT id, mark FROM moved WHERE kind = ? AND id IN (`+marks(len(part))+`)`, append([]any{kind}, anys(part)...)...)
		if _, err := collect(rows, err, func(r *sql.Rows) (struct{}, error) {
			var id, mark string
			err := r.Scan(&id, &mark)
			out[id] = mark
			return struct{}{}, err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s Move) mark(ctx context.Context, tx *Tx, ref lastro.Ref, mark string) error {
	kind, id, _ := strings.Cut(string(ref), ":")
	_, err := tx.Exec(ctx, `INSERT INTO moved (kind, id, source, mark, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (kind, id) DO UPDATE SET source = excluded.source, mark = excluded.mark, at = excluded.at`, kind, id, s.source, mark, now())
	return err
}

// PutExperiment writes an experiment with its id. A name that another has is
// lastro.EConflict.
func (s Move) PutExperiment(ctx context.Context, e track.Experiment, mark string, events ...lastro.Event) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(ctx, "experiments"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO experiments (`+experimentColumns+`, number)
			VALUES (?, ?, ?, ?, ?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM experiments))
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, created_at = excluded.created_at, updated_at = excluded.updated_at`,
			e.ID, e.Name, string(e.State), lastro.Micros(e.CreatedAt), lastro.Micros(e.UpdatedAt), string(e.By))
		if isUnique(err) {
			return experimentTaken(e.Name)
		}
		if err == nil {
			err = putPairs(ctx, tx, "experiment_tags", "experiment", e.ID, pairsOf(e.Tags))
		}
		if err != nil {
			return err
		}
		return s.mark(ctx, tx, e.Ref(), mark)
	}, events...)
}

// PutRuns writes parts of runs, in their order, and marks those that are complete.
func (s Move) PutRuns(ctx context.Context, parts []track.RunPart) error {
	keys, err := s.track.keyNumbers(ctx, names(parts))
	if err != nil {
		return err
	}
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		for _, p := range parts {
			if err := s.putPart(ctx, tx, p, keys); err != nil {
				return fmt.Errorf("tracked run %s: %w", p.ID, err)
			}
		}
		return nil
	})
}

// names lists every name that parts use, once each.
func names(parts []track.RunPart) []string {
	seen := map[string]bool{}
	var out []string
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, p := range parts {
		if p.Head != nil {
			for _, x := range p.Head.Params {
				add(x.Key)
			}
			for k := range p.Head.Tags {
				add(k)
			}
			for _, m := range p.Head.Metrics {
				add(m.Key)
			}
		}
		for _, m := range p.Points {
			add(m.Key)
		}
	}
	slices.Sort(out)
	return out
}

func (s Move) putPart(ctx context.Context, tx *Tx, p track.RunPart, keys map[string]int64) error {
	if p.Head != nil {
		if err := s.putHead(ctx, tx, *p.Head, keys); err != nil {
			return err
		}
	}
	run, err := holdRun(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	if err := putMoved(ctx, tx, run, p.ID, p.Points, keys); err != nil {
		return err
	}
	if err := putFiles(ctx, tx, p.Files); err != nil {
		return err
	}
	mark := ""
	if p.Last {
		mark = p.Mark
	}
	if p.Head == nil && !p.Last {
		return nil
	}
	return s.mark(ctx, tx, lastro.NewRef("trackedrun", p.ID, ""), mark)
}

// putHead writes everything of a run that is not its points.
func (s Move) putHead(ctx context.Context, tx *Tx, r track.Run, keys map[string]int64) error {
	var run heldRun
	err := tx.QueryRow(ctx, `INSERT INTO tracked_runs (id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at)
		SELECT ?, number, ?, ?, ?, ?, ?, '', '', '', ?, ?, ? FROM experiments WHERE id = ?
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, status = excluded.status, state = excluded.state, client_user = excluded.client_user,
			started_at = excluded.started_at, ended_at = excluded.ended_at, deleted_at = excluded.deleted_at
		RETURNING number, experiment`,
		r.ID, r.Name, string(r.Status), string(r.State), r.User, string(r.By),
		lastro.Micros(r.StartedAt), lastro.Micros(r.EndedAt), lastro.Micros(r.DeletedAt), r.ExperimentID).Scan(&run.number, &run.experiment)
	if err != nil {
		return notFound(err, "there is no experiment with id %q", r.ExperimentID)
	}
	for _, p := range r.Params {
		if _, err := tx.Exec(ctx, `INSERT INTO tracked_params (run, key, experiment, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (run, key) DO UPDATE SET value = excluded.value`, run.number, keys[p.Key], run.experiment, p.Value); err != nil {
			return err
		}
	}
	if err := putTags(ctx, tx, run.number, run.experiment, pairsOf(r.Tags), keys); err != nil {
		return err
	}
	for _, m := range r.Metrics {
		if err := putLatest(ctx, tx, map[runKey]latest{{run.number, keys[m.Key]}: {run.experiment, pointOf(m)}}); err != nil {
			return err
		}
	}
	if err := putInputs(ctx, tx, run, r.Inputs); err != nil {
		return err
	}
	for _, m := range r.ModelInputs {
		if err := putRunModel(ctx, tx, run, "in", track.ModelOutput{ModelID: m}); err != nil {
			return err
		}
	}
	for _, m := range r.ModelOutputs {
		if err := putRunModel(ctx, tx, run, "out", m); err != nil {
			return err
		}
	}
	return nil
}

// putMoved writes points: those of a long history as chunks at once, the few of
// others into the tail. It leaves latest_metrics to the head, which has them
// from the source.
func putMoved(ctx context.Context, tx *Tx, run heldRun, id string, points []track.Metric, keys map[string]int64) error {
	byKey := map[int64][]point{}
	for _, m := range points {
		byKey[keys[m.Key]] = append(byKey[keys[m.Key]], pointOf(m))
	}
	var few []keyPoints
	for _, key := range sortedKeys(byKey) {
		list := inOrder(byKey[key])
		if len(list) < foldLeast {
			few = append(few, keyPoints{key, list})
		} else if err := addToChunks(ctx, tx, run.number, key, list); err != nil {
			return err
		}
	}
	if err := putTail(ctx, tx, tailRowsOf(run.number, few)); err != nil {
		return err
	}
	for _, m := range points {
		if m.LoggedModel == "" {
			continue
		}
		if err := logModelMetric(ctx, tx, id, m); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func putFiles(ctx context.Context, tx *Tx, files []track.Artifact) error {
	for _, a := range files {
		if _, err := tx.Exec(ctx, `INSERT INTO artifacts (path, digest, size, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at`,
			a.Path, string(a.Digest), a.Size, lastro.Micros(a.At)); err != nil {
			return err
		}
	}
	return nil
}

// PutLoggedModel writes a logged model with its id, params, tags and files.
// Its metrics come with the points of the runs that measured it.
func (s Move) PutLoggedModel(ctx context.Context, p track.ModelPart) error {
	m := p.LoggedModel
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO logged_models (`+loggedModelColumns+`, state) VALUES (`+marks(13)+`, 'active')
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, source_run = excluded.source_run, status = excluded.status,
				status_text = excluded.status_text, created_at = excluded.created_at, updated_at = excluded.updated_at`,
			m.ID, m.ExperimentID, m.Name, m.Type, m.SourceRun, string(m.Status), m.StatusText, string(m.By), "", "", "",
			lastro.Micros(m.CreatedAt), lastro.Micros(m.UpdatedAt))
		if err != nil {
			return err
		}
		params := make(pairs, len(m.Params))
		for i, x := range m.Params {
			params[i] = pair{x.Key, x.Value}
		}
		if err := putPairs(ctx, tx, "logged_model_params", "model", m.ID, params); err != nil {
			return err
		}
		if err := putPairs(ctx, tx, "logged_model_tags", "model", m.ID, pairsOf(m.Tags)); err != nil {
			return err
		}
		if err := putFiles(ctx, tx, p.Files); err != nil {
			return err
		}
		return s.mark(ctx, tx, m.Ref(), p.Mark)
	})
}

// PutTrace remembers a trace that was moved, with its attachments.
func (s Move) PutTrace(ctx context.Context, id string, files []track.Artifact, mark string) error {
	return s.db.WriteSoon(ctx, func(tx *Tx) error {
		if err := putFiles(ctx, tx, files); err != nil {
			return err
		}
		return s.mark(ctx, tx, lastro.NewRef("trace", id, ""), mark)
	})
}

// Experiments lists every experiment, deleted ones too, by id.
func (s Move) Experiments(ctx context.Context) ([]track.Experiment, error) {
	rows, err := s.db.Query(ctx, `SELECT `+experimentColumns+` FROM experiments ORDER BY length(id), id`)
	list, err := collect(rows, err, func(r *sql.Rows) (track.Experiment, error) { return scanExperiment(r) })
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	tags, err := s.db.pairs(ctx, "experiment_tags", "experiment", ids)
	for i := range list {
		list[i].Tags = tags[list[i].ID].asMap()
	}
	return list, err
}

// Runs lists whole runs of an experiment, deleted ones too, by id, after one.
func (s Move) Runs(ctx context.Context, experiment, after string, limit int) ([]track.Run, error) {
	rows, err := s.db.Query(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE e.id = ? AND r.id > ? ORDER BY r.id LIMIT ?`, experiment, after, limit)
	list, err := collect(rows, err, func(r *sql.Rows) (storedRun, error) { return scanRun(r) })
	if err == nil {
		err = s.track.fillRuns(ctx, list)
	}
	return plainRuns(list), err
}

// LoggedModels lists whole logged models of an experiment by id, after one.
func (s Move) LoggedModels(ctx context.Context, experiment, after string, limit int) ([]track.LoggedModel, error) {
	rows, err := s.db.Query(ctx, `SELECT `+loggedModelColumns+` FROM logged_models WHERE experiment = ? AND id > ? AND state = 'active' ORDER BY id LIMIT ?`, experiment, after, limit)
	list, err := collect(rows, err, func(r *sql.Rows) (track.LoggedModel, error) { return scanLoggedModel(r) })
	if err != nil {
		return nil, err
	}
	return list, s.track.fillLoggedModels(ctx, list)
}
