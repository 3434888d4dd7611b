// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/pipeline"
)

// rootTable is a table whose rows need stored content.
type rootTable struct {
	name  string
	where string // which rows; the run's number is the argument of those with perRun
	// perRun: asked for each run whose content is kept.
	perRun bool
	// By is kind and the columns that name a row: kind:a, kind:a/b or, with a
	// number at the end, kind:a@b.
	kind string
	by   []string
	// sure are columns that hold the digest of content, or paths through the
	// JSON of one to such digests: body.outputs.digest.
	sure []string
}

// rootTables are all tables whose rows need content. Every digest that a row
// mentions in any column is a root for gc: it costs nothing to keep what only
// looks like content. Only what is named in sure is looked for by fsck.
var rootTables = []rootTable{
	{name: "run_bodies", where: "run = ?", perRun: true, kind: "run", by: []string{"run"}, sure: []string{"body.datasets.digest", "body.tree"}},
	{name: "step_runs", where: "run = ? AND state IN ('succeeded', 'cached')", perRun: true, kind: "step", by: []string{"run", "step"},
		sure: []string{"body.outputs.digest", "body.plots.digest"}},
	// A failed attempt's outputs are nobody's input; what it has read and shown stays.
	{name: "step_runs", where: "run = ? AND state NOT IN ('succeeded', 'cached')", perRun: true, kind: "step", by: []string{"run", "step"}},
	{name: "dataset_versions", where: "seen_at = (SELECT MAX(n.seen_at) FROM dataset_versions n WHERE n.dataset = dataset_versions.dataset)",
		kind: "dataset", by: []string{"dataset"}},
	{name: "artifacts", kind: "artifact", by: []string{"path"}, sure: []string{"digest"}},
	{name: "model_versions", kind: "model", by: []string{"model", "number"}, sure: []string{"digest"}},
	{name: "decisions", kind: "decision", by: []string{"id"}},
	{name: "releases", kind: "release", by: []string{"environment", "number"}},
	{name: "rollouts", kind: "rollout", by: []string{"environment", "number"}},
	{name: "alerts", kind: "alert", by: []string{"id"}},
	{name: "retrains", kind: "retrain", by: []string{"id"}},
	{name: "span_bodies", where: "blob <> ''", kind: "trace", by: []string{"trace"}, sure: []string{"blob"}},
	{name: "causes", where: "run = 0", kind: "cause", by: []string{"id"}},
}

// rootless are the tables whose rows need no content of their own. Every table
// is here or in rootTables: a test says so.
var rootless = []string{
	"runs",            // what they need is named in run_bodies
	"events",          // tell of what was; keep nothing
	"run_code",        // contents of source files, which git keeps
	"dataset_reports", // numbers about a version
	"experiments", "experiment_tags", "tracked_runs", "tracked_params", "tracked_tags", "tracked_keys", "metric_tail", "metric_chunks", "latest_metrics",
	"tracked_inputs", // digests of the client's own
	"moved",          // ids of what was brought from elsewhere
	"tracked_models", "logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics",
	"models", "model_tags", "model_numbers", "version_tags", "model_aliases", "alias_moves",
	"waivers",                                 // bound to a decision by its digest
	"engines", "run_steps", "run_conclusions", // the queue: what the runs and step runs need
	"users", "tokens", "measurements", "live", "secrets", "trigger_marks", "webhook_deliveries",
	"webhooks", "webhook_messages", "webhook_cursor",
	"small_blobs", "run_retention",
	"traces", "trace_pairs", "trace_links", "spans", "span_values", "assessments",
	"evaluation_datasets", "evaluation_tags", "evaluation_experiments", "evaluation_records",
}

// Retention says which runs keep their content: the newest of each project,
// those that began at or after Since, those that have not ended and those that
// a person pinned. The zero value keeps the last two only.
type Retention struct {
	Runs  int
	Since time.Time
}

// RunsFor returns the numbers of the runs that keep their content, and of
// those that do not, newest first.
func (s *Blobs) RunsFor(ctx context.Context, r Retention) (kept, rest []int64, err error) {
	rows, err := s.db.Query(ctx, `SELECT runs.number, runs.project, runs.state, runs.started_at, COALESCE(run_retention.pinned, 0)
		FROM runs LEFT JOIN run_retention ON run_retention.run = runs.number ORDER BY runs.number DESC`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	newer := map[string]int{}
	for rows.Next() {
		var number, started int64
		var project, state string
		var pinned int
		if err := rows.Scan(&number, &project, &state, &started, &pinned); err != nil {
			return nil, nil, err
		}
		newer[project]++
		young := !r.Since.IsZero() && started >= lastro.Micros(r.Since)
		if newer[project] <= r.Runs || young || pinned != 0 || !pipeline.State(state).Ended() {
			kept = append(kept, number)
		} else {
			rest = append(rest, number)
		}
	}
	return kept, rest, rows.Err()
}

// Roots calls fn for all content that is needed while these runs keep theirs.
func (s *Blobs) Roots(ctx context.Context, runs []int64, fn func(blob.Root) error) error {
	for _, t := range rootTables {
		if !t.perRun {
			if err := s.rootsOf(ctx, t, nil, fn); err != nil {
				return err
			}
			continue
		}
		for _, run := range runs {
			if err := s.rootsOf(ctx, t, []any{run}, fn); err != nil {
				return err
			}
		}
	}
	return s.recipes(ctx, runs, fn)
}

// recipes keeps what registered versions were made from: the code and the data
// of their runs, also when the runs' own outputs are not kept.
func (s *Blobs) recipes(ctx context.Context, kept []int64, fn func(blob.Root) error) error {
	rows, err := s.db.Query(ctx, `SELECT DISTINCT run FROM model_versions`)
	names, err := collect(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		return err
	}
	for _, name := range names {
		number, err := strconv.ParseInt(name, 10, 64)
		if err != nil || slices.Contains(kept, number) {
			continue // registered by hand
		}
		if err := s.rootsOf(ctx, rootTables[0], []any{number}, func(r blob.Root) error { r.Sure = false; return fn(r) }); err != nil {
			return err
		}
	}
	return nil
}

var digestText = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func (s *Blobs) rootsOf(ctx context.Context, t rootTable, args []any, fn func(blob.Root) error) error {
	query := `SELECT * FROM ` + t.name
	if t.where != "" {
		query += ` WHERE ` + t.where
	}
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.NullString)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		row := make(map[string]string, len(columns))
		for i, c := range columns {
			row[c] = values[i].(*sql.NullString).String
		}
		if err := t.roots(row, fn); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t rootTable) roots(row map[string]string, fn func(blob.Root) error) error {
	by := t.ref(row)
	sure := map[string]bool{}
	for _, path := range t.sure {
		column, rest, nested := strings.Cut(path, ".")
		if !nested {
			sure[row[column]] = true
			continue
		}
		var body any
		if err := json.Unmarshal([]byte(row[column]), &body); err != nil {
			return fmt.Errorf("read %s of %s: %w", column, by, err)
		}
		digestsAt(body, strings.Split(rest, "."), sure)
	}
	for _, text := range row {
		if !strings.Contains(text, "sha256:") {
			continue
		}
		for _, d := range digestText.FindAllString(text, -1) {
			if err := fn(blob.Root{Digest: lastro.Digest(d), By: by, Sure: sure[d]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// digestsAt collects the strings at a path; lists on the way are gone through.
func digestsAt(v any, path []string, into map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			digestsAt(e, path, into)
		}
	case map[string]any:
		if len(path) > 0 {
			digestsAt(v[path[0]], path[1:], into)
		}
	case string:
		if len(path) == 0 {
			into[v] = true
		}
	}
}

func (t rootTable) ref(row map[string]string) lastro.Ref {
	switch {
	case len(t.by) == 1:
		return lastro.NewRef(t.kind, row[t.by[0]], "")
	case t.by[1] == "number":
		return lastro.NewRef(t.kind, row[t.by[0]], row["number"])
	}
	return lastro.NewRef(t.kind, row[t.by[0]]+"/"+row[t.by[1]], "")
}

// LetGo records that these runs' content is no longer kept, before it is
// removed: fsck does not miss it.
func (s *Blobs) LetGo(ctx context.Context, runs []int64) error {
	for page := range slices.Chunk(runs, 500) {
		err := s.db.Write(ctx, func(tx *Tx) error {
			for _, run := range page {
				if _, err := tx.Exec(ctx, `INSERT INTO run_retention (run, pinned, let_go_at) VALUES (?, 0, ?)
					ON CONFLICT (run) DO UPDATE SET let_go_at = excluded.let_go_at WHERE run_retention.let_go_at = 0`, run, now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Held returns the numbers of the runs whose content was never let go.
func (s *Blobs) Held(ctx context.Context) ([]int64, error) {
	rows, err := s.db.Query(ctx, `SELECT number FROM runs WHERE number NOT IN (SELECT run FROM run_retention WHERE let_go_at <> 0) ORDER BY number`)
	return collect(rows, err, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
}

// Pin keeps the content of a run whatever its age, or no longer; ENotFound.
func (s *Blobs) Pin(ctx context.Context, run int64, pinned bool, by lastro.Actor) error {
	on, verb := 0, "run.unpinned"
	if pinned {
		on, verb = 1, "run.pinned"
	}
	return s.db.Write(ctx, func(tx *Tx) error {
		var found int64
		if err := tx.QueryRow(ctx, `SELECT number FROM runs WHERE number = ?`, run).Scan(&found); err != nil {
			return notFound(err, "there is no run #%d", run)
		}
		_, err := tx.Exec(ctx, `INSERT INTO run_retention (run, pinned, let_go_at) VALUES (?, ?, 0) ON CONFLICT (run) DO UPDATE SET pinned = excluded.pinned`, run, on)
		return err
	}, lastro.NewEvent(time.Now(), by, verb, pipeline.RunRef(run), nil))
}
