// SPDX-License-Identifier: Apache-2.0

// Package service carries out `services:`, the helper processes beside a step.
// It is no step kind: one program of lastro's own, started in place of the
// step's command, starts the services one after the other, waits until each is
// ready, runs the command, and ends them with it. So services belong to the
// step's task: the supervisor that ends the task ends them too, whoever died
// before, and inside a sandbox they share the step's network.
package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lastro"
	"lastro/pipeline"
)

// plan is what the program reads: what to start, without any environment, so
// that no value of a secret is on the disk.
type plan struct {
	Services []pipeline.ServiceSpec
	Argv     []string      // the step's own command
	Secrets  []string      // variables whose values are in no error
	Wait     time.Duration // for one service to be ready
}

// Files in the step's TMPDIR, the one folder outside the workspace that it may
// write under every sandbox. The second one is there when a service was the
// reason why the step ended.
const (
	planFile    = "services.json"
	verdictFile = "services-failed.json"
)

// readyWait is how long a service may take until it is ready.
const readyWait = time.Minute

// Program is how a program is called so that it calls Main with the argument
// that follows: {"/usr/bin/lastro", "beside"}.
type Program []string

// Wrap returns the command that runs argv beside the services of the step. The
// environment of the task stays as it is; its TMPDIR is Job.Scratch/tmp.
func (p Program) Wrap(j *pipeline.Job, argv []string) ([]string, error) {
	if len(j.Step.Services) == 0 {
		return argv, nil
	}
	raw, err := json.Marshal(plan{j.Step.Services, argv, j.Step.Secrets, readyWait})
	if err != nil {
		return nil, err
	}
	dir := folder(j)
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = os.WriteFile(filepath.Join(dir, planFile), raw, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("write the services of the step: %w", err)
	}
	return append(append([]string{}, p...), dir), nil
}

func folder(j *pipeline.Job) string { return filepath.Join(j.Scratch, "tmp") }

// Verdict returns the error of a step that ended because of one of its
// services, and nil when that was not the reason. It is asked before the exit
// of the task is judged.
func (Program) Verdict(j *pipeline.Job) error {
	if len(j.Step.Services) == 0 {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(folder(j), verdictFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var e lastro.Error
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		return fmt.Errorf("read how the services ended: %w", err)
	}
	e.Pos = j.Step.Pos
	e.Msg = fmt.Sprintf("step %q: %s", j.Step.Name, e.Msg)
	return &e
}

// Variable returns the environment variable of a service: NAME_PORT, NAME_ADDR.
func Variable(name, suffix string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name)) + "_" + suffix
}
