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
				if IDs[p.ID] == "" {
					t.Errorf("%s has no long text", p.ID)
				}
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

// A file may come from anywhere: what it holds cannot steer the terminal.
func TestRenderIsPrintable(t *testing.T) {
	src := []byte("version: 1\nname: \"a\\e[31mb\" # \x1b]0;title\x07 \u202egnp\n\tx: 1\nsteps: {s: {run: x}}\n")
	_, err := Parse(t.TempDir(), src)
	var problems lastro.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Render(&out, problems, fstest.MapFS{FileName: {Data: src}}, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u202e\t") {
		t.Errorf("control characters in %q", out.String())
	}
	out.Reset()
	if err := Render(&out, problems, nil, true); err != nil || !strings.Contains(out.String(), "\x1b[31;1merror") {
		t.Errorf("with colour: %q, %v", out.String(), err)
	}
}
