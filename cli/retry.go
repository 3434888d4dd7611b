// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"lastro/app"
)

type retryCmd struct {
	RunNo string `arg:"" optional:"" name:"RUN" help:"Number of the run; default: the newest."`
}

func (*retryCmd) Help() string {
	return `The run goes on with the code, data and params that it began with: steps that failed, errored, were cancelled or skipped get
another attempt, what succeeded stays. "lastro run" instead takes the files as they are now.

Examples:
  lastro retry        the newest run
  lastro retry 142

Exit: as of lastro run; 1 also when there is nothing to try again`
}

func (c *retryCmd) Run(env *Env) error {
	return goOn(env, c.RunNo, "retry", func(env *Env, h *app.House, number int64, show *progress) (app.RunResult, error) {
		if number == 0 {
			run, err := newestRun(env, h)
			if err != nil {
				return app.RunResult{}, err
			}
			number = run.Number
		}
		return h.Retry(env.Ctx, number, "user:local", show)
	})
}

type resumeCmd struct {
	RunNo string `arg:"" optional:"" name:"RUN" help:"Number of the run; default: the newest that has not ended."`
}

func (*resumeCmd) Help() string {
	return `Goes on with a run whose lastro was stopped or killed: steps that ended stay, one that lived on is taken over, one that died is
tried once more. The files are those that the run began with. A server does this by itself when it starts.

Examples:
  lastro resume        the newest run that has not ended
  lastro resume 142

Exit: as of lastro run; 7 when every run has ended`
}

func (c *resumeCmd) Run(env *Env) error {
	return goOn(env, c.RunNo, "resume", func(env *Env, h *app.House, number int64, show *progress) (app.RunResult, error) {
		return h.Resume(env.Ctx, number, show)
	})
}

// goOn goes on with a run, here or on the living server, and prints its result.
func goOn(env *Env, runNo, command string, here func(*Env, *app.House, int64, *progress) (app.RunResult, error)) error {
	var number int64
	if runNo != "" {
		var err error
		if number, err = parseRun(runNo); err != nil {
			return err
		}
	}
	if server, ok := app.Connect(env.paths()); ok {
		return goOnRemotely(env, server, number, command)
	}
	p, err := env.project()
	if err != nil {
		return err
	}
	show := newProgress(env)
	return env.writing(command, p, func(h *app.House) error {
		started := time.Now()
		out, err := draining(env, h, func(env *Env) (app.RunResult, error) { return here(env, h, number, show) })
		show.close()
		if err != nil {
			return err
		}
		return finish(env, out, time.Since(started))
	})
}

// goOnRemotely lets the server try a run again, or follows one that it carries out.
func goOnRemotely(env *Env, server *app.Client, number int64, command string) error {
	err := env.reading(func(h *app.House) error {
		switch {
		case command == "resume":
			run, err := h.Unfinished(env.Ctx, number)
			number = run.Number
			return err
		case number == 0:
			run, err := newestRun(env, h)
			number = run.Number
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if command == "retry" {
		if err := server.Post(env.Ctx, fmt.Sprintf("/runs/%d/retry", number), nil, nil); err != nil {
			return err
		}
	} else {
		env.note("the server at %s carries it out", server.URL())
	}
	return followToEnd(env, server, number)
}
