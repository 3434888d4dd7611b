// SPDX-License-Identifier: Apache-2.0

package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"lastro"
)

// Each testdata/bad/X.bad.yaml gives exactly what X.bad.txt says.
func TestBadFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/bad/*.bad.yaml")
	if len(files) < 15 {
		t.Fatalf("%d bad files", len(files))
	}
	dir := t.TempDir()
	for _, f := range []string{"split.py", "train.py", "evaluate.py", "src/train.py", "contracts/wine.odcs.yaml"} {
		write(t, dir, f, "")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(dir, src)
			var problems lastro.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("Parse = %v, want problems", err)
			}
			for _, p := range problems {
				if p.ID == "" || p.Pos.Line == 0 || p.Pos.Col == 0 || p.Code == "" {
					t.Errorf("problem without ID, code or place: %+v", p)
				}
			}
			var out strings.Builder
			if err := Render(&out, problems, fstest.MapFS{FileName: {Data: src}}, false); err != nil {
				t.Fatal(err)
			}
			out.WriteString("\n" + Summary(problems) + "\n")
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(out.String()))
		})
	}
}
