// SPDX-License-Identifier: Apache-2.0

// Package notebook is the step kind "notebook": a Jupyter notebook, executed
// from its first cell to its last by the kernel of the project's own
// environment, with parameters in papermill's convention. The executed copy is
// an output of the step. The work is a command of the kind "run": a small
// Python program, which reads and writes the notebook; nothing of it is loaded
// here but JSON.
package notebook

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/pipeline"
	"lastro/secret"
)

// version is part of the cache key; a change of meaning raises it.
const version = "notebook@1"

//go:embed run.py
var program []byte

// OutputName is the output that holds the executed copy.
const OutputName = "notebook"

// Kind implements pipeline.Resumable.
type Kind struct{ Command pipeline.Resumable } // carries out Step.Argv

var _ pipeline.Resumable = (*Kind)(nil)

// settings are what StepSpec.With holds.
type settings struct {
	Path   string         `json:"path"`   // from the repository root
	Params map[string]any `json:"params"` // by the name of a variable
}

func parse(s pipeline.StepSpec) (settings, error) {
	var out settings
	dec := json.NewDecoder(bytes.NewReader(s.With))
	dec.UseNumber() // 1 stays an int and 1.0 a float in Python
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0380", Pos: s.Pos, Msg: fmt.Sprintf("step %q: the notebook's settings: %v", s.Name, err), Hint: "see docs/steps/notebook.md"}
	}
	return out, nil
}

// Name returns notebook.
func (*Kind) Name() string { return "notebook" }

// Needs says that a notebook reads code and wants its Python.
func (*Kind) Needs(pipeline.StepSpec) pipeline.Needs { return pipeline.Needs{Code: true, Python: true} }

// Ingredients are the parameters and where the notebook is. Its content, with
// the outputs that were saved in it, counts as code.
func (*Kind) Ingredients(_ context.Context, s pipeline.StepSpec) (any, error) {
	set, err := parse(s)
	return map[string]any{"kind": version, "with": set, "services": s.Services}, err
}

// Run executes the notebook.
func (k *Kind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	set, err := parse(j.Step)
	if err != nil {
		return pipeline.Result{}, err
	}
	if err := prepare(j, set); err != nil {
		return pipeline.Result{}, fmt.Errorf("prepare the notebook: %w", err)
	}
	res, err := k.Command.Run(ctx, command(j))
	return res, finish(j, set, err)
}

// Resume waits for a notebook that a dead engine had started.
func (k *Kind) Resume(ctx context.Context, j *pipeline.Job) (pipeline.Result, bool, error) {
	set, err := parse(j.Step)
	if err != nil {
		return pipeline.Result{}, false, err
	}
	res, found, err := k.Command.Resume(ctx, command(j))
	if !found {
		return res, found, err
	}
	return res, found, finish(j, set, err)
}

// Stop ends a notebook that nobody will resume.
func (k *Kind) Stop(ctx context.Context, taskID, why string) error {
	return k.Command.Stop(ctx, taskID, why)
}

// Forget drops the executor's record.
func (k *Kind) Forget(ctx context.Context, taskID string) error { return k.Command.Forget(ctx, taskID) }

// Files in the step's TMPDIR, which it may read and write under every sandbox.
const (
	programFile = ".lastro-notebook.py"
	jobFile     = ".lastro-notebook.json"
	resultFile  = ".lastro-notebook-result.json"
)

func temp(j *pipeline.Job, name string) string { return filepath.Join(j.Scratch, "tmp", name) }

// command is the job as a command: the program of this package.
func command(j *pipeline.Job) *pipeline.Job {
	out := *j
	python := "python3"
	if j.Runtime.BinDir != "" {
		python = "python"
	}
	out.Step.Argv, out.Step.Shell = []string{python, temp(j, programFile), temp(j, jobFile)}, ""
	return &out
}

// prepare writes the program and what it is to do.
func prepare(j *pipeline.Job, set settings) error {
	params := map[string]any{}
	for name, v := range j.Values {
		params[name] = v
	}
	for name, v := range set.Params {
		params[name] = v
	}
	raw, err := json.Marshal(map[string]any{"notebook": j.Path(set.Path), "out": copyPath(j), "params": params, "result": temp(j, resultFile)})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(temp(j, ""), 0o700); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(temp(j, programFile), program, 0o600), os.WriteFile(temp(j, jobFile), raw, 0o600))
}

// copyPath is where the executed copy goes: the output "notebook", or a place
// that nobody keeps.
func copyPath(j *pipeline.Job) string {
	if o, ok := j.Output(OutputName); ok {
		return j.Path(o.Path)
	}
	return temp(j, "executed.ipynb")
}

// finish hides secrets in the executed copy and says what was wrong.
func finish(j *pipeline.Job, set settings, err error) error {
	if errors.Is(err, pipeline.ErrDetach) || errors.Is(err, pipeline.ErrLost) {
		return err
	}
	var values []string
	for _, v := range j.Secrets {
		values = append(values, v)
	}
	m := secret.NewMasker(values)
	if merr := mask(copyPath(j), m); merr != nil && err == nil {
		return fmt.Errorf("hide secrets in the executed notebook: %w", merr)
	}
	if lastro.Is(err, lastro.EFailed) {
		return explain(j, set, m, err)
	}
	return err
}

// maxCopyBytes is how much of an executed copy is searched for secrets.
const maxCopyBytes = 256 << 20

// mask replaces secrets in a notebook. The file is the step's: a link in its
// place is not followed.
func mask(name string, m *secret.Masker) error {
	fi, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // then the engine says that the output is missing
	}
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxCopyBytes {
		return err
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	masked := m.JSON(raw)
	if bytes.Equal(masked, raw) {
		return nil
	}
	if err := os.WriteFile(name+".masked", append(masked, '\n'), fi.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(name+".masked", name)
}

// exitStatus is the ID of a command that ended by itself with another status than 0.
const exitStatus = "L0301"

// result is what the program says of a notebook that cannot be executed.
type result struct {
	Problem string   `json:"problem"`
	Missing []string `json:"missing"` // packages
	Why     string   `json:"why"`
	Name    string   `json:"name"` // of the kernel
	Known   []string `json:"known"`
	Names   []string `json:"names"` // of parameters
	Cell    string   `json:"cell"`
	Error   string   `json:"error"` // class of the exception
}

// explain puts what the program said into the error of the command, which
// keeps the last lines of the log and how it ended.
func explain(j *pipeline.Job, set settings, m *secret.Masker, failed error) error {
	raw, err := os.ReadFile(temp(j, resultFile))
	var r result
	if err != nil || json.Unmarshal(m.JSON(raw), &r) != nil {
		return failed // it was killed, or never started
	}
	var old *lastro.Error
	if !errors.As(failed, &old) || old.ID != exitStatus {
		return failed // a limit, a signal or a service says more
	}
	e := *old
	e.Pos = j.Step.Pos
	say := func(id, msg, hint string) {
		e.ID, e.Hint, e.Msg = id, hint, fmt.Sprintf("step %q: %s", j.Step.Name, msg)
	}
	switch r.Problem {
	case "packages":
		say("L0381", fmt.Sprintf("the project's environment cannot execute notebooks: it lacks %s", strings.Join(r.Missing, ", ")),
			"add these lines to requirements.txt, then run again:  "+strings.Join(r.Missing, "  "))
		e.Notes = nil
	case "unreadable":
		say("L0382", fmt.Sprintf("%s is no notebook: %s", set.Path, r.Why), "open it in Jupyter and save it again")
	case "kernel":
		hint := "choose one of these in Jupyter and save: " + strings.Join(r.Known, ", ")
		msg := fmt.Sprintf("%s asks for the kernel %q, which the project's environment does not have", set.Path, r.Name)
		if r.Name == "" {
			msg = set.Path + " names no kernel (metadata.kernelspec.name)"
		}
		say("L0383", msg, hint)
	case "params":
		say("L0384", fmt.Sprintf("%s cannot be the name of a variable", strings.Join(r.Names, ", ")), "name the parameters of the notebook:  with: {max_depth: ${{ params.max-depth }}}")
	case "cell":
		say("L0385", fmt.Sprintf("%s of %s raised %s", r.Cell, set.Path, r.Error), old.Hint)
	case "died":
		say("L0386", fmt.Sprintf("the kernel of %s died in %s", set.Path, r.Cell), "most often the machine ran out of memory; all output: "+strings.TrimPrefix(old.Hint, "all output: "))
	case "start":
		say("L0386", fmt.Sprintf("the kernel of %s did not start: %s", set.Path, r.Why), old.Hint)
	}
	return &e
}
