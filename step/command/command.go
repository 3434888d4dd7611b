// SPDX-License-Identifier: Apache-2.0

// Package command is the step kind "run": a user's command, unchanged, as a
// task of an executor. It decides the environment that the command sees and
// whether an exit means failed or errored. Workspaces and outputs belong to
// the engine, processes to the executor.
package command

import (
	"context"
	"errors"
	"time"

	"lastro"
	"lastro/exec"
	"lastro/pipeline"
)

// Kind implements pipeline.Resumable.
type Kind struct {
	Executor exec.Executor
	Environ  []string // of which a few variables reach the step; nil = nothing is passed on
	Store    string   // absolute: the blobs, which no step can write; "" = not kept
	Services Services // nil = a step with services is refused
	Hidden   []string // absolute: what a strict step cannot read beside the project: the state directory
}

var _ pipeline.Resumable = (*Kind)(nil)

// defaultTimeout ends commands that say nothing about it.
const defaultTimeout = 24 * time.Hour

// startWait bounds the start of a task, which also starts a supervisor when
// there is none.
const startWait = time.Minute

// stopWait is how long a stopped task may take to be gone: longer than the
// executor's grace between SIGTERM and SIGKILL.
const stopWait = 30 * time.Second

// Name is the kind's name.
func (*Kind) Name() string { return "run" }

// Needs says that a command reads code and wants its Python.
func (*Kind) Needs(pipeline.StepSpec) pipeline.Needs { return pipeline.Needs{Code: true, Python: true} }

// shell runs a command so that a failure in the middle is a failure.
var shell = []string{"bash", "-euo", "pipefail", "-c"}

// Ingredients are the command and how it is run.
func (*Kind) Ingredients(_ context.Context, s pipeline.StepSpec) (any, error) {
	out := map[string]any{"command": s.Argv}
	if s.Argv == nil {
		out = map[string]any{"command": s.Shell, "shell": shell}
	}
	if len(s.Services) > 0 {
		out["services"] = s.Services
	}
	return out, nil
}

// Run carries out the command.
func (k *Kind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	argv := j.Step.Argv
	if argv == nil {
		argv = append(append([]string{}, shell...), j.Step.Shell)
	}
	argv, err := k.beside(j, argv)
	if err != nil {
		return pipeline.Result{}, err
	}
	return k.carryOut(ctx, j, argv)
}

// runner is an executor that starts a task and waits for it in one exchange.
type runner interface {
	Run(ctx context.Context, t exec.Task) (exec.Exit, error)
}

// carryOut starts the task and waits for its end.
func (k *Kind) carryOut(ctx context.Context, j *pipeline.Job, argv []string) (pipeline.Result, error) {
	if r, ok := k.Executor.(runner); ok && ctx.Err() == nil {
		exit, err := r.Run(ctx, k.task(j, argv))
		return k.ended(ctx, j, exit, err)
	}
	if err := k.start(ctx, j, argv); err != nil {
		return pipeline.Result{}, err
	}
	return k.wait(ctx, j)
}

// start starts the task whatever happens to ctx meanwhile: a start that is
// given up half-way could leave a task behind that nobody stops.
func (k *Kind) start(ctx context.Context, j *pipeline.Job, argv []string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
	defer cancel()
	return k.Executor.Start(limited, k.task(j, argv))
}

// RunTask runs one program for a job of another kind, in the job's workspace
// and environment, and forgets it.
func (k *Kind) RunTask(ctx context.Context, j *pipeline.Job, argv []string) (pipeline.Result, error) {
	res, err := k.carryOut(ctx, j, argv)
	if errors.Is(context.Cause(ctx), pipeline.ErrDetach) {
		return res, err
	}
	return res, errors.Join(err, k.Executor.Forget(context.WithoutCancel(ctx), j.TaskID))
}

// Resume waits for a command that a dead engine had started.
func (k *Kind) Resume(ctx context.Context, j *pipeline.Job) (pipeline.Result, bool, error) {
	res, err := k.wait(ctx, j)
	if lastro.Is(err, lastro.ENotFound) {
		return pipeline.Result{}, false, nil
	}
	return res, true, err
}

// Stop ends a command that nobody will resume, and waits until it is gone.
func (k *Kind) Stop(ctx context.Context, taskID, why string) error {
	err := k.Executor.Stop(ctx, taskID, why)
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	_, err = k.Executor.Wait(limited, taskID)
	return err
}

// Forget drops the executor's record of a command.
func (k *Kind) Forget(ctx context.Context, taskID string) error {
	return k.Executor.Forget(ctx, taskID)
}

// wait waits for the task; when ctx ends first the task is stopped, unless the
// engine only goes away for a while.
func (k *Kind) wait(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	exit, err := k.Executor.Wait(ctx, j.TaskID)
	return k.ended(ctx, j, exit, err)
}

// ended is the result of a task that was waited for.
func (k *Kind) ended(ctx context.Context, j *pipeline.Job, exit exec.Exit, err error) (pipeline.Result, error) {
	if err != nil && ctx.Err() != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, pipeline.ErrDetach) {
			return pipeline.Result{}, cause
		}
		if serr := k.Stop(context.WithoutCancel(ctx), j.TaskID, cause.Error()); serr != nil {
			return pipeline.Result{}, errors.Join(cause, serr)
		}
		return pipeline.Result{}, cause
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	res := pipeline.Result{CPUSeconds: (exit.UserCPU + exit.SysCPU).Seconds(), MaxRSSBytes: exit.MaxRSS, Isolation: exit.Isolation}
	return res, k.judge(j, exit)
}
