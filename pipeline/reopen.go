// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lastro"
)

// Reopen makes the workspace of an attempt anew in dir, as it was before the
// work began: the code that the run recorded, the inputs by their digests, and
// folders for what is written. shop has the files of the run. Nothing is
// recorded and nothing runs; the caller removes dir. The job has no log and no
// door to tracking, and secrets only when they are asked for. An attempt that
// never got so far is EConflict.
func (e *Engine) Reopen(ctx context.Context, shop *Workshop, run Run, s StepRun, dir string, secrets bool) (*Job, error) {
	if s.Key == "" {
		return nil, &lastro.Error{Code: lastro.EConflict, ID: "L0673", Msg: fmt.Sprintf("%s of run #%d never began: it %s", cellName(s.Step, s.Cell), s.Run, standing(s.State)),
			Hint: "what a step finds is known once the steps before it have ended"}
	}
	p, err := e.replan(ctx, shop, run)
	if err != nil {
		return nil, err
	}
	a := &attempt{r: &active{e: e, run: run, plan: p, chosen: map[string]*StepRun{}}, row: s}
	if a.plan, a.cell = p.cell(s.Step, s.Cell); a.cell == nil {
		return nil, lastro.Errorf(lastro.ENotFound, "the plan of run #%d has no %s", s.Run, s.Ref())
	}
	if err := a.runtime(ctx); err != nil {
		return nil, err
	}
	names, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	spec, vars, err := names.resolve(a.plan.Spec)
	if err != nil {
		return nil, atStep(a.plan.Spec, err)
	}
	j := &Job{Run: s.Run, Step: spec, Cell: s.Cell, Values: a.cell.Values, Attempt: s.Attempt, TaskID: taskID(s.Run, s.Step, s.Cell, s.Attempt),
		Dir: filepath.Join(dir, "workspace"), Scratch: filepath.Join(dir, "private"), Project: shop.Project,
		Inputs: s.Inputs, Outputs: spec.Outputs, Params: p.Spec.Params, Vars: vars, Runtime: a.cell.runtime}
	j.Env = []string{SummaryVar + "=" + j.SummaryPath(), OutputVar + "=" + j.OutputPath()}
	if secrets && len(spec.Secrets) > 0 {
		if j.Secrets, err = secretValues(ctx, p, spec); err != nil {
			return nil, err
		}
	}
	return j, a.furnish(ctx, j)
}

// furnish writes the files of a job into its empty workspace.
func (a *attempt) furnish(ctx context.Context, j *Job) error {
	for _, d := range []string{j.Dir, filepath.Join(j.Scratch, "home"), filepath.Join(j.Scratch, "tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return diskFull(err)
		}
	}
	if len(a.cell.code) > 0 {
		if err := a.r.plan.shop.Code.Copy(ctx, a.cell.code, j.Dir); err != nil {
			return err
		}
	}
	if err := makeParents(j); err != nil {
		return diskFull(err)
	}
	for _, in := range j.Inputs {
		dest := j.Path(in.Path)
		if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
			return diskFull(err)
		}
		if err := os.RemoveAll(dest); err != nil {
			return err
		}
		if err := a.r.e.o.Blobs.Materialise(ctx, in.Digest, dest); err != nil {
			return fmt.Errorf("bring input %s: %w", in.Name, err)
		}
	}
	return nil
}
