// SPDX-License-Identifier: Apache-2.0

package command

import (
	"lastro"
	"lastro/exec"
	"lastro/pipeline"
)

// Services runs a command beside the helper processes of its step;
// service.Program does.
type Services interface {
	// Wrap returns the command that does so.
	Wrap(j *pipeline.Job, argv []string) ([]string, error)
	// Verdict returns the error of a step that ended because of a service, nil
	// when that was not the reason.
	Verdict(j *pipeline.Job) error
}

// beside is the command with the services of its step, if it has any.
func (k *Kind) beside(j *pipeline.Job, argv []string) ([]string, error) {
	switch {
	case len(j.Step.Services) == 0:
		return argv, nil
	case k.Services == nil:
		return nil, lastro.Errorf(lastro.EErrored, "step %q has services, and nothing here runs them", j.Step.Name)
	}
	return k.Services.Wrap(j, argv)
}

// judge is verdict, unless a service was the reason.
func (k *Kind) judge(j *pipeline.Job, e exec.Exit) error {
	if e.Reason == exec.Exited && len(j.Step.Services) > 0 && k.Services != nil {
		if err := k.Services.Verdict(j); err != nil {
			return err
		}
	}
	return verdict(j, e)
}
