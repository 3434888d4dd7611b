// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastro"
	"lastro/registry"
	"lastro/track"
	"lastro/transfer"
)

// TestConflicts: whatever is taken here is named before anything is written,
// with what to do; then that is done.
func TestConflicts(t *testing.T) {
	const release = "3.17.2"
	ctx := t.Context()
	h := newHouse(t, "test")
	mine, err := h.track.CreateExperiment(ctx, track.Caller{By: "user:ana"}, "churn", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.move.PutExperiment(ctx, track.Experiment{ID: "2", Name: "another server's", State: track.Active, By: "user:ana"}, "from elsewhere"); err != nil {
		t.Fatal(err)
	}
	tree, err := h.blobs.PutEntries(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.registry.Register(ctx, registry.Registration{Version: registry.Version{Model: "after", Digest: tree, By: "user:ana"}}); err != nil {
		t.Fatal(err)
	}
	_, err = h.importer(openDatabase(t, release)).Run(ctx)
	var e *lastro.Error
	if !errors.As(err, &e) || e.ID != "L0768" || len(e.Notes) != 3 {
		t.Fatalf("conflicts: %v %+v", err, e)
	}
	for i, want := range []string{"--rename 1=NAME", "--renumber 2=NUMBER", `--rename-model "after=NAME"`} {
		if !strings.Contains(e.Notes[i], want) {
			t.Errorf("conflict %d is %s", i, e.Notes[i])
		}
	}
	if _, err := h.track.Experiment(ctx, "1"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("something was written: %v", err)
	}

	i := h.importer(openDatabase(t, release))
	i.Plan = transfer.Plan{Rename: map[string]string{"1": "churn (old)"}, Renumber: map[string]string{"2": "77"}, RenameModels: map[string]string{"after": "after (old)"}}
	mustRun(t, i)
	if e, err := h.track.Experiment(ctx, "1"); err != nil || e.Name != "churn (old)" {
		t.Errorf("experiment 1 is %+v, %v", e, err)
	}
	if e, err := h.track.Experiment(ctx, "77"); err != nil || !strings.HasPrefix(e.Name, "Größe") {
		t.Errorf("experiment 77 is %+v, %v", e, err)
	}
	if e, err := h.track.Experiment(ctx, mine.ID); err != nil || e.Name != "churn" {
		t.Errorf("what was here is now %+v, %v", e, err)
	}
	if v, err := h.registry.VersionsOf(ctx, "after (old)"); err != nil || len(v) != 1 {
		t.Errorf("model after (old): %v, %v", v, err)
	}
	if v, err := h.registry.VersionsOf(ctx, "after"); err != nil || len(v) != 1 || v[0].Digest != tree {
		t.Errorf("model after: %v, %v", v, err)
	}
}

// TestConflictsLeftOut brings the rest.
func TestConflictsLeftOut(t *testing.T) {
	ctx := t.Context()
	h := newHouse(t, "test")
	if _, err := h.track.CreateExperiment(ctx, track.Caller{By: "user:ana"}, "gone", nil); err != nil {
		t.Fatal(err)
	}
	i := h.importer(openDatabase(t, "3.17.2"))
	i.GoOn = true
	r := mustRun(t, i)
	if c := r.Counts[transfer.Experiments]; c.Found != 4 || c.Skipped != 1 || c.Moved+c.There != 3 {
		t.Errorf("experiments: %+v", c)
	}
	if !slices.ContainsFunc(r.Skips, func(s transfer.Skip) bool {
		return strings.Contains(s.What, "gone") && strings.Contains(s.Why, "--rename 3=NAME")
	}) {
		t.Errorf("skips: %v", r.Skips)
	}
}

// TestProtected: what a lastro.yaml protects stays, and the import says so.
func TestProtected(t *testing.T) {
	ctx := t.Context()
	h := newHouse(t, "test")
	if err := h.registry.Declare(ctx, "user:ana", []registry.Spec{{Name: "churn"}}); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, h.importer(openDatabase(t, "3.17.2")))
	m, err := h.registry.Model(ctx, "churn")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range m.Aliases {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"also", "try-me"}) {
		t.Errorf("aliases are %v: champion is protected", names)
	}
	v, err := h.registry.Version(ctx, "churn", 2)
	if err != nil || v.Stage != "None" {
		t.Errorf("version 2 is in stage %q, %v: Production is protected", v.Stage, err)
	}
	var said string
	for _, s := range r.Skips {
		said += s.What + " " + s.Why + "\n"
	}
	for _, want := range []string{"alias champion -> 2 is protected here", "stage Production is not moved"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
}

// TestWhatCannotBeRead: files that are no database of MLflow, and one that is too old.
func TestWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	old, _ := unpack(t, "2.22.0")
	alter(t, old, `ALTER TABLE experiments DROP COLUMN creation_time`)
	for path, id := range map[string]string{filepath.Join(dir, "nothing.db"): "L0760", dir: "L0760", write("text.db", "hello"): "L0761", write("empty.db", ""): "L0761", old: "L0762"} {
		_, err := transfer.OpenDatabase(t.Context(), path, "")
		var e *lastro.Error
		if !errors.As(err, &e) || e.ID != id || e.Hint == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestForeignPaths: a database that names files of this machine gets none that
// are not below the folders of artifacts.
func TestForeignPaths(t *testing.T) {
	db, artifacts := unpack(t, "2.22.0")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.MkdirAll(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secret, "key"), []byte("geheim"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(artifacts, "out")); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{secret, "file://" + secret, "mlflow-artifacts:/../../" + filepath.Base(secret), "mlflow-artifacts:/out", "../../../../../../../.." + secret} {
		alter(t, db, `UPDATE runs SET artifact_uri = '`+root+`'`)
		s, err := transfer.OpenDatabase(t.Context(), db, "")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = s.Files(t.Context(), root, func(transfer.File) error { n++; return nil })
		if r, oerr := s.Open(t.Context(), root, "key"); oerr == nil {
			r.Close()
			t.Errorf("%s could be read", root)
		}
		s.Close()
		if n > 0 {
			t.Errorf("%s has %d files (%v)", root, n, err)
		}
	}
}

// TestOddNames: artifacts whose names lastro does not take get one that it does.
func TestOddNames(t *testing.T) {
	db, artifacts := unpack(t, "2.22.0")
	h := newHouse(t, "test")
	var run string
	for _, r := range readDump(t, "2.22.0").Runs {
		if len(r.Artifacts) > 3 {
			run = r.ID
		}
	}
	dir := filepath.Join(artifacts, "1", run, "artifacts", "größe")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a+b (1).txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := transfer.OpenDatabase(t.Context(), db, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := mustRun(t, h.importer(s))
	name := track.RunRoot("1", run) + "/gr_c3_b6_c3_9fe/a_2bb _281_29.txt"
	if _, err := h.track.Artifact(t.Context(), name); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(r.Skips, func(s transfer.Skip) bool { return strings.Contains(s.Why, "a+b (1).txt") }) {
		t.Errorf("the new name is not told: %v", r.Skips)
	}
}
