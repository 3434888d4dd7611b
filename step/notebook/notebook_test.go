// SPDX-License-Identifier: Apache-2.0

package notebook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/exec/process"
	"lastro/pipeline"
	"lastro/secret"
	"lastro/step/command"
	"lastro/step/notebook"
)

// roleVar makes the test binary play the supervisor.
const roleVar = "LASTRO_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "" {
		os.Exit(m.Run())
	}
	mask := func(w io.Writer, values [][]byte) io.WriteCloser { return secret.Mask(w, values) }
	if err := process.RunSupervisor(context.Background(), process.SupervisorOptions{Dir: os.Args[1], Grace: 300 * time.Millisecond, IdleAfter: time.Second, Mask: mask}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// python is an interpreter with nbclient: LASTRO_TEST_PYTHON (make test sets it).
func python(t *testing.T) string {
	t.Helper()
	for _, p := range []string{os.Getenv("LASTRO_TEST_PYTHON"), "python3"} {
		if p != "" && osexec.Command(p, "-c", "import nbclient, nbformat, ipykernel").Run() == nil {
			return p
		}
	}
	if os.Getenv("LASTRO_TEST_PYTHON") != "" {
		t.Fatal("LASTRO_TEST_PYTHON lacks nbclient, nbformat or ipykernel: make python")
	}
	t.Skip("no Python with nbclient, nbformat and ipykernel; make test brings one")
	return ""
}

type bench struct {
	kind *notebook.Kind
	job  pipeline.Job
}

// newBench is a workspace with one notebook in it.
func newBench(t *testing.T, python, content string) *bench {
	t.Helper()
	dir := t.TempDir()
	control := filepath.Join(dir, "run")
	ex, err := process.Open(t.Context(), process.Options{Dir: control, Program: os.Args[0], Args: []string{control}, Env: append(os.Environ(), roleVar+"=supervisor")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	b := &bench{kind: &notebook.Kind{Command: &command.Kind{Executor: ex, Environ: os.Environ()}}}
	b.job = pipeline.Job{Run: 1, Attempt: 1, TaskID: "1-nb-1", Dir: filepath.Join(dir, "work"), Scratch: filepath.Join(dir, "scratch"), Project: dir,
		LogPath: filepath.Join(dir, "log"), Runtime: pipeline.Runtime{BinDir: filepath.Dir(python)},
		Step: pipeline.StepSpec{Name: "nb", Kind: "notebook", With: json.RawMessage(`{"path":"nb/a.ipynb","params":{"depth":6,"rate":0.5,"name":"it's \"q\"\n","flag":true,"nested":{"a":[1,null]}}}`), Timeout: time.Minute}}
	b.job.Outputs = []pipeline.Output{{Name: "notebook", Path: "work/nb.ipynb"}}
	os.MkdirAll(filepath.Join(b.job.Dir, "nb"), 0o700)
	os.MkdirAll(b.job.Scratch, 0o700)
	os.WriteFile(b.job.Path("nb/a.ipynb"), []byte(content), 0o600)
	return b
}

// run returns the log and the error.
func (b *bench) run(t *testing.T) (string, *lastro.Error) {
	t.Helper()
	_, err := b.kind.Run(t.Context(), &b.job)
	var e *lastro.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	log, _ := os.ReadFile(b.job.LogPath)
	return string(log), e
}

// cells is a notebook of format 4.4 or 4.5 with code cells; a tag stands
// before a bar.
func cells(minor int, kernel string, sources ...string) string {
	var list []map[string]any
	for i, s := range sources {
		tag, rest, ok := strings.Cut(s, "|")
		meta := map[string]any{}
		if ok {
			s, meta["tags"] = rest, []string{tag}
		}
		c := map[string]any{"cell_type": "code", "execution_count": nil, "metadata": meta, "outputs": []any{}, "source": s}
		if minor >= 5 {
			c["id"] = fmt.Sprintf("cell-%d", i)
		}
		list = append(list, c)
	}
	meta := map[string]any{}
	if kernel != "" {
		meta["kernelspec"] = map[string]any{"name": kernel, "display_name": kernel, "language": "python"}
	}
	raw, _ := json.Marshal(map[string]any{"cells": list, "metadata": meta, "nbformat": 4, "nbformat_minor": minor})
	return string(raw)
}

func TestNotebook(t *testing.T) {
	python := python(t)
	for _, minor := range []int{4, 5} {
		b := newBench(t, python, cells(minor, "python3", "import os, json", "parameters|depth, rate = 1, 1.0", "injected-parameters|depth = 99",
			"print(depth, rate, repr(name), flag, nested, fold)", "print('token', os.environ['TOKEN'])\nfold * 2", "json.dump({'auc': rate}, open('work/m.json', 'w'))"))
		b.job.Values = map[string]any{"fold": 3}
		b.job.Step.Secrets, b.job.Secrets = []string{"TOKEN"}, map[string]string{"TOKEN": "hunter2x"}
		os.MkdirAll(b.job.Path("work"), 0o700)
		log, e := b.run(t)
		if e != nil {
			t.Fatalf("%+v\n%s", e, log)
		}
		for _, want := range []string{"--- cell 2 of 5\n", "--- the parameters that were injected\n", `6 0.5 'it\'s "q"\n' True {'a': [1, None]} 3` + "\n", "token ***\n", "\n6\n"} {
			if !strings.Contains(log, want) {
				t.Errorf("4.%d: %q is not in the log:\n%s", minor, want, log)
			}
		}
		copied, err := os.ReadFile(b.job.Path("work/nb.ipynb"))
		if err != nil {
			t.Fatal(err)
		}
		for text, there := range map[string]bool{"hunter2x": false, "token ***": true, "depth = 99": false, `"injected-parameters"`: true, "lastro_cell": false, "iopub": false} {
			if bytes.Contains(copied, []byte(text)) != there {
				t.Errorf("4.%d: %q in the copy is not %v:\n%s", minor, text, there, copied)
			}
		}
		// The same again gives the same bytes.
		b.job.TaskID = "1-nb-2"
		if _, e := b.run(t); e != nil {
			t.Fatal(e)
		}
		if again, _ := os.ReadFile(b.job.Path("work/nb.ipynb")); !bytes.Equal(again, copied) {
			t.Errorf("4.%d: the second copy differs:\n%s", minor, again)
		}
	}
}

func TestNotebookErrors(t *testing.T) {
	python := python(t)
	bare := filepath.Join(t.TempDir(), "bin")
	if out, err := osexec.Command("python3", "-m", "venv", "--without-pip", filepath.Dir(bare)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, tc := range map[string]struct {
		content, bin string
		params       string
		id, want     string
		hint, note   string
	}{
		"cell":           {content: cells(5, "python3", "x = 1", "def f():\n    raise ValueError('no such hunter2x')\nf()", "print('never')"), id: "L0385", want: `step "nb": cell 2 of 3 of nb/a.ipynb raised ValueError`, note: "ValueError: no such ***"},
		"packages":       {content: cells(5, "python3", "1"), bin: bare, id: "L0381", want: "it lacks nbclient, nbformat, ipykernel", hint: "requirements.txt"},
		"no kernel":      {content: cells(5, "", "1"), id: "L0383", want: "nb/a.ipynb names no kernel", hint: "python3"},
		"unknown kernel": {content: cells(5, "julia-1.9", "1"), id: "L0383", want: `asks for the kernel "julia-1.9"`, hint: "python3"},
		"gone kernel":    {content: cells(5, "gone", "1"), bin: withKernel(t, python, "gone", "/nonexistent/python"), id: "L0386", want: "did not start", note: ""},
		"not JSON":       {content: "hello", id: "L0382", want: "nb/a.ipynb is no notebook"},
		"other JSON":     {content: `{"cells": 3}`, id: "L0382", want: "is no notebook"},
		"bad name":       {content: cells(5, "python3", "1"), params: `{"max-depth": 3, "class": 1}`, id: "L0384", want: "class, max-depth cannot be the name"},
		"died":           {content: cells(5, "python3", "import os; os._exit(1)"), id: "L0386", want: "died in cell 1 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, python, tc.content)
			b.job.Step.Secrets, b.job.Secrets = []string{"TOKEN"}, map[string]string{"TOKEN": "hunter2x"}
			if tc.bin != "" {
				b.job.Runtime.BinDir = tc.bin
			}
			if tc.params != "" {
				b.job.Step.With = json.RawMessage(`{"path":"nb/a.ipynb","params":` + tc.params + `}`)
			}
			log, e := b.run(t)
			if e == nil || e.ID != tc.id || e.Code != lastro.EFailed || !strings.Contains(e.Msg, tc.want) || !strings.Contains(e.Hint, tc.hint) {
				t.Fatalf("%+v\n%s", e, log)
			}
			if tc.note != "" && (len(e.Notes) == 0 || e.Notes[len(e.Notes)-1] != tc.note || strings.Contains(log, "never\n")) {
				t.Errorf("notes %q\n%s", e.Notes, log)
			}
		})
	}
}

// withKernel is an environment with the packages of another one and a kernel
// whose program is given.
func withKernel(t *testing.T, python, name, program string) (bin string) {
	t.Helper()
	dir := t.TempDir()
	packages, err := osexec.Command(python, "-c", "import nbclient, os; print(os.path.dirname(os.path.dirname(nbclient.__file__)))").Output()
	if err == nil {
		err = osexec.Command(python, "-m", "venv", "--without-pip", dir).Run()
	}
	site, _ := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages"))
	if err != nil || len(site) != 1 {
		t.Fatalf("%v, %v", site, err)
	}
	spec := filepath.Join(dir, "share", "jupyter", "kernels", name, "kernel.json")
	err = errors.Join(os.WriteFile(filepath.Join(site[0], "more.pth"), packages, 0o600), os.MkdirAll(filepath.Dir(spec), 0o700),
		os.WriteFile(spec, fmt.Appendf(nil, `{"argv": [%q, "-f", "{connection_file}"], "display_name": "x", "language": "python"}`, program), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin")
}

func TestIngredients(t *testing.T) {
	k := &notebook.Kind{}
	of := func(with string) string {
		v, err := k.Ingredients(t.Context(), pipeline.StepSpec{With: json.RawMessage(with)})
		if err != nil {
			return err.Error()
		}
		raw, _ := lastro.CanonicalJSON(v)
		return string(raw)
	}
	if a, b := of(`{"path":"a.ipynb","params":{"x":1}}`), of(`{"path":"a.ipynb","params":{"x":2}}`); a == b {
		t.Errorf("another parameter, the same key: %s", a)
	}
	if got := of(`{"path":"a.ipynb","parms":{}}`); !strings.Contains(got, "parms") {
		t.Error(got)
	}
}
