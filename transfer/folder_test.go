// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro/track"
	"lastro/transfer"
)

// TestWhereArtifactsAre: servers and scripts write the place of artifacts in
// several ways; all of these find the same files.
func TestWhereArtifactsAre(t *testing.T) {
	want := readDump(t, "2.22.0")
	for name, tc := range map[string]struct {
		folder, prefix string // where they are, and how the database says it; DIR is the database's folder
		named          bool
	}{
		"relative":          {"mlruns", "./mlruns/", false},
		"absolute":          {"mlruns", "DIR/mlruns/", false},
		"file":              {"mlartifacts", "file://DIR/mlartifacts/", false},
		"host":              {"mlartifacts", "mlflow-artifacts://old:5000/", false},
		"copied from S3":    {"copy", "s3://bucket/some/prefix/", true},
		"of another server": {"elsewhere", "/srv/gone/mlruns/", true},
	} {
		t.Run(name, func(t *testing.T) {
			db, artifacts := unpack(t, "2.22.0")
			dir := filepath.Dir(db)
			folder := filepath.Join(dir, tc.folder)
			if folder != artifacts {
				if err := os.Rename(artifacts, folder); err != nil {
					t.Fatal(err)
				}
			}
			prefix := strings.ReplaceAll(tc.prefix, "DIR", dir)
			alter(t, db, `UPDATE runs SET artifact_uri = replace(artifact_uri, 'mlflow-artifacts:/', '`+prefix+`')`)
			named := ""
			if tc.named {
				named = folder
			}
			s, err := transfer.OpenDatabase(t.Context(), db, named)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			h := newHouse(t, "test")
			mustRun(t, h.importer(s))
			for _, r := range want.Runs {
				sameFiles(t, h, track.RunRoot(r.Experiment, r.ID), r.Artifacts)
			}
		})
	}
	t.Run("not here", func(t *testing.T) {
		db, artifacts := unpack(t, "2.22.0")
		if err := os.RemoveAll(artifacts); err != nil {
			t.Fatal(err)
		}
		s, err := transfer.OpenDatabase(t.Context(), db, "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		h := newHouse(t, "test")
		r := mustRun(t, h.importer(s))
		if c := r.Counts[transfer.Artifacts]; c.Skipped == 0 || r.Counts[transfer.Versions].Skipped == 0 {
			t.Errorf("artifacts %+v, versions %+v: what is not here was not told", c, r.Counts[transfer.Versions])
		}
	})
}
