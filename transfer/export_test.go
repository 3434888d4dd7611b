// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/transfer"
)

func export(t testing.TB, h house) (string, transfer.Result) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "back")
	x := transfer.Exporter{Source: h.own(), Dir: dir, Verify: transfer.VerifyFull}
	r, err := x.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Errorf("%s differs: %s", d.What, d.Part)
	}
	return dir, r
}

// TestThereAndBack exports what was imported and imports the export into
// another lastro: it is what MLflow's client read at the beginning.
// TestRealServer lets MLflow itself open such a file.
func TestThereAndBack(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			first := newHouse(t, "first")
			mustRun(t, first.importer(openDatabase(t, release)))
			dir, r := export(t, first)
			if n := r.Verified[transfer.Runs]; n != 6 {
				t.Errorf("%d runs were compared", n)
			}
			back, err := transfer.OpenDatabase(t.Context(), filepath.Join(dir, transfer.ExportedDatabase), "")
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			second := newHouse(t, "second")
			mustRun(t, second.importer(back))
			holdAgainst(t, second, readDump(t, release))
			if keep := os.Getenv("LASTRO_KEEP_EXPORT"); keep != "" {
				if err := os.CopyFS(filepath.Join(keep, release), os.DirFS(dir)); err != nil {
					t.Log(err)
				}
			}
		})
	}
}

// TestExportKeepsWhatIsThere refuses a folder that has a database.
func TestExportKeepsWhatIsThere(t *testing.T) {
	h := newHouse(t, "test")
	dir := t.TempDir()
	name := filepath.Join(dir, transfer.ExportedDatabase)
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := transfer.Exporter{Source: h.own(), Dir: dir, Verify: transfer.VerifyFull}
	if _, err := x.Run(t.Context()); !lastro.Is(err, lastro.EConflict) || !strings.Contains(err.Error(), name) {
		t.Errorf("error is %v", err)
	}
	if raw, err := os.ReadFile(name); err != nil || string(raw) != "mine" {
		t.Errorf("the file is now %q, %v", raw, err)
	}
}
