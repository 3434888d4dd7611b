// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
	"lastro/source"
	"lastro/step/command"
)

// Shell is the workspace of a step as it was before its command, with the
// environment of the command.
type Shell struct {
	Row      pipeline.StepRun // the attempt that it is of
	Root     string           // folder to be removed by Close
	Dir      string           // where the command started
	Env      []string         // NAME=value
	Command  string           // "" = a built-in, which has none
	Kind     string
	Secrets  []string // names whose values are in Env
	Without  []string // names whose values are not
	Isolated string   // what kept the step apart, and does not keep the shell
	Limits   pipeline.Limits
}

// OpenShell makes the workspace of a step anew. For a step that came from the
// cache it is that of the run that did the work. Nothing is recorded.
func (h *House) OpenShell(ctx context.Context, number int64, step string, cell int, secrets bool, notes func(string)) (*Shell, error) {
	attempts, err := h.Attempts(ctx, number, step, cell)
	if err != nil {
		return nil, err
	}
	row := attempts[len(attempts)-1]
	if first := attempts[0]; first.Cell != row.Cell {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0674", Msg: fmt.Sprintf("step %q has several cells: say which one", step), Hint: fmt.Sprintf("lastro shell %d '%s[%d]'", number, step, first.Cell)}
	}
	if row, err = h.Printed(ctx, row); err != nil {
		return nil, err
	}
	run, err := h.Runs.Run(ctx, row.Run)
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp(h.Paths.Work(), fmt.Sprintf("shell-%d-", row.Run))
	if err != nil {
		return nil, diskError(err)
	}
	s := &Shell{Row: row, Root: root, Kind: row.Kind, Isolated: row.Isolation}
	if err := h.furnish(ctx, s, run, secrets, notes); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (h *House) furnish(ctx context.Context, s *Shell, run pipeline.Run, secrets bool, notes func(string)) error {
	shop, err := h.shopIn(ctx, run, filepath.Join(s.Root, "tree"), notes)
	if err != nil {
		return err
	}
	if !secrets {
		shop.Secrets = noSecrets{}
	}
	j, err := h.engine().Reopen(ctx, shop, run, s.Row, s.Root, secrets)
	if err != nil {
		return err
	}
	s.Dir, s.Env, s.Limits = j.Path(j.Step.Workdir), command.Environment(j, os.Environ()), j.Step.Limits
	s.Command = j.Step.Shell
	if j.Step.Argv != nil {
		s.Command = quoted(j.Step.Argv)
	}
	s.Secrets = slices.Sorted(maps.Keys(j.Secrets))
	if !secrets {
		s.Without = j.Step.Secrets
	}
	return nil
}

// shopIn is the workshop of a run whose files are written to dir, which does
// not exist.
func (h *House) shopIn(ctx context.Context, run pipeline.Run, dir string, notes func(string)) (*pipeline.Workshop, error) {
	if run.Tree == "" {
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0667", Msg: fmt.Sprintf("run #%d recorded no files of its own", run.Number), Hint: "lastro ls lists the runs"}
	}
	err := h.Blobs.Materialise(ctx, run.Tree, dir)
	if lastro.Is(err, lastro.ENotFound) {
		err = &lastro.Error{Code: lastro.ENotFound, ID: "L0667", Msg: fmt.Sprintf("the files of run #%d are no longer kept", run.Number), Hint: "newer runs: lastro ls", Err: nil}
	}
	if err != nil {
		return nil, err
	}
	p, err := project.Load(dir)
	if err != nil {
		return nil, err
	}
	files, err := h.treeOf(ctx, run, nil)
	if err != nil {
		return nil, err
	}
	return h.shop(p, dir, source.NewRecorded(files, dir), recordedData{datasets{h: h, project: p, notes: notes}, run.Datasets}, h.runtimes(dir, notes, nil), !run.Options.Untrusted), nil
}

// recordedData gives the versions that a run read, from the store.
type recordedData struct {
	datasets
	of []pipeline.Dataset
}

// Snapshot returns the recorded version; the dataset as it is now plays no part.
func (d recordedData) Snapshot(ctx context.Context, name string) (pipeline.Dataset, error) {
	for _, ds := range d.of {
		if ds.Name != name {
			continue
		}
		has, err := d.h.Blobs.Has(ctx, ds.Digest)
		if err == nil && !has {
			err = &lastro.Error{Code: lastro.ENotFound, ID: "L0675", Msg: fmt.Sprintf("version %s of dataset %q, which the run read, is no longer stored", ds.Digest.Short(), name)}
		}
		return ds, err
	}
	return pipeline.Dataset{}, lastro.Errorf(lastro.ENotFound, "the run read no dataset %q", name)
}

// noSecrets knows every name and no value.
type noSecrets struct{}

// Versions implements pipeline.Secrets.
func (noSecrets) Versions(_ context.Context, names []string) (map[string]int, error) {
	out := map[string]int{}
	for _, n := range names {
		out[n] = 1
	}
	return out, nil
}

// Values implements pipeline.Secrets.
func (noSecrets) Values(context.Context, []string) (map[string]string, error) { return nil, nil }

// quoted writes arguments so that a shell reads them as they are.
func quoted(argv []string) string {
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$&|;<>()*?[]#~=%!{}`") {
			out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

// Close removes the folder, also what was made unwritable in it.
func (s *Shell) Close() error {
	if os.RemoveAll(s.Root) == nil {
		return nil
	}
	_ = filepath.WalkDir(s.Root, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return diskError(os.RemoveAll(s.Root))
}
