// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/store"
)

func named(text string) lastro.Digest { return lastro.DigestOf([]byte(text)) }

// addRun stores a run with one step whose output is named "out-N".
func addRun(t *testing.T, db *store.DB, number int, project, state string, age time.Duration) {
	t.Helper()
	at := lastro.Micros(time.Now().Add(-age))
	change(t, db, `INSERT INTO run_code (digest, files) VALUES ('c', '{}') ON CONFLICT (digest) DO NOTHING`)
	change(t, db, `INSERT INTO runs (number, project, state, plan_digest, actor, started_at, code) VALUES (?, ?, ?, ?, 'user:ana', ?, 'c')`,
		number, project, state, string(named("plan")), at)
	change(t, db, `INSERT INTO run_bodies (run, body) VALUES (?, ?)`, number, fmt.Sprintf(`{"datasets": [{"name": "d", "digest": %q}]}`, named(fmt.Sprint("data-", number))))
	change(t, db, `INSERT INTO step_runs (run, step, attempt, position, project, kind, state, body) VALUES (?, 'train', 1, 1, ?, 'run', 'succeeded', ?)`,
		number, project, fmt.Sprintf(`{"ingredients": {"code": %q}, "outputs": [{"name": "o", "digest": %q}]}`, named("code"), named(fmt.Sprint("out-", number))))
}

func TestWhichRunsKeepTheirContent(t *testing.T) { Each(t, testWhichRunsKeepTheirContent) }

func testWhichRunsKeepTheirContent(t *testing.T, db *store.DB) {
	s := store.NewBlobs(db)
	day := 24 * time.Hour
	addRun(t, db, 1, "a", "running", 90*day) // not ended
	addRun(t, db, 2, "a", "failed", 80*day)  // pinned
	addRun(t, db, 3, "a", "succeeded", 70*day)
	addRun(t, db, 4, "a", "succeeded", 60*day) // among the newest two of a
	addRun(t, db, 5, "b", "succeeded", 60*day) // of b
	addRun(t, db, 6, "a", "succeeded", 50*day)
	if err := s.Pin(t.Context(), 2, true, "user:ana"); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(t.Context(), 99, true, "user:ana"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Pin of no run: %v", err)
	}
	for _, c := range []struct {
		r    store.Retention
		want []int64
	}{
		{store.Retention{}, []int64{2, 1}},
		{store.Retention{Runs: 2}, []int64{6, 5, 4, 2, 1}},
		{store.Retention{Since: time.Now().Add(-65 * day)}, []int64{6, 5, 4, 2, 1}},
		{store.Retention{Since: time.Now().Add(-55 * day)}, []int64{6, 2, 1}},
		{store.Retention{Runs: 100}, []int64{6, 5, 4, 3, 2, 1}},
	} {
		kept, rest, err := s.RunsFor(t.Context(), c.r)
		if err != nil || !slices.Equal(kept, c.want) || len(kept)+len(rest) != 6 {
			t.Errorf("%+v keeps %v, %v; want %v", c.r, kept, err, c.want)
		}
	}
}

func TestRoots(t *testing.T) { Each(t, testRoots) }

func testRoots(t *testing.T, db *store.DB) {
	s := store.NewBlobs(db)
	addRun(t, db, 1, "a", "succeeded", time.Hour)
	addRun(t, db, 2, "a", "succeeded", time.Hour)
	change(t, db, `INSERT INTO models (name, description, declared, protect, created_at, updated_at, actor) VALUES ('m', '', 0, '', 0, 0, 'user:ana')`)
	change(t, db, `INSERT INTO model_versions (model, number, digest, source, run, step, cell, tracked_run, logged_model, data, commit_id, lock, description, stage, created_at, updated_at, actor)
		VALUES ('m', 3, ?, '', '1', 'train', '', '', '', ?, '', '', '', '', 0, 0, 'user:ana')`, string(named("weights")), fmt.Sprintf(`[{"name": "d", "digest": %q}]`, named("version data")))
	change(t, db, `INSERT INTO artifacts (path, digest, size, at) VALUES ('0/r/artifacts/x', ?, 1, 0)`, string(named("artifact")))
	change(t, db, `INSERT INTO decisions (number, id, model, version, subject, verdict, run, at, actor, digest, frozen) VALUES (1, 'd-1', 'm', '3', 's', 'passed', '1', 0, 'user:ana', 'x', ?)`,
		fmt.Sprintf(`{"facts": {"report": %q}}`, named("evidence")))
	found := map[lastro.Digest]string{}
	sure := map[lastro.Digest]bool{}
	if err := s.Roots(t.Context(), []int64{2}, func(r blob.Root) error {
		found[r.Digest], sure[r.Digest] = string(r.By), r.Sure
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, by string
		sure     bool
	}{
		{"out-2", "step:2/train", true}, {"data-2", "run:2", true}, {"data-1", "run:1", false}, {"weights", "model:m@3", true},
		{"version data", "model:m@3", false}, {"artifact", "artifact:0/r/artifacts/x", true}, {"evidence", "decision:d-1", false}, {"code", "step:2/train", false},
	} {
		if found[named(c.what)] != c.by || sure[named(c.what)] != c.sure {
			t.Errorf("%s is needed by %q, sure %v; want %q, %v", c.what, found[named(c.what)], sure[named(c.what)], c.by, c.sure)
		}
	}
	if by, ok := found[named("out-1")]; ok {
		t.Errorf("the output of a run that is not kept is needed by %s", by)
	}
	if err := s.LetGo(t.Context(), []int64{1}); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Held(t.Context()); err != nil || !slices.Equal(held, []int64{2}) {
		t.Errorf("held: %v, %v", held, err)
	}
	if strings.Contains(fmt.Sprint(found), "run:99") {
		t.Error("a run that is not there")
	}
}
